"""What the loss of a network would be with another expert. For `routegrad.torch`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch

from ._arguments import shown
from ._counterfactuals import Counterfactuals, Question, Variant
from ._errors import RouteGradError
from ._gates import Floats, Indices, gates
from ._network_audit import as_given
from ._torch_audit import Hooks, first, flat, losses_of, numbers, precision, untouched
from ._torch_blocks import Site, sites

def counterfactuals(
    model: torch.nn.Module, batch: Any, layer: Any, tokens: Sequence[int], *, nodes: Sequence[float] = (1.0,), together: int = 1,
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
        layer: a number, a name, or a :class:`Block`, whose output then has what the new experts add less what the old ones added.
        tokens: as the block counts them, sequence after sequence.
        nodes: what the gate is multiplied by; 0.5 besides for ``midpoint``, whose table needs it. For mixtures only.
        together: so many variants are rows of one batch, in one forward and backward pass, with the memory that this takes. For models in
            evaluation mode whose rows do not depend on each other; it is tried beforehand, and refused if the losses differ. The model
            has to return ``logits`` without ``labels`` and to have the ``loss_function`` of transformers; or give ``loss``.
        loss: as in :func:`audit`, or one loss for each row of the batch, whose mean is the loss; with ``together`` it has to be that. The
            batch that it is given then has its rows repeated: tensors of a dict, or a tensor, along their first axis.
        model, batch, progress: as in :func:`audit`.

    It costs a forward and backward pass for each token, expert and node, one forward pass more, and memory of one of them.
    """
    question = Question.of(tokens, nodes, together)
    if question.together > 1 and any(module.training for module in model.modules()):
        raise RouteGradError("together: expected 1 for a model in training, which draws other numbers for other rows; or call model.eval()")
    site, = sites(model, [layer])
    say = progress or (lambda _: None)
    with untouched(model):
        run = _Runs(model, batch, site, loss)
        logits, choice, spec = run.as_it_is()
        if question.together > 1:
            run.require_independent_rows()
        return question.answered(site.name, logits, choice, spec, run, say)


# From the losses, one for each variant: their slopes by the last gates, and their gradients at the tokens' outputs.
_Answer = Callable[[torch.Tensor], tuple[list[float], Floats]]


