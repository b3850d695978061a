"""One token: logits, what four experts make of it, and a loss, for PyTorch and for the oracle."""

from dataclasses import dataclass

import numpy as np
import routegrad
import torch

LOGITS = [0.75, 0.5, 0.625, -0.25]
OUTPUTS = [[0.5, -0.25, 1.0], [-0.5, 0.75, 0.25], [1.0, 0.5, -0.75], [0.25, -1.0, 0.5]]
SCALES, TARGETS = [1.0, 2.0, 1.5], [0.5, -0.5, 0.25]
SAMPLES = 100_000

mixture = routegrad.mixture(LOGITS, OUTPUTS, {"type": "log-cosh", "scales": SCALES, "targets": TARGETS})
# Of degree 2, as a function of a one-hot: A = B + Bᵀ of these outputs.
_B = np.array(OUTPUTS) @ np.array(OUTPUTS).T
categorical = routegrad.categorical(LOGITS, {"type": "quadratic", "matrix": _B.tolist(), "linear": [1.0, -0.5, 0.0, 2.0]})


@dataclass
class Finding:
    """A row of the table."""

    subject: str
    question: str
    verdict: str
    figure: str


def tokens(count):
    """The same token `count` times, so that one call makes as many samples."""
    return torch.tensor([LOGITS] * count, requires_grad=True)


def log_cosh(y):
    """The mixture's loss, of each row."""
    return torch.log(torch.cosh(torch.tensor(SCALES) * y - torch.tensor(TARGETS))).sum(-1)


def quadratic(z):
    """The categorical problem's objective, of each row."""
    matrix = torch.tensor(_B, dtype=z.dtype)
    return (0.5 * (z @ matrix) * z).sum(-1) + z @ torch.tensor([1.0, -0.5, 0.0, 2.0], dtype=z.dtype)


def combine(multipliers, choice):
    """y = Σ_k multiplier_k · f_choice_k, of each row."""
    return (multipliers[:, :, None] * torch.tensor(OUTPUTS)[choice]).sum(1)


def gradient(loss, at):
    """∂loss/∂at, of each row."""
    return torch.autograd.grad(loss.sum(), at)[0]


def judged(subject, question, samples, problem, **claim):
    """What the oracle says of samples or outcomes."""
    found = routegrad.verify(samples, problem, **claim)
    figure = f"{found.samples} {'outcomes' if 'probability' in samples else 'samples'}"
    for part in found.evidence["parts"]:
        if part["check"] == "conformance":
            figure += f"; largest deviation {part['largestDeviation']:.2g} of {np.abs(found.evidence['claim']['upper']).max():.2g}"
    return Finding(subject, question, found.verdict, figure)
