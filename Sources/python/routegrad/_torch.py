"""PyTorch routers, with what they draw forced. Imported only for a router that is PyTorch's."""

from __future__ import annotations

import math
from contextlib import ExitStack
from typing import Any
from unittest import mock

import numpy as np
import torch

from ._errors import RouteGradError
from ._routers import Adapter, _named


class Draws:
    """Hands out each token's forced draws, uniform and normal, in the order in which the router asks for them."""

    def __init__(self, uniforms: Any, dtype: torch.dtype, normals: Any = None):
        self.draws = {"uniforms": torch.as_tensor(uniforms, dtype=torch.float64)}
        none = torch.zeros(len(self.draws["uniforms"]), 0, dtype=torch.float64)
        self.draws["normals"] = none if normals is None else torch.as_tensor(normals, dtype=torch.float64)
        self.dtype = dtype
        self.taken = {"uniforms": 0, "normals": 0}
        self.given_away: Any = None

    def take(self, shape: Any, kind: str = "uniforms") -> torch.Tensor:
        """Draws for a tensor whose first axes are the tokens and whose last axis belongs to one token."""
        tokens, there = self.draws[kind].shape
        width = math.prod(shape) // tokens
        block = self.draws[kind][:, self.taken[kind]:self.taken[kind] + width]
        if block.shape[1] < width:
            raise RouteGradError(f"{kind}: the router takes more than its {there} draws per token")
        self.taken[kind] += width
        return block.reshape(shape).to(self.dtype)

    def forced(self) -> ExitStack:
        """While this lasts, torch draws from here."""
        def rand_like(tensor: Any, **_: Any) -> Any:
            self.given_away = self.take(tensor.shape)
            return self.given_away

        def uniform_(tensor: Any, low: float = 0.0, high: float = 1.0, **_: Any) -> Any:
            if self.given_away is tensor:  # rand_like(x).uniform_() is one draw, not two
                return tensor
            return tensor.copy_(low + (high - low) * self.take(tensor.shape))

        def exponential_(tensor: Any, rate: float = 1.0, **_: Any) -> Any:
            # −log1p(−u), and never 0: torch shuts 0 out, too
            noise = -torch.log1p(-self.take(tensor.shape)) / rate
            return tensor.copy_(noise.clamp(min=torch.finfo(tensor.dtype).tiny))

        def sizes(shape: Any) -> Any:
            return shape[0] if len(shape) == 1 and not isinstance(shape[0], int) else shape

        def rand(*shape: Any, **_: Any) -> Any:
            return self.take(sizes(shape))

        def randn(*shape: Any, **_: Any) -> Any:
            return self.take(sizes(shape), "normals")

        def randn_like(tensor: Any, **_: Any) -> Any:
            return self.take(tensor.shape, "normals")

        def normal_(tensor: Any, mean: float = 0.0, std: float = 1.0, **_: Any) -> Any:
            return tensor.copy_(mean + std * self.take(tensor.shape, "normals"))

        def bernoulli(tensor: Any, p: Any = None, **_: Any) -> Any:
            return (self.take(tensor.shape) < (tensor if p is None else p)).to(tensor.dtype)

        def bernoulli_(tensor: Any, p: Any = 0.5, **_: Any) -> Any:
            return tensor.copy_(self.take(tensor.shape) < p)

        def multinomial(weights: Any, count: int, replacement: bool = False, **_: Any) -> Any:
            if replacement:  # one draw for each: where it falls among the sums
                sums = (weights / weights.sum(-1, keepdim=True)).cumsum(-1).contiguous()
                draws = self.take((*weights.shape[:-1], count)).to(sums.dtype).contiguous()
                return torch.searchsorted(sums, draws, right=True).clamp(max=weights.shape[-1] - 1)
            # N draws, the largest of p/e, as torch itself does it
            race = -torch.log1p(-self.take(weights.shape)).clamp(max=-torch.finfo(weights.dtype).tiny)
            return (weights / race.to(weights.dtype)).topk(count, dim=-1).indices

        stack = ExitStack()
        for place, name, function in (
            (torch.Tensor, "uniform_", uniform_), (torch.Tensor, "exponential_", exponential_),
            (torch.Tensor, "normal_", normal_), (torch.Tensor, "bernoulli_", bernoulli_),
            (torch.Tensor, "bernoulli", bernoulli), (torch.Tensor, "multinomial", multinomial),
            (torch, "rand_like", rand_like), (torch, "rand", rand), (torch, "randn_like", randn_like),
            (torch, "randn", randn), (torch, "bernoulli", bernoulli), (torch, "multinomial", multinomial),
        ):
            stack.enter_context(mock.patch.object(place, name, function))
        return stack


class TorchAdapter(Adapter):
    """Drives a PyTorch router."""

    precision = "float32"

    def run(self, logits: Any, uniforms: Any, training: bool) -> Any:
        dtype = getattr(torch, self.profile["precision"])
        given = torch.tensor(logits, dtype=dtype, requires_grad=True)
        # The router gets a copy, as a layer in the middle of a network would: what it changes in place shows in it.
        handed = given * 1.0
        if isinstance(self.router, torch.nn.Module):
            self.router.train(training)
        named = self.named(training)
        with Draws(uniforms, dtype, self.normals).forced():
            result = dict(_named(self.router(handed, **named), ("multipliers", "choice")))
        multipliers, source = result["multipliers"], result.get("gradient_of", given)

        def zeros() -> Any:
            return np.zeros(logits.shape)

        loss = result.get("auxiliary_loss")
        if isinstance(loss, torch.Tensor) and "auxiliary_gradient" not in result and loss.requires_grad:
            found, = torch.autograd.grad(loss.sum(), source, retain_graph=True, allow_unused=True)
            result["auxiliary_gradient"] = zeros() if found is None else self.array(found).reshape(logits.shape)
        elif loss is not None and "auxiliary_gradient" not in result:
            result["auxiliary_gradient"] = zeros() if isinstance(loss, torch.Tensor) else None
        noise = named.get("noise_logits")

        def backward(cotangent: Any) -> Any:
            if not multipliers.requires_grad:
                return np.zeros_like(logits)
            sources = [source] if noise is None else [source, noise]
            found = torch.autograd.grad(
                multipliers, sources, torch.tensor(cotangent, dtype=multipliers.dtype), allow_unused=True)
            arrays = [zeros() if x is None else self.array(x).reshape(logits.shape) for x in found]
            if noise is not None:
                result["noise_gradient"] = arrays[1]
            return arrays[0]

        return result, backward, self.array(handed).reshape(logits.shape)

    def of_framework(self, value: Any) -> Any:
        if value.dtype.kind != "f":
            return torch.as_tensor(value)
        return torch.tensor(value, dtype=getattr(torch, self.profile["precision"]))

    def named(self, training: bool) -> dict[str, Any]:
        named = super().named(training)
        if named.get("noise_logits") is not None:
            named["noise_logits"].requires_grad_()
        return named
