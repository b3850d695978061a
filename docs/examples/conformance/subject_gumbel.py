"""PyTorch's gumbel_softmax(hard=True): the straight-through Gumbel estimator, and its bias."""

import routegrad
import torch
from setting import SAMPLES, Finding, categorical, gradient, judged, quadratic, tokens

NAME = f"torch {torch.__version__.split('+')[0]} `gumbel_softmax(hard=True)`"


def findings():
    torch.manual_seed(0)
    for tau in (1.0, 0.5):
        claim = f"gumbel-softmax-st:tau={tau}"
        logits = tokens(SAMPLES)
        sample = torch.nn.functional.gumbel_softmax(logits, tau=tau, hard=True)
        samples = gradient(quadratic(sample), logits)
        yield judged(NAME, f"samples are those of `{claim}`", {"gradient": samples}, categorical, estimator=claim)
        size = 4 * float(samples.abs().max())
        found = routegrad.verify(samples, categorical, target="expected-loss", bounds=(-size, size))
        bias = routegrad.assess(categorical, claim).relative_bias
        yield Finding(NAME, f"unbiased for a quadratic objective at τ = {tau}", found.verdict,
                      f"relative bias {bias:.3g}, {found.samples} samples")
