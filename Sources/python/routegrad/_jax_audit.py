"""The audit of a network of JAX: where its layers are is said by two calls in it. For `routegrad.jax`."""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ._arguments import seed as check_seed
from ._arguments import shown, text, whole
from ._errors import RouteGradError
from ._gates import Floats, check_specification
from ._network_audit import Call, findings, require_logits, taken
from ._network_report import NetworkAudit

_CHUNK = 512
_OUTSIDE = "expected arrays, got a tracer; the audit goes without jit, but the layer must not be inside of vmap, grad, checkpoint or shard_map"


@dataclasses.dataclass(frozen=True, eq=False)
class Layer:
    """A MoE layer, y = Σ_j gates_j f_{choice_j}(x), plus whatever does not depend on the gates.

    With ``route`` it is a function itself: ``layer(params, x)`` evaluates the experts, all of them for all tokens, and says ``routed`` and
    ``combined`` by itself: for a layer that is looked at alone, and for small models.
    """

    name: str
    """As ``routed`` and ``combined`` say it."""
    experts: int
    """N."""
    expert: Callable[[Any, int, Any], Any]
    """f_i(x), called as ``expert(params, i, x)`` with the audit's params and x [tokens, d]; [tokens, e]. May be jitted, i being static or not."""
    specification: Mapping[str, Any]
    """What the gates are (docs/router-specifications.md); gates of another function are refused."""
    route: Callable[[Any, Any], tuple[Any, Any, Any]] | None = None
    """Called as ``route(params, x)``; logits [tokens, N], choice [tokens, k], gates [tokens, k]."""

    def __call__(self, params: Any, x: Any) -> Any:
        """y of x [tokens, d]."""
        if self.route is None:
            raise RouteGradError(f"{self.name}: route: expected a function, to evaluate the layer by itself")
        logits, choice, gates = self.route(params, x)
        gates = routed(self.name, x, logits, choice, gates)
        outputs = jnp.stack([self.expert(params, i, x) for i in range(self.experts)], 1)
        chosen = jnp.take_along_axis(outputs, jnp.maximum(choice, 0)[:, :, None], 1)
        return combined(self.name, (jnp.where(choice < 0, 0, gates)[:, :, None] * chosen).sum(1))


@dataclasses.dataclass
class _Said:
    """One call of a layer, as it was said."""

    name: str
    x: Any
    logits: Any
    choice: Any
    gates: Any
    output: Any = None


class _Recording(threading.local):
    """What a thread's audit listens to, adds to gates and outputs, and puts in the place of one token's output."""

    said: list[_Said] | None = None
    offsets: list[tuple[Any, Any]] | None = None
    replaced: tuple[str, int, Any] | None = None


_recording = _Recording()


def routed(name: str, x: Any, logits: Any, choice: Any, gates: Any) -> Any:
    """Tells an audit how tokens are routed; returns the gates, which the experts' outputs have to be multiplied by.

    Outside of an audit it returns them as they are, and costs nothing.

    Args:
        x: what the router and the experts get, [tokens, d].
        logits: θ, [tokens, N], before scores, biases and the choice.
        choice: [tokens, k], −1 where an expert turned the token away.
        gates: [tokens, k], as the experts' outputs are multiplied by them.
    """
    if _recording.said is None:
        return gates
    at = len(_recording.said)
    _recording.said.append(_Said(name, x, logits, choice, gates))
    if _recording.offsets is None:
        return gates
    return gates + _recording.offsets[at][0] if at < len(_recording.offsets) else gates


def combined(name: str, output: Any) -> Any:
    """Tells an audit what the experts give together, [tokens, e], after `routed` of the same name; returns it."""
    if _recording.said is None:
        return output
    at = next((i for i in reversed(range(len(_recording.said))) if _recording.said[i].name == name), None)
    if at is None or _recording.said[at].output is not None:
        raise RouteGradError(f"{shown(name)}: expected routed before combined, once each")
    if _recording.replaced is not None and _recording.replaced[0] == name:
        output = output.at[_recording.replaced[1]].set(_recording.replaced[2].astype(output.dtype))
    _recording.said[at].output = output
    if _recording.offsets is None:
        return output
    return output + _recording.offsets[at][1] if at < len(_recording.offsets) else output


