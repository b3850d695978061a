"""What an audit makes of the numbers that a framework gives of a layer. For `routegrad.torch` and `routegrad.jax`."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ._errors import RouteGradError
from ._gates import Floats, Indices, gates, gradients
from ._network_report import LayerFindings

# Units of rounding that an answer may be off by, of the largest that it can be.
_UNITS = 64
# Routers compute in float32, whatever their model's type is.
_ROUTERS_PRECISION = float(np.finfo(np.float32).eps)


@dataclasses.dataclass
class Call:
    """What one call of a layer said: of all tokens, and of the rows taken."""

    rows: Indices
    all_choices: Indices
    """[all tokens, k]; −1 where an expert turned the token away."""
    logits: Floats
    """[rows, N]."""
    live: Floats
    """The gates as the experts were given them, [rows, k] or [rows, N]."""
    x: Floats
    """What the router's weight multiplies."""
    slopes: Floats
    """c, [rows, N]."""
    largest: float
    """The largest ‖u‖‖f‖."""
    precision: float
    """The unit of rounding of what was computed."""
    at_logits: Floats | None = None
    """∂L/∂θ by automatic differentiation; None if it was not asked for."""
    at_gates: Floats | None = None
    """∂L/∂g, [rows, k], likewise."""

    @property
    def choice(self) -> Indices:
        return self.all_choices[self.rows]


def taken(total: int, count: int, seed: int) -> Indices:
    """Which of a call's tokens are evaluated."""
    return np.sort(np.random.default_rng(seed).permutation(total)[:count]).astype(np.int64)


def require_logits(logits: Floats, where: str) -> None:
    """Raises if a logit is NaN or +infinity; −infinity is an expert that is not there."""
    if np.isnan(logits).any() or (logits == np.inf).any():
        raise RouteGradError(f"{where}: logits: expected numbers, got NaN or infinity")


def findings(
    name: str, spec: Mapping[str, Any], experts: int, calls: Sequence[Call], *, scaled_after: bool, compared: bool
) -> LayerFindings:
    """Puts the calls of a layer together.

    Args:
        scaled_after: whether a constant may multiply the experts' sum, see `as_given`.
        compared: whether a gradient that is not that of the specification is refused.
    """
    parts = []
    load = np.zeros(experts)
    turned_away = total = 0
    error = 0.0
    for call in calls:
        choice = call.all_choices
        load += np.bincount(choice[choice >= 0], minlength=experts)
        turned_away, total = turned_away + int((choice < 0).sum()), total + len(choice)
        given = as_given(name, spec, call.logits, call.choice, call.live, call.precision, scaled_after)
        if not np.isfinite(call.slopes).all():
            raise RouteGradError(f"{name}: expert outputs: expected finite numbers")
        seen, unseen = gradients(given, call.logits, call.choice, call.slopes)
        other = call.at_logits
        if call.at_gates is not None:
            # c of the chosen as the framework differentiates: whether these experts are the model's, and these gates are what they multiply.
            told = np.zeros((len(seen), experts + 1))
            np.put_along_axis(told, np.where(call.choice < 0, experts, call.choice), call.at_gates, 1)
            other = gradients(given, call.logits, call.choice, told[:, :-1])[0]
        if other is not None and compared:
            off = float(np.abs(seen - other).max())
            scale = call.largest * max(1.0, abs(float((spec.get("gate") or {}).get("scale", 1.0))))
            if off > _UNITS * max(call.precision, _ROUTERS_PRECISION) * scale:
                raise RouteGradError(
                    f"{name}: expected autograd's gradient at the logits to be that of its specification and its experts, they differ by "
                    f"{off:.3g} of {float(np.abs(seen).max()):.3g}")
            error = max(error, off)
        parts.append((call.x, seen, unseen))
    x, seen, unseen = (np.concatenate(part) for part in zip(*parts))
    return LayerFindings.of(name, spec, x, seen, unseen, load, turned_away, total, error)


def as_given(
    name: str, spec: Mapping[str, Any], logits: Floats, choice: Indices, live: Floats, precision: float, scaled_after: bool
) -> Mapping[str, Any]:
    """The specification of the gates as the experts are given them, which have to be those of the block's.

    Some blocks of transformers multiply by a constant after the experts (MiniMax-M3, Beam); u has it then, and the gates have not.
    """
    wanted = gates(spec, logits, choice)
    if live.shape != wanted.shape:
        if live.shape != logits.shape:
            raise RouteGradError(f"{name}: gates: expected shape {list(wanted.shape)}, got {list(live.shape)}")
        live = np.take_along_axis(live, np.maximum(choice, 0), 1)
    there = choice >= 0
    factors = (spec.get("gate") or {}).get("outputScales", [1])
    finite = logits[logits > -np.inf]
    scale = max(1.0, float(np.abs(wanted).max(initial=0.0)), float(np.abs(finite).max(initial=0.0)))

    def off(times: float) -> float:
        differences = np.stack([np.abs(live - factor * times * wanted) for factor in factors]).min(0)
        return float(np.where(there, differences, 0.0).max(initial=0.0))

    allowed = _UNITS * max(precision, _ROUTERS_PRECISION) * scale
    if off(1.0) <= allowed:
        return spec
    squares = float((wanted[there] ** 2).sum())
    times = float((live[there] * wanted[there]).sum()) / squares if squares else 1.0
    if scaled_after and times > 0 and off(times) <= allowed:
        gate = dict(spec.get("gate") or {})
        return {**spec, "gate": {**gate, "scale": gate.get("scale", 1.0) * times}}
    raise RouteGradError(f"{name}: gates: expected those of its specification, they differ by {off(1.0):.3g}")
