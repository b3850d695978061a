"""The audit of a network: one forward and backward pass, all experts for some tokens. For `routegrad.torch`."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch

from ._arguments import seed as check_seed
from ._arguments import shown, whole
from ._errors import RouteGradError
from ._gates import Floats, gates
from ._network_audit import Call, findings, require_logits, taken
from ._network_report import LayerFindings, NetworkAudit
from ._torch_blocks import Site, sites

_CHUNK = 512


@dataclasses.dataclass
class Recorded:
    """What a block said in one call, of the tokens taken; tensors in the graph are whole."""

    logits: torch.Tensor
    choice: torch.Tensor
    gates: torch.Tensor
    x: torch.Tensor
    read: torch.Tensor
    output: torch.Tensor
    rows: torch.Tensor
    tokens: int


def audit(
    model: torch.nn.Module, batch: Any, layers: Any = None, tokens: int = 512, *,
    loss: Callable[[torch.nn.Module, Any], torch.Tensor] | None = None, seed: int = 0,
    progress: Callable[[str], None] | None = None,
) -> NetworkAudit:
    """How far the gradient of every router of a network is from dense back-propagation.

    One forward and one backward pass of the loss say what goes into each block, its logits θ and u = ∂L/∂y; then all experts
    are evaluated for up to ``tokens`` tokens of each layer. With c_i = u·f_i(x): training gives θ the gradient
    Σ_{i∈A} c_i ∂g_i/∂θ over the chosen A; dense back-propagation has the experts left out, too, each with the gate that it
    would have had (docs/guides/network-audit.md).

    Args:
        model: of transformers, or any module with ``layers`` of :class:`Block`. It stays as it is: parameters, gradients,
            mode, and the state of torch's random numbers.
        batch: what the model is called with, a dict with ``labels``; anything, if ``loss`` is given.
        layers: numbers among the model's blocks, their names, and Blocks; None for every block that is known.
        tokens: at most so many of each layer, chosen at random by ``seed``.
        loss: from the model and the batch to the loss; else the model's own, ``model(**batch).loss``.
        progress: is told what it will cost before it starts, and each layer.

    Raises RouteGradError for blocks that are not known, weights that are quantised, sharded or not there, numbers that are not
    finite, a model whose routers get no gradient, and gates that are not those of the specification.
    """
    count = whole(tokens, "tokens")
    if count < 1:
        raise RouteGradError(f"tokens: expected at least 1, got {shown(tokens)}")
    check_seed(seed)
    found = sites(model, layers)
    say = progress or (lambda _: None)
    say(f"{len(found)} layers: a forward and a backward pass, then up to {count} tokens through "
        f"{sum(site.experts for site in found)} experts ({count * sum(site.experts for site in found)} evaluations)")
    with untouched(model):
        records, value, pulled = _passes(model, batch, found, count, loss, seed)
        layers_found, evaluations = [], 0
        for site, recorded, got in zip(found, records, pulled):
            say(f"{site.name}: {sum(len(record.rows) for record in recorded)} tokens through {site.experts} experts")
            layers_found.append(_layer(site, recorded, got))
            evaluations += layers_found[-1].tokens * site.experts
    return NetworkAudit(tuple(layers_found), value, evaluations, count, seed)


@contextmanager
def untouched(model: torch.nn.Module) -> Iterator[None]:
    """Puts the mode of every module and the state of the random numbers back."""
    modes = [(module, module.training) for module in model.modules()]
    devices = sorted({tensor.device.index for tensor in model.parameters() if tensor.device.type == "cuda"})
    try:
        with torch.random.fork_rng(devices), torch.enable_grad():
            yield
    finally:
        for module, mode in modes:
            module.training = mode


def losses_of(model: torch.nn.Module, batch: Any, loss: Callable[[torch.nn.Module, Any], torch.Tensor] | None) -> torch.Tensor:
    """The loss or losses, in the graph."""
    value: Any
    if loss is not None:
        value = loss(model, batch)
    else:
        if not isinstance(batch, Mapping):
            raise RouteGradError(f"batch: expected a dict of the model's arguments, got {shown(batch)}")
        device = next(model.parameters()).device
        result = model(**{key: x.to(device) if isinstance(x, torch.Tensor) else x for key, x in batch.items()})
        value = getattr(result, "loss", None)
        if value is None:
            raise RouteGradError("batch: expected labels, the model returned no loss; or give loss=")
    if not isinstance(value, torch.Tensor) or value.numel() < 1:
        raise RouteGradError(f"loss: expected a tensor of one number, got {shown(value)}")
    if not torch.isfinite(value).all():
        raise RouteGradError(f"loss: expected a finite number, got {shown(value.detach().flatten().tolist())}")
    found: torch.Tensor = value
    return found


def value_of(model: torch.nn.Module, batch: Any, loss: Callable[[torch.nn.Module, Any], torch.Tensor] | None) -> torch.Tensor:
    """The loss, a number in the graph."""
    found = losses_of(model, batch, loss)
    if found.numel() != 1:
        raise RouteGradError(f"loss: expected a tensor of one number, got {shown(found)}")
    return found.reshape(())


def first(value: Any) -> Any:
    return value[0] if isinstance(value, (tuple, list)) else value


def flat(value: torch.Tensor) -> torch.Tensor:
    return value.reshape(-1, value.shape[-1])


class Hooks:
    """Hooks that are gone afterwards, whatever happened."""

    def __init__(self) -> None:
        self.handles: list[Any] = []

    def __enter__(self) -> Hooks:
        return self

    def __exit__(self, *_: Any) -> None:
        for handle in self.handles:
            handle.remove()


def _passes(
    model: torch.nn.Module, batch: Any, found: list[Site], count: int, loss: Any, seed: int
) -> tuple[list[list[Recorded]], float, list[list[tuple[torch.Tensor, torch.Tensor | None]]]]:
    """The records of each layer's calls, the loss, and for each record u and ∂L/∂θ through the gates (None: there is none)."""
    records: list[list[Recorded]] = [[] for _ in found]
    said: dict[tuple[str, int], Any] = {}

    def watch(hooks: Hooks, at: int, site: Site) -> None:
        def weighed(_module: Any, given: Any, _result: Any) -> None:
            said["x", at] = flat(given[0].detach())

        def routed(_module: Any, _given: Any, result: Any) -> None:
            said["router", at] = result

        def before(_module: Any, given: Any, named: Any) -> None:
            said["given", at] = [*given, *named.values()]

        def after(_module: Any, _given: Any, _named: Any, result: Any) -> None:
            if ("router", at) not in said:
                raise RouteGradError(f"{site.name}: expected its router to be called before its experts")
            given = said.pop(("given", at))
            x = said.pop(("x", at))
            logits, choice, live = site.read(said.pop(("router", at)), given)
            output = first(result)
            total = len(flat(logits))
            shapes = {"choice": len(choice), "router's input": len(x), "output": output.numel() // output.shape[-1] // (
                site.experts if site.to_input else 1)}
            for what, length in shapes.items():
                if length != total:
                    raise RouteGradError(f"{site.name}: {what}: expected {total} tokens as in the logits, got {length}")
            if logits.shape[-1] != site.experts:
                raise RouteGradError(f"{site.name}: logits: expected {site.experts} experts, got {logits.shape[-1]}")
            if not (output.requires_grad and logits.requires_grad):
                raise RouteGradError(
                    f"{site.name}: expected a router that gets a gradient: weights that require one, no torch.no_grad, no reentrant "
                    "gradient checkpointing")
            rows = torch.from_numpy(taken(total, count, seed)).to(x.device)
            read = x if site.to_input else flat(given[0].detach())
            records[at].append(Recorded(logits, choice, live, x[rows], read[rows], output, rows, total))

        hooks.handles += [
            site.weighed.register_forward_hook(weighed), site.router.register_forward_hook(routed),
            site.module.register_forward_pre_hook(before, with_kwargs=True),
            site.module.register_forward_hook(after, with_kwargs=True)]

    with Hooks() as hooks:
        for at, site in enumerate(found):
            watch(hooks, at, site)
        value = value_of(model, batch, loss)
    for site, recorded in zip(found, records):
        if not recorded:
            raise RouteGradError(f"{site.name}: expected the model to call it, it did not")
    if not value.requires_grad:
        raise RouteGradError("loss: expected a loss that depends on the model's weights")
    flattened = [record for recorded in records for record in recorded]
    sources = [tensor for record in flattened for tensor in (record.output, record.gates) if tensor.requires_grad]
    got = iter(torch.autograd.grad(value, sources, retain_graph=True, allow_unused=True))
    pulled: list[list[Any]] = []
    for site, recorded in zip(found, records):
        pulled.append([])
        for record in recorded:
            u, at_gates = next(got), next(got) if record.gates.requires_grad else None
            if u is None:
                raise RouteGradError(f"{site.name}: expected a loss that depends on its output")
            at_logits = None
            if at_gates is not None:
                at_logits, = torch.autograd.grad(record.gates, record.logits, at_gates, retain_graph=True, allow_unused=True)
            u = u.reshape(site.experts, -1, u.shape[-1])[0] if site.to_input else flat(u)
            pulled[-1].append((u[record.rows], at_logits))
            record.output = u[:0]  # the graph may go
            record.logits, record.gates = flat(record.logits.detach()), record.gates.detach()
    return records, float(value.detach()), pulled


