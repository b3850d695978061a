"""transformers' Phi-MoE `sparsemixer`: two experts of four, each with a coin."""

from unittest import mock

import numpy as np
import routegrad
import torch
import transformers
from setting import SAMPLES, Finding, combine, gradient, judged, log_cosh, mixture, tokens
from transformers.models.phimoe.modeling_phimoe import sparsemixer

NAME = f"transformers {transformers.__version__} Phi-MoE `sparsemixer`"
CLAIM = "sparsemixer-v2-top2:reference-constants=true"
THIRDS = "sparsemixer-v2-top2:reference-constants=false"
JITTER = 0.25
MASK = ("reference-code", JITTER)


def run(count, jitter=JITTER):
    logits = tokens(count)
    multipliers, choice = sparsemixer(logits, jitter, True)
    return {"gradient": gradient(log_cosh(combine(multipliers, choice)), logits), "choice": choice}


def forced(outcomes):
    """The function driven through a list of outcomes, one row each: its noise and its coins are what they call for."""
    draws = iter((0, 0, 1, 1))  # noise and coin of the first expert, then of the second

    def noise(tensor, *_):
        place = next(draws)
        wanted = torch.tensor([o.choice[place] for o in outcomes])[:, None]
        return tensor.fill_(1e30).scatter_(-1, wanted, 1e-30)

    def coins(tensor):
        place = next(draws)
        return torch.tensor([[0.875 if o.coins[place] == 1 else 0.125] for o in outcomes])

    with mock.patch.object(torch.Tensor, "exponential_", noise), mock.patch.object(torch, "rand_like", coins), \
            mock.patch.object(torch.Tensor, "uniform_", lambda tensor, *_: tensor):
        return run(len(outcomes))


def driven(claim):
    outcomes = [o for o in routegrad.outcomes(mixture, claim, mask=MASK) if o.probability > 0]
    return forced(outcomes) | {
        "coins": [o.coins for o in outcomes], "probability": [o.probability for o in outcomes]}


def findings():
    torch.manual_seed(0)
    yield judged(NAME, f"every outcome has the gradient of `{CLAIM}`", driven(CLAIM), mixture, estimator=CLAIM, mask=MASK)
    yield judged(NAME, f"or of `{THIRDS}`, with ⅓ for 0.3333", driven(THIRDS), mixture, estimator=THIRDS, mask=MASK)
    samples = run(SAMPLES)
    yield judged(NAME, f"choices and gradients are those of `{CLAIM}`", samples, mixture, estimator=CLAIM, mask=MASK)
    assessed = routegrad.assess(mixture, CLAIM, mask=MASK)
    target = assessed.target_gradient
    away = np.linalg.norm(samples["gradient"].double().numpy().mean(0) - target) / np.linalg.norm(target)
    yield Finding(NAME, "unbiased for the expected loss of the two experts drawn", "refuted",
                  f"relative bias {assessed.relative_bias:.3g} exactly; {away:.3g} in {SAMPLES} samples")
    for rule in ("sparsemixer", "midpoint"):
        bias = routegrad.assess(mixture, rule, mask=MASK).relative_bias
        yield Finding("oracle alone", f"one expert: relative bias of `{rule}`", "measured", f"{bias:.3g}")
    largest = float(run(1000, jitter=0.0)["gradient"].abs().max())
    yield Finding(NAME, "the router has a gradient at jitter 0", "proved" if largest > 0 else "refuted",
                  f"largest entry {largest:.3g} in 1000 samples")
