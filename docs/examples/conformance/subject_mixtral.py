"""transformers' Mixtral gate: the two largest, renormalised."""

import numpy as np
import routegrad
import torch
import transformers
from setting import LOGITS, Finding, combine, gradient, log_cosh, mixture
from transformers import MixtralConfig
from transformers.models.mixtral.modeling_mixtral import MixtralTopKRouter

NAME = f"transformers {transformers.__version__} Mixtral top-2 gate"


def gate():
    """With the identity as its weight."""
    made = MixtralTopKRouter(MixtralConfig(hidden_size=4, num_local_experts=4, num_experts_per_tok=2))
    made.weight.data = torch.eye(4)
    return made


def findings():
    module = gate()

    def route(hidden):
        logits, multipliers, choice = module(hidden)
        return {"multipliers": multipliers, "choice": choice, "gradient_of": logits,
                "expert_inputs": torch.stack([hidden] * 2, 1)}

    found = routegrad.lint(route, framework="torch", experts=4, top_k=2, gates="renormalized", takes="input")
    yield Finding(NAME, "the lint, `renormalized` gates", found.verdict, f"{len(found.checks('proved'))} checks proved")
    logits = torch.tensor([LOGITS], requires_grad=True)
    _, multipliers, choice = module(logits)
    slope = gradient(log_cosh(combine(multipliers, choice)), logits)[0].double().numpy()
    others = np.delete(slope, choice[0].numpy())
    yield Finding(NAME, "the two experts left out have a gradient", "proved" if np.abs(others).max() > 1e-6 else "refuted",
                  f"largest entry {np.abs(others).max():.1g} there, {np.abs(slope).max():.3g} at the chosen")
    for target in ("dense-mixture", "expected-loss"):
        dense = routegrad.target(mixture, target)
        cosine = slope @ dense / np.linalg.norm(slope) / np.linalg.norm(dense)
        yield Finding(NAME, f"cosine with `{target}`", "measured", f"{cosine:.4f}")
