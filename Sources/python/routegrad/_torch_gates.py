"""Gates of routers and their gradients at the logits, sparse and dense, in float64. For `routegrad.torch`.

With slopes c_i = u·f_i (what the loss gains by a unit of expert i's gate), h the scores of the specification, A the chosen and
D = max(δ, Σ_A h_j + ε), or 1 where gates are not normalised:

    gate g_i = r h_i / D;   sparse  Σ_{i∈A} c_i ∂g_i/∂θ;   unseen  Σ_{i∉A} c_i (r/D) ∂h_i/∂θ, D held;   dense = sparse + unseen

Everything is [tokens, experts]; a token's choice of −1 is an expert that turned it away.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch

from ._errors import RouteGradError

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


def gates(spec: Mapping[str, Any], logits: torch.Tensor, choice: torch.Tensor) -> torch.Tensor:
    """g of the chosen, [tokens, k], 0 for −1."""
    there = choice >= 0
    index = choice.clamp(min=0)
    kind = _kind(spec)
    if kind == "one":
        return there.to(logits.dtype)
    if kind == "sequential":
        steps = [p.gather(1, index[:, j:j + 1]) for j, p in enumerate(_draws(spec, logits, choice))]
        return torch.cat(steps, 1)
    scores, _ = _scores(spec, logits)
    _, divisor, _ = _divisor(spec, scores, _members(choice, logits))
    return torch.where(there, _scale(spec) * scores.gather(1, index) / divisor, 0.0)


def gradients(
    spec: Mapping[str, Any], logits: torch.Tensor, choice: torch.Tensor, slopes: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """The gradient that training gives the logits, and the part that it does not see."""
    kind = _kind(spec)
    factor = (spec.get("gate") or {}).get("factor", 1.0)
    if kind == "one":
        return torch.zeros_like(logits), torch.zeros_like(logits)
    if kind == "sequential":
        sparse, dense = torch.zeros_like(logits), torch.zeros_like(logits)
        for j, p in enumerate(_draws(spec, logits, choice)):
            index = choice[:, j:j + 1].clamp(min=0)
            unit = torch.zeros_like(p).scatter(1, index, 1.0)
            sparse += slopes.gather(1, index) * p.gather(1, index) * (unit - p)
            dense += p * (slopes - (p * slopes).sum(1, keepdim=True))
        return factor * sparse, factor * (dense - sparse)
    scores, pull = _scores(spec, logits)
    members = _members(choice, logits)
    _, divisor, moves = _divisor(spec, scores, members)
    each = _scale(spec) * slopes / divisor
    together = (members * each * scores).sum(1, keepdim=True) / divisor * moves
    return factor * pull(members * (each - together)), factor * pull((1 - members) * each)


def _kind(spec: Mapping[str, Any]) -> str:
    kind: str = (spec.get("gate") or {}).get("of", "score")
    return kind


def _scale(spec: Mapping[str, Any]) -> float:
    return float((spec.get("gate") or {}).get("scale", 1.0))


def _score(spec: Mapping[str, Any]) -> tuple[str, float]:
    score = spec.get("score", "softmax")
    return (score, 1.0) if isinstance(score, str) else (score["kind"], float(score.get("temperature", 1.0)))


def _members(choice: torch.Tensor, logits: torch.Tensor) -> torch.Tensor:
    """1 where an expert is chosen."""
    wide = torch.zeros(len(logits), logits.shape[1] + 1, dtype=logits.dtype)
    return wide.scatter(1, torch.where(choice < 0, logits.shape[1], choice), 1.0)[:, :-1]


def _scores(spec: Mapping[str, Any], logits: torch.Tensor) -> tuple[torch.Tensor, Any]:
    """h, and what takes a cotangent of it to the logits."""
    kind, tau = _score(spec)
    of = _kind(spec)
    if of == "softmax-over-chosen":  # the same function as a normalised softmax over all, so the same dense form
        kind, tau = "softmax", 1.0
    elif of == "sigmoid-of-logit":
        kind, tau = "sigmoid", 1.0
    there = logits > -math.inf
    x = torch.where(there, logits, 0.0) / tau
    if kind == "softmax":
        s = torch.softmax(torch.where(there, x, -math.inf), 1)
        return s, lambda v: s * (v - (s * v).sum(1, keepdim=True)) / tau
    if kind == "sigmoid":
        s = torch.sigmoid(x)
        slope = s * torch.sigmoid(-x)
    elif kind == "softplus-sqrt":
        y = x.clamp(min=-40)  # far below 0 it is e^{x/2}
        s = torch.where(x > -40, torch.logaddexp(y, torch.zeros_like(y)).sqrt(), torch.exp(x.clamp(max=0) / 2))
        slope = torch.where(x > -40, torch.sigmoid(y) / (2 * s), s / 2)
    elif kind == "relu":
        s, slope = torch.relu(x), (x > 0).to(x.dtype)
    elif kind == "exp":
        s = slope = torch.exp(x)
    else:
        s, slope = x, torch.ones_like(x)
    s, slope = torch.where(there, s, 0.0), torch.where(there, slope, 0.0)
    return s, lambda v: slope * v / tau


def _divisor(
    spec: Mapping[str, Any], scores: torch.Tensor, members: torch.Tensor
) -> tuple[bool, torch.Tensor, torch.Tensor]:
    """Whether gates are divided; by what, [tokens, 1]; and 1 where that moves with the scores."""
    gate = spec.get("gate") or {}
    normalized = bool(gate.get("normalized")) or _kind(spec) == "softmax-over-chosen"
    one = torch.ones(len(scores), 1, dtype=scores.dtype)
    if not normalized:
        return False, one, torch.zeros_like(one)
    total = (members * scores).sum(1, keepdim=True) + float(gate.get("epsilon", 0.0))
    floor = float(gate.get("floor") or 0.0)
    moves = (total >= floor).to(scores.dtype)
    # A token that every expert turned away has no sum; its gates are what they would be undivided.
    divisor = total.clamp(min=floor)
    return True, torch.where(divisor == 0, one, divisor), moves


def _draws(spec: Mapping[str, Any], logits: torch.Tensor, choice: torch.Tensor) -> list[torch.Tensor]:
    """SparseMixer-v2's distributions, one draw after the other over the experts left."""
    mask = spec.get("mask") or {}
    rule, threshold = mask.get("rule", "none"), float(mask.get("threshold") or 0.0)
    left, drawn = logits, []
    for j in range(choice.shape[1]):
        index = choice[:, j:j + 1].clamp(min=0)
        top = left.max(1, keepdim=True).values
        if rule == "reference-code":
            scale = torch.maximum(logits.abs(), top)
            keep = ~((top - logits) / torch.where(scale == 0, 1.0, scale) > 2 * threshold)
        elif rule == "paper":
            keep = top - logits <= threshold * (top.abs() + logits.abs())
        else:
            keep = torch.ones_like(logits, dtype=torch.bool)
        keep = keep.scatter(1, index, True)  # what the router drew in its own precision was not masked
        drawn.append(torch.softmax(torch.where(keep, left, -math.inf), 1))
        left = left.scatter(1, index, -math.inf)
    return drawn
