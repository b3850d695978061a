"""Targets, moments and assessments."""

from __future__ import annotations

import ctypes
from ctypes import byref, c_double
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ._arrays import address
from ._arguments import flag, number, shown, text, whole
from ._arguments import seed as check_seed
from ._errors import RouteGradError
from ._estimators import estimator as _estimator
from ._library import METHODS, AssessmentNumbers, MomentsInfo, Options, fail, lib, watch
from ._problems import Mask, Problem

Vector = NDArray[np.float64]

# The standard options, for which the library needs none: told by identity, as that costs least.
_METHOD, _SEED, _TOLERANCE, _THREADS = "auto", 0, 1e-10, 1


def expected_loss(problem: Problem, *, mask: Mask = None) -> float:
    """L(θ) = Σ_i π_i F_i, F_i = f(I_i) or g(ω ⊙ π_i f_i).

    Raises RouteGradError where a table does not hold it, and on overflow.
    """
    result = c_double()
    status = lib.rg_expected_loss(_masked(problem, mask)._handle, byref(result))
    if status:
        fail(status)
    return result.value


def target(problem: Problem, target: str = "expected-loss", *, mask: Mask = None) -> Vector:
    """The exact gradient that a target stands for, [N]; with G(y) = g(ω ⊙ y):

    - ``"expected-loss"``: ∇ = ∇₀ + ∇₁;
    - ``"routing-term"``: ∇₀ = Σ_i G(π_i f_i) ∂π_i;
    - ``"gating-term"``: ∇₁ = Σ_i π_i (G'(π_i f_i)·f_i) ∂π_i;
    - ``"dense-mixture"``: the gradient of G(Σ_i π_i f_i);
    - ``"dense-backward"``: E_D[J(π) [G'(π_D f_D)·f_i]_i].

    Raises RouteGradError if there is no such target, or it is not defined on the problem (a categorical one has only the
    first).
    """
    problem = _masked(problem, mask)
    result = np.empty(problem.experts)
    status = lib.rg_target(problem._handle, text(target, "target"), address(result), problem.experts)
    if status:
        fail(status)
    return result


class _Call(NamedTuple):
    """What moments were computed from, to compute more; stays behind when they are pickled."""

    problem: Problem
    estimator: Any
    options: Any

    def __deepcopy__(self, memo: dict[int, Any]) -> _Call:
        return self

    def __reduce__(self) -> Any:
        return type(None), ()


class Moments:
    """Mean and variance of an estimator, and how they are known."""

    __slots__ = ("mean", "variance", "total_variance", "method", "outcomes", "samples", "mean_error", "variance_error",
                 "_covariance", "_again")

    _covariance: NDArray[np.float64] | None
    _again: _Call | None

    mean: Vector
    """E ĝ, [N]."""
    variance: Vector
    """The diagonal of Cov ĝ, [N]."""
    total_variance: float
    """tr Cov ĝ."""
    method: str
    """``"enumeration"``, ``"quadrature"`` or ``"monte-carlo"``."""
    outcomes: int | None
    """The number of outcomes enumerated."""
    samples: int | None
    """The number of random samples drawn."""
    mean_error: float
    """The largest error of a coordinate of the mean: 0, a bound (quadrature), or a standard error (Monte Carlo)."""
    variance_error: float
    """Likewise of the variance."""

    @property
    def covariance(self) -> NDArray[np.float64]:
        """Cov ĝ, [N, N]; computed when it is first asked for."""
        covariance = self._covariance
        if covariance is None:
            if self._again is None:
                raise RouteGradError("covariance: not computed before these moments were pickled; ask for covariance=True")
            watch()
            covariance = _moments(*self._again, True)._covariance
            assert covariance is not None
            self._covariance = covariance
        return covariance

    def __repr__(self) -> str:
        return (f"Moments(mean={self.mean!r}, variance={self.variance!r}, method={self.method!r}, "
                f"mean_error={self.mean_error!r}, variance_error={self.variance_error!r})")


def moments(
    problem: Problem, estimator: str, *, mask: Mask = None, covariance: bool = False, method: str = _METHOD,
    samples: int | None = None, seed: int = _SEED, tolerance: float = _TOLERANCE, threads: int = _THREADS,
) -> Moments:
    """Mean E ĝ and variance of an estimator on a problem, exact where that is known.

    Args:
        problem: from :func:`mixture` or :func:`categorical`.
        estimator: ``"sparsemixer"``, ``"reinmax:tau=1.3"``; see :func:`estimators`.
        mask: ``("paper", 0.1)``, ``("reference-code", 0.1)`` or None.
        covariance: compute the covariance now; else it is when it is first read.
        method: ``"auto"``, or ``"monte-carlo"`` for seeded samples.
        samples: with ``"monte-carlo"``, how many (100 000 if None).
        seed: of everything that is sampled, from 0 to 2⁶⁴ − 1.
        tolerance: the relative tolerance of integrals (Gumbel noise, jitter).
        threads: how many threads may work on one call; results do not depend on it. 1 where the loss is a callable.

    Raises RouteGradError if the estimator does not exist, is not defined on the problem, a result overflows float64, or the
    tolerance cannot be reached; if a callable raised, with its exception as ``__cause__``.
    """
    options = None
    if not (method is _METHOD and samples is None and seed is _SEED and tolerance is _TOLERANCE and threads is _THREADS):
        options = _options(method, samples, seed, tolerance, threads)
    return _moments(_masked(problem, mask), _estimator(estimator), options, flag(covariance, "covariance"))


