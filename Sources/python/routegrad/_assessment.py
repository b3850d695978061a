"""Bias and variance of an estimator of one's own: from its samples, its outcomes, or by calling it."""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Iterator, Sequence
from ctypes import byref
from dataclasses import dataclass
from typing import Any, Union, overload

import numpy as np
from numpy.typing import ArrayLike

from ._arguments import number, shown, text, whole
from ._arguments import seed as check_seed
from ._arrays import as_array
from ._errors import RouteGradError
from ._expectations import Assessment, Vector, _masked
from ._expectations import assess as _assess_registered
from ._library import AssessorHandle, AssessorOptions, ReportHandle, Samples, fail, lib
from ._problems import Mask, Problem
from ._verification import Batch, pieces, texts

Outcomes = Sequence[tuple[float, ArrayLike]]
"""Everything that can happen: pairs of a probability and a gradient, [N]; or what :func:`routegrad.outcomes` returns."""

OwnEstimator = Callable[[Problem, np.random.Generator], Union[Outcomes, Batch]]
"""An estimator of one's own: given a problem and random numbers, its outcomes, or some draws, [T, N] or [N]."""

_SCALARS = (
    "biasNorm", "relativeBias", "cosine", "bestScale", "scaledRelativeBias", "totalVariance", "relativeStandardDeviation",
    "meanSquaredError", "signalToNoise", "descentProbability")


def _python_name(name: str) -> str:
    return "".join("_" + c.lower() if c.isupper() else c for c in name)


@dataclass(frozen=True, repr=False)
class SampleAssessment:
    """What samples or outcomes say of an estimator's bias and variance; ``print`` it to read it.

    Numbers are those of :class:`Assessment`, None where they are not defined.
    """

    evidence: dict[str, Any]
    """All of it, in the format ``routegrad.assessment/1``; registered estimators under ``"estimators"``."""
    text: str
    """The same for people."""
    method: str
    """``"enumeration"``: exact, from outcomes; ``"monte-carlo"``: from samples."""
    count: int
    """The number of samples, or of outcomes."""
    mean: Vector
    variance: Vector
    bias: Vector
    target_gradient: Vector
    bias_norm: float
    relative_bias: float | None
    cosine: float | None
    best_scale: float | None
    scaled_relative_bias: float | None
    total_variance: float
    relative_standard_deviation: float | None
    mean_squared_error: float
    signal_to_noise: float | None
    descent_probability: float | None
    intervals: dict[str, tuple[float, float]] | None
    """Where the true ``bias_norm``, ``relative_bias``, ``cosine``, ``total_variance``, … lie, at the confidence asked for; None for
    outcomes, of which everything is exact."""
    mean_radius: float | None
    """r: ‖mean − E ĝ‖ ≤ r at that confidence; None for outcomes."""

    def __str__(self) -> str:
        return self.text

    def __repr__(self) -> str:
        return (f"SampleAssessment({self.count} {'outcomes' if self.intervals is None else 'samples'}: "
                f"relative_bias={self.relative_bias}, cosine={self.cosine}, total_variance={self.total_variance})")


@overload
def assess(
    problem: Problem, estimator: str, target: str = ..., *, mask: Mask = ..., covariance: bool = ..., method: str = ...,
    samples: int | None = ..., seed: int = ..., tolerance: float = ..., threads: int = ...,
) -> Assessment: ...


@overload
def assess(
    problem: Batch | Iterator[Batch] | Outcomes | OwnEstimator, estimator: Problem, target: str = ..., *, mask: Mask = ...,
    samples: int | None = ..., seed: int = ..., threads: int = ..., draws: int = ..., draws_of: str | None = ...,
    confidence: float = ..., beside: str | None = ...,
) -> SampleAssessment: ...


@overload
def assess(
    problem: Problem, estimator: OwnEstimator, target: str = ..., *, mask: Mask = ..., samples: int | None = ...,
    seed: int = ..., threads: int = ..., draws: int = ..., draws_of: str | None = ..., confidence: float = ...,
    beside: str | None = ...,
) -> SampleAssessment: ...


