"""Bias and variance of estimators of one's own: what the program says, whichever way they come in."""

import json

import numpy as np
import pytest
import routegrad
from conftest import MIXTURE, program

SCALARS = {
    "biasNorm": "bias_norm", "relativeBias": "relative_bias", "cosine": "cosine", "totalVariance": "total_variance",
    "meanSquaredError": "mean_squared_error", "descentProbability": "descent_probability",
    "relativeStandardDeviation": "relative_standard_deviation", "bestScale": "best_scale",
}


def pairs(problem, random):
    return [(o.probability, o.gradient) for o in routegrad.outcomes(problem, "sparsemixer")]


@pytest.mark.parametrize("own", [
    pairs, lambda problem, random: routegrad.outcomes(problem, "sparsemixer"),
    lambda problem, random: {"gradient": [g for _, g in pairs(problem, random)],
                             "probability": [p for p, _ in pairs(problem, random)]},
])
def test_outcomes_are_exact(mixture, own):
    known = routegrad.assess(mixture, "sparsemixer")
    for found in (routegrad.assess(own, mixture), routegrad.assess(mixture, own), routegrad.assess(own(mixture, None), mixture)):
        assert isinstance(found, routegrad.SampleAssessment) and found.method == "enumeration" and found.intervals is None
        for name in SCALARS.values():
            assert getattr(found, name) == pytest.approx(getattr(known, name), rel=1e-12), name
        np.testing.assert_allclose(found.mean, known.mean, rtol=1e-13)


def test_is_what_the_program_says(mixture, tmp_path):
    samples = routegrad.sample(mixture, "reinmax", 3000, seed=4)
    np.save(tmp_path / "samples.npy", samples)
    (tmp_path / "problem.json").write_text(json.dumps({"schema": "routegrad.problem/1", **MIXTURE}))
    printed = json.loads(program(
        "assess", str(tmp_path / "samples.npy"), "--problem", str(tmp_path / "problem.json"), "--seed", "5", "--confidence", "0.9",
        "--estimators", "reinmax,sparsemixer", "--format", "json", "--quiet"))
    found = routegrad.assess(samples, mixture, seed=5, confidence=0.9, beside="reinmax,sparsemixer")
    assert found.evidence["estimators"] == printed["estimators"]
    for name, value in printed["samples"].items():
        if name not in ("source", "format"):
            assert found.evidence["samples"][name] == value, name
    for name, own in SCALARS.items():
        assert getattr(found, own) == printed["samples"][name]
    low, high = found.intervals["relative_bias"]
    assert low <= found.relative_bias <= high and found.mean_radius > 0
    assert "reinmax" in str(found) and "3000 samples" in repr(found)


def test_draws_come_until_there_are_enough(mixture):
    calls = []

    def draws(problem, random):
        calls.append(problem)
        return random.choice(2, size=(1000, 1)) * np.array([[1.0, -0.5, -0.5]])

    found = routegrad.assess(draws, mixture, samples=2500, seed=3)
    assert found.count == 2500 and len(calls) == 3 and calls[0] is mixture
    assert found.evidence == routegrad.assess(draws, mixture, samples=2500, seed=3, threads=3).evidence
    assert found.evidence != routegrad.assess(draws, mixture, samples=2500, seed=4).evidence
    one = routegrad.assess(lambda p, r: [r.normal(), 0.0, 1.0], mixture, samples=50)
    assert one.count == 50


def test_streams_are_read_whole(mixture):
    def stream():
        for seed in range(3):
            yield routegrad.sample(mixture, "reinforce", 100, seed=seed).astype(np.float32)

    assert routegrad.assess(stream(), mixture).count == 300


def test_pairs_have_a_target_of_their_own(mixture):
    known = routegrad.assess(mixture, "sparsemixer-v2-top2")
    found = routegrad.assess(routegrad.outcomes(mixture, "sparsemixer-v2-top2"), mixture, draws=2)
    assert found.relative_bias == pytest.approx(known.relative_bias, rel=1e-12)


def test_subsets_have_a_target_of_their_own(mixture):
    known = routegrad.assess(mixture, "simple:k=2")
    found = routegrad.assess(routegrad.outcomes(mixture, "simple:k=2"), mixture, draws_of="simple:k=2")
    assert found.relative_bias == pytest.approx(known.relative_bias, rel=1e-12)


@pytest.mark.parametrize(("own", "options", "message"), [
    (np.zeros((5, 3)), {"draws_of": "simpel"}, "did you mean"), (np.zeros((5, 3)), {"draws_of": 3}, "draws_of: expected a string"),
    (np.zeros((5, 3)), {"draws_of": "simple:k=2", "draws": 2}, "says the same"),
    (np.zeros((5, 2)), {}, r"expected shape \[5, 3\]"), (np.zeros((1, 3)), {}, "at least 2 samples, got 1"),
    (np.full((5, 3), np.nan), {}, "finite"), ([(0.5, [1, 2, 3])], {}, "sum to 1, got 0.5"), (iter([]), {}, "at least 2 samples"),
    (np.zeros((5, 3)), {"confidence": 1.0}, "confidence"), (np.zeros((5, 3)), {"draws": 3}, "draws"),
    (np.zeros((5, 3)), {"samples": 3}, "samples: goes with a callable"), (np.zeros((5, 3)), {"beside": "reinmx"}, "did you mean"),
    (np.zeros((5, 3)), {"method": "monte-carlo"}, "go with an estimator of the library"),
    (lambda p, r: np.zeros((0, 3)), {}, "at least one draw"), (lambda p, r: np.zeros((2, 3)), {"samples": 1}, "at least 2"),
    (lambda p, r: None, {}, "samples"), (np.zeros((5, 3)), {"target": "loss"}, "target"),
])
def test_refusals(mixture, own, options, message):
    with pytest.raises(routegrad.RouteGradError, match=message):
        routegrad.assess(own, mixture, **options)


def test_what_belongs_to_samples_is_refused_with_an_estimator(mixture):
    with pytest.raises(routegrad.RouteGradError, match="confidence: goes with samples"):
        routegrad.assess(mixture, "reinmax", confidence=0.9)
    with pytest.raises(routegrad.RouteGradError, match="problem: expected"):
        routegrad.assess(np.zeros((5, 3)), "reinmax")


def test_what_a_callable_raises_is_raised(mixture):
    def broken(problem, random):
        raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        routegrad.assess(broken, mixture)