def _moments(problem: Problem, handle: Any, options: Any, covariance: bool) -> Moments:
    experts = problem.experts
    result = Moments.__new__(Moments)
    result.mean = mean = np.empty(experts)
    result.variance = variance = np.empty(experts)
    result._covariance = matrix = np.empty((experts, experts)) if covariance else None
    info = MomentsInfo()
    status = lib.rg_moments(
        problem._handle, handle, options, mean.ctypes.data, variance.ctypes.data, address(matrix),
        experts, byref(info))
    if status:
        fail(status)
    result._again = _Call(problem, handle, options)
    _describe(result, info)
    return result


def _describe(result: Any, info: MomentsInfo) -> None:
    result.total_variance = info.total_variance
    result.method = METHODS[info.method]
    result.outcomes = info.outcomes if info.outcomes >= 0 else None
    result.samples = info.samples if info.samples >= 0 else None
    result.mean_error = info.mean_error
    result.variance_error = info.variance_error


@dataclass(repr=False)
class Assessment:
    """An estimator held against a target; None where a quantity is not defined (docs/formats.md)."""

    estimator: str
    target: str
    mean: Vector
    variance: Vector
    covariance: NDArray[np.float64] | None
    target_gradient: Vector | None
    bias: Vector | None
    total_variance: float
    method: str
    outcomes: int | None
    samples: int | None
    mean_error: float
    variance_error: float
    bias_norm: float | None
    relative_bias: float | None
    cosine: float | None
    best_scale: float | None
    scaled_relative_bias: float | None
    relative_standard_deviation: float | None
    mean_squared_error: float | None
    signal_to_noise: float | None
    descent_probability: float | None
    expert_evaluations: float
    target_error: float | None

    def __repr__(self) -> str:
        return (f"Assessment({self.estimator!r} against {self.target!r}: relative_bias={self.relative_bias}, "
                f"cosine={self.cosine}, relative_standard_deviation={self.relative_standard_deviation})")


def assess(
    problem: Problem, estimator: str, target: str = "expected-loss", *, mask: Mask = None, covariance: bool = False,
    method: str = _METHOD, samples: int | None = None, seed: int = _SEED, tolerance: float = _TOLERANCE, threads: int = _THREADS,
) -> Assessment:
    """Everything that a report says of an estimator on a problem: bias E ĝ − ∇, ‖bias‖/‖∇‖, cosine, √(tr Cov)/‖∇‖, …

    Arguments and exceptions are those of :func:`moments` and :func:`target`. Estimators with their own routing (two draws,
    jitter) are held against their own expected loss.
    """
    problem = _masked(problem, mask)
    covariance = flag(covariance, "covariance")
    experts = problem.experts
    vectors = np.empty((4, experts))
    matrix = np.empty((experts, experts)) if covariance else None
    info = MomentsInfo()
    numbers = AssessmentNumbers()
    status = lib.rg_assess(
        problem._handle, _estimator(estimator), text(target, "target"),
        _options(method, samples, seed, tolerance, threads), address(vectors[0]), address(vectors[1]), address(matrix),
        address(vectors[2]), address(vectors[3]), experts, byref(info), byref(numbers))
    if status:
        fail(status)
    scalars = {field[0]: getattr(numbers, field[0]) for field in numbers._fields_}
    result = Assessment.__new__(Assessment)
    for name, value in scalars.items():
        setattr(result, name, None if value != value else value)
    _describe(result, info)
    mean, variance, gradient, bias = vectors
    undefined = bool(np.isnan(gradient).any())
    result.estimator, result.target = estimator, target
    result.mean, result.variance, result.covariance = mean, variance, matrix
    result.target_gradient, result.bias = (None, None) if undefined else (gradient, bias)
    return result


def _masked(problem: Problem, mask: Mask) -> Problem:
    if not isinstance(problem, Problem):
        raise RouteGradError(f"problem: expected what mixture() or categorical() return, got {type(problem).__name__}")
    watch()
    return problem if mask is None else problem.masked(mask)


def _options(method: str, samples: int | None, seed: int, tolerance: float, threads: int) -> Any:
    if not isinstance(method, str) or method not in ("auto", "monte-carlo"):
        raise RouteGradError(f"method: expected 'auto' or 'monte-carlo', got {shown(method)}")
    if samples is not None and method == "auto":
        raise RouteGradError("samples: goes with method='monte-carlo'")
    options = Options(
        ctypes.sizeof(Options), METHODS.index(method), number(tolerance, "tolerance"),
        100_000 if samples is None else whole(samples, "samples", least=0), check_seed(seed), whole(threads, "threads"))
    return ctypes.cast(ctypes.pointer(options), ctypes.c_void_p)
