"""What the loss of a network would be with another expert. For `routegrad.torch`."""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch

from ._arguments import number, shown, whole
from ._errors import RouteGradError
from ._torch_audit import Hooks, as_given, first, flat, untouched, value_of
from ._torch_blocks import Site, sites
from ._torch_gates import gates
from ._torch_report import dataframe, new_axes, table, write_page

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
        """Writes the table as a page of its own."""
        write_page("Losses with other experts", self._repr_html_(), path)

    def __repr__(self) -> str:
        return f"<Counterfactuals of {len(self.tokens)} tokens in {self.layer}, {self.kind}>"


def counterfactuals(
    model: torch.nn.Module, batch: Any, layer: Any, tokens: Sequence[int], *, nodes: Sequence[float] = (1.0,),
    loss: Callable[[torch.nn.Module, Any], torch.Tensor] | None = None, progress: Callable[[str], None] | None = None,
) -> Counterfactuals:
    """Runs a network again with one token's last-chosen expert at one layer replaced by each other one.

    Everything else is as it was: other tokens keep their experts at this layer, and the same random numbers are drawn; layers
    above route anew, by what they get. The gates are those that the specification makes of the token's logits and its new
    experts. A table has the loss and its slope by the gate at each of ``nodes``.

    With k = 1 and gates softmax(θ) the problems are mixtures, L(θ) = Σ_i π_i G(π_i f_i), whose ``expected-loss`` is the exact
    gradient of the network's expected loss by this token's logits where its expert is drawn by π and other choices are held.
    Otherwise they are categorical ones, over the experts that are not among the first k − 1: the choice of the last expert
    by the softmax of their logits, with the gates held.

    Args:
        layer: a number, a name.
        tokens: as the block counts them, sequence after sequence.
        nodes: what the gate is multiplied by; 0.5 besides for ``midpoint``, whose table needs it. For mixtures only.
        model, batch, loss, progress: as in :func:`audit`.

    It costs a forward and backward pass for each token, expert and node, one forward pass more, and memory of one of them.
    """
    at = [whole(x, "tokens") for x in (tokens if isinstance(tokens, (list, tuple, range)) else [tokens])]
    factors = [number(x, "nodes") for x in nodes]
    if not at or not factors:
        raise RouteGradError("tokens, nodes: expected at least one of each")
    if 1.0 not in factors:
        raise RouteGradError("nodes: expected 1 among them")
    site, = sites(model, [layer])
    if site.form not in ("index", "mask"):
        raise RouteGradError(f"{site.name}: expected experts that are told which and with what gate; its experts are not")
    say = progress or (lambda _: None)
    with untouched(model):
        run = _Runs(model, batch, site, loss)
        logits, choice, spec = run.as_it_is()
        total, n = logits.shape
        for token in at:
            if not 0 <= token < total:
                raise RouteGradError(f"tokens: expected numbers below {total}, got {token}")
            if (choice[token] < 0).any():
                raise RouteGradError(f"tokens: token {token} was turned away by its expert")
        gate = spec.get("gate") or {}
        simple = spec.get("score", "softmax") in ("softmax", {"kind": "softmax"})
        mixture = choice.shape[1] == 1 and simple and gate.get("of", "score") == "score" and not gate.get("normalized") and (
            gate.get("scale", 1.0) == 1.0)
        if not mixture:
            factors = [1.0]
        passes = sum((n - choice.shape[1] + 1) * len(factors) + mixture for _ in at)
        say(f"{site.name}: {len(at)} tokens, {passes} forward and backward passes")
        experts, losses, tables = [], [], []
        for token in at:
            say(f"token {token}")
            kept = choice[token, :-1].tolist()
            among = [i for i in range(n) if i not in kept]
            values, slopes, rows = [], [], []
            for i in among:
                new = torch.tensor([[*kept, i]])
                made = gates(spec, logits[token:token + 1], new)[0]
                found = [run.replaced(token, new[0], made, factor) for factor in factors]
                values.append([value for value, _, _ in found])
                slopes.append([slope for _, slope, _ in found])
                if not mixture:
                    f, u = run.outputs(token, among), found[0][2]
                    weights = [float(gates(spec, logits[token:token + 1], torch.tensor([[*kept, j]]))[0, -1]) for j in among]
                    rows.append([w * float(u @ f[j]) for j, w in enumerate(weights)])
            theta = logits[token, among].tolist()
            name = f"{site.name}, token {token}"
            if mixture:
                zero = run.replaced(token, choice[token], torch.zeros(1, dtype=torch.float64), 1.0)[0]
                made_of = {"name": name, "kind": "mixture", "logits": theta, "loss": {
                    "type": "tabulated", "nodes": factors, "values": values, "slopes": slopes, "valueAtZero": zero,
                    "mask": {"rule": "none", "threshold": None}}}
            else:
                made_of = {"name": name, "kind": "categorical", "logits": theta, "objective": {
                    "type": "tabulated", "values": [row[0] for row in values], "gradients": rows}}
            place = factors.index(1.0)
            experts.append(tuple(among))
            losses.append(tuple(row[place] for row in values))
            tables.append({"schema": "routegrad.problem/1", **made_of})
    return Counterfactuals(site.name, "mixture" if mixture else "categorical", tuple(at),
                           tuple(tuple(choice[token].tolist()) for token in at), tuple(experts), tuple(losses), tuple(tables))