def slopes(site: Site, x: torch.Tensor, u: torch.Tensor, logits: Floats) -> tuple[Floats, float]:
    """c [tokens, N], and the largest ‖u‖‖f‖.

    c_i = u·f_i(x); where the gate is on the input, ∂(u·f_i(m x))/∂m at the gate m that expert i has by the logits. In float64 if the
    experts are, else in float32, whose rounding is that of the experts' own products.
    """
    every = np.broadcast_to(np.arange(site.experts), logits.shape)
    found = np.zeros(logits.shape)
    most = 0.0
    modes = [(module, module.training) for module in site.module.modules()]
    try:
        for start in range(0, len(x), _CHUNK):
            part = slice(start, start + _CHUNK)
            states, cotangent = x[part], u[part]
            if site.to_input:
                made = torch.from_numpy(gates(site.specification, logits[part], every[part]).T).to(states)
                with torch.enable_grad():
                    m = made.contiguous().requires_grad_()
                    f = site.module((m[:, :, None] * states).reshape(-1, states.shape[-1])).reshape(*m.shape, -1)
                    slope, = torch.autograd.grad((f * cotangent).sum(), m)
                found[part] = numbers(slope.T)
                most = max(most, float((f.detach().norm(dim=-1) * cotangent.norm(dim=-1)).max()))
                continue
            wide = torch.promote_types(cotangent.dtype, torch.float32)
            with torch.no_grad():
                cotangent = cotangent.to(wide)
                columns = torch.empty(site.experts, len(states), dtype=wide, device=u.device)
                norms = torch.zeros(len(states), dtype=wide, device=u.device)
                for i in range(site.experts):
                    f = first(site.each(i, states))
                    if f.shape != cotangent.shape:
                        raise RouteGradError(
                            f"{site.name}: expert {i}: expected an output of shape {list(cotangent.shape)}, got {list(f.shape)}")
                    f = f.to(wide)
                    torch.linalg.vecdot(f, cotangent, out=columns[i])
                    norms = torch.maximum(norms, torch.linalg.vector_norm(f, dim=1))
                found[part] = numbers(columns.T)
                most = max(most, float((norms * cotangent.norm(dim=1)).max()))
    finally:
        for module, mode in modes:
            module.training = mode
    return found, most