def assess(
    problem: Any, estimator: Any, target: str = "expected-loss", *, mask: Mask = None, covariance: bool = False,
    method: str = "auto", samples: int | None = None, seed: int = 0, tolerance: float = 1e-10, threads: int = 1,
    draws: int = 1, draws_of: str | None = None, confidence: float = 0.95, beside: str | None = None,
) -> Assessment | SampleAssessment:
    """Bias E ĝ − ∇, ‖bias‖/‖∇‖, cosine, √(tr Cov)/‖∇‖, …: of an estimator of the library, or of your own.

    ``assess(problem, "reinmax")``: everything that a report says of a registered estimator. Arguments and exceptions are those of
    :func:`moments` and :func:`target`. Estimators with their own routing (two draws, jitter) are held against their own expected loss.

    ``assess(samples, problem)``, ``assess(my_estimator, problem)``: what ``routegrad assess`` says of samples. The first argument is

    - gradients, [T, N], an iterator of such batches, or a dict as :func:`verify` takes it;
    - outcomes: pairs of a probability and a gradient, all that there are, or a dict with ``"probability"``. What is said is exact;
    - a callable, given the problem and a ``numpy.random.Generator`` made from ``seed``: it returns outcomes, or some draws, and is
      called again until there are ``samples`` of them (100 000 if None).

    Args:
        target: what they are held against.
        mask: as in :func:`routegrad.moments`.
        samples: how many draws of a callable, at least 2.
        seed: of the bootstrap, and of a callable's random numbers.
        threads: how many threads may work on the bootstrap; results do not depend on it.
        draws: how many experts a sample draws without replacement, 1 or 2; two have an expected loss of their own.
        draws_of: a registered estimator, such as ``"simple:k=4"``: a sample draws what that does, in place of ``draws``.
        confidence: of each interval, 0.5 to 0.999.
        beside: registered estimators to stand beside it in the report, such as ``"reinmax,sparsemixer"``.

    Raises RouteGradError for samples of a wrong shape or not finite, for fewer than two, for probabilities that do not sum to 1. What a
    callable raises is raised.
    """
    own, about = (estimator, problem) if isinstance(problem, Problem) else (problem, estimator)
    if isinstance(own, str) or not isinstance(about, Problem) or (about is problem and not callable(own)):
        for name, value, standard in (
                ("draws", draws, 1), ("draws_of", draws_of, None), ("confidence", confidence, 0.95), ("beside", beside, None)):
            if value is not standard and value != standard:
                raise RouteGradError(f"{name}: goes with samples, or an estimator of your own")
        return _assess_registered(
            problem, estimator, target, mask=mask, covariance=covariance, method=method, samples=samples, seed=seed,
            tolerance=tolerance, threads=threads)
    if covariance is not False or method != "auto" or tolerance != 1e-10:
        raise RouteGradError("covariance, method, tolerance: go with an estimator of the library")
    about = _masked(about, mask)
    if samples is not None and not callable(own):
        raise RouteGradError("samples: goes with a callable; samples that are given are all read")
    most = 100_000 if samples is None else whole(samples, "samples")
    if most < 2:
        raise RouteGradError(f"samples: expected a whole number of at least 2, got {shown(samples)}")
    options = AssessorOptions(
        ctypes.sizeof(AssessorOptions), whole(draws, "draws", least=0), number(confidence, "confidence"), check_seed(seed),
        whole(threads, "threads", least=0), None if draws_of is None else text(draws_of, "draws_of"))
    assessor = AssessorHandle()
    status = lib.rg_assessor_create(about._handle, text(target, "target"), byref(options), byref(assessor))
    if status:
        fail(status)
    for piece in _pieces(own, about, most, seed):
        status = lib.rg_assessor_feed(assessor, byref(piece))
        if status:
            fail(status)
    report = ReportHandle()
    status = lib.rg_assessor_report(assessor, None if beside is None else text(beside, "beside"), byref(report))
    if status:
        fail(status)
    return _read(*texts(report))


def _pieces(own: Any, problem: Problem, most: int, seed: int) -> Iterator[Samples]:
    """What is to be assessed, as the library takes it."""
    if callable(own):
        random = np.random.default_rng(seed)
        count = 0
        while count < most:
            batch = _batch(own(problem, random))
            if "probability" in batch:
                yield from pieces(batch, problem.experts)
                return
            rows = as_array(batch.get("gradient"), "samples", 2)[:most - count]
            if not len(rows):
                raise RouteGradError("estimator: expected at least one draw from each call, got none")
            yield from pieces(rows, problem.experts)
            count += len(rows)
        return
    for batch in own if isinstance(own, Iterator) else (own,):
        yield from pieces(_batch(batch), problem.experts)


def _batch(given: Any) -> dict[str, Any]:
    """Draws or outcomes as a dict of arrays."""
    if isinstance(given, (list, tuple)) and given and all(map(_is_outcome, given)):
        pairs = [(o.probability, o.gradient) if hasattr(o, "probability") else o for o in given]
        return {"gradient": [g for _, g in pairs], "probability": [p for p, _ in pairs]}
    if hasattr(given, "keys"):
        return dict(given)
    if getattr(given, "ndim", None) == 1 or isinstance(given, (list, tuple)) and given and np.ndim(given[0]) == 0:
        given = [given]
    return {"gradient": given}


def _is_outcome(entry: Any) -> bool:
    if hasattr(entry, "probability") and hasattr(entry, "gradient"):
        return True
    try:
        return isinstance(entry, tuple) and len(entry) == 2 and np.ndim(entry[0]) == 0 and np.ndim(entry[1]) == 1
    except Exception:  # noqa: BLE001 - ragged rows, a stranger's __array__
        return False


def _read(words: str, evidence: dict[str, Any]) -> SampleAssessment:
    """The report, with its numbers taken out."""
    found = evidence["samples"]
    intervals, radius = None, None
    if found["intervals"] is not None:
        limits = found["intervals"]
        ends = {name: [float("inf") if end is None else float(end) for end in limits[name]]
                for name in _SCALARS if limits.get(name) is not None}
        intervals = {_python_name(name): (low, high) for name, (low, high) in ends.items()}
        radius = float("inf") if limits["meanRadius"] is None else limits["meanRadius"]
    scalars: dict[str, Any] = {_python_name(name): found[name] for name in _SCALARS}
    return SampleAssessment(
        evidence=evidence, text=words, method=found["method"], count=found["count"],
        mean=np.array(found["mean"]), variance=np.array(found["variance"]), bias=np.array(found["bias"]),
        target_gradient=np.array(evidence["targetGradient"]), intervals=intervals, mean_radius=radius, **scalars)
