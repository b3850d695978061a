"""What an audit of a network found. For `routegrad.torch` and `routegrad.jax`."""

from __future__ import annotations

import dataclasses
import html
import importlib
import json
import math
import os
from collections.abc import Callable, Mapping, Sequence
from ctypes import byref
from typing import Any

import numpy as np

from ._arguments import shown
from ._errors import RouteGradError
from ._gates import Floats
from ._library import ReportHandle, fail, lib


@dataclasses.dataclass(frozen=True)
class Difference:
    """A gradient that training gives, held against dense back-propagation; None where a norm it is divided by is 0."""

    norm: float
    """‖sparse‖."""
    dense_norm: float
    """‖dense‖."""
    bias_norm: float
    """‖sparse − dense‖ = ‖unseen‖."""
    relative_bias: float | None
    """‖sparse − dense‖/‖dense‖."""
    cosine: float | None
    """⟨sparse, dense⟩/(‖sparse‖ ‖dense‖)."""
    unseen: float | None
    """‖unseen‖²/(‖sparse‖² + ‖unseen‖²): the share that the experts left out have, from 0 to 1."""

    @classmethod
    def of(cls, sparse: Floats, unseen: Floats) -> Difference:
        # Of the largest, so that squares neither overflow nor vanish.
        unit = max(float(np.abs(sparse).max()), float(np.abs(unseen).max())) or 1.0
        a, b = sparse / unit, unseen / unit
        dense = a + b
        n, d, m = (float(np.linalg.norm(x)) for x in (a, dense, b))
        cosine = max(-1.0, min(1.0, float((a * dense).sum()) / (n * d))) if n and d else None
        return cls(n * unit, d * unit, m * unit, m / d if d else None, cosine,
                   m * m / (n * n + m * m) if n or m else None)


@dataclasses.dataclass(frozen=True)
class LayerFindings:
    """One layer's router."""

    name: str
    specification: Mapping[str, Any]
    experts: int
    chosen: int
    """k."""
    tokens: int
    """How many were evaluated."""
    batch_tokens: int
    """How many the batch has."""
    logits: Difference
    """At the logits, [tokens, N]."""
    weight: Difference
    """At the router's weight, Σ_t ĝ_t ⊗ x_t."""
    load: tuple[float, ...]
    """The share of all choices of the batch that each expert has."""
    turned_away: int
    """Choices of the batch that found no room."""
    gradient_error: float
    """The largest difference to autograd's gradient at the logits; 0 for PyTorch blocks of your own, which are not compared."""

    @classmethod
    def of(cls, name: str, spec: Mapping[str, Any], x: Floats, seen: Floats, unseen: Floats, load: Floats,
           turned_away: int, total: int, error: float) -> LayerFindings:
        share = load / max(float(load.sum()), 1.0)
        return cls(name, spec, seen.shape[1], int((spec.get("selection") or {}).get("count", 0)), len(seen), total,
                   Difference.of(seen, unseen), Difference.of(seen.T @ x, unseen.T @ x), tuple(share.tolist()), turned_away, error)

    @property
    def fraction(self) -> float:
        """Of the batch's tokens, how many were evaluated."""
        return self.tokens / self.batch_tokens

    @property
    def largest_load(self) -> float:
        """The most loaded expert's tokens, divided by those of an even load."""
        return max(self.load) * self.experts

    @property
    def unused(self) -> int:
        """Experts without a token."""
        return sum(share == 0 for share in self.load)


_COLUMNS = ("layer", "N", "k", "tokens", "bias", "cosine", "unseen", "W bias", "W cosine", "load", "unused")


