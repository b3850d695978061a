"""Estimators: the registry, and their handles."""

from __future__ import annotations

import json
from ctypes import byref
from functools import lru_cache
from typing import Any

from ._errors import RouteGradError
from ._library import EstimatorHandle, fail, lib


def estimators() -> list[dict[str, Any]]:
    """Every estimator: ``id``, ``parameters`` (name, what is expected, default) and ``claims`` (the kinds of problem, target,
    exactness, order, draws, expert evaluations, source), as ``routegrad estimators --format json`` prints them."""
    return json.loads(lib.rg_estimators_json())["estimators"]


@lru_cache(maxsize=1024)
def estimator(specification: str) -> EstimatorHandle:
    """The estimator that ``id:key=value,key=value`` stands for; made once."""
    if not isinstance(specification, str):
        raise RouteGradError(f"estimator: expected a string such as 'sparsemixer', got {specification!r}")
    result = EstimatorHandle()
    status = lib.rg_estimator_create(specification.encode(), byref(result))
    if status:
        fail(status)
    return result
