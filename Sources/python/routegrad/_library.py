"""The C library: finding it, its functions, and their failures as exceptions. docs: ``include/routegrad.h``."""

from __future__ import annotations

import ctypes
import ctypes.util
import os
import pathlib
import threading
from collections.abc import Generator
from ctypes import POINTER, c_char_p, c_double, c_int, c_int64, c_size_t, c_uint64, c_void_p
from typing import Any, NoReturn

from ._arguments import one_line
from ._errors import RouteGradError

_NAME = "libCRouteGrad.so"

# What rg_status stands for, in its order.
_STATUS = (
    "ok", "invalid-argument", "invalid-data", "buffer-too-small", "unavailable", "overflow",
    "tolerance-not-reached", "callback-failed", "callback-not-finite", "interrupted",
)

# rg_method, in its order.
METHODS = ("auto", "enumeration", "quadrature", "monte-carlo")

FUNCTION = ctypes.CFUNCTYPE(c_int, c_void_p, c_void_p, c_size_t, c_void_p, c_void_p)

INTERRUPTION = ctypes.CFUNCTYPE(c_int, c_void_p)

ROUTER = ctypes.CFUNCTYPE(c_void_p, c_void_p, c_void_p, c_size_t, POINTER(c_size_t))

MEAN_BUFFER = ctypes.CFUNCTYPE(c_int, c_void_p, c_char_p, POINTER(c_size_t), c_size_t, POINTER(c_void_p))

# rg_verdict, in its order.
VERDICTS = ("undecided", "proved", "consistent", "refuted")


class MixtureArguments(ctypes.Structure):
    """``rg_mixture``."""

    _fields_ = [
        ("size", c_size_t), ("experts", c_size_t), ("width", c_size_t), ("logits", c_void_p),
        ("expert_outputs", c_void_p), ("scale", c_void_p), ("default_outputs", c_void_p), ("router_width", c_size_t),
        ("router_weight", c_void_p), ("router_bias", c_void_p), ("router_input", c_void_p),
    ]


class Options(ctypes.Structure):
    """``rg_options``."""

    _fields_ = [
        ("size", c_size_t), ("method", c_int), ("tolerance", c_double), ("samples", c_uint64), ("seed", c_uint64),
        ("threads", c_size_t),
    ]


class MomentsInfo(ctypes.Structure):
    """``rg_moments_info``."""

    _fields_ = [
        ("method", c_int), ("outcomes", c_int64), ("samples", c_int64), ("total_variance", c_double),
        ("mean_error", c_double), ("variance_error", c_double),
    ]


class AssessmentNumbers(ctypes.Structure):
    """``rg_assessment``."""

    _fields_ = [
        (name, c_double)
        for name in (
            "bias_norm", "relative_bias", "cosine", "best_scale", "scaled_relative_bias",
            "relative_standard_deviation", "mean_squared_error", "signal_to_noise", "descent_probability",
            "expert_evaluations", "target_error")
    ]


class OutcomesShape(ctypes.Structure):
    """``rg_outcomes_shape``."""

    _fields_ = [
        (name, c_size_t) for name in ("count", "experts", "choice_width", "coins_width", "multiplier_width")
    ]


class Criteria(ctypes.Structure):
    """``rg_criteria``."""

    _fields_ = [
        ("size", c_size_t), ("false_fail_rate", c_double), ("false_pass_rate", c_double), ("detectable_bias", c_double),
        ("tolerance", c_double), ("lower", c_double), ("upper", c_double), ("max_samples", c_uint64),
    ]


class Samples(ctypes.Structure):
    """``rg_samples``."""

    _fields_ = [
        ("size", c_size_t), ("count", c_size_t), ("experts", c_size_t), ("gradient", c_void_p), ("choice", c_void_p),
        ("choice_width", c_size_t), ("coins", c_void_p), ("coins_width", c_size_t), ("probability", c_void_p),
    ]


class AssessorOptions(ctypes.Structure):
    """``rg_assessor_options``."""

    _fields_ = [
        ("size", c_size_t), ("draws", c_size_t), ("confidence", c_double), ("seed", c_uint64), ("threads", c_size_t),
        ("draws_of", c_char_p),
    ]


class LayerArguments(ctypes.Structure):
    """``rg_layer``."""

    _fields_ = [
        *((name, c_size_t) for name in ("size", "tokens", "inputs", "hidden", "outputs", "experts")),
        ("activation", c_char_p), ("adds_residual", c_int),
        *((name, c_void_p) for name in (
            "input", "router_weight", "router_bias", "weight1", "bias1", "weight2", "bias2", "scale", "target")),
        ("classes", c_size_t), ("unembedding", c_void_p), ("labels", c_void_p),
    ]


