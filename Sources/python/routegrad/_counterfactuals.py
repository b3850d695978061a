"""What the loss of a network would be with another expert. For `routegrad.torch` and `routegrad.jax`."""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from ._arguments import number, shown, whole
from ._errors import RouteGradError
from ._gates import Floats, Indices, gates
from ._network_report import dataframe, new_axes, table, write_page

if TYPE_CHECKING:
    from ._problems import Problem


@dataclasses.dataclass(frozen=True, repr=False)
class Counterfactuals:
    """The loss with each expert in the place of a token's last-chosen one, as problems with tabulated losses."""

    layer: str
    kind: str
    """``"mixture"`` where the gate is the softmax of all experts (k = 1), so that the table has its slope; else
    ``"categorical"``: the last choice among the experts that the token has not chosen before."""
    tokens: tuple[int, ...]
    chosen: tuple[tuple[int, ...], ...]
    """The experts that each token really has."""
    experts: tuple[tuple[int, ...], ...]
    """The experts that each problem's rows stand for."""
    losses: tuple[tuple[float, ...], ...]
    """The network's loss with each of them, in that order."""
    tables: tuple[dict[str, Any], ...]
    """The problems, in the format ``routegrad.problem/1``."""

    @property
    def problems(self) -> list[Problem]:
        """For :func:`routegrad.assess` and the like."""
        from ._problems import problem

        return [problem(table) for table in self.tables]

    def to_dict(self) -> dict[str, Any]:
        """The problems as a file of the format ``routegrad.problems/1``."""
        return {"schema": "routegrad.problems/1", "problems": list(self.tables)}

    def to_json(self) -> str:
        return json.dumps(self.to_dict(), allow_nan=False)

    def to_dataframe(self) -> Any:
        """A row for each token and expert, as a pandas DataFrame."""
        return dataframe(self._rows())

    def plot(self, axes: Any = None) -> Any:
        """The loss by expert, a line for each token; the matplotlib axes."""
        axes = new_axes() if axes is None else axes
        for token, experts, losses in zip(self.tokens, self.experts, self.losses):
            axes.plot(experts, losses, marker="o", label=f"token {token}")
        axes.set_xlabel("expert")
        axes.set_ylabel("loss")
        axes.set_title(self.layer)
        axes.legend()
        return axes

    def _rows(self) -> list[dict[str, Any]]:
        return [{"token": token, "expert": i, "chosen": i == chosen[-1], "logit": theta, "loss": loss}
                for token, chosen, experts, losses, made in zip(self.tokens, self.chosen, self.experts, self.losses, self.tables)
                for i, loss, theta in zip(experts, losses, made["logits"])]

    def _cells(self) -> list[list[str]]:
        return [[str(row["token"]), f"{row['expert']}{'*' if row['chosen'] else ''}", f"{row['logit']:.4f}", f"{row['loss']:.8g}"]
                for row in self._rows()]

    def __str__(self) -> str:
        lines = [f"The loss with another expert, in {self.layer} (*: the one it has)"]
        rows = [["token", "expert", "logit", "loss"], *self._cells()]
        return "\n".join([*lines, *("".join(cell.rjust(14) for cell in row) for row in rows)])

    def _repr_html_(self) -> str:
        return table(f"The loss with another expert, in {self.layer}", ("token", "expert", "logit", "loss"), self._cells())

    def to_html(self, path: str | os.PathLike[str]) -> None:
        """Writes a page for browsers, in one file: the loss by expert, the table, and the problems as JSON."""
        title = f"The loss with another expert, in {self.layer}"
        series = [{"name": f"token {token}", "curve": False, "x": list(experts), "y": list(losses),
                   "names": [f"token {token}, expert {i}{', chosen' if i == chosen[-1] else ''}" for i in experts]}
                  for token, chosen, experts, losses in zip(self.tokens, self.chosen, self.experts, self.losses)]
        write_page(
            "Losses with other experts", self.to_dict(), path,
            charts=[{"title": title, "x": "expert", "y": "loss", "series": series}],
            sections=[{"title": title, "notes": ["*: the expert that the token has."],
                       "table": {"columns": ["token", "expert", "logit", "loss"], "textColumns": 0, "rows": self._cells()}}])

    def __repr__(self) -> str:
        return f"<Counterfactuals of {len(self.tokens)} tokens in {self.layer}, {self.kind}>"


