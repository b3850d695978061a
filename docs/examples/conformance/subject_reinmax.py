"""ReinMax from PyPI: its four outcomes, its draws, and the target that they have in the mean."""

from unittest import mock

import numpy as np
import routegrad
import torch
from reinmax import reinmax
from setting import SAMPLES, Finding, categorical, gradient, judged, quadratic, tokens

NAME = "reinmax 0.1.0"


def run(count, tau):
    logits = tokens(count)
    sample, _ = reinmax(logits, tau)
    return {"gradient": gradient(quadratic(sample), logits), "choice": sample.argmax(-1)}


def findings():
    torch.manual_seed(0)
    for tau in (1.0, 2.0):
        claim = f"reinmax:tau={tau}"
        with mock.patch.object(torch, "multinomial", lambda p, **_: torch.arange(len(p))[:, None]):
            every = run(categorical.experts, tau)
        every["probability"] = categorical.probabilities
        yield judged(NAME, f"every outcome has the gradient of `{claim}`", every, categorical, estimator=claim)
        samples = run(SAMPLES, tau)
        yield judged(NAME, f"choices and gradients are those of `{claim}`", samples, categorical, estimator=claim)
        size = float(np.abs(samples["gradient"].numpy()).max()) * 2
        found = routegrad.verify(samples["gradient"], categorical, target="expected-loss", bounds=(-size, size))
        bias = routegrad.assess(categorical, claim).relative_bias
        yield Finding(NAME, f"unbiased for a quadratic objective at τ = {tau}", found.verdict,
                      f"relative bias {bias:.3g}, {found.samples} samples")
