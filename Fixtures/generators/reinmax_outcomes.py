"""Every outcome of the published ReinMax, its draw forced: reference/reinmax-outcomes.json.

    python3 reinmax_outcomes.py [OUTPUT]        (default: ../reference/reinmax-outcomes.json; needs torch and reinmax)

torch.multinomial is replaced for the length of a call, so that the package returns each index in turn; the gradient is
what autograd then carries through the package from the objective at the returned sample to the logits. Float64.
"""

import os
import sys
from importlib.metadata import version
from unittest import mock

import torch
from reinmax import reinmax

from fixture_json import FIXTURES, compact, write
from moments_cases import LOSSES, Maker
from torch_objectives import objective, tensor, write_records


def outcome(problem, tau, index):
    logits = tensor(problem["logits"]).requires_grad_()
    drawn = lambda probabilities, **_: torch.full((*probabilities.shape[:-1], 1), index)
    with mock.patch("torch.multinomial", drawn):
        sample, _ = reinmax(logits, tau)
    assert sample.tolist() == [float(i == index) for i in range(len(problem["logits"]))]
    objective(problem["objective"])(sample).backward()
    return {"choice": [index], "coins": [], "gradient": logits.grad.tolist()}


def problems():
    for experts, loss in zip((2, 3, 4, 5, 6, 8), LOSSES):
        name = f"reinmax-{experts}-{loss}"
        maker = Maker(name)
        yield maker.problem(name, "categorical", loss, maker.numbers(experts))
    yield Maker("reinmax-4-ties").problem("reinmax-4-ties", "categorical", "log-cosh", [0.5, 0.5, -1.0, 0.5])
    yield Maker("reinmax-2-minus-40").problem("reinmax-2-minus-40", "categorical", "quadratic", [0.0, -40.0])


def main():
    path = sys.argv[1] if len(sys.argv) > 1 else os.path.join(FIXTURES, "reference", "reinmax-outcomes.json")
    torch.set_num_threads(1)
    source = f"reinmax {version('reinmax')} (PyPI), torch {version('torch')}, Float64"
    records = [{"problem": problem, "mask": {"rule": "none", "threshold": None}, "estimator": f"reinmax:tau={tau:g}",
                "source": source, "outcomes": [outcome(problem, tau, i) for i in range(len(problem["logits"]))]}
               for problem in problems() for tau in (1.0, 1.3, 0.5)]
    write_records(path, records, write, compact)


if __name__ == "__main__":
    main()
