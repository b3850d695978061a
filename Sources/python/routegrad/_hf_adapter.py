"""A block of transformers as a router that answers calls. For `routegrad.hf`."""

from __future__ import annotations

import copy
import inspect
import math
from collections.abc import Mapping
from typing import Any

import torch

from ._errors import RouteGradError
from ._hf_blocks import _BIAS, _PASSED, _ROUTER_PASSED, _SHARED, _family, _loss, _named, _router, _weight, specification

class _Unit(torch.nn.Module):
    """Experts whose outputs are unit vectors: the sum over the chosen is the multipliers themselves, [T][N]."""

    def __init__(self, form: str, experts: int):
        super().__init__()
        self.form, self.experts = form, experts
        self.inputs: Any = None
        self.choice: Any = None
        self.weights: Any = None

    def forward(self, *given: Any, **_: Any) -> torch.Tensor:
        states: torch.Tensor = given[0]
        flat = states.reshape(-1, states.shape[-1])
        if self.form == "input":  # Llama 4: [N·T][d], multiplied before
            parts = flat.reshape(self.experts, -1, flat.shape[-1])
            self.inputs = parts
            return parts.reshape(flat.shape)
        self.inputs = flat.detach().clone()
        if self.form == "mask":
            # [T][N] with ones where a token goes; Switch has one gate for all of them.
            mask, weights = given[1].reshape(len(flat), -1), given[2].reshape(len(flat), -1)
            dense = weights * (mask if weights.shape[1] == 1 else 1)
            self.choice = None
        else:
            index, weights = given[1].reshape(len(flat), -1), given[2].reshape(len(flat), -1)
            self.choice, self.weights = index.detach(), weights.detach()
            dense = torch.zeros(len(flat), self.experts, dtype=weights.dtype).scatter_add(1, index, weights)
        return torch.nn.functional.pad(dense, (0, flat.shape[-1] - self.experts)).reshape(states.shape)


class _Grouped(torch.nn.Module):
    """JetMoe's output projection of tokens that are sorted by expert."""

    def __init__(self, experts: int):
        super().__init__()
        self.experts = experts

    def forward(self, inputs: torch.Tensor, sizes: Any) -> torch.Tensor:
        which = torch.repeat_interleave(torch.arange(self.experts), torch.as_tensor(sizes))
        return torch.nn.functional.one_hot(which, self.experts).to(inputs.dtype)


class _Widened(torch.nn.Module):
    """JetMoe's input projection: two halves of the same width."""

    def forward(self, inputs: torch.Tensor, sizes: Any) -> torch.Tensor:
        self.inputs = inputs.detach().clone()
        self.experts = torch.repeat_interleave(torch.arange(len(sizes)), torch.as_tensor(sizes)).tolist()
        return torch.cat([inputs, inputs], dim=-1)


class _Always(torch.nn.Module):
    """Inkling's shared experts, the last ones, which have gates of the router's."""

    def __init__(self, experts: int):
        super().__init__()
        self.experts = experts

    def forward(self, states: torch.Tensor, gammas: torch.Tensor) -> torch.Tensor:
        flat = gammas.reshape(-1, gammas.shape[-1])
        left, hidden = self.experts - flat.shape[-1], states.shape[-1]
        return torch.nn.functional.pad(flat, (left, hidden - self.experts)).reshape(states.shape)


class _Alone(torch.nn.Module):
    """A router without its block, which is a whole layer of the model."""

    def __init__(self, router: torch.nn.Module, experts: torch.nn.Module):
        super().__init__()
        self.router, self.experts = router, experts

    def forward(self, states: torch.Tensor) -> torch.Tensor:
        flat = states.reshape(-1, states.shape[-1])
        _, weights, index = self.router(flat)
        made: torch.Tensor = self.experts(flat, index, weights)
        return made.reshape(states.shape)


class _Through(torch.nn.Module):
    def forward(self, states: torch.Tensor, *_: Any, **__: Any) -> torch.Tensor:
        return states


class _Nothing(torch.nn.Module):
    def forward(self, states: torch.Tensor, *_: Any, **__: Any) -> torch.Tensor:
        return torch.zeros_like(states)


