"""What the loss of a network of JAX would be with another expert. For `routegrad.jax`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ._counterfactuals import Counterfactuals, Question, Variant
from ._errors import RouteGradError
from ._gates import Floats
from ._jax_audit import Layer, as_it_is, checked_layers, numbers, outputs, require_shapes, rounding, run
from ._network_audit import as_given


def counterfactuals(
    loss: Callable[[Any, Any], Any], params: Any, batch: Any, layer: Layer, tokens: Sequence[int], *,
    nodes: Sequence[float] = (1.0,), together: int = 1, progress: Callable[[str], None] | None = None,
) -> Counterfactuals:
    """Runs a network again with one token's last-chosen expert at one layer replaced by each other one.

    The same problems as :func:`routegrad.torch.counterfactuals` gives: what the token's experts give together, as ``combined`` is told it, is
    replaced by what its others would; everything else is as it was, and layers above route anew.

    Args:
        layer: a :class:`Layer`, which the network calls once.
        tokens: as the layer counts them.
        nodes: what the gate is multiplied by; 0.5 besides for ``midpoint``, whose table needs it. For mixtures only.
        together: so many variants go through the network side by side, under ``jax.vmap``.
        loss, params, batch, progress: as in :func:`audit`.

    It costs a forward and backward pass for each token, expert and node, and one forward pass more.
    """
    question = Question.of(tokens, nodes, together)
    known, = checked_layers(layer)
    if any(isinstance(leaf, jax.core.Tracer) for leaf in jax.tree_util.tree_leaves((params, batch))):
        raise RouteGradError("params, batch: expected arrays, got a tracer; call it outside of jit, grad and vmap")
    with jax.disable_jit():
        said, _ = as_it_is(loss, params, batch)
        mine = [one for one in said if one.name == known.name]
        if len(mine) != 1:
            raise RouteGradError(f"{known.name}: expected a layer that is called once, it is called {len(mine)} times")
        require_shapes(known, mine[0])
        logits, choice = numbers(mine[0].logits), np.asarray(mine[0].choice).astype(np.int64)
        if not np.isfinite(logits).all():
            raise RouteGradError(f"{known.name}: logits: expected finite numbers")
        spec = as_given(known.name, known.specification, logits, choice, numbers(mine[0].gates), rounding(mine[0]), False)
        return question.answered(
            known.name, logits, choice, spec, _Runs(loss, params, batch, known, mine[0].x, mine[0].output), progress or (lambda _: None))


class _Runs:
    """A network that is run again and again."""

    def __init__(self, loss: Any, params: Any, batch: Any, layer: Layer, x: Any, output: Any):
        self.params, self.layer, self.x, self.output = params, layer, jnp.asarray(x), output

        def at(token: int, value: Any) -> Any:
            return jnp.reshape(run(loss, params, batch, replaced=(layer.name, token, value))[0], ())

        self.at = at
        self.known: dict[tuple[int, int], Any] = {}

    def _output(self, i: int, token: int) -> Any:
        if (i, token) not in self.known:
            found = outputs(self.layer, self.params, i, self.x[token:token + 1], self.output.shape[1])[0]
            if not np.isfinite(numbers(found)).all():
                raise RouteGradError(f"{self.layer.name}: expert {i}: expected finite numbers")
            self.known[i, token] = found
        return self.known[i, token]

    def shares(self, token: int, among: list[int], weights: list[float]) -> Floats:
        """What experts add to a token's output with these gates, [experts, d]."""
        return np.stack([weight * numbers(self._output(i, token)) for i, weight in zip(among, weights)])

    def replaced(self, variants: Sequence[Variant], together: int) -> list[tuple[float, float, Floats]]:
        """Of each variant: the loss, its slope by the last gate, and its gradient at the token's output."""
        found: list[tuple[float, float, Floats]] = []
        for start in range(0, len(variants), together):
            some = variants[start:start + together]
            token = some[0].token
            values = jnp.stack([sum(
                (gate * self._output(int(i), token) for i, gate in zip(one.choice, [*one.gates[:-1], one.factor * one.gates[-1]])),
                start=jnp.zeros_like(self.output[0])) for one in some])
            of = jax.value_and_grad(lambda value, token=token: self.at(token, value))
            losses, u = jax.vmap(of)(values) if len(some) > 1 else (part[None] for part in of(values[0]))
            if not np.isfinite(numbers(losses)).all():
                raise RouteGradError("loss: expected finite numbers")
            for one, value, row in zip(some, numbers(losses), numbers(u)):
                found.append((float(value), float(row @ numbers(self._output(int(one.choice[-1]), token))), row))
        return found