@dataclasses.dataclass(frozen=True)
class NetworkAudit:
    """How far the routers' gradients of a network are from dense back-propagation; ``print`` it to read it."""

    layers: tuple[LayerFindings, ...]
    loss: float
    evaluations: int
    """How often an expert was evaluated for a token, the forward pass not counted."""
    requested_tokens: int
    seed: int

    def to_dict(self) -> dict[str, Any]:
        """All of it, in what JSON can hold."""
        layers = []
        for layer in self.layers:
            found = dataclasses.asdict(layer)
            found["load"] = list(layer.load)
            layers.append(found | {"fraction": layer.fraction, "largest_load": layer.largest_load, "unused": layer.unused})
        return {"schema": "routegrad.network-audit/1", "target": "dense-backward", "loss": self.loss, "seed": self.seed,
                "requested_tokens": self.requested_tokens, "evaluations": self.evaluations, "layers": layers}

    def to_json(self) -> str:
        return json.dumps(self.to_dict(), ensure_ascii=False, indent=1, allow_nan=False)

    def to_dataframe(self) -> Any:
        """A row for each layer, as a pandas DataFrame."""
        rows = []
        for layer in self.to_dict()["layers"]:
            row = {key: value for key, value in layer.items() if key not in ("specification", "load", "logits", "weight")}
            for part in ("logits", "weight"):
                row |= {f"{part}.{key}": value for key, value in layer[part].items()}
            rows.append(row)
        return dataframe(rows)

    def plot(self, axes: Any = None) -> Any:
        """Relative bias, cosine and unseen share at the logits, by layer; the matplotlib axes."""
        axes = new_axes() if axes is None else axes
        for key, label in (("relative_bias", "relative bias"), ("cosine", "cosine"), ("unseen", "unseen share")):
            values = [getattr(layer.logits, key) for layer in self.layers]
            axes.plot(range(len(values)), [math.nan if value is None else value for value in values], marker="o", label=label)
        axes.set_xticks(range(len(self.layers)))
        axes.set_xlabel("MoE layer")
        axes.set_title("Router gradient against dense back-propagation")
        axes.legend()
        return axes

    def _rows(self) -> list[list[str]]:
        return [[layer.name, str(layer.experts), str(layer.chosen), str(layer.tokens), _percent(layer.logits.relative_bias),
                 _number(layer.logits.cosine), _percent(layer.logits.unseen), _percent(layer.weight.relative_bias),
                 _number(layer.weight.cosine), f"{layer.largest_load:.2f}", str(layer.unused)] for layer in self.layers]

    def __str__(self) -> str:
        rows = [list(_COLUMNS), *self._rows()]
        widths = [max(len(row[i]) for row in rows) for i in range(len(_COLUMNS))]
        widths[0] = min(widths[0], 80 - sum(widths[1:]) - (len(widths) - 1))
        lines = ["The router's gradient in training against dense back-propagation,",
                 f"loss {self.loss:.6g}. W: at the router's weight. load: the fullest expert's, 1 is even."]
        for row in rows:
            name = row[0] if len(row[0]) <= widths[0] else "…" + row[0][len(row[0]) - widths[0] + 1:]
            lines.append(" ".join([name.ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:]))]))
        return "\n".join(line.rstrip() for line in lines)

    def __repr__(self) -> str:
        return f"<NetworkAudit of {len(self.layers)} layers, {self.evaluations} expert evaluations>"

    def _repr_html_(self) -> str:
        return table(f"Router gradient against dense back-propagation, loss {self.loss:.6g}", _COLUMNS, self._rows())

    def to_html(self, path: str | os.PathLike[str]) -> None:
        """Writes a page for browsers, in one file: how bias goes with depth, a heat map of layers and figures, one of each expert's load, the
        table, and all numbers as JSON."""
        names = [layer.name for layer in self.layers]
        curves = []
        for label, of in _MEASURES:
            points = [(k, value, f"{label}, {names[k]}") for k, value in enumerate(map(of, self.layers)) if value is not None]
            curves.append({"name": label, "curve": True, "x": [x for x, _, _ in points], "y": [y for _, y, _ in points],
                           "names": [name for _, _, name in points]})
        experts = range(max((layer.experts for layer in self.layers), default=0))
        write_page(
            "Router audit", self.to_dict(), path,
            charts=[{"title": "By depth", "x": "MoE layer, from 0", "y": "ratio to the dense gradient", "series": curves}],
            heat_maps=[
                {"title": "Against dense back-propagation", "corner": "layer", "rows": names,
                 "columns": [label for label, _ in _MEASURES], "values": [[of(layer) for _, of in _MEASURES] for layer in self.layers]},
                {"title": "Share of all choices, by expert", "corner": "layer", "rows": names, "columns": [str(i) for i in experts],
                 "values": [[layer.load[i] if i < layer.experts else None for i in experts] for layer in self.layers]},
            ],
            sections=[{
                "title": "The router's gradient in training against dense back-propagation", "facts": f"loss {self.loss:.6g}",
                "table": {"columns": list(_COLUMNS), "textColumns": 1, "rows": self._rows()},
                "notes": ["bias: ‖sparse − dense‖/‖dense‖ at the logits; cosine of the two; unseen: the share of what the experts left out "
                          "would say; W: at the router's weight; load: the fullest expert's, 1 is even; unused: experts without a token."]}])


_MEASURES: tuple[tuple[str, Callable[[LayerFindings], float | None]], ...] = (
    ("bias", lambda layer: layer.logits.relative_bias), ("cosine", lambda layer: layer.logits.cosine),
    ("unseen", lambda layer: layer.logits.unseen), ("W bias", lambda layer: layer.weight.relative_bias),
    ("W cosine", lambda layer: layer.weight.cosine))
"""What pages show of a layer."""


def dataframe(rows: list[dict[str, Any]]) -> Any:
    """A pandas DataFrame, if pandas is installed."""
    try:
        pandas: Any = importlib.import_module("pandas")
    except ImportError as error:
        raise RouteGradError("to_dataframe: expected pandas to be installed", "unavailable") from error
    return pandas.DataFrame(rows)


def new_axes() -> Any:
    """Axes of a new figure, if matplotlib is installed."""
    try:
        pyplot: Any = importlib.import_module("matplotlib.pyplot")
    except ImportError as error:
        raise RouteGradError("plot: expected matplotlib to be installed", "unavailable") from error
    return pyplot.subplots()[1]


def table(caption: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table in HTML."""
    head = "".join(f"<th>{html.escape(column)}</th>" for column in columns)
    body = "".join("<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in row) + "</tr>" for row in rows)
    return f"<table><caption>{html.escape(caption)}</caption><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def write_page(
    title: str, result: Any, path: str | os.PathLike[str], *, charts: Sequence[Any] = (), heat_maps: Sequence[Any] = (),
    sections: Sequence[Any],
) -> None:
    """Writes a page of its own; the fields are those of ``rg_page_from_json``."""
    described = json.dumps({"title": title, "charts": list(charts), "heatMaps": list(heat_maps), "sections": list(sections), "result": result},
                           allow_nan=False).encode()
    report = ReportHandle()
    status = lib.rg_page_from_json(described, len(described), byref(report))
    if status:
        fail(status)
    page = lib.rg_report_text(report)
    try:
        with open(path, "wb") as file:
            file.write(page)
    except (OSError, ValueError, TypeError) as error:
        raise RouteGradError(f"{shown(path)}: cannot be written: {error}", "invalid-data") from error


def _percent(value: float | None) -> str:
    return "–" if value is None else f"{100 * value:.1f}%"


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"
