"""Problems: from arrays with a loss as a dict or a callable, and from problem files."""

from __future__ import annotations

import ctypes
import json
import os
from collections.abc import Callable, Mapping, Sequence
from ctypes import byref, c_double, c_size_t, c_void_p, memmove
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ._arguments import Mask, mask_rule, one_line, shown
from ._arrays import address, as_array, plain_array, plain_mapping, require_shape
from ._errors import RouteGradError
from ._library import FUNCTION, MixtureArguments, ProblemHandle, fail, lib, raised

Function = Callable[[NDArray[np.float64]], tuple[float, ArrayLike]]
"""A point [width] to the value there and the gradient [width]."""


_MOST_MASKS = 64


class Problem:
    """A problem and its mask; made by :func:`mixture`, :func:`categorical` and :func:`problem`. It never changes."""

    __slots__ = ("_handle", "_masked", "_text", "experts", "kind", "__weakref__")

    experts: int
    """N."""
    kind: str
    """``"mixture"`` or ``"categorical"``."""

    def __init__(self, handle: ProblemHandle, text: str | None = None):
        self._handle = handle
        self._masked: dict[Any, Problem] = {}
        self._text = text
        self.experts = lib.rg_problem_experts(handle)
        self.kind = lib.rg_problem_kind(handle).decode()

    def __repr__(self) -> str:
        return self._text or f"<routegrad {self.kind} problem of {self.experts} experts>"

    def __copy__(self) -> Problem:
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> Problem:
        return self

    def __reduce__(self) -> Any:
        raise RouteGradError("problem: cannot be pickled; make it again from the same arrays")

    def masked(self, mask: Mask) -> Problem:
        """The same problem under a mask: ``("paper", r)`` keeps j iff θ* − θ_j ≤ r(|θ*| + |θ_j|), ``("reference-code", r)``
        iff not (θ* − θ_j)/max(|θ_j|, θ*) > 2r. It is held constant in every derivative.

        Raises RouteGradError for a categorical problem, and for a tabulated loss if it is not the table's own mask.
        """
        if mask is None:
            return self
        rule, threshold = mask_rule(mask)
        found = self._masked.get((rule, threshold))
        if found is None:
            result = ProblemHandle()
            status = lib.rg_problem_masked(self._handle, rule, threshold, byref(result))
            if status:
                fail(status)
            text = f"{self._text}.masked({mask!r})" if self._text else None
            result.function = self._handle.function
            found = Problem(result, text)
            if len(self._masked) >= _MOST_MASKS:
                self._masked.clear()
            self._masked[rule, threshold] = found
        return found

    @property
    def probabilities(self) -> NDArray[np.float64]:
        """π, [N]; 0 for experts that the mask leaves out."""
        result = np.empty(self.experts)
        status = lib.rg_problem_probabilities(self._handle, address(result), self.experts)
        if status:
            fail(status)
        return result


def mixture(
    logits: ArrayLike, expert_outputs: ArrayLike | None, loss: Mapping[str, Any] | Function, *,
    scale: ArrayLike | None = None, default_outputs: ArrayLike | None = None,
    router: Mapping[str, ArrayLike] | None = None,
) -> Problem:
    """A mixture problem: one token's output y = π_D f_D of the sampled expert D ~ π = softmax(θ), under a loss g.

    L(θ) = Σ_i π_i g(ω ⊙ π_i f_i).

    Args:
        logits: θ, [N].
        expert_outputs: f, [N, d]; may be None with a tabulated loss.
        loss: g, as a dict like in a problem file (``{"type": "log-cosh", "scales": …, "targets": …}``), or as a callable
            that takes the scaled output ω ⊙ y, [d], and returns its value and its gradient, [d]. It is called on the
            thread that computes, holding the GIL, and must be a function of its argument alone.
        scale: ω, [d]; ones if None.
        default_outputs: [N, d], what ``default-moe`` substitutes.
        router: ``{"weight": [N, h], "bias": [N], "input": [h]}`` with θ = W x + b (``bias`` may be left out); needed by
            ``switch:kind=input``.

    float64 arrays that are C-contiguous are read where they are; the problem keeps one copy of its own.

    Raises RouteGradError if shapes disagree, a number is not finite, or the dict is not a loss.
    """
    theta = as_array(logits, "logits", 1)
    outputs = None if expert_outputs is None else as_array(expert_outputs, "expert_outputs", 2)
    weights = None if scale is None else as_array(scale, "scale", 1)
    defaults = None if default_outputs is None else as_array(default_outputs, "default_outputs", 2)
    experts = theta.size
    if outputs is not None:
        width = outputs.shape[1]
    elif weights is not None:
        width = weights.size
    else:
        width = 0 if defaults is None else defaults.shape[1]
    require_shape(outputs, (experts, width), "expert_outputs")
    require_shape(weights, (width,), "scale")
    require_shape(defaults, (experts, width), "default_outputs")
    weight, bias, point = _router(router, experts)
    arguments = MixtureArguments(
        ctypes.sizeof(MixtureArguments), experts, width, address(theta), address(outputs), address(weights),
        address(defaults), 0 if point is None else point.size, address(weight), address(bias), address(point))
    result = ProblemHandle()
    if isinstance(loss, Mapping):
        function = None
        text = to_json(loss, "loss")
        status = lib.rg_mixture_with_loss(byref(arguments), text, len(text), byref(result))
    else:
        if outputs is None:
            raise RouteGradError("expert_outputs: expected an array, got None")
        function = _trampoline(loss, "loss")
        status = lib.rg_mixture_with_function(byref(arguments), function, None, byref(result))
    if status:
        fail(status)
    result.function = function
    return Problem(result)


