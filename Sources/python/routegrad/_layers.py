"""Exact audits of whole layers."""

from __future__ import annotations

import ctypes
from collections.abc import Mapping
from ctypes import byref
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ._arguments import Mask, flag, mask_rule, text, whole
from ._arrays import address, as_array, plain_mapping, require_shape, whole_numbers
from ._errors import RouteGradError
from ._library import MEAN_BUFFER, LayerArguments, ReportHandle, fail, lib, raised, watch
from ._verification import texts

_TENSORS = (
    "input", "router.weight", "router.bias", "experts.w1", "experts.b1", "experts.w2", "experts.b2", "scale", "target",
    "unembedding",
)


@dataclass(frozen=True, repr=False)
class LayerAudit:
    """Bias and variance of estimators on a layer, by group of parameters; ``print`` it to read it."""

    findings: dict[str, Any]
    """All of it, in the format ``routegrad.audit/1``."""
    text: str
    """The same for people."""
    gradients: dict[str, NDArray[np.float64]] | None = None
    """The exact means, if they were asked for: ``"sparsemixer/experts.w1"`` [N, h, d] and so on, as ``audit-layer --gradients`` writes them."""

    def __str__(self) -> str:
        return self.text

    def __repr__(self) -> str:
        return f"<LayerAudit of {self.findings['tokens']} tokens, {self.findings['experts']} experts>"


def audit_layer(
    tensors: Mapping[str, ArrayLike], *, activation: str, residual: bool = False, estimators: str | None = None,
    target: str = "expected-loss", mask: Mask = None, threads: int = 1, gradients: bool = False,
) -> LayerAudit:
    """Audits a layer of experts f_i(x) = W₂ act(W₁ x + b₁) + b₂ with θ = W x + b: what ``routegrad audit-layer`` does.

    Args:
        tensors: ``input`` [T, d], ``router.weight`` [N, d], ``experts.w1`` [N, h, d], ``experts.w2`` [N, e, h], perhaps
            ``router.bias`` [N], ``experts.b1`` [N, h], ``experts.b2`` [N, e], ``scale`` [e], and either ``target`` [T, e],
            for a loss of ½‖y_t − target_t‖², or ``unembedding`` [V, e] and ``labels`` [T] for softmax cross-entropy.
            PyTorch's will do.
        activation: ``"relu"``, ``"gelu"`` or ``"silu"``.
        residual: whether x_t is added to the output before the loss sees it.
        estimators: a list such as ``"sparsemixer,reinmax:tau=1.3"``; None for every one that can be enumerated.
        target, mask, threads: as in :func:`routegrad.moments`.
        gradients: whether to keep every estimator's exact mean gradient of the mean loss, by every parameter and the input: as
            many float64 numbers for each estimator as the layer has.

    Raises RouteGradError for shapes that do not fit, numbers that are not finite, and results that overflow float64.
    """
    tensors = plain_mapping(tensors, "tensors", (*_TENSORS, "labels"))
    ranks = {"experts.w1": 3, "experts.w2": 3, "router.bias": 1, "scale": 1}
    arrays = {name: as_array(tensors[name], name, ranks.get(name, 2)) for name in _TENSORS if tensors.get(name) is not None}
    missing = [name for name in ("input", "router.weight", "experts.w1", "experts.w2") if name not in arrays]
    if missing:
        raise RouteGradError(f"{missing[0]}: expected an array, it is missing")
    (t, d), n = arrays["input"].shape, arrays["router.weight"].shape[0]
    h, e = arrays["experts.w1"].shape[1], arrays["experts.w2"].shape[1]
    classes = arrays["unembedding"].shape[0] if "unembedding" in arrays else 0
    shapes = {
        "router.weight": (n, d), "router.bias": (n,), "experts.w1": (n, h, d), "experts.b1": (n, h), "scale": (e,),
        "experts.w2": (n, e, h), "experts.b2": (n, e), "target": (t, e), "unembedding": (classes, e)}
    for name, shape in shapes.items():
        require_shape(arrays.get(name), shape, name)
    labels = _labels(tensors.get("labels"), t)
    at = {name: address(arrays.get(name)) for name in _TENSORS}
    layer = LayerArguments(
        ctypes.sizeof(LayerArguments), t, d, h, e, n, text(activation, "activation"), flag(residual, "residual"), at["input"], at["router.weight"],
        at["router.bias"], at["experts.w1"], at["experts.b1"], at["experts.w2"], at["experts.b2"], at["scale"],
        at["target"], classes, at["unembedding"], address(labels))
    rule, threshold = mask_rule(mask)
    watch()
    report = ReportHandle()
    arguments = (
        byref(layer), None if estimators is None else text(estimators, "estimators"), text(target, "target"), rule, threshold,
        whole(threads, "threads"))
    means: dict[str, NDArray[np.float64]] | None = {} if flag(gradients, "gradients") else None
    if means is None:
        status = lib.rg_audit_layer(*arguments, byref(report))
    else:
        status = lib.rg_audit_layer_gradients(*arguments, _buffers(means), None, byref(report))
    if status:
        fail(status)
    words, findings = texts(report)
    return LayerAudit(findings, words, means)


def _buffers(arrays: dict[str, NDArray[np.float64]]) -> Any:
    """The C function that makes the arrays that the library asks for."""
    def buffer(_context: Any, name: bytes, shape: Any, rank: int, buffer: Any) -> int:
        try:
            raised.entering = False
            array = np.empty(shape[:rank])
            arrays[name.decode()] = array
            buffer[0] = array.ctypes.data
        except BaseException as error:  # noqa: BLE001 - MemoryError above all; raised again on the other side
            raised.exception = error
            return 1
        return 0

    return MEAN_BUFFER(buffer)


def _labels(values: Any, tokens: int) -> np.ndarray | None:
    if values is None:
        return None
    labels = whole_numbers(values, "labels")
    require_shape(labels, (tokens,), "labels")
    return labels
