"""Verdicts on samples: the program's, and those of outcomes, targets and streams."""

import json

import numpy as np
import pytest
import routegrad
from conftest import MIXTURE, program_status

SAME = ("verdict", "claim", "tolerance", "detectableBias", "smallestDetectableBias", "requiredSamples", "parts")


def outcomes(problem, estimator):
    listed = routegrad.outcomes(problem, estimator)
    return {
        "gradient": np.array([o.gradient for o in listed]), "choice": np.array([o.choice for o in listed]),
        "coins": np.array([o.coins for o in listed], dtype=np.int64).reshape(len(listed), -1),
        "probability": np.array([o.probability for o in listed]),
    }


@pytest.mark.parametrize(("estimator", "verdict"), [("conventional", "consistent"), ("sparsemixer", "refuted")])
def test_is_what_the_program_says(mixture, tmp_path, estimator, verdict):
    samples = routegrad.sample(mixture, "conventional", 30_000, seed=4)
    np.save(tmp_path / "samples.npy", samples)
    (tmp_path / "problem.json").write_text(json.dumps({"schema": "routegrad.problem/1", **MIXTURE}))
    status, output = program_status(
        "verify", str(tmp_path / "samples.npy"), "--problem", str(tmp_path / "problem.json"), "--estimator", estimator,
        "--format", "json")
    found = routegrad.verify(samples, mixture, estimator)
    assert found.verdict == verdict and status == {"consistent": 0, "refuted": 1}[verdict]
    printed = json.loads(output)
    for name in SAME:
        assert found.evidence[name] == printed[name], name
    assert found.samples == printed["samples"]["count"] and found.seed is None
    assert str(found).startswith(verdict) and verdict in repr(found)


def test_samples_with_their_draws(mixture):
    rows = outcomes(mixture, "conventional")
    drawn = np.random.default_rng(1).choice(3, p=rows["probability"], size=20_000)
    samples = {"gradient": rows["gradient"][drawn], "choice": drawn}
    assert routegrad.verify(samples, mixture, "conventional").verdict == "consistent"
    samples["gradient"] = samples["gradient"] * 1.001
    found = routegrad.verify(samples, mixture, "conventional")
    assert found.verdict == "refuted" and found.samples == 1
    assert found.evidence["counterExample"]["kind"] == "gradient"


def test_outcomes_are_proved(mixture):
    for estimator in ("sparsemixer", "sparsemixer-v2-top2", "exact"):
        assert routegrad.verify(outcomes(mixture, estimator), mixture, estimator).verdict == "proved"
    assert routegrad.verify(outcomes(mixture, "midpoint"), mixture, "sparsemixer").verdict == "refuted"


def test_a_stream_is_read_as_far_as_needed(mixture):
    taken = []

    def stream():
        for seed in range(1000):
            taken.append(seed)
            yield routegrad.sample(mixture, "reinforce", 1000, seed=seed).astype(np.float32)

    assert routegrad.verify(stream(), mixture, "reinforce").verdict == "consistent"
    assert 1 < len(taken) < 1000
    assert routegrad.verify(
        stream(), mixture, target="gating-term", bounds=(-20.0, 20.0), max_samples=10).verdict == "undecided"


@pytest.mark.parametrize(("arguments", "options", "message"), [
    ([np.zeros((5, 2))], {"estimator": "midpoint"}, r"samples: expected shape \[5, 3\], got \[5, 2\]"),
    ([np.full((5, 3), np.nan)], {"estimator": "midpoint"}, r"gradient\[0\]\[0\]: expected a finite number"),
    ([np.zeros((0, 3))], {"estimator": "midpoint"}, "at least one sample"),
    ([iter([])], {"estimator": "midpoint"}, "at least one sample"),
    ([{"gradients": np.zeros((1, 3))}], {"estimator": "midpoint"}, "expected gradient"),
    ([{"gradient": np.zeros((1, 3)), "choice": [0.5]}], {"estimator": "midpoint"}, "whole numbers"),
    ([{"gradient": np.zeros((1, 3)), "choice": [0, 1]}], {"estimator": "midpoint"}, "expected 1 rows"),
    ([{"gradient": np.zeros((1, 3)), "coins": [0]}], {"estimator": "midpoint"}, "choices beside them"),
    ([np.zeros((1, 3))], {}, "got none"),
    ([np.zeros((1, 3))], {"target": "expected-loss"}, "bounds"),
    ([np.zeros((1, 3))], {"estimator": "midpoint", "bounds": (0, 1)}, "bounds"),
    ([np.zeros((1, 3))], {"estimator": "midpoint", "false_fail_rate": 2.0}, "false_fail_rate"),
    ([np.zeros((1, 3))], {"estimator": "midpoint", "max_samples": 0}, "max_samples"),
])
def test_refusals(mixture, arguments, options, message):
    with pytest.raises(routegrad.RouteGradError, match=message):
        routegrad.verify(arguments[0], mixture, **options)


def test_callables_that_raise(callable_mixture):
    error = KeyError("y")

    def loss(y):
        raise error

    with pytest.raises(routegrad.RouteGradError, match="raised KeyError") as caught:
        routegrad.verify(np.zeros((1, 3)), callable_mixture(loss), "midpoint")
    assert caught.value.__cause__ is error
