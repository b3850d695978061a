"""Problems from arrays: what is taken, and what is refused."""

import importlib.metadata

import numpy as np
import pytest
import routegrad

LOSS = {"type": "linear", "coefficients": [1.0, 2.0]}


def test_version():
    assert routegrad.__version__ == importlib.metadata.version("routegrad")


@pytest.mark.parametrize("outputs", [
    np.arange(6, dtype=np.float32).reshape(3, 2), np.arange(6.0).reshape(2, 3).T, np.arange(12.0).reshape(3, 4)[:, ::2],
    [[0, 1], [2, 3], [4, 5]],
])
def test_any_layout(outputs):
    problem = routegrad.mixture([0, 1, 2], outputs, LOSS)
    plain = routegrad.mixture([0.0, 1.0, 2.0], np.array(outputs, dtype=np.float64, order="C"), LOSS)
    assert np.array_equal(routegrad.target(problem), routegrad.target(plain))


def test_contiguous_arrays_are_not_copied():
    from routegrad._arrays import as_array

    array = np.zeros((100, 100))
    assert as_array(array, "array", 2) is array


def test_the_problem_keeps_its_own_numbers():
    outputs = np.ones((2, 2))
    problem = routegrad.mixture([0.0, 1.0], outputs, {"type": "quadratic", "matrix": np.eye(2), "linear": [0, 0]})
    before = routegrad.target(problem)
    outputs[:] = 7
    assert np.array_equal(routegrad.target(problem), before)


@pytest.mark.parametrize(("arguments", "message"), [
    (([], np.zeros((0, 2)), LOSS), "logits"),
    (([1.0, 2.0], [[1.0, 2.0]], LOSS), r"expert_outputs: expected shape \[2, 2\], got \[1, 2\]"),
    (([1.0], [[1.0, 2.0, 3.0]], LOSS), "expected 2 numbers, got 3"),
    (([[1.0]], [[1.0, 2.0]], LOSS), "logits: expected 1 dimension"),
    (([np.nan], [[1.0, 2.0]], LOSS), r"logits\[0\]: expected a finite number, got nan"),
    (([1.0], [[1.0, np.inf]], LOSS), r"expertOutputs\[0\]\[1\]"),
    ((["a"], [[1.0, 2.0]], LOSS), "logits"),
    (([1.0], [[1.0, 2.0]], {"type": "linear"}), "loss.coefficients"),
    (([1.0], [[1.0, 2.0]], {"type": "lineal"}), "loss.type"),
    (([1.0], [[1.0, 2.0]], {"type": "linear", "coefficients": [float("nan"), 1]}), "loss"),
    (([1.0], [[1.0, 2.0]], {"type": "linear", "coefficients": object()}), "JSON"),
    (([1.0], [[1.0, 2.0]], 3), "a dict or a callable"),
    (([1.0], None, LOSS), "expert_outputs"),
    (([1.0], None, lambda y: (0, y)), "expert_outputs"),
])
def test_refusals(arguments, message):
    with pytest.raises(routegrad.RouteGradError, match=message):
        routegrad.mixture(*arguments)
    assert issubclass(routegrad.RouteGradError, ValueError)


def test_wrong_calls(mixture):
    for call, message in [
        (lambda: routegrad.moments(mixture, "midpont"), "did you mean 'midpoint'"),
        (lambda: routegrad.moments(mixture, 3), "expected a string"),
        (lambda: routegrad.moments("mixture", "midpoint"), "expected what mixture"),
        (lambda: routegrad.moments(mixture, "midpoint", mask=("papier", 1)), "reference-code"),
        (lambda: routegrad.moments(mixture, "midpoint", mask=("paper", -1)), "at least 0"),
        (lambda: routegrad.moments(mixture, "midpoint", method="exactly"), "monte-carlo"),
        (lambda: routegrad.moments(mixture, "midpoint", samples=10), "monte-carlo"),
        (lambda: routegrad.moments(mixture, "midpoint", method="monte-carlo", samples=1), "from 2"),
        (lambda: routegrad.moments(mixture, "gumbel-softmax-st", tolerance=0.0), "above 0"),
        (lambda: routegrad.moments(mixture, "gumbel-softmax-st", tolerance=1e-30), "cannot be reached"),
        (lambda: routegrad.moments(mixture, "midpoint", threads=0), "threads"),
        (lambda: routegrad.moments(mixture, "midpoint", seed=-1), "seed"),
        (lambda: routegrad.target(mixture, "dense"), "dense-mixture"),
        (lambda: routegrad.outcomes(mixture, "gumbel-softmax-st"), "finite list"),
        (lambda: routegrad.sample(mixture, "midpoint", -1), "count: expected a whole number of at least 0"),
    ]:
        with pytest.raises(routegrad.RouteGradError, match=message):
            call()


def test_router_and_table():
    router = {"weight": [[1.0, 0.5], [0.0, 2.0]], "input": [1.0, -1.0]}
    outputs = [[1.0, 0.0], [0.5, 0.5]]
    problem = routegrad.mixture([0.5, -2.0], outputs, LOSS, router=router)
    assert routegrad.moments(problem, "switch:kind=input,r=0.1").mean.shape == (2,)
    with pytest.raises(routegrad.RouteGradError, match="logits"):
        routegrad.mixture([0.5, -1.0], outputs, LOSS, router=router)
    table = {"type": "tabulated", "nodes": [1], "values": np.ones((2, 1)), "slopes": np.eye(2)[:, :1], "valueAtZero": 0,
             "mask": {"rule": "none", "threshold": None}}
    tabulated = routegrad.mixture([0.5, -1.0], None, table)
    assert routegrad.moments(tabulated, "conventional").method == "enumeration"
    with pytest.raises(routegrad.RouteGradError, match="needs the slope at 0.5") as caught:
        routegrad.moments(tabulated, "midpoint")
    assert caught.value.status == "unavailable"


def test_covariance_is_lazy(mixture):
    moments = routegrad.moments(mixture, "sparsemixer")
    assert np.allclose(np.diag(moments.covariance), moments.variance, rtol=1e-12)
    assert np.array_equal(moments.covariance, routegrad.moments(mixture, "sparsemixer", covariance=True).covariance)


def test_samples(mixture):
    once = routegrad.sample(mixture, "sparsemixer", 40_000, seed=5)
    assert np.array_equal(once, routegrad.sample(mixture, "sparsemixer", 40_000, seed=5, threads=4))
    assert np.array_equal(once[:100], routegrad.sample(mixture, "sparsemixer", 100, seed=5))
    moments = routegrad.moments(mixture, "sparsemixer", method="monte-carlo", samples=40_000, seed=5)
    assert np.allclose(once.mean(0), moments.mean, atol=1e-12)