def audit(
    loss: Callable[[Any, Any], Any], params: Any, batch: Any, layers: Any, tokens: int = 512, *, seed: int = 0,
    progress: Callable[[str], None] | None = None,
) -> NetworkAudit:
    """How far the gradient of every router of a network is from dense back-propagation.

    The same figures as :func:`routegrad.torch.audit`, from the same formulas (docs/guides/network-audit.md): a forward pass says what goes
    into each layer, a forward and a backward pass u = ∂L/∂y and ∂L/∂g, and all experts are evaluated for up to ``tokens`` tokens. That the
    gates are those of the specification, and that u·f_i of the experts chosen is ∂L/∂g_i, is checked.

    Args:
        loss: called as ``loss(params, batch)`` under ``jax.disable_jit``; a number. It calls `routed` and `combined` in every layer.
        params, batch: what it is called with; arrays, or whatever it takes.
        layers: a :class:`Layer` or a list of them; others that the network names are left out.
        tokens, seed, progress: as in :func:`routegrad.torch.audit`. A layer that is called more than once, as in a scan, has the tokens of
            all its calls, which must have the same experts.

    Raises RouteGradError for layers that are not called, shapes that do not fit, numbers that are not finite, tracers where arrays should
    be, gates that are not those of the specification, and experts that are not those of the network.
    """
    count = whole(tokens, "tokens")
    if count < 1:
        raise RouteGradError(f"tokens: expected at least 1, got {shown(tokens)}")
    check_seed(seed)
    known = checked_layers(layers)
    if any(isinstance(leaf, jax.core.Tracer) for leaf in jax.tree_util.tree_leaves((params, batch))):
        raise RouteGradError("params, batch: expected arrays, got a tracer; call the audit outside of jit, grad and vmap")
    say = progress or (lambda _: None)
    every = sum(layer.experts for layer in known)
    say(f"{len(known)} layers: two forward passes and a backward pass, then up to {count} tokens through {every} experts "
        f"({count * every} evaluations)")
    said, value, pulled = _passes(loss, params, batch)
    found, evaluations = [], 0
    for layer in known:
        at = [i for i, one in enumerate(said) if one.name == layer.name]
        if not at:
            names = ", ".join(dict.fromkeys(one.name for one in said)) or "none"
            raise RouteGradError(f"{layer.name}: expected the network to call routed with this name, it has {names}")
        say(f"{layer.name}: {sum(min(count, len(said[i].logits)) for i in at)} tokens through {layer.experts} experts")
        calls = [_call(layer, said[i], pulled[i], params, count, seed) for i in at]
        found.append(findings(
            layer.name, layer.specification, layer.experts, calls, scaled_after=False, compared=True))
        evaluations += found[-1].tokens * layer.experts
    return NetworkAudit(tuple(found), value, evaluations, count, seed)


def checked_layers(layers: Any) -> list[Layer]:
    known = [layers] if isinstance(layers, Layer) else layers
    if not isinstance(known, (list, tuple)) or not known or not all(isinstance(layer, Layer) for layer in known):
        raise RouteGradError(f"layers: expected a Layer or a list of them, got {shown(layers)}")
    for layer in known:
        text(layer.name, "layers: name")
        if whole(layer.experts, f"{layer.name}: experts") < 1:
            raise RouteGradError(f"{layer.name}: experts: expected at least 1, got {shown(layer.experts)}")
        if not isinstance(layer.specification, Mapping):
            raise RouteGradError(f"{layer.name}: specification: expected a dict, got {shown(layer.specification)}")
        check_specification(layer.specification, layer.name)
        if layer.specification.get("applied") == "input":
            raise RouteGradError(f"{layer.name}: specification.applied: expected output")
    if len({layer.name for layer in known}) < len(known):
        raise RouteGradError("layers: expected each name once")
    return list(known)


def run(
    loss: Callable[[Any, Any], Any], params: Any, batch: Any, offsets: Any = None, replaced: tuple[str, int, Any] | None = None,
) -> tuple[Any, list[_Said]]:
    """The loss and what the layers said meanwhile.

    Args:
        offsets: by call, what is added to gates and to outputs.
        replaced: a layer, a token, and what its experts give there instead.
    """
    if _recording.said is not None:
        raise RouteGradError("loss: expected no audit within an audit")
    said: list[_Said] = []
    _recording.said, _recording.offsets, _recording.replaced = said, offsets, replaced
    try:
        value = loss(params, batch)
    finally:
        _recording.said = _recording.offsets = _recording.replaced = None
    return value, said


def as_it_is(loss: Any, params: Any, batch: Any) -> tuple[list[_Said], float]:
    """What each call says, and the loss; without jit, as its caller sees to."""
    if not callable(loss):
        raise RouteGradError(f"loss: expected a callable, got {shown(loss)}")
    value, said = run(loss, params, batch)
    if not said:
        raise RouteGradError("loss: expected it to call routegrad.jax.routed and combined in its layers, it did not")
    for one in said:
        if one.output is None:
            raise RouteGradError(f"{one.name}: expected combined after routed, once each")
        for what in ("x", "logits", "choice", "gates", "output"):
            if isinstance(getattr(one, what), jax.core.Tracer):
                raise RouteGradError(f"{one.name}: {what}: {_OUTSIDE}")
    if isinstance(value, jax.core.Tracer) or np.shape(value) not in ((), (1,)):
        raise RouteGradError(f"loss: expected a number, got shape {list(np.shape(value))}")
    number = float(np.asarray(value, np.float64).reshape(()))
    if not np.isfinite(number):
        raise RouteGradError(f"loss: expected a finite number, got {number}")
    return said, number