class _Runs:
    """A network that is run again and again, with the same random numbers."""

    def __init__(self, model: torch.nn.Module, batch: Any, site: Site, loss: Any):
        self.model, self.batch, self.site, self.loss = model, batch, site, loss
        self.state = torch.random.get_rng_state()
        self.cuda = [(i, torch.cuda.get_rng_state(i)) for i in sorted(
            {p.device.index for p in model.parameters() if p.device.type == "cuda"})]
        self.inputs = torch.empty(0)

    def _restart(self) -> None:
        torch.random.set_rng_state(self.state)
        for i, state in self.cuda:
            torch.cuda.set_rng_state(state, i)

    def as_it_is(self) -> tuple[torch.Tensor, torch.Tensor, Mapping[str, Any]]:
        """Logits, choice, and the specification of the gates that the experts are given."""
        found: dict[str, Any] = {}

        def routed(_module: Any, _given: Any, result: Any) -> None:
            found["router"] = result

        def before(_module: Any, given: Any, named: Any) -> None:
            if "choice" in found:
                raise RouteGradError(f"{self.site.name}: expected a layer that is called once")
            given = [*given, *named.values()]
            logits, choice, found["live"] = self.site.read(found["router"], given)
            found["choice"] = choice.cpu()
            found["logits"], self.inputs = flat(logits.detach()).cpu().double(), flat(given[0].detach()).clone()

        self._restart()
        with Hooks() as hooks, torch.no_grad():
            hooks.handles += [self.site.router.register_forward_hook(routed),
                              self.site.module.register_forward_pre_hook(before, with_kwargs=True)]
            value_of(self.model, self.batch, self.loss)
        if "choice" not in found:
            raise RouteGradError(f"{self.site.name}: expected the model to call it, it did not")
        if not torch.isfinite(found["logits"]).all():
            raise RouteGradError(f"{self.site.name}: logits: expected finite numbers")
        live = found["live"].reshape(len(found["logits"]), -1)
        return found["logits"], found["choice"], as_given(self.site, found["logits"], found["choice"], live)

    def outputs(self, token: int, among: list[int]) -> torch.Tensor:
        """f_i of a token, [experts, d]."""
        with torch.no_grad():
            return torch.stack([first(self.site.each(i, self.inputs[token:token + 1]))[0].cpu().double() for i in among])

    def replaced(self, token: int, choice: torch.Tensor, made: torch.Tensor, factor: float) -> tuple[float, float, torch.Tensor]:
        """The loss, its slope by the last gate, and its gradient at the token's output, all with these experts and gates."""
        found: dict[str, Any] = {}
        wanted = torch.cat([made[:-1], factor * made[-1:]])

        def before(_module: Any, given: Any, named: Any) -> Any:
            values = [*given, *named.values()]
            weights = values[2].detach().clone()
            which = values[1].detach().clone()
            if self.site.form == "mask":
                which.view(-1, self.site.experts)[token] = 0
                which.view(-1, self.site.experts)[token, choice[0]] = 1
            else:
                which[token] = choice.to(which)
            weights.view(len(self.inputs), -1)[token] = wanted.to(weights)
            found["weights"] = weights.requires_grad_()
            return (values[0], which, weights, *values[3:]), {}

        def after(_module: Any, _given: Any, result: Any) -> None:
            found["output"] = result

        self._restart()
        with Hooks() as hooks:
            hooks.handles += [self.site.module.register_forward_pre_hook(before, with_kwargs=True),
                              self.site.module.register_forward_hook(after)]
            value = value_of(self.model, self.batch, self.loss)
        at_gates, u = torch.autograd.grad(value, [found["weights"], found["output"]], allow_unused=True)
        if at_gates is None or u is None:
            raise RouteGradError(f"{self.site.name}: expected a loss that depends on its output")
        slope = float(at_gates.reshape(len(self.inputs), -1)[token, -1])
        return float(value.detach()), slope, flat(u)[token].cpu().double()