class _Runs:
    """A network that is run again and again, with the same random numbers."""

    def __init__(self, model: torch.nn.Module, batch: Any, site: Site, loss: Any):
        self.model, self.batch, self.site, self.loss = model, batch, site, loss
        self.state = torch.random.get_rng_state()
        self.cuda = [(i, torch.cuda.get_rng_state(i)) for i in sorted(
            {p.device.index for p in model.parameters() if p.device.type == "cuda"})]
        self.inputs = torch.empty(0)
        self.choice: Indices = np.zeros((0, 0), np.int64)
        self.gates: Floats = np.zeros((0, 0))
        self.value = 0.0

    def _restart(self) -> None:
        torch.random.set_rng_state(self.state)
        for i, state in self.cuda:
            torch.cuda.set_rng_state(state, i)

    def as_it_is(self) -> tuple[Floats, Indices, Mapping[str, Any]]:
        """Logits, choice, and the specification of the gates that the experts are given."""
        found: dict[str, Any] = {}

        def routed(_module: Any, _given: Any, result: Any) -> None:
            found["router"] = result

        def weighed(_module: Any, given: Any, _result: Any) -> None:
            found["x"] = flat(given[0].detach())

        def before(_module: Any, given: Any, named: Any) -> None:
            if "given" in found:
                raise RouteGradError(f"{self.site.name}: expected a layer that is called once")
            found["given"] = [*given, *named.values()]

        def after(_module: Any, _given: Any, _result: Any) -> None:
            if "router" not in found:
                raise RouteGradError(f"{self.site.name}: expected its router to be called before its experts")
            logits, choice, found["live"] = self.site.read(found["router"], found["given"])
            found["choice"] = choice.cpu().numpy()
            found["logits"] = numbers(flat(logits))
            self.inputs = (found["x"] if self.site.to_input else flat(found["given"][0].detach())).clone()

        self._restart()
        with Hooks() as hooks, torch.no_grad():
            hooks.handles += [
                self.site.weighed.register_forward_hook(weighed), self.site.router.register_forward_hook(routed),
                self.site.module.register_forward_pre_hook(before, with_kwargs=True), self.site.module.register_forward_hook(after)]
            self.value = float(losses_of(self.model, self.batch, self.loss).mean())
        if "choice" not in found:
            raise RouteGradError(f"{self.site.name}: expected the model to call it, it did not")
        if not np.isfinite(found["logits"]).all():
            raise RouteGradError(f"{self.site.name}: logits: expected finite numbers")
        live = found["live"].reshape(len(found["logits"]), -1)
        self.choice = found["choice"]
        spec = as_given(self.site.name, self.site.specification, found["logits"], found["choice"], numbers(live), precision(live),
                        self.site.form == "index")
        self.gates = gates(spec, found["logits"], found["choice"])
        return found["logits"], found["choice"], spec

    def require_independent_rows(self) -> None:
        """Raises unless two copies of the batch, as rows of one, each have the loss of one."""
        self._restart()
        with torch.no_grad():
            both = self._losses(2)
        off = float((both.double() - self.value).abs().max())
        if off > 1000 * torch.finfo(both.dtype).eps * max(1.0, abs(self.value)):
            raise RouteGradError(
                f"together: expected rows that do not depend on each other, but two copies of the batch differ from one by {off:.3g}")

    def _losses(self, copies: int) -> torch.Tensor:
        """The loss of each copy of the batch."""
        if copies == 1:
            return losses_of(self.model, self.batch, self.loss).mean().reshape(1)
        if self.loss is not None:
            found = losses_of(self.model, repeated(self.batch, copies), self.loss)
            if found.numel() % copies or found.numel() < copies:
                raise RouteGradError(f"loss: expected one for each row of the batch, with {copies} copies of it, got {found.numel()}")
            return found.reshape(copies, -1).mean(1)
        given = dict(self.batch)
        labels, function = given.pop("labels", None), getattr(self.model, "loss_function", None)
        if labels is None or function is None:
            raise RouteGradError("together: expected labels, and a model with the loss_function of transformers; or give loss")
        device = next(self.model.parameters()).device
        given = {key: x.to(device) if isinstance(x, torch.Tensor) else x for key, x in repeated(given, copies).items()}
        result: Any = self.model(**given)
        config: Any = self.model.config
        text: Any = config.get_text_config() if hasattr(config, "get_text_config") else config
        parts = result.logits.reshape(copies, -1, *result.logits.shape[1:])
        losses = torch.stack([function(logits=part, labels=labels.to(part.device), vocab_size=text.vocab_size) for part in parts])
        if not torch.isfinite(losses).all():
            raise RouteGradError("loss: expected finite numbers")
        return losses

    def shares(self, token: int, among: list[int], weights: list[float]) -> Floats:
        """What experts add to a token's output with these gates, [experts, d]."""
        with torch.no_grad():
            return np.stack([numbers(self._share(token, i, weight)) for i, weight in zip(among, weights)])

    def _share(self, token: int, i: int, weight: float) -> torch.Tensor:
        """What an expert adds to a token's output, [d]."""
        x = self.inputs[token:token + 1]
        if self.site.to_input:
            # All experts are evaluated together, of one token here, each with the input in its place.
            together = torch.zeros(self.site.experts, x.shape[-1], dtype=x.dtype, device=x.device)
            together[i] = weight * x[0]
            added: torch.Tensor = flat(first(self.site.module(together)))[i]
            return added
        output: torch.Tensor = first(self.site.each(i, x))[0]
        return weight * output

    def replaced(self, variants: Sequence[Variant], together: int) -> list[tuple[float, float, Floats]]:
        """Of each variant: the loss, its slope by the last gate, and its gradient at the token's output."""
        found: list[tuple[float, float, Floats]] = []
        for start in range(0, len(variants), together):
            found += self._replaced(variants[start:start + together])
        return found

    def _replaced(self, variants: Sequence[Variant]) -> list[tuple[float, float, Floats]]:
        total = len(self.inputs)
        rows = [copy * total + variant.token for copy, variant in enumerate(variants)]
        wanted = [np.concatenate([variant.gates[:-1], variant.factor * variant.gates[-1:]]) for variant in variants]
        way = {"input": self._by_inputs, "own": self._by_output}.get(self.site.form, self._by_gates)
        with Hooks() as hooks:
            answer = way(hooks, variants, rows, wanted)
            self._restart()
            losses = self._losses(len(variants))
        if not losses.requires_grad:
            raise RouteGradError("loss: expected a loss that depends on the model's weights")
        last, u = answer(losses)
        return list(zip(losses.tolist(), last, u))

    def _gradients(self, losses: torch.Tensor, *of: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Each loss depends on the rows of its own copy alone."""
        found: tuple[torch.Tensor, ...] = torch.autograd.grad(losses.sum(), of, allow_unused=True)
        if any(gradient is None for gradient in found):
            raise RouteGradError(f"{self.site.name}: expected a loss that depends on its output")
        return found

    def _by_gates(self, hooks: Hooks, variants: Sequence[Variant], rows: list[int], wanted: list[Floats]) -> _Answer:
        """Experts that are told which and with what gate are told others."""
        said: dict[str, Any] = {}
        total = len(variants) * len(self.inputs)

        def before(_module: Any, given: Any, named: Any) -> Any:
            values = [*given, *named.values()]
            weights = values[2].detach().clone()
            which = values[1].detach().clone()
            for row, variant, made in zip(rows, variants, wanted):
                if self.site.form == "mask":
                    which.view(-1, self.site.experts)[row] = 0
                    which.view(-1, self.site.experts)[row, int(variant.choice[0])] = 1
                else:
                    which[row] = torch.from_numpy(variant.choice).to(which)
                weights.view(total, -1)[row] = torch.from_numpy(made).to(weights)
            said["weights"] = weights.requires_grad_()
            return (values[0], which, weights, *values[3:]), {}

        def after(_module: Any, _given: Any, result: Any) -> None:
            said["output"] = result

        def answer(losses: torch.Tensor) -> tuple[list[float], Floats]:
            at_gates, u = self._gradients(losses, said["weights"], said["output"])
            return at_gates.reshape(total, -1)[rows, -1].tolist(), numbers(flat(u)[rows])

        hooks.handles += [self.site.module.register_forward_pre_hook(before, with_kwargs=True),
                          self.site.module.register_forward_hook(after)]
        return answer

    def _by_inputs(self, hooks: Hooks, variants: Sequence[Variant], rows: list[int], wanted: list[Floats]) -> _Answer:
        """Experts whose inputs are multiplied by the gates, all of them side by side, get others; those left out get zeros."""
        said: dict[str, Any] = {}
        last = torch.tensor([made[-1] for made in wanted], dtype=self.inputs.dtype, device=self.inputs.device, requires_grad=True)

        def before(_module: Any, given: Any, named: Any) -> Any:
            values = [*given, *named.values()]
            inputs = values[0].detach().clone()
            each = inputs.reshape(self.site.experts, -1, inputs.shape[-1])
            for copy, (row, variant, made) in enumerate(zip(rows, variants, wanted)):
                x = self.inputs[variant.token]
                shares = torch.zeros_like(each[:, row])
                for i, weight in zip(variant.choice[:-1].tolist(), made):
                    shares[i] = float(weight) * x
                shares[int(variant.choice[-1])] = last[copy] * x
                each = each.index_copy(1, torch.tensor([row], device=each.device), shares[:, None])
            return (each.reshape(inputs.shape), *values[1:]), {}

        def after(_module: Any, _given: Any, result: Any) -> None:
            said["output"] = result

        def answer(losses: torch.Tensor) -> tuple[list[float], Floats]:
            at_gates, u = self._gradients(losses, last, said["output"])
            return at_gates.tolist(), numbers(u.reshape(self.site.experts, -1, u.shape[-1])[0][rows])  # their sum goes on

        hooks.handles += [self.site.module.register_forward_pre_hook(before, with_kwargs=True),
                          self.site.module.register_forward_hook(after)]
        return answer

    def _by_output(self, hooks: Hooks, variants: Sequence[Variant], rows: list[int], wanted: list[Floats]) -> _Answer:
        """The output of a block of which nothing more is known gets what new experts add in the place of what the old ones added."""
        said: dict[str, Any] = {}

        def added(token: int, choice: Indices, weights: Floats) -> torch.Tensor:
            with torch.no_grad():
                return torch.stack([self._share(token, i, float(w)) for i, w in zip(choice.tolist(), weights)]).sum(0)

        moves = [added(variant.token, variant.choice, made) - added(variant.token, self.choice[variant.token], self.gates[variant.token])
                 for variant, made in zip(variants, wanted)]

        def after(_module: Any, _given: Any, result: Any) -> Any:
            output = flat(first(result).detach()).clone()
            for row, move in zip(rows, moves):
                output[row] += move
            said["output"] = output.requires_grad_()
            moved = output.reshape(first(result).shape)
            return type(result)([moved, *result[1:]]) if isinstance(result, (tuple, list)) else moved

        def answer(losses: torch.Tensor) -> tuple[list[float], Floats]:
            u = numbers(self._gradients(losses, said["output"])[0][rows])
            ones = [numbers(added(variant.token, variant.choice[-1:], np.ones(1))) for variant in variants]
            return [float(gradient @ f) for gradient, f in zip(u, ones)], u

        hooks.handles.append(self.site.module.register_forward_hook(after))
        return answer


def repeated(batch: Any, copies: int) -> Any:
    """A batch with its rows again and again: copy after copy along the first axis of every tensor that has as many rows as the others."""
    if isinstance(batch, torch.Tensor) and batch.ndim:
        return batch.repeat(copies, *[1] * (batch.ndim - 1))
    if not isinstance(batch, Mapping):
        raise RouteGradError(f"together: expected a batch that is a dict of tensors or a tensor, got {shown(batch)}")
    tensors = {key: x for key, x in batch.items() if isinstance(x, torch.Tensor) and x.ndim}
    lengths = {len(x) for x in tensors.values()}
    if len(lengths) != 1:
        raise RouteGradError("together: expected a batch whose tensors have equally many rows")
    return {key: repeated(x, copies) if key in tensors else x for key, x in batch.items()}
