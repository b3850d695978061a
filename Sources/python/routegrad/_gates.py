"""Gates of routers and their gradients at the logits, sparse and dense, in float64. For `routegrad.torch` and `routegrad.jax`.

With slopes c_i = u·f_i (what the loss gains by a unit of expert i's gate), h the scores of the specification, A the chosen and
D = max(δ, Σ_A h_j + ε), or 1 where gates are not normalised:

    gate g_i = r h_i / D;   sparse  Σ_{i∈A} c_i ∂g_i/∂θ;   unseen  Σ_{i∉A} c_i (r/D) ∂h_i/∂θ, D held;   dense = sparse + unseen

Everything is [tokens, experts]; a token's choice of −1 is an expert that turned it away.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ._errors import RouteGradError

Floats = NDArray[np.float64]
Indices = NDArray[np.int64]

_SCORES = ("softmax", "sigmoid", "softplus-sqrt", "relu", "exp", "identity")
_GATES = ("score", "softmax-over-chosen", "sigmoid-of-logit", "sequential", "one")


def check_specification(spec: Mapping[str, Any], where: str) -> None:
    """Raises unless gates of this kind can be differentiated here."""
    gate = spec.get("gate") or {}
    if gate.get("of", "score") not in _GATES:
        raise RouteGradError(f"{where}: specification.gate.of: expected one of {', '.join(_GATES)}, got {gate.get('of')!r}")
    if _score(spec)[0] not in _SCORES:
        raise RouteGradError(f"{where}: specification.score: expected one of {', '.join(_SCORES)}, got {_score(spec)[0]!r}")
    for key, found in (("gate.perExpertScale", gate.get("perExpertScale")), ("gate.over", gate.get("over") == "kept"),
                       ("nullExperts", spec.get("nullExperts")), ("selection.always", (spec.get("selection") or {}).get("always"))):
        if found:
            raise RouteGradError(f"{where}: specification.{key}: expected none, such gates are not audited")


def gates(spec: Mapping[str, Any], logits: Floats, choice: Indices) -> Floats:
    """g of the chosen, [tokens, k], 0 for −1."""
    there = choice >= 0
    index = np.maximum(choice, 0)
    kind = _kind(spec)
    if kind == "one":
        return there.astype(np.float64)
    if kind == "sequential":
        steps = [_at(p, index[:, j:j + 1]) for j, p in enumerate(_draws(spec, logits, choice))]
        return np.concatenate(steps, 1)
    scores, _ = _scores(spec, logits)
    divisor, _ = _divisor(spec, scores, _members(choice, logits))
    return np.where(there, _scale(spec) * _at(scores, index) / divisor, 0.0)


def gradients(spec: Mapping[str, Any], logits: Floats, choice: Indices, slopes: Floats) -> tuple[Floats, Floats]:
    """The gradient that training gives the logits, and the part that it does not see."""
    kind = _kind(spec)
    factor = float((spec.get("gate") or {}).get("factor", 1.0))
    if kind == "one":
        return np.zeros_like(logits), np.zeros_like(logits)
    if kind == "sequential":
        sparse, dense = np.zeros_like(logits), np.zeros_like(logits)
        for j, p in enumerate(_draws(spec, logits, choice)):
            index = np.maximum(choice[:, j:j + 1], 0)
            unit = np.zeros_like(p)
            np.put_along_axis(unit, index, 1.0, 1)
            sparse += _at(slopes, index) * _at(p, index) * (unit - p)
            dense += p * (slopes - (p * slopes).sum(1, keepdims=True))
        return factor * sparse, factor * (dense - sparse)
    scores, pull = _scores(spec, logits)
    members = _members(choice, logits)
    divisor, moves = _divisor(spec, scores, members)
    each = _scale(spec) * slopes / divisor
    together = (members * each * scores).sum(1, keepdims=True) / divisor * moves
    return factor * pull(members * (each - together)), factor * pull((1 - members) * each)


def _at(values: Floats, index: Indices) -> Floats:
    found: Floats = np.take_along_axis(values, index, 1)
    return found


def _kind(spec: Mapping[str, Any]) -> str:
    kind: str = (spec.get("gate") or {}).get("of", "score")
    return kind


def _scale(spec: Mapping[str, Any]) -> float:
    return float((spec.get("gate") or {}).get("scale", 1.0))


def _score(spec: Mapping[str, Any]) -> tuple[str, float]:
    score = spec.get("score", "softmax")
    return (score, 1.0) if isinstance(score, str) else (score["kind"], float(score.get("temperature", 1.0)))


def _members(choice: Indices, logits: Floats) -> Floats:
    """1 where an expert is chosen."""
    wide = np.zeros((len(logits), logits.shape[1] + 1))
    np.put_along_axis(wide, np.where(choice < 0, logits.shape[1], choice), 1.0, 1)
    return wide[:, :-1]


def _softmax(x: Floats) -> Floats:
    """Of rows in which something is finite."""
    with np.errstate(under="ignore"):
        found: Floats = np.exp(x - x.max(1, keepdims=True))
    found /= found.sum(1, keepdims=True)
    return found


def _sigmoid(x: Floats) -> Floats:
    small = np.exp(-np.abs(x))
    found: Floats = np.where(x >= 0, 1, small) / (1 + small)
    return found


def _scores(spec: Mapping[str, Any], logits: Floats) -> tuple[Floats, Callable[[Floats], Floats]]:
    """h, and what takes a cotangent of it to the logits."""
    kind, tau = _score(spec)
    of = _kind(spec)
    if of == "softmax-over-chosen":  # the same function as a normalised softmax over all, so the same dense form
        kind, tau = "softmax", 1.0
    elif of == "sigmoid-of-logit":
        kind, tau = "sigmoid", 1.0
    there = logits > -math.inf
    x = np.where(there, logits, 0.0) / tau
    if kind == "softmax":
        p = _softmax(np.where(there, x, -math.inf))
        return p, lambda v: p * (v - (p * v).sum(1, keepdims=True)) / tau
    if kind == "sigmoid":
        s = _sigmoid(x)
        slope = s * _sigmoid(-x)
    elif kind == "softplus-sqrt":
        y = np.maximum(x, -40)  # far below 0 it is e^{x/2}
        s = np.where(x > -40, np.sqrt(np.logaddexp(y, 0.0)), np.exp(np.minimum(x, 0) / 2))
        slope = np.where(x > -40, _sigmoid(y) / (2 * s), s / 2)
    elif kind == "relu":
        s, slope = np.maximum(x, 0), (x > 0).astype(np.float64)
    elif kind == "exp":
        s = slope = np.exp(x)
    else:
        s, slope = x, np.ones_like(x)
    s, slope = np.where(there, s, 0.0), np.where(there, slope, 0.0)
    return s, lambda v: slope * v / tau


def _divisor(spec: Mapping[str, Any], scores: Floats, members: Floats) -> tuple[Floats, Floats]:
    """By what gates are divided, [tokens, 1]; and 1 where that moves with the scores."""
    gate = spec.get("gate") or {}
    one = np.ones((len(scores), 1))
    if not gate.get("normalized") and _kind(spec) != "softmax-over-chosen":
        return one, np.zeros_like(one)
    total = (members * scores).sum(1, keepdims=True) + float(gate.get("epsilon", 0.0))
    floor = float(gate.get("floor") or 0.0)
    moves = (total >= floor).astype(np.float64)
    # A token that every expert turned away has no sum; its gates are what they would be undivided.
    divisor = np.maximum(total, floor)
    return np.where(divisor == 0, one, divisor), moves


def _draws(spec: Mapping[str, Any], logits: Floats, choice: Indices) -> list[Floats]:
    """SparseMixer-v2's distributions, one draw after the other over the experts left."""
    mask = spec.get("mask") or {}
    rule, threshold = mask.get("rule", "none"), float(mask.get("threshold") or 0.0)
    left, drawn = logits, []
    for j in range(choice.shape[1]):
        index = np.maximum(choice[:, j:j + 1], 0)
        top = left.max(1, keepdims=True)
        if rule == "reference-code":
            scale = np.maximum(np.abs(logits), top)
            keep = ~((top - logits) / np.where(scale == 0, 1.0, scale) > 2 * threshold)
        elif rule == "paper":
            keep = top - logits <= threshold * (np.abs(top) + np.abs(logits))
        else:
            keep = np.ones(logits.shape, np.bool_)
        np.put_along_axis(keep, index, True, 1)  # what the router drew in its own precision was not masked
        drawn.append(_softmax(np.where(keep, left, -math.inf)))
        left = left.copy()
        np.put_along_axis(left, index, -math.inf, 1)
    return drawn
