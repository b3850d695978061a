"""The strategies draw problems that the library takes and that shrink; the checks catch what they should."""

import sys

import numpy as np
import pytest
import routegrad
from hypothesis import HealthCheck, find, given, settings
from routegrad.testing import (
    assert_conditional_gradients, assert_lints, assert_mean_gradient, assert_verified, categorical_problems, evaluate,
    mixture_problems)
from test_lint import softmax_after_top1, top_k

PLAIN = settings(max_examples=60, deadline=None, database=None, derandomize=True,
                 suppress_health_check=[HealthCheck.too_slow])


def conventional(problem, factor=1.0):
    """(G'(π_D f_D)·f_D) ∂π_D, written for the test."""
    p = np.exp(problem.logits - problem.logits.max())
    p /= p.sum()

    def gradient(choice, coins):
        (i,) = choice
        slope = evaluate(problem.loss, p[i] * problem.expert_outputs[i])[1] @ problem.expert_outputs[i]
        return factor * slope * p[i] * (np.eye(problem.experts)[i] - p)

    return gradient


@PLAIN
@given(mixture_problems())
def test_a_right_router_passes(problem):
    assert_conditional_gradients(problem, "conventional", conventional(problem))
    mean = sum(o.probability * np.asarray(conventional(problem)(o.choice, o.coins))
               for o in routegrad.outcomes(problem, "conventional"))
    assert_mean_gradient(problem, mean, "gating-term")


@PLAIN
@given(categorical_problems())
def test_reinmax_is_exact_to_degree_two(problem):
    if problem.loss["type"] != "log-cosh":
        assert_mean_gradient(problem, routegrad.moments(problem, "reinmax").mean, rtol=1e-9, atol=1e-9)


def test_a_wrong_router_shrinks_to_a_small_example():
    def is_caught(problem):
        try:
            assert_conditional_gradients(problem, "conventional", conventional(problem, factor=1.01))
        except AssertionError as error:
            assert repr(problem) in str(error)
            return True
        return False

    problem = find(mixture_problems(), is_caught, settings=PLAIN)
    assert problem.experts == 2 and problem.expert_outputs.shape == (2, 1)
    again = eval(repr(problem))
    assert np.array_equal(routegrad.target(again), routegrad.target(problem))


def test_wrong_shapes_are_said(mixture):
    with pytest.raises(AssertionError, match=r"expected shape \[3\], got \[2\]"):
        assert_mean_gradient(mixture, [0.0, 0.0])


def test_verdicts_are_asserted(mixture):
    samples = routegrad.sample(mixture, "midpoint", 30_000)
    assert_verified(samples, mixture, "midpoint")
    with pytest.raises(AssertionError, match="^refuted: "):
        assert_verified(samples, mixture, "conventional")
    with pytest.raises(AssertionError, match="^undecided: "):
        assert_verified(samples[:10], mixture, "midpoint")


def test_lints_are_asserted():
    assert_lints(top_k)
    with pytest.raises(AssertionError, match="router-gradient"):
        assert_lints(softmax_after_top1)
    assert_lints(softmax_after_top1, known=(
        "router-gradient", "gradient-entries", "gradient-sum", "gate-order", "gate-gradient"))


def test_pytorch_is_not_imported():
    assert "torch" not in sys.modules