def categorical(logits: ArrayLike, objective: Mapping[str, Any] | Function) -> Problem:
    """A categorical problem: an objective f read at the one-hot I_D of a sampled index D ~ π = softmax(θ).

    L(θ) = Σ_i π_i f(I_i).

    Args:
        logits: θ, [N].
        objective: f, as a dict like in a problem file, or as a callable that takes a one-hot, [N], and returns the value and
            the gradient, [N]; as in :func:`mixture`.

    Raises RouteGradError if the shapes disagree, a number is not finite, or the dict is not an objective.
    """
    theta = as_array(logits, "logits", 1)
    result = ProblemHandle()
    if isinstance(objective, Mapping):
        function = None
        text = to_json(objective, "objective")
        status = lib.rg_categorical_with_objective(address(theta), theta.size, text, len(text), byref(result))
    else:
        function = _trampoline(objective, "objective")
        status = lib.rg_categorical_with_function(address(theta), theta.size, function, None, byref(result))
    if status:
        fail(status)
    result.function = function
    return Problem(result)


def problem(source: Mapping[str, Any] | str | bytes) -> Problem:
    """The problem of a dict or a JSON text in the format ``routegrad.problem/1`` (``schema`` may be left out of a dict)."""
    if isinstance(source, Mapping):
        text = to_json({"schema": "routegrad.problem/1", **dict(source)}, "problem")
    elif isinstance(source, str):
        text = source.encode("utf-8", "surrogatepass")  # refused there, if there are any
    elif isinstance(source, (bytes, bytearray, memoryview)):
        text = bytes(source)
    else:
        raise RouteGradError(f"problem: expected a dict or a JSON text, got {shown(source)}")
    result = ProblemHandle()
    status = lib.rg_problem_from_json(text, len(text), byref(result))
    if status:
        fail(status)
    return Problem(result)


def problems(path: str | os.PathLike[str]) -> list[Problem]:
    """The problems of a file in the format ``routegrad.problem/1`` or ``routegrad.problems/1``, in order.

    Raises RouteGradError if it cannot be read, with the ``OSError`` as ``__cause__``, or does not hold problems.
    """
    if not isinstance(path, (str, bytes, os.PathLike)):
        raise RouteGradError(f"path: expected a path, got {shown(path)}")
    try:
        with open(path, "rb") as file:
            text = file.read()
    except (OSError, ValueError, TypeError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise RouteGradError(one_line(f"{shown(path)}: cannot be read: {reason}", 500), "invalid-data") from error
    count = c_size_t()
    status = lib.rg_problems_from_json(text, len(text), None, 0, byref(count))
    if status and count.value == 0:
        fail(status)
    handles = (c_void_p * count.value)()
    status = lib.rg_problems_from_json(text, len(text), handles, count.value, byref(count))
    if status:
        fail(status)
    return [Problem(handle) for handle in [ProblemHandle(handle) for handle in handles]]


def _router(
    router: Mapping[str, ArrayLike] | None, experts: int
) -> tuple[np.ndarray | None, np.ndarray | None, np.ndarray | None]:
    if router is None:
        return None, None, None
    router = plain_mapping(router, "router", ("weight", "input", "bias"))
    if "weight" not in router or "input" not in router:
        raise RouteGradError(f"router: expected weight, input and perhaps bias, got {', '.join(router) or 'nothing'}")
    weight = as_array(router["weight"], "router.weight", 2)
    point = as_array(router["input"], "router.input", 1)
    bias = None if router.get("bias") is None else as_array(router["bias"], "router.bias", 1)
    require_shape(weight, (experts, point.size), "router.weight")
    require_shape(bias, (experts,), "router.bias")
    return weight, bias, point


def to_json(content: Mapping[str, Any], name: str) -> bytes:
    """A dict as JSON, arrays and tensors in it as lists. What is not finite is written so that the library refuses it, with its place."""
    def convert(value: Any) -> Any:
        if isinstance(value, Mapping):
            return dict(value)
        if isinstance(value, (np.ndarray, np.generic)) or hasattr(value, "detach") or hasattr(value, "__array__"):
            return plain_array(value, name).tolist()
        raise RouteGradError(f"{name}: expected what JSON can hold, got {type(value).__name__}", "invalid-data")

    try:
        return json.dumps(dict(content), default=convert).encode()
    except RouteGradError:
        raise
    except Exception as error:  # noqa: BLE001 - keys that are no strings, a dict within itself, a number of 5000 digits
        raise RouteGradError(f"{name}: expected what JSON can hold, got {shown(content)}", "invalid-data") from error


def _trampoline(function: Function, role: str) -> Any:
    """The C function that calls a Python one; what that raises is kept for the thread, see ``_library.fail``."""
    if not callable(function):
        raise RouteGradError(f"{role}: expected a dict or a callable, got {type(function).__name__}")

    def call(_context: int, point: int, width: int, value: int, gradient: int) -> int:
        try:
            raised.entering = False
            given = np.array((c_double * width).from_address(point))
            result, slope = function(given)
            slope = as_array(slope, "the gradient", 1)
            require_shape(slope, (width,), "the gradient")
            if isinstance(result, (str, bytes)):
                raise RouteGradError(f"the value: expected a number, got {shown(result)}")
            c_double.from_address(value).value = float(result)
            memmove(gradient, slope.ctypes.data, slope.nbytes)
            return 0
        except BaseException as error:  # noqa: BLE001 - nothing may pass through C; it is raised again on the other side
            raised.exception = error
            return 1

    return FUNCTION(call)


__all__: Sequence[str] = ["Function", "Mask", "Problem", "categorical", "mixture", "problem", "problems"]
