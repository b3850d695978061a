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
    """Hands out each token's forced uniform draws, in the order in which the router asks for them."""

    def __init__(self, uniforms: Any, dtype: torch.dtype):
        self.uniforms = torch.as_tensor(uniforms, dtype=torch.float64)
        self.dtype = dtype
        self.taken = 0
        self.given_away: Any = None

    def take(self, shape: Any) -> torch.Tensor:
        """Draws for a tensor whose first axes are the tokens and whose last axis belongs to one token."""
        tokens = self.uniforms.shape[0]
        width = math.prod(shape) // tokens
        block = self.uniforms[:, self.taken:self.taken + width]
        if block.shape[1] < width:
            raise RouteGradError(f"uniforms: the router takes more than its {self.uniforms.shape[1]} draws per token")
        self.taken += width
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

        def rand(*shape: Any, **_: Any) -> Any:
            return self.take(shape[0] if len(shape) == 1 and not isinstance(shape[0], int) else shape)

        stack = ExitStack()
        for place, name, function in (
            (torch.Tensor, "uniform_", uniform_), (torch.Tensor, "exponential_", exponential_),
            (torch, "rand_like", rand_like), (torch, "rand", rand),
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
        with Draws(uniforms, dtype).forced():
            result = _named(self.call(handed, uniforms, training), ("multipliers", "choice"))
        multipliers, source = result["multipliers"], result.get("gradient_of", given)

        def backward(cotangent: Any) -> Any:
            if not multipliers.requires_grad:
                return np.zeros_like(logits)
            found, = torch.autograd.grad(
                multipliers, source, torch.tensor(cotangent, dtype=multipliers.dtype), allow_unused=True)
            return np.zeros_like(logits) if found is None else self.array(found).reshape(logits.shape)

        return result, backward, self.array(handed).reshape(logits.shape)

    def call(self, logits: Any, uniforms: Any, training: bool) -> Any:
        return self.router(logits, **({"training": training} if self.takes_training else {}))
