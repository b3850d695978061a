"""What a call of moments costs with 8 experts, in Python and in the C function alone: python call_cost.py"""

import ctypes
import timeit

import numpy as np
import routegrad
from routegrad._estimators import estimator
from routegrad._library import MomentsInfo, lib

EXPERTS, WIDTH, CALLS = 8, 16, 20_000


def best(call) -> float:
    """Microseconds of a call, the least of ten rounds."""
    return min(timeit.repeat(call, number=CALLS, repeat=10)) / CALLS * 1e6


def costs(specification: str) -> tuple[float, float]:
    """Of ``moments``, and of ``rg_moments`` called with what it needs at hand, ctypes included."""
    numbers = np.random.default_rng(0).normal(size=(EXPERTS, WIDTH))
    problem = routegrad.mixture(
        numbers[:, 0], numbers, {"type": "log-cosh", "scales": np.ones(WIDTH), "targets": np.zeros(WIDTH)})
    mean, variance, info = np.empty(EXPERTS), np.empty(EXPERTS), MomentsInfo()
    arguments = (
        problem._handle, estimator(specification), None, mean.ctypes.data, variance.ctypes.data, None,
        EXPERTS, ctypes.byref(info))
    return best(lambda: routegrad.moments(problem, specification)), best(lambda: lib.rg_moments(*arguments))


if __name__ == "__main__":
    for name in ("conventional", "sparsemixer", "midpoint"):
        whole, inner = costs(name)
        print(f"{name}: {whole:.2f} µs, of which {inner:.2f} µs in rg_moments: {whole - inner:.2f} µs beyond")
