"""Verdicts on gradient samples that another program made."""

from __future__ import annotations

import ctypes
import json
import math
from collections.abc import Iterator, Mapping
from ctypes import byref, c_int
from dataclasses import dataclass
from typing import Any, Union

import numpy as np
from numpy.typing import ArrayLike

from ._arguments import number, shown, text, whole
from ._arrays import address, as_array, plain_mapping, require_shape, whole_numbers
from ._errors import RouteGradError
from ._estimators import estimator as _estimator
from ._expectations import _masked
from ._library import VERDICTS, Criteria, ReportHandle, Samples, TestHandle, fail, lib
from ._problems import Mask, Problem

Batch = Union[ArrayLike, Mapping[str, ArrayLike]]
"""Gradients, [T, N], or a dict of ``gradient`` [T, N] and any of ``choice`` [T, k], ``coins`` [T, c], ``probability`` [T]."""

_FIELDS = ("gradient", "choice", "coins", "probability")
_MOST_ROWS = 1 << 16


@dataclass(frozen=True, repr=False)
class Verification:
    """A verdict with what it rests on; ``print`` it to read it."""

    verdict: str
    """``"proved"``, ``"consistent"``, ``"refuted"`` or ``"undecided"``."""
    evidence: dict[str, Any]
    """All of it, in the format ``routegrad.verdict/1``."""
    text: str
    """The same for people."""

    @property
    def samples(self) -> int:
        """The samples, or outcomes, that the verdict rests on."""
        return int(self.evidence["samples"]["count"])

    @property
    def seed(self) -> int | None:
        """The seed of the samples; None, as they came from outside."""
        seed = self.evidence["seed"]
        return None if seed is None else int(seed)

    def __str__(self) -> str:
        return self.text

    def __repr__(self) -> str:
        return f"<{self.text.splitlines()[0]}>"


def verify(
    samples: Batch | Iterator[Batch], problem: Problem, estimator: str | None = None, *, target: str | None = None,
    mask: Mask = None, false_fail_rate: float = 1e-6, false_pass_rate: float = 1e-3, detectable_bias: float = 0.05,
    tolerance: float = 1e-5, bounds: tuple[float, float] | None = None, max_samples: int | None = None,
) -> Verification:
    """Judges gradient samples of another program: what ``routegrad verify`` does (docs/verification.md).

    Args:
        samples: gradients, [T, N]; or a dict that also says what was drawn, ``{"gradient": [T, N], "choice": [T, k], "coins":
            [T, c]}``, rows filled up with −1, which is compared outcome by outcome; with ``"probability"`` [T] these are
            outcomes, all that there are. An iterator of such batches is read only as far as needed.
        problem: what they are about.
        estimator: what they should be samples of.
        target: instead of an estimator, the gradient that they should have in the mean, whoever made them; needs ``bounds``.
        mask: as in :func:`routegrad.moments`.
        false_fail_rate: α, of refuting what is right, over all looks together.
        false_pass_rate: β, of passing a bias of the detectable size.
        detectable_bias: δ of a coordinate, as a share of the norm of the claimed mean.
        tolerance: what is rounding, as a share of the largest gradient; 1e-5 suits float32, 1e-2 bfloat16.
        bounds: ``(lo, hi)``, between which every coordinate of a sample lies; only with a target.
        max_samples: gives up after so many.

    Contiguous float64 arrays are read where they are.

    Raises RouteGradError for samples of a wrong shape or not finite, and as :func:`routegrad.moments` does.
    """
    problem = _masked(problem, mask)
    test = _test(problem, estimator, target, _criteria(
        false_fail_rate, false_pass_rate, detectable_bias, tolerance, bounds, max_samples, target))
    for batch in samples if isinstance(samples, Iterator) else (samples,):
        if not _feed(test, batch, problem.experts):
            break
    verdict, report = c_int(), ReportHandle()
    status = lib.rg_test_verdict(test, byref(verdict), byref(report))
    if status:
        fail(status)
    words, evidence = texts(report)
    return Verification(VERDICTS[verdict.value], evidence, words)


