"""Losses that are Python functions."""

import threading

import numpy as np
import pytest
import routegrad


def half_square(y):
    return 0.5 * y @ y, y


def test_is_the_same_as_a_built_in_loss(callable_mixture):
    own = callable_mixture(half_square)
    built_in = callable_mixture({"type": "quadratic", "matrix": np.eye(2), "linear": [0, 0]})
    for entry in routegrad.estimators():
        if entry["id"] in ("default-moe", "gumbel-softmax") or "mixture" not in entry["claims"]["kinds"]:
            continue
        a, b = (routegrad.moments(problem, entry["id"]) for problem in (own, built_in))
        assert np.allclose(a.mean, b.mean, rtol=0, atol=1e-9), entry["id"]


def test_exceptions_come_back(callable_mixture):
    error = KeyError("experts")

    def loss(y):
        raise error

    problem = callable_mixture(loss)
    for call in (
        lambda: routegrad.moments(problem, "midpoint"), lambda: routegrad.target(problem),
        lambda: routegrad.expected_loss(problem), lambda: routegrad.outcomes(problem, "midpoint"),
        lambda: routegrad.sample(problem, "gumbel-softmax", 10), lambda: routegrad.assess(problem, "midpoint"),
        lambda: routegrad.moments(problem, "gumbel-softmax", method="monte-carlo", samples=10**9, threads=4),
    ):
        with pytest.raises(routegrad.RouteGradError, match="raised KeyError: 'experts'") as caught:
            call()
        assert caught.value.__cause__ is error
        assert caught.value.status == "callback-failed"


@pytest.mark.parametrize("result", [
    lambda y: (np.nan, y), lambda y: (np.inf, y), lambda y: (0.0, y * np.nan),
])
def test_what_is_not_finite(callable_mixture, result):
    with pytest.raises(routegrad.RouteGradError, match="expected finite numbers") as caught:
        routegrad.moments(callable_mixture(result), "midpoint")
    assert caught.value.status == "callback-not-finite" and caught.value.__cause__ is None


@pytest.mark.parametrize("result", [
    lambda y: 1.0, lambda y: (1.0, y[:1]), lambda y: (1.0, "ab"), lambda y: ("x", y), lambda y: None, lambda: None,
])
def test_what_is_no_pair(callable_mixture, result):
    with pytest.raises(routegrad.RouteGradError, match="the loss function raised") as caught:
        routegrad.moments(callable_mixture(result), "midpoint")
    assert caught.value.__cause__ is not None


def test_interruption_passes_through(callable_mixture):
    def loss(y):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        routegrad.moments(callable_mixture(loss), "midpoint")


def test_calls_stop_after_a_failure(callable_mixture):
    calls = []

    def loss(y):
        calls.append(y)
        if len(calls) == 3:
            raise ValueError("enough")
        return half_square(y)

    with pytest.raises(routegrad.RouteGradError):
        routegrad.moments(callable_mixture(loss), "gumbel-softmax")
    assert len(calls) == 3


def test_may_call_the_library(callable_mixture, mixture):
    def failing(y):
        raise ValueError("inner")

    broken = callable_mixture(failing)

    def loss(y):
        with pytest.raises(routegrad.RouteGradError, match="inner"):
            routegrad.target(broken)
        routegrad.moments(mixture, "midpoint")
        return half_square(y)

    assert np.array_equal(routegrad.target(callable_mixture(loss)), routegrad.target(callable_mixture(half_square)))


def test_is_called_on_the_thread_that_computes(callable_mixture):
    seen = set()

    def loss(y):
        seen.add(threading.get_ident())
        return half_square(y)

    routegrad.moments(callable_mixture(loss), "gumbel-softmax", method="monte-carlo", samples=5000, threads=4)
    assert seen == {threading.get_ident()}


def test_categorical():
    own = routegrad.categorical([0.1, 0.5, -0.3], lambda z: (0.5 * z @ z + z[0], z + [1, 0, 0]))
    built_in = routegrad.categorical(
        [0.1, 0.5, -0.3], {"type": "quadratic", "matrix": np.eye(3), "linear": [1, 0, 0]})
    assert np.allclose(routegrad.moments(own, "reinmax").mean, routegrad.moments(built_in, "reinmax").mean, atol=1e-15)