# Arrays are handed over as addresses (c_void_p), which costs least.
_PROTOTYPES = {
    "rg_last_error": (c_char_p,),
    "rg_set_interruption": (None, INTERRUPTION, c_void_p),
    "rg_version": (c_char_p,),
    "rg_problem_from_json": (c_int, c_char_p, c_size_t, POINTER(c_void_p)),
    "rg_problems_from_json": (c_int, c_char_p, c_size_t, POINTER(c_void_p), c_size_t, POINTER(c_size_t)),
    "rg_mixture_with_loss": (c_int, POINTER(MixtureArguments), c_char_p, c_size_t, POINTER(c_void_p)),
    "rg_mixture_with_function": (c_int, POINTER(MixtureArguments), FUNCTION, c_void_p, POINTER(c_void_p)),
    "rg_categorical_with_objective": (c_int, c_void_p, c_size_t, c_char_p, c_size_t, POINTER(c_void_p)),
    "rg_categorical_with_function": (c_int, c_void_p, c_size_t, FUNCTION, c_void_p, POINTER(c_void_p)),
    "rg_problem_masked": (c_int, c_void_p, c_char_p, c_double, POINTER(c_void_p)),
    "rg_problem_experts": (c_size_t, c_void_p),
    "rg_problem_kind": (c_char_p, c_void_p),
    "rg_problem_probabilities": (c_int, c_void_p, c_void_p, c_size_t),
    "rg_problem_destroy": (None, c_void_p),
    "rg_estimator_create": (c_int, c_char_p, POINTER(c_void_p)),
    "rg_estimator_destroy": (None, c_void_p),
    "rg_estimators_json": (c_char_p,),
    "rg_expected_loss": (c_int, c_void_p, POINTER(c_double)),
    "rg_target": (c_int, c_void_p, c_char_p, c_void_p, c_size_t),
    "rg_moments": (c_int, c_void_p, c_void_p, c_void_p, c_void_p, c_void_p, c_void_p, c_size_t, c_void_p),
    "rg_assess": (
        c_int, c_void_p, c_void_p, c_char_p, c_void_p, c_void_p, c_void_p, c_void_p, c_void_p, c_void_p, c_size_t,
        c_void_p, c_void_p),
    "rg_outcomes_create": (c_int, c_void_p, c_void_p, POINTER(c_void_p)),
    "rg_outcomes_describe": (c_int, c_void_p, POINTER(OutcomesShape)),
    "rg_outcomes_get": (c_int, c_void_p, c_size_t, c_size_t, c_void_p, c_void_p, c_void_p, c_void_p, c_void_p),
    "rg_outcomes_destroy": (None, c_void_p),
    "rg_report_text": (c_char_p, c_void_p),
    "rg_report_json": (c_char_p, c_void_p),
    "rg_report_destroy": (None, c_void_p),
    "rg_page_from_json": (c_int, c_char_p, c_size_t, POINTER(c_void_p)),
    "rg_test_create": (c_int, c_void_p, c_void_p, c_char_p, POINTER(Criteria), POINTER(c_void_p)),
    "rg_test_feed": (c_int, c_void_p, POINTER(Samples), POINTER(c_int)),
    "rg_test_verdict": (c_int, c_void_p, POINTER(c_int), POINTER(c_void_p)),
    "rg_test_destroy": (None, c_void_p),
    "rg_assessor_create": (c_int, c_void_p, c_char_p, POINTER(AssessorOptions), POINTER(c_void_p)),
    "rg_assessor_feed": (c_int, c_void_p, POINTER(Samples)),
    "rg_assessor_report": (c_int, c_void_p, c_char_p, POINTER(c_void_p)),
    "rg_assessor_destroy": (None, c_void_p),
    "rg_audit_layer": (
        c_int, POINTER(LayerArguments), c_char_p, c_char_p, c_char_p, c_double, c_size_t, POINTER(c_void_p)),
    "rg_audit_layer_gradients": (
        c_int, POINTER(LayerArguments), c_char_p, c_char_p, c_char_p, c_double, c_size_t, MEAN_BUFFER, c_void_p, POINTER(c_void_p)),
    "rg_lint": (
        c_int, ROUTER, c_void_p, c_size_t, c_size_t, c_uint64, POINTER(c_int), POINTER(c_void_p)),
    "rg_sample": (c_int, c_void_p, c_void_p, c_uint64, c_size_t, c_size_t, c_void_p, c_size_t),
}


