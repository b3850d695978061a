"""Estimators: the registry, and their handles."""

from __future__ import annotations

import json
from ctypes import byref
from functools import lru_cache
from typing import Any

from ._arguments import text
from ._library import EstimatorHandle, fail, lib


def estimators() -> list[dict[str, Any]]:
    """Every estimator: ``id``, ``parameters`` (name, what is expected, default) and ``claims`` (the kinds of problem, target,
    exactness, order, draws, expert evaluations, source), as ``routegrad estimators --format json`` prints them."""
    entries: list[dict[str, Any]] = json.loads(lib.rg_estimators_json())["estimators"]
    return entries


def estimator(specification: str) -> EstimatorHandle:
    """The estimator that ``id:key=value,key=value`` stands for."""
    return _made(specification if type(specification) is str else text(specification, "estimator").decode())


@lru_cache(maxsize=1024)
def _made(specification: str) -> EstimatorHandle:
    """Likewise; made once."""
    result = EstimatorHandle()
    status = lib.rg_estimator_create(text(specification, "estimator"), byref(result))
    if status:
        fail(status)
    return result
