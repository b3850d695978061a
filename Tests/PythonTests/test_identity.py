"""Python is given, bit for bit, what the program prints."""

import json

import numpy as np
import pytest
import routegrad
from conftest import PROBLEMS, program, report

SCALARS = {
    "bias_norm": "biasNorm", "relative_bias": "relativeBias", "cosine": "cosine", "best_scale": "bestScale",
    "scaled_relative_bias": "scaledRelativeBias", "total_variance": "totalVariance",
    "relative_standard_deviation": "relativeStandardDeviation", "mean_squared_error": "meanSquaredError",
    "signal_to_noise": "signalToNoise", "descent_probability": "descentProbability",
    "expert_evaluations": "expertEvaluations", "mean_error": "meanError", "variance_error": "varianceError",
    "outcomes": "outcomes", "method": "method",
}


def specification(entry):
    values = {name: str(value).lower() if isinstance(value, bool) else value for name, value in entry["parameters"].items()}
    return ":".join([entry["id"], ",".join(f"{k}={v}" for k, v in values.items())]).rstrip(":")


@pytest.mark.parametrize("path", PROBLEMS, ids=lambda path: path.stem)
def test_reports(path):
    # The continuous ones take 15 s on the 32 tokens of real-router.
    which = [] if path.stem == "real-router" else ["--estimators", "all"]
    problems = routegrad.problems(path)
    for place, (problem, reported) in enumerate(zip(problems, report(str(path), *which), strict=True)):
        assert problem.kind == reported["kind"] and problem.experts == reported["experts"]
        if reported["mask"]["rule"] != "none":
            problem = problem.masked((reported["mask"]["rule"], reported["mask"]["threshold"]))
        for target, gradient in reported["targets"].items():
            if gradient is None:
                with pytest.raises(routegrad.RouteGradError):
                    routegrad.target(problem, target)
            else:
                assert routegrad.target(problem, target).tolist() == gradient
        for entry in reported["estimators"]:
            if "unavailable" in entry:
                continue
            # Their samples take a second for each of three calls: one problem of a file is enough.
            if place > 0 and entry["id"] in ("rebar", "relax") and entry["method"] == "monte-carlo":
                continue
            assessment = routegrad.assess(problem, specification(entry))
            moments = routegrad.moments(problem, specification(entry))
            assert assessment.mean.tolist() == moments.mean.tolist() == entry["mean"]
            assert assessment.variance.tolist() == moments.variance.tolist() == entry["variance"]
            for name, field in SCALARS.items():
                assert getattr(assessment, name) == entry[field], (specification(entry), name)
            if entry["targetGradient"] is None:
                assert assessment.target_gradient is None and assessment.bias is None
            else:
                assert assessment.target_gradient.tolist() == entry["targetGradient"]
                assert assessment.bias.tolist() == entry["bias"]


def test_continuous_noise_covariance_mask_and_samples(tmp_path):
    path = [path for path in PROBLEMS if path.stem == "mixtures-8"][0]
    specifications = "gumbel-softmax-st:tau=0.7,gumbel-rao:K=3,switch:r=0.2,sparsemixer"
    for extra, options in [
        (["--covariance"], {"covariance": True}),
        (["--mask", "paper", "--threshold", "0.6"], {"mask": ("paper", 0.6)}),
        (["--method", "monte-carlo", "--samples", "5000", "--seed", "9"],
         {"method": "monte-carlo", "samples": 5000, "seed": 9}),
    ]:
        reported = report(str(path), "--estimators", specifications, *extra)
        for problem, entries in zip(routegrad.problems(path), reported, strict=True):
            for entry in entries["estimators"]:
                moments = routegrad.moments(problem, specification(entry), threads=2, **options)
                assert moments.mean.tolist() == entry["mean"]
                assert moments.variance.tolist() == entry["variance"]
                assert moments.samples == entry.get("samples")
                if "covariance" in entry:
                    assert moments.covariance.tolist() == entry["covariance"]


def test_outcomes():
    path = [path for path in PROBLEMS if path.stem == "mixtures-8"][0]
    name = "mixture-8-log-cosh"
    names = [problem.get("name") for problem in json.loads(path.read_text())["problems"]]
    problem = routegrad.problems(path)[names.index(name)]
    for estimator in ("sparsemixer", "sparsemixer-v2-top2", "exact", "reinforce:baseline=leave-one-out,samples=2"):
        lines = program("outcomes", str(path), "--problem", name, "--estimator", estimator).splitlines()
        for outcome, line in zip(routegrad.outcomes(problem, estimator), map(json.loads, lines), strict=True):
            choice, coins, probability, gradient = outcome
            assert [list(choice), list(coins), probability, gradient.tolist()] == [
                line["choice"], line["coins"], line["probability"], line["gradient"]]
            assert list(outcome.multiplier) == line["multiplier"]


def test_registry():
    assert routegrad.estimators() == json.loads(program("estimators", "--format", "json"))["estimators"]


def test_arrays_are_the_file(mixture):
    from conftest import MIXTURE

    filed = routegrad.problem(MIXTURE)
    for estimator in ("sparsemixer", "default-moe", "dense-backward"):
        assert np.array_equal(routegrad.moments(mixture, estimator).mean, routegrad.moments(filed, estimator).mean)
