"""What a user's type checker sees of the installed package: every line is checked, and each that is ignored has to be wrong."""

from typing import Any, assert_type

import numpy as np
import routegrad
from numpy.typing import NDArray
from routegrad.testing import Checks, assert_lints, assert_verified

problem = routegrad.mixture(
    [0.3, -1.2], np.zeros((2, 3), np.float32), {"type": "linear", "coefficients": [1, 2, 3]}, default_outputs=[[0.0] * 3] * 2)
assert_type(problem, routegrad.Problem)
assert_type(problem.experts, int)
moments = routegrad.moments(problem, "reinmax:tau=1.3", mask=("paper", 0.1))
assert_type(moments, routegrad.Moments)
assert_type(moments.mean, NDArray[np.float64])
assert_type(routegrad.target(problem, "expected-loss"), NDArray[np.float64])
assert_type(routegrad.assess(problem, "switch").relative_bias, float | None)
assert_type([outcome.choice for outcome in routegrad.outcomes(problem, "conventional")], list[tuple[int, ...]])
samples = routegrad.sample(problem, "midpoint", 10, seed=3)
assert_type(routegrad.verify({"gradient": samples}, problem, "midpoint").verdict, str)
assert_type(routegrad.lint(lambda logits: (logits, logits)).checks("refuted"), list[str])
audit = routegrad.audit_layer({"input": samples}, activation="relu", gradients=True)
assert_type(audit.gradients, dict[str, NDArray[np.float64]] | None)
assert_type(routegrad.estimators(), list[dict[str, Any]])

routegrad.moments(problem, 3)  # type: ignore[arg-type]
routegrad.moments(problem, "exact", "paper")  # type: ignore[call-arg]
routegrad.mixture([0.3], [[1.0]])  # type: ignore[call-arg]
routegrad.audit_layer({}, activation=None)  # type: ignore[arg-type]
routegrad.nothing  # type: ignore[attr-defined]


def test_mine(routegrad_check: Checks) -> None:
    def draw(count: int, rng: np.random.Generator) -> NDArray[np.float64]:
        return rng.normal(size=(count, 2))

    routegrad_check.assert_unbiased(draw, problem, bounds=(-9, 9))
    routegrad_check.assert_unbiased(draw, problem)  # type: ignore[call-arg]
    routegrad_check.assert_router_matches(draw, {"experts": 3}, known=["router-gradient"])
    assert_verified(samples, problem, "midpoint", tolerance=1e-3)
    assert_lints(draw, experts=4)