class BlockAdapter:
    """A block of transformers as a router: `profile`, and `answer` to the calls of the exchange."""

    def __init__(self, made: torch.nn.Module, spec: Mapping[str, Any] | None = None, dtype: torch.dtype = torch.float32,
                 config: Any = None):
        self.family = _family(made)
        self.stated = specification(made, config)
        self.spec = self.stated if spec is None else spec
        self.experts = self.stated["experts"]
        self.dtype = dtype
        self.kind = type(made).__name__
        self.hash = self.stated["name"] == "deepseek-v4-hash"
        self.loss = _loss(made)
        self.unordered = "sorted=False" in inspect.getsource(type(_router(made)))
        self.block = self._copy(made)
        self.recorded: Any = None
        _router(self.block).register_forward_hook(self._record)
        noise = (self.stated.get("noise") or {}).get("kind")
        uniforms = self.hidden if noise else 0  # the logits are the first N features
        if self.stated["name"] == "phi-3.5-moe":
            uniforms = (2 * uniforms) + 2 * self.experts + 2  # jitter in block and router; two draws and two coins
        self.profile = {
            "schema": "routegrad.router/2", "specification": self.spec, "uniforms": uniforms, "normals": 0,
            "takes": "input", "precision": {torch.float64: "float64"}.get(dtype, "float32"),
        }

    def _copy(self, made: torch.nn.Module) -> torch.nn.Module:
        """The block with stubs, its router's weight the identity; parameters of experts are not copied."""
        left_out: dict[int, torch.nn.Module] = {}
        if self.family.form == "grouped":
            left_out[id(made.output_linear)] = _Grouped(self.experts)
            left_out[id(made.input_linear)] = _Widened()
        elif made is not _router(made):
            left_out[id(made.experts)] = _Unit(self.family.form, self.experts)
        for name in _SHARED:
            if isinstance(getattr(made, name, None), torch.nn.Module):
                left_out[id(getattr(made, name))] = _Always(self.experts) if self.stated["name"] == "inkling" else _Nothing()
        for name in _PASSED:
            if isinstance(getattr(made, name, None), torch.nn.Module):
                left_out[id(getattr(made, name))] = _Through()
        router = _router(made)
        if hasattr(router, "router_mlp"):
            left_out[id(router.router_mlp)] = _Through()
        for name in _ROUTER_PASSED:
            if isinstance(getattr(router, name, None), torch.nn.Module):
                left_out[id(getattr(router, name))] = _Through()
        holder, name = _weight(router)
        hidden = self.experts if self.family.form == "grouped" or hasattr(router, "router_mlp") else getattr(holder, name).shape[1]
        needed = self.experts + (self.family.form == "input")
        if hidden < needed:
            raise RouteGradError(
                f"block: its {hidden} hidden features are fewer than the {needed} that it takes to ask for any logits of its "
                f"{self.experts} experts")
        self.hidden = hidden
        alone = made is _router(made)
        made = copy.deepcopy(made, dict(left_out)).to(self.dtype)
        router = _router(made)
        with torch.no_grad():
            if not hasattr(router, "router_mlp"):
                holder, name = _weight(router)
                getattr(holder, name).copy_(torch.eye(self.experts, hidden))
                if isinstance(getattr(holder, "bias", None), torch.Tensor):
                    offset: Any = holder.bias
                    offset.zero_()
            if self.family.form == "grouped":
                bias: Any = made.bias
                bias.zero_()
            if hasattr(router, "scale") and isinstance(router.scale, torch.Tensor):  # Gemma 4, on the router's input
                router.scale.fill_(1)
                router.scalar_root_size = 1.0
        return _Alone(router, _Unit(self.family.form, self.experts)) if alone else made

    def _record(self, _module: Any, _given: Any, result: Any) -> None:
        self.recorded = result

    def _force(self, call: dict[str, Any]) -> None:
        with torch.no_grad():
            for _, tensor in _named(self.block, _BIAS):
                bias = call.get("bias")
                given = torch.zeros(self.experts) if bias is None else torch.tensor(bias)
                tensor.copy_(given[:tensor.numel()].reshape(tensor.shape))  # what is always chosen has no bias
            for _, tensor in _named(self.block, ("per_expert_scale",)):
                scales = call.get("expertScales")
                tensor.copy_(torch.ones(self.experts) if scales is None else torch.tensor(scales))
            if self.hash:
                _router(self.block).tid2eid = torch.tensor(call["choice"])

    def route(self, call: dict[str, Any]) -> dict[str, Any]:
        """Choice [T][≤ k] and multipliers [T][N] of a call, in the graph; the tensor whose gradient is asked for."""
        from ._torch import Draws

        values = [[-math.inf if x is None else x for x in row] for row in call["logits"]]
        given = torch.tensor(values, dtype=self.dtype)
        tokens = len(given)
        leaf = torch.nn.functional.pad(given, (0, self.hidden - self.experts))
        if self.family.form == "input":
            leaf[:, -1] = 1.0  # what experts get of it is the multiplier
        leaf.requires_grad_()
        handed = (leaf * 1.0)[None]  # a copy, as a layer in the middle of a network gets it: what is changed in place shows
        self._force(call)
        self.block.train(call["mode"] == "train")
        extra = (torch.arange(tokens)[None],) if self.hash else ()
        # A row of draws for each token.
        with Draws(call.get("uniforms") or [[]] * tokens, self.dtype).forced():
            result = self.block(handed, *extra)
        result = result[0] if isinstance(result, tuple) else result
        router_result = self.recorded
        unit: Any = None if self.family.form == "grouped" else self.block.experts
        dense = unit.inputs[:, :, -1].T if self.family.form == "input" else result.reshape(tokens, -1)[:, :self.experts]
        index: Any = getattr(unit, "choice", None)
        if self.stated["name"] == "zaya":
            index = torch.where(unit.weights == 0, self.experts - 1, index)  # the skip expert: the block says 0, and nothing
        # An order that `topk` was not asked for is none; by multiplier, it goes with the experts where these change places.
        if index is not None and self.unordered:
            index = index.gather(1, unit.weights.argsort(dim=-1, descending=True, stable=True))
        if index is not None:
            always = self.stated["selection"].get("always", 0)
            choice = [row + list(range(self.experts - always, self.experts)) for row in index.tolist()]
        else:
            choice = []
            for row in dense.detach().tolist():
                there = [i for i, m in enumerate(row) if m != 0]
                choice.append(sorted(there, key=lambda i: -row[i]))
        source = leaf
        if self.stated.get("noise") and self.family.logits is not None:
            source = router_result[self.family.logits]
        elif self.stated.get("noise"):
            source = router_result  # DBRX's router returns the logits alone
        logits = router_result[self.family.logits] if isinstance(router_result, tuple) and self.family.logits is not None else router_result
        return {"choice": choice, "dense": dense, "source": source, "logits": logits, "handed": handed, "unit": unit}

    def answer(self, call: dict[str, Any]) -> dict[str, Any]:
        """The answer to a call."""
        found = self.route(call)
        choice, dense, source = found["choice"], found["dense"], found["source"]
        outputs = torch.tensor(call["expertOutputs"], dtype=dense.dtype)
        upstream = torch.tensor(call["upstream"], dtype=dense.dtype)
        output = self._output(call, choice, dense, outputs)
        tokens = len(choice)

        def gradient(value: torch.Tensor) -> Any:
            if not value.requires_grad:
                return torch.zeros(tokens, self.experts).tolist()
            got, = torch.autograd.grad(value, source, retain_graph=True, allow_unused=True)
            return plain((torch.zeros_like(source) if got is None else got).reshape(tokens, -1)[:, :self.experts])

        answer = {
            "call": call.get("call"), "choice": choice,
            "multipliers": [[plain(dense[t, i]) for i in row] for t, row in enumerate(choice)],
            "gradient": gradient((upstream * output).sum()), "output": plain(output),
            "logitsAfter": plain(found["handed"].reshape(tokens, -1)[:, :self.experts]),
        }
        answer["expertInputs"] = self._inputs(found["unit"], choice)
        loss = self.auxiliary(found["logits"])
        if loss is not None:
            answer["auxiliaryLoss"], answer["auxiliaryGradient"] = plain(loss), gradient(loss)
        return answer

    def _inputs(self, unit: Any, choice: Any) -> Any:
        """What each chosen expert got; where the gate is applied to it, without that."""
        if self.family.form == "grouped":
            widened: Any = self.block.input_linear
            got = dict(zip(zip(self.recorded[1].tolist(), widened.experts), widened.inputs[:, :self.experts].tolist()))
            return [[plain_list(got[t, i]) for i in row] for t, row in enumerate(choice)]
        if self.family.form == "input":
            gates = unit.inputs[:, :, -1:]
            inputs = (unit.inputs / torch.where(gates == 0, 1.0, gates)).detach()[:, :, :self.experts].tolist()
            return [[plain_list(inputs[i][t]) for i in row] for t, row in enumerate(choice)]
        inputs = unit.inputs[:, :self.experts].tolist()
        return [[plain_list(inputs[t])] * len(row) for t, row in enumerate(choice)]

    def _output(self, call: dict[str, Any], choice: Any, dense: torch.Tensor, outputs: torch.Tensor) -> torch.Tensor:
        """y, of the multipliers found; with functions, the experts are those."""
        rows = []
        functions, to_input = call.get("functions"), self.stated.get("applied") == "input"
        for t, row in enumerate(choice):
            total = torch.zeros(len(call["upstream"][t]), dtype=dense.dtype)
            for i in row:
                if functions and to_input:
                    f = {key: torch.tensor(value, dtype=dense.dtype) for key, value in functions[i].items()}
                    x = dense[t, i] * torch.tensor(call["inputs"][t], dtype=dense.dtype)
                    total = total + f["outer"] @ torch.tanh(f["inner"] @ x) + f["offset"]
                else:
                    total = total + dense[t, i] * outputs[t, i]
            rows.append(total)
        return torch.stack(rows)

    def auxiliary(self, logits: Any) -> torch.Tensor | None:
        """The model's load-balancing loss of these logits, times the coefficient that the specification has."""
        if self.loss is None or not isinstance(logits, torch.Tensor) or not self.stated.get("auxiliaryLosses"):
            return None
        flat = logits.reshape(-1, logits.shape[-1])
        if self.stated["name"] == "switch":
            p = torch.softmax(flat, -1)[None]
            value = self.loss(p, p.argmax(-1))
        else:
            value = self.loss((flat,), self.experts, self.stated["selection"]["count"])
        found: torch.Tensor = self.stated["auxiliaryLosses"][0]["coefficient"] * value
        return found


def plain(value: Any) -> Any:
    """Nested lists; what is not finite becomes null."""
    return plain_list(value.detach().tolist() if isinstance(value, torch.Tensor) else value)


def plain_list(value: Any) -> Any:
    """The same of lists."""
    if isinstance(value, list):
        return [plain_list(x) for x in value]
    return value if math.isfinite(value) else None