def _load() -> ctypes.CDLL:
    """The library that ROUTEGRAD_LIBRARY names, or the one that the package carries, or an installed one."""
    carried = pathlib.Path(__file__).with_name(_NAME)
    path = os.environ.get("ROUTEGRAD_LIBRARY")
    if not path:
        path = str(carried) if carried.exists() else ctypes.util.find_library("CRouteGrad")
    if not path:
        raise ImportError(
            f"routegrad: {_NAME} is neither in the package nor installed; set ROUTEGRAD_LIBRARY to its path, or "
            "install the package with pip, which builds it")
    library = ctypes.CDLL(path)
    for name, (result, *arguments) in _PROTOTYPES.items():
        function = getattr(library, name)
        function.restype = result
        function.argtypes = arguments
    return library


lib = _load()

class _Thread(threading.local):
    """What is kept for a thread."""

    exception: BaseException | None = None
    """What a caller's function raised, or the handler of a signal, while the library was computing."""
    interruption: Any = None
    """What the library asks whether to go on."""
    entering: bool = False
    """Whether it was told to go on, and has not come into a caller's function since."""


raised = _Thread()


def _interruption() -> Generator[int, Any, None]:
    """Whether to end a computation, again and again.

    A signal's handler runs where Python runs, and what it raises is raised there, often before a function's first ``try``. Nothing may
    be raised into C. So the library resumes this, within its ``try``.
    """
    end = 0
    while True:
        try:
            while True:
                yield end
                end, raised.entering = 0, True
        except GeneratorExit:
            return
        except BaseException as error:  # noqa: BLE001 - raised again on the other side
            raised.exception = error
            end, raised.entering = 1, False


def watch() -> None:
    """Lets signals, Ctrl-C first of all, end long computations of this thread."""
    if raised.interruption is None:
        asked = _interruption()
        next(asked)
        raised.interruption = INTERRUPTION(asked.send)
        lib.rg_set_interruption(raised.interruption, None)


def fail(status: int) -> NoReturn:
    """Raises what a status other than 0 stands for."""
    message = lib.rg_last_error().decode()
    for structure in ("options.", "criteria.", "layer."):
        message = message.removeprefix(structure)
    name = _STATUS[status] if 0 <= status < len(_STATUS) else f"status {status}"
    cause = None
    if raised.entering and name in ("callback-failed", "callback-not-finite"):
        # A signal came in the very moment between the question and the first line of the caller's function. What its handler raised is
        # lost to ctypes, which printed it.
        raised.entering = False
        raise KeyboardInterrupt
    if name in ("callback-failed", "interrupted"):
        cause, raised.exception = raised.exception, None
        if name == "interrupted":
            raise KeyboardInterrupt if cause is None else cause
        if cause is not None and not isinstance(cause, Exception):
            raise cause  # KeyboardInterrupt and its like are not ours to wrap
        if cause is not None:
            message = f"{message.split(' failed')[0]} raised {type(cause).__name__}: {_words(cause)}"
    raise RouteGradError(one_line(message, 2000), name) from cause


def _words(error: Exception) -> str:
    try:
        return one_line(str(error), 500)
    except Exception:  # noqa: BLE001 - of a stranger's __str__
        return "(it cannot be printed)"


class Handle(c_void_p):
    """What the library made, given back when nobody uses it any more.

    It is handed to the library as it is, never as a number taken out of it: a call holds on to its arguments, so a handle lives as
    long as any call uses it, whatever other threads forget meanwhile. Made empty, and filled in by the call that is given it by
    reference. It cannot be pickled,
    and its copies are itself.
    """

    _destroy: Any

    def __del__(self) -> None:
        if self.value:
            self._destroy(self)

    def __copy__(self) -> Handle:
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> Handle:
        return self


class ProblemHandle(Handle):
    """``rg_problem``, and the Python function that it calls, if it calls one."""

    _destroy = lib.rg_problem_destroy
    function: Any = None


class EstimatorHandle(Handle):
    """``rg_estimator``."""

    _destroy = lib.rg_estimator_destroy


class OutcomesHandle(Handle):
    """``rg_outcomes``."""

    _destroy = lib.rg_outcomes_destroy


class TestHandle(Handle):
    """``rg_test``."""

    __test__ = False  # pytest would take it for a test
    _destroy = lib.rg_test_destroy


class AssessorHandle(Handle):
    """``rg_assessor``."""

    _destroy = lib.rg_assessor_destroy


class ReportHandle(Handle):
    """``rg_report``."""

    _destroy = lib.rg_report_destroy


def version() -> str:
    """The library's version."""
    return str(lib.rg_version().decode())