def numbers(tensor: torch.Tensor) -> Floats:
    """A tensor in float64, on the CPU first: not every device has it."""
    found: Floats = tensor.detach().cpu().double().numpy()
    return found


def precision(*tensors: torch.Tensor) -> float:
    """The unit of rounding of the coarsest."""
    return max(float(torch.finfo(tensor.dtype).eps) for tensor in tensors)


def _layer(site: Site, recorded: list[Recorded], pulled: list[Any]) -> LayerFindings:
    calls = []
    for record, (u, at_logits) in zip(recorded, pulled):
        logits = numbers(record.logits[record.rows])
        for what, tensor in (("input", record.x), ("gradient at its output", u)):
            if not torch.isfinite(tensor).all():
                raise RouteGradError(f"{site.name}: {what}: expected finite numbers")
        require_logits(logits, site.name)
        c, most = slopes(site, record.read, u, logits)
        calls.append(Call(
            record.rows.cpu().numpy(), record.choice.cpu().numpy(), logits,
            numbers(record.gates.reshape(record.tokens, -1)[record.rows]), numbers(record.x), c, most,
            precision(record.gates, record.read, record.logits),
            None if at_logits is None else numbers(flat(at_logits)[record.rows])))
    return findings(site.name, site.specification, site.experts, calls, scaled_after=site.form == "index", compared=site.form != "own")
