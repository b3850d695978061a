"""Estimators: the registry, and their handles."""

from __future__ import annotations

import json
from ctypes import byref, c_void_p
from functools import lru_cache
from typing import Any

from ._errors import RouteGradError
from ._library import Handle, fail, lib


def estimators() -> list[dict[str, Any]]:
    """Every estimator: ``id``, ``parameters`` (name, what is expected, default) and ``claims`` (the kinds of problem, target,
    exactness, order, draws, expert evaluations, source), as ``routegrad estimators --format json`` prints them."""
    return json.loads(lib.rg_estimators_json())["estimators"]


@lru_cache(maxsize=1024)
def estimator(specification: str) -> Handle:
    """The estimator that ``id:key=value,key=value`` stands for; made once."""
    if not isinstance(specification, str):
        raise RouteGradError(f"estimator: expected a string such as 'sparsemixer', got {specification!r}")
    result = c_void_p()
    status = lib.rg_estimator_create(specification.encode(), byref(result))
    if status:
        fail(status)
    return Handle(result, lib.rg_estimator_destroy)