def _passes(loss: Any, params: Any, batch: Any) -> tuple[list[_Said], float, list[tuple[Floats, Floats]]]:
    """What each call said, the loss, and ∂L/∂g and ∂L/∂y of each call."""
    with jax.disable_jit():
        said, number = as_it_is(loss, params, batch)

        def moved(offsets: Any) -> Any:
            again, once_more = run(loss, params, batch, offsets)
            if len(once_more) != len(said):
                raise RouteGradError("loss: expected the same calls of its layers every time it is called")
            return jnp.reshape(again, ())

        pulled = jax.grad(moved)([(jnp.zeros_like(one.gates), jnp.zeros_like(one.output)) for one in said])
    return said, number, [(numbers(g), numbers(u)) for g, u in pulled]


def numbers(array: Any) -> Floats:
    found: Floats = np.asarray(array).astype(np.float64)
    return found


def require_shapes(layer: Layer, said: _Said) -> None:
    """Raises if what a call says does not fit together."""
    name, total = layer.name, len(said.logits)
    shapes = {
        "logits": (said.logits, (total, layer.experts)), "choice": (said.choice, (total, None)),
        "gates": (said.gates, tuple(np.shape(said.choice))), "x": (said.x, (total, None)), "output": (said.output, (total, None))}
    for what, (array, wanted) in shapes.items():
        shape = tuple(np.shape(array))
        if len(shape) != len(wanted) or any(w is not None and w != n for n, w in zip(shape, wanted)):
            words = ", ".join("any" if w is None else str(w) for w in wanted)
            raise RouteGradError(f"{name}: {what}: expected shape [{words}], got {list(shape)}")
    choices = np.asarray(said.choice)
    if choices.dtype.kind not in "iu" or choices.size and not (-1 <= choices.min() and choices.max() < layer.experts):
        raise RouteGradError(f"{name}: choice: expected whole numbers from -1 to {layer.experts - 1}")


def outputs(layer: Layer, params: Any, i: int, x: Any, width: int) -> Any:
    """f_i of some tokens, [tokens, width]."""
    f = layer.expert(params, i, x)
    if isinstance(f, jax.core.Tracer):
        raise RouteGradError(f"{layer.name}: expert {i}: {_OUTSIDE}")
    if tuple(np.shape(f)) != (len(x), width):
        raise RouteGradError(f"{layer.name}: expert {i}: expected an output of shape {[len(x), width]}, got {list(np.shape(f))}")
    return f


def rounding(said: _Said) -> float:
    """The unit of rounding of what a call says."""
    limits: Any = jnp.finfo
    return max(float(limits(array.dtype).eps) for array in (said.logits, said.gates, said.output))


def _call(layer: Layer, said: _Said, pulled: tuple[Floats, Floats], params: Any, count: int, seed: int) -> Call:
    """A call with its shapes checked and all experts evaluated."""
    require_shapes(layer, said)
    name, total = layer.name, len(said.logits)
    choices = np.asarray(said.choice).astype(np.int64)
    rows = taken(total, count, seed)
    at_gates, u = (part[rows] for part in pulled)
    x = jnp.asarray(said.x)[rows]
    logits = numbers(said.logits)[rows]
    for what, array in (("input", numbers(x)), ("gates", numbers(said.gates)[rows]), ("gradient at its output", u)):
        if not np.isfinite(array).all():
            raise RouteGradError(f"{name}: {what}: expected finite numbers")
    require_logits(logits, name)
    if not u.any():
        raise RouteGradError(f"{name}: expected a loss that depends on its output, the gradient there is 0")
    c = np.zeros(logits.shape)
    most = 0.0
    for start in range(0, len(x), _CHUNK):
        part = slice(start, start + _CHUNK)
        for i in range(layer.experts):
            wide = numbers(outputs(layer, params, i, x[part], u.shape[1]))
            c[part, i] = np.einsum("td,td->t", wide, u[part])
            most = max(most, float((np.linalg.norm(wide, axis=1) * np.linalg.norm(u[part], axis=1)).max()))
    return Call(rows, choices, logits, numbers(said.gates)[rows], numbers(x), c, most, rounding(said), at_gates=at_gates)
