"""MoE blocks of a network: where they are, and what is read of them in a forward pass. For `routegrad.torch`."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch

from ._arguments import shown
from ._errors import RouteGradError
from ._gates import check_specification

_DTYPES = (torch.float16, torch.bfloat16, torch.float32, torch.float64)


@dataclasses.dataclass(frozen=True, eq=False)
class Block:
    """A MoE block of your own: y = Σ_j gates_j f_{choice_j}(x), plus whatever does not depend on the gates.

    Its router is called once for each call of the block, which is given x as its first argument.
    """

    block: torch.nn.Module
    """Its result, or the first of its results, is y, [..., d]."""
    router: torch.nn.Module
    """Its result is what ``logits``, ``choice`` and ``gates`` are given."""
    experts: Sequence[Callable[[torch.Tensor], torch.Tensor]]
    """f_i, each from [tokens, d] to [tokens, d]."""
    logits: Callable[[Any], torch.Tensor]
    """θ, [tokens, N], in the graph."""
    choice: Callable[[Any], torch.Tensor]
    """[tokens, k]; −1 where an expert turned the token away."""
    gates: Callable[[Any], torch.Tensor]
    """[tokens, k], as the block multiplies by them."""
    specification: Mapping[str, Any]
    """What the gates are (docs/router-specifications.md); gates of another function are refused."""
    name: str = ""


@dataclasses.dataclass(frozen=True, eq=False)
class Site:
    """A block as it is recorded: what goes into `module` and comes out of it, and what its router says."""

    name: str
    module: torch.nn.Module
    router: torch.nn.Module
    weighed: torch.nn.Module
    """The module that multiplies by the router's weight: its input is the x of the router's gradient."""
    specification: Mapping[str, Any]
    form: str
    """`index`, `mask`, `input` or `own`."""
    experts: int
    read: Callable[[Any, list[Any]], tuple[torch.Tensor, torch.Tensor, torch.Tensor]]
    """From the router's result and the module's arguments: logits [T, N], choice [T, k], and the gates in the graph."""
    each: Callable[[int, torch.Tensor], torch.Tensor]
    """f_i(x)."""

    @property
    def to_input(self) -> bool:
        return self.form == "input"


def sites(model: torch.nn.Module, layers: Any) -> list[Site]:
    """The blocks asked for; all that are known if None."""
    if not isinstance(model, torch.nn.Module):
        raise RouteGradError(f"model: expected a torch.nn.Module, got {shown(model)}")
    if isinstance(layers, (str, int, Block)):
        layers = [layers]
    if layers is not None and not isinstance(layers, (list, tuple, range)):
        raise RouteGradError(f"layers: expected None or a list of numbers, names and Blocks, got {shown(layers)}")
    own = [layer for layer in layers or () if isinstance(layer, Block)]
    found = _known(model) if layers is None or len(own) < len(layers) else []
    if layers is None:
        chosen: list[Site] = [_transformers(name, module) for name, module in found]
    else:
        chosen = []
        for layer in layers:
            if isinstance(layer, Block):
                chosen.append(_own(model, layer))
                continue
            names = [name for name, _ in found]
            if isinstance(layer, str) and layer in names:
                chosen.append(_transformers(*found[names.index(layer)]))
            elif isinstance(layer, int) and not isinstance(layer, bool) and -len(found) <= layer < len(found):
                chosen.append(_transformers(*found[layer]))
            else:
                raise RouteGradError(
                    f"layers: expected a number below {len(found)} or one of {', '.join(names) or 'none'}, got {shown(layer)}")
    if not chosen:
        raise RouteGradError(
            f"model: {type(model).__name__} has none of the MoE blocks of transformers that are known; say where they are by "
            "routegrad.torch.Block")
    if len({id(site.module) for site in chosen}) < len(chosen):
        raise RouteGradError("layers: expected each layer once")
    for site in chosen:
        _check(site)
    return chosen


def _known(model: torch.nn.Module) -> list[tuple[str, torch.nn.Module]]:
    from ._hf_families import FAMILIES

    return [(name, module) for name, module in model.named_modules()
            if any(kind.__name__ in FAMILIES for kind in type(module).__mro__)]


def _transformers(name: str, made: torch.nn.Module) -> Site:
    from ._hf_blocks import _family, _router, _weight, specification

    kind, family = type(made).__name__, _family(made)
    experts: Any = getattr(made, "experts", None)
    supported = family.form in ("index", "mask", "input") and family.logits is not None and kind != "NllbMoeSparseMLP"
    if not supported or not isinstance(experts, torch.nn.Module):
        raise RouteGradError(f"{name}: {kind} is not audited as it is; say what it does by routegrad.torch.Block")
    router = _router(made)
    for tensor in made.parameters():
        if tensor.is_meta:
            raise RouteGradError(f"{name}: expected weights that are loaded, its tensors are on the meta device")
    spec = specification(made)
    n = spec["experts"]
    logits_at: int = family.logits  # type: ignore[assignment]

    def logits(result: Any) -> torch.Tensor:
        found: torch.Tensor = result[logits_at] if isinstance(result, tuple) else result
        return found

    if family.form == "input":
        k = spec["selection"]["count"]

        def read(result: Any, given: list[Any]) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
            return logits(result), result[0].detach().topk(k, dim=-1).indices, result[0]

        def each(i: int, x: torch.Tensor) -> torch.Tensor:
            raise NotImplementedError  # evaluated together, see `routegrad._torch_audit.slopes`
    elif family.form == "mask":
        def read(result: Any, given: list[Any]) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
            mask = given[1].detach().reshape(-1, n)
            return logits(result), torch.where(mask.sum(1) > 0, mask.argmax(1), -1)[:, None], given[2]

        def each(i: int, x: torch.Tensor) -> torch.Tensor:
            mask = torch.zeros(len(x), 1, n, dtype=torch.long, device=x.device)
            mask[:, :, i] = 1
            f: torch.Tensor = experts(x, mask, torch.ones(len(x), 1, dtype=x.dtype, device=x.device))
            return f
    else:
        def read(result: Any, given: list[Any]) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
            return logits(result), given[1].detach(), given[2]

        def each(i: int, x: torch.Tensor) -> torch.Tensor:
            index = torch.full((len(x), 1), i, dtype=torch.long, device=x.device)
            f: torch.Tensor = experts(x, index, torch.ones(len(x), 1, dtype=x.dtype, device=x.device))
            return f
    return Site(name, experts, router, _weight(router)[0], spec, family.form, n, read, each)


def _own(model: torch.nn.Module, made: Block) -> Site:
    names = {id(module): name for name, module in model.named_modules()}
    for key in ("block", "router"):
        if id(getattr(made, key)) not in names:
            raise RouteGradError(f"layers: {key}: expected a module of the model")
    name = made.name or names[id(made.block)]
    if not isinstance(made.specification, Mapping):
        raise RouteGradError(f"{name}: specification: expected a dict, got {shown(made.specification)}")
    experts = list(made.experts)

    def read(result: Any, given: list[Any]) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        return made.logits(result), made.choice(result).detach(), made.gates(result)

    return Site(name, made.block, made.router, made.router, made.specification, "own", len(experts), read,
                lambda i, x: experts[i](x))


def _check(site: Site) -> None:
    """Raises where a block cannot be evaluated."""
    check_specification(site.specification, site.name)
    if site.form == "own" and site.specification.get("applied") == "input":
        raise RouteGradError(f"{site.name}: specification.applied: expected output")
    for module in (site.module, site.router):
        for key, tensor in module.named_parameters():
            place = f"{site.name}: {key}"
            if tensor.is_meta:
                raise RouteGradError(f"{place}: expected a weight that is loaded, it is on the meta device")
            if hasattr(tensor, "device_mesh") or hasattr(tensor, "local_shards"):
                raise RouteGradError(f"{place}: expected a whole tensor, it is sharded over devices")
            if tensor.dtype not in _DTYPES or hasattr(tensor, "quant_state"):
                raise RouteGradError(f"{place}: expected float16, bfloat16, float32 or float64, it is quantised ({tensor.dtype})")
        for key, buffer in module.named_buffers():
            if buffer.dtype in (torch.int8, torch.uint8) and buffer.ndim > 1:
                raise RouteGradError(f"{site.name}: {key}: expected no quantised weights, it is {buffer.dtype}")
    if any(isinstance(part, torch.nn.Dropout) and part.training and part.p > 0 for part in site.module.modules()) and (
            site.form != "own"):
        raise RouteGradError(f"{site.name}: expected experts that drop nothing out at random; call model.eval()")
