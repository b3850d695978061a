"""Outcomes and samples."""

from __future__ import annotations

from ctypes import byref
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ._arguments import seed as check_seed
from ._arguments import shown, whole
from ._arrays import address
from ._errors import RouteGradError
from ._estimators import estimator as _estimator
from ._expectations import _masked
from ._library import OutcomesHandle, OutcomesShape, fail, lib
from ._problems import Mask, Problem


class _Outcome(NamedTuple):
    choice: tuple[int, ...]
    coins: tuple[int, ...]
    probability: float
    gradient: NDArray[np.float64]


class Outcome(_Outcome):
    """One thing that can happen when an estimator is run once; a tuple (choice, coins, probability, gradient).

    ``choice``: the experts drawn, in order. ``coins``: 1 stands for the full output, a one-node rule gives the node's index.
    ``gradient``: the gradient sample, [N]. ``multiplier``: what scales each chosen expert's output in the forward pass; empty
    on a categorical problem.
    """

    multiplier: tuple[float, ...]


def outcomes(problem: Problem, estimator: str, *, mask: Mask = None) -> list[Outcome]:
    """Every outcome of an estimator on a problem, in the order of ``routegrad outcomes``; probabilities add up to 1.

    Raises RouteGradError if there are infinitely many or more than 2²⁰, the estimator is not defined on the problem, or a
    gradient overflows float64.
    """
    handle = OutcomesHandle()
    status = lib.rg_outcomes_create(
        _masked(problem, mask)._handle, _estimator(estimator), byref(handle))
    if status:
        fail(status)
    shape = OutcomesShape()
    lib.rg_outcomes_describe(handle, byref(shape))
    count = shape.count
    probability = np.empty(count)
    gradient = np.empty((count, shape.experts))
    choice = np.empty((count, shape.choice_width), np.int64)
    coins = np.empty((count, shape.coins_width), np.int64)
    multiplier = np.empty((count, shape.multiplier_width))
    status = lib.rg_outcomes_get(
        handle, 0, count, *map(address, (probability, choice, coins, multiplier, gradient)))
    if status:
        fail(status)
    listed = []
    rows = zip(choice.tolist(), coins.tolist(), probability.tolist(), gradient, multiplier.tolist())
    for chosen, thrown, share, vector, factors in rows:
        outcome = Outcome(
            tuple(i for i in chosen if i >= 0), tuple(c for c in thrown if c >= 0), share, vector)
        outcome.multiplier = tuple(m for m in factors if m == m)
        listed.append(outcome)
    return listed


def sample(
    problem: Problem, estimator: str, count: int, *, seed: int = 0, mask: Mask = None, threads: int = 1
) -> NDArray[np.float64]:
    """Gradient samples, [count, N]: an estimator run ``count`` times. The same seed gives the same bytes, whatever the number
    of threads; with a larger count the first stay the same.

    Raises RouteGradError if the estimator is not defined on the problem, or a sample overflows float64.
    """
    problem = _masked(problem, mask)
    handle, seed, threads, rows = _estimator(estimator), check_seed(seed), whole(threads, "threads"), whole(count, "count")
    if rows < 0:
        raise RouteGradError(f"count: expected a whole number of at least 0, got {shown(count)}")
    try:
        result = np.empty((rows, problem.experts))
    except (MemoryError, ValueError) as error:
        raise RouteGradError(f"count: expected as many samples as memory can hold, got {shown(count)}") from error
    status = lib.rg_sample(problem._handle, handle, seed, threads, rows, address(result), problem.experts)
    if status:
        fail(status)
    return result