def texts(report: ReportHandle) -> tuple[str, dict[str, Any]]:
    """A report's text and JSON."""
    return lib.rg_report_text(report).decode(), json.loads(lib.rg_report_json(report))


def _criteria(
    false_fail: float, false_pass: float, bias: float, tolerance: float, bounds: tuple[float, float] | None,
    max_samples: int | None, target: str | None,
) -> Criteria:
    if (bounds is None) != (target is None):
        raise RouteGradError("bounds: expected with a target, and only then: an estimator's samples have bounds of their own")
    most = 0 if max_samples is None else whole(max_samples, "max_samples")  # 0: no limit
    if max_samples is not None and most < 1:
        raise RouteGradError(f"max_samples: expected a whole number of at least 1, got {shown(max_samples)}")
    low, high = 0.0, 0.0
    if bounds is not None:
        if not isinstance(bounds, (tuple, list)) and getattr(bounds, "shape", None) != (2,) or len(bounds) != 2:
            raise RouteGradError(f"bounds: expected a pair of numbers, got {shown(bounds)}")
        low, high = (number(bound, "bounds") for bound in bounds)
        if not low < high or high - low == math.inf:
            raise RouteGradError(f"bounds: expected what every coordinate of a sample lies between, got {shown(bounds)}")
    return Criteria(
        ctypes.sizeof(Criteria), number(false_fail, "false_fail_rate"), number(false_pass, "false_pass_rate"),
        number(bias, "detectable_bias"), number(tolerance, "tolerance"), low, high, most)


def _test(problem: Problem, estimator: str | None, target: str | None, criteria: Criteria) -> TestHandle:
    result = TestHandle()
    handle = None if estimator is None else _estimator(estimator)
    status = lib.rg_test_create(
        problem._handle, handle, None if target is None else text(target, "target"), byref(criteria), byref(result))
    if status:
        fail(status)
    return result


def _feed(test: TestHandle, batch: Batch, experts: int) -> bool:
    """Adds a batch, piece by piece; whether more is wanted."""
    more = c_int(1)
    for samples in pieces(batch, experts):
        status = lib.rg_test_feed(test, byref(samples), byref(more))
        if status:
            fail(status)
        if not more.value:
            break
    return bool(more.value)


def pieces(batch: Batch, experts: int) -> Iterator[Samples]:
    """A batch as the library takes it, in pieces: choices are copied, and what a signal's handler raises comes up between them."""
    fields = plain_mapping(batch, "samples", _FIELDS) if isinstance(batch, Mapping) else {"gradient": batch}
    if "gradient" not in fields:
        raise RouteGradError("samples: expected gradient and perhaps choice, coins, probability, got no gradient")
    gradient = as_array(fields["gradient"], "samples", 2)
    count = gradient.shape[0]
    require_shape(gradient, (count, experts), "samples")
    choice, coins = (_indices(fields.get(name), name, count) for name in ("choice", "coins"))
    probability = fields.get("probability")
    if probability is not None:
        probability = as_array(probability, "probability", 1)
        require_shape(probability, (count,), "probability")
    for start in range(0, max(count, 1), _MOST_ROWS):
        rows, *draws = (None if a is None else a[start:start + _MOST_ROWS] for a in (gradient, choice, coins, probability))
        assert rows is not None
        yield Samples(
            ctypes.sizeof(Samples), len(rows), experts, address(rows), address(draws[0]), _width(choice), address(draws[1]),
            _width(coins), address(draws[2]))


def _width(array: np.ndarray | None) -> int:
    return 0 if array is None else array.shape[1]


def _indices(values: Any, name: str, count: int) -> np.ndarray | None:
    """Whole numbers, [count, k]; a list [count] is one of each."""
    if values is None:
        return None
    array = whole_numbers(values, name)
    if array.ndim == 1:
        array = array[:, None]
    if array.ndim != 2 or array.shape[0] != count:
        raise RouteGradError(f"{name}: expected {count} rows, as many as gradients, got shape {list(array.shape)}")
    return array