@dataclasses.dataclass(frozen=True)
class Variant:
    """A token with other experts: which, their gates, and what the last gate is multiplied by."""

    token: int
    choice: Indices
    gates: Floats
    factor: float


class Runs(Protocol):
    """A network that can be run with other experts at one layer."""

    def replaced(self, variants: Sequence[Variant], together: int) -> list[tuple[float, float, Floats]]:
        """Of each variant: the loss, its slope by the last gate, and its gradient at the token's output; so many at once."""

    def shares(self, token: int, among: list[int], weights: list[float]) -> Floats:
        """What experts add to a token's output with these gates, [experts, d]."""


@dataclasses.dataclass(frozen=True)
class Question:
    """What is asked of a layer: which tokens, what their last gates are multiplied by, how many variants at once."""

    tokens: list[int]
    nodes: list[float]
    together: int

    @classmethod
    def of(cls, tokens: Any, nodes: Any, together: Any) -> Question:
        """Checks what a caller gives."""
        at = [whole(x, "tokens") for x in (tokens if isinstance(tokens, (list, tuple, range)) else [tokens])]
        factors = [number(x, "nodes") for x in nodes]
        if not at or not factors:
            raise RouteGradError("tokens, nodes: expected at least one of each")
        if 1.0 not in factors:
            raise RouteGradError("nodes: expected 1 among them")
        many = whole(together, "together")
        if many < 1:
            raise RouteGradError(f"together: expected at least 1, got {shown(together)}")
        return cls(at, factors, many)

    def answered(
        self, layer: str, logits: Floats, choice: Indices, spec: Mapping[str, Any], runs: Runs, say: Callable[[str], None],
    ) -> Counterfactuals:
        """Runs a network again and again.

        Args:
            logits: [tokens, N].
            choice: [tokens, k].
            spec: what the gates are.
        """
        total, n = logits.shape
        for token in self.tokens:
            if not 0 <= token < total:
                raise RouteGradError(f"tokens: expected numbers below {total}, got {token}")
            if (choice[token] < 0).any():
                raise RouteGradError(f"tokens: token {token} was turned away by its expert")
        gate = spec.get("gate") or {}
        simple = spec.get("score", "softmax") in ("softmax", {"kind": "softmax"})
        mixture = bool(choice.shape[1] == 1 and simple and gate.get("of", "score") == "score" and not gate.get("normalized") and
                       gate.get("scale", 1.0) == 1.0)
        factors = self.nodes if mixture else [1.0]
        passes = sum((n - choice.shape[1] + 1) * len(factors) + mixture for _ in self.tokens)
        say(f"{layer}: {len(self.tokens)} tokens, {passes} forward and backward passes")
        experts, losses, tables = [], [], []
        for token in self.tokens:
            say(f"token {token}")
            kept = choice[token, :-1].tolist()
            among = [i for i in range(n) if i not in kept]
            row = logits[token:token + 1]
            last = [gates(spec, row, np.array([[*kept, i]]))[0] for i in among]
            variants = [Variant(token, np.array([*kept, i]), made, factor) for i, made in zip(among, last) for factor in factors]
            if mixture:
                variants.append(Variant(token, choice[token], np.zeros(1), 1.0))
            found = runs.replaced(variants, self.together)
            parts = [found[i * len(factors):(i + 1) * len(factors)] for i in range(len(among))]
            values = [[value for value, _, _ in part] for part in parts]
            name = f"{layer}, token {token}"
            theta = logits[token][among].tolist()
            if mixture:
                made_of = {"name": name, "kind": "mixture", "logits": theta, "loss": {
                    "type": "tabulated", "nodes": factors, "values": values,
                    "slopes": [[slope for _, slope, _ in part] for part in parts], "valueAtZero": found[-1][0],
                    "mask": {"rule": "none", "threshold": None}}}
            else:
                shares = runs.shares(token, among, [float(made[-1]) for made in last])
                rows = [(shares @ part[0][2]).tolist() for part in parts]
                made_of = {"name": name, "kind": "categorical", "logits": theta, "objective": {
                    "type": "tabulated", "values": [each[0] for each in values], "gradients": rows}}
            place = factors.index(1.0)
            experts.append(tuple(among))
            losses.append(tuple(each[place] for each in values))
            tables.append({"schema": "routegrad.problem/1", **made_of})
        return Counterfactuals(layer, "mixture" if mixture else "categorical", tuple(self.tokens),
                               tuple(tuple(choice[token].tolist()) for token in self.tokens), tuple(experts), tuple(losses), tuple(tables))
