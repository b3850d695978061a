"""Every outcome of Phi-MoE's `sparsemixer` (top-2), its draws forced: reference/phimoe-sparsemixer-outcomes.json.

    python3 phimoe_outcomes.py [OUTPUT]
                        (default: ../reference/phimoe-sparsemixer-outcomes.json; needs torch and transformers)

The function draws by exponential noise (first index, second index) and by uniform noise (first coin, second coin); both
kinds are replaced for the length of a call. The mask's threshold is jitter_eps (the code compares with twice that). The
gradient is autograd's, through the function, of G(omega * (c1 p_i f_i + c2 p'_j f_j)) with respect to the logits; the
multiplier is (c1 p_i, c2 p'_j), coin 1 being the full output. Float64, but the code's 0.3333 is a Float32. Where a chosen
expert is the argmax of its (masked) gates its coin has no effect, which is checked, and only coin 1 is listed.
"""

import itertools
import os
import sys
from importlib.metadata import version
from unittest import mock

import torch
from transformers.models.phimoe.modeling_phimoe import sparsemixer

from fixture_json import FIXTURES, compact, write
from moments_cases import LOSSES, Maker
from torch_objectives import objective, tensor, write_records


def forced(scores, jitter, choice, coins):
    """The published function with both indices and both coins forced: its multipliers."""
    indices, draws = iter(choice), iter([0.9 if coin else 0.1 for coin in coins])

    def exponential(noise):  # the gates lose log(noise): where the noise is 0 they win
        noise.fill_(1.0)
        noise[..., next(indices)] = 0.0
        return noise

    # the first coin is rand_like(..), the second rand_like(..).uniform_()
    first = iter([True])
    rand_like = lambda x: torch.full_like(x, next(draws)) if next(first, False) else torch.zeros_like(x)
    with mock.patch.object(torch.Tensor, "exponential_", exponential), \
            mock.patch.object(torch.Tensor, "uniform_", lambda x: x.fill_(next(draws))), \
            mock.patch("torch.rand_like", rand_like):
        multiplier, selected = sparsemixer(scores[None], jitter_eps=jitter, training=True)
    assert selected[0].tolist() == list(choice) and next(indices, None) is None and next(draws, None) is None
    return multiplier[0]


def outcome(problem, jitter, choice, coins):
    scores = tensor(problem["logits"]).requires_grad_()
    multiplier = forced(scores, jitter, choice, coins)
    experts = tensor(problem["expertOutputs"])
    omega = tensor(problem.get("scale", [1.0] * experts.shape[1]))
    objective(problem["loss"])(omega * (multiplier @ experts[list(choice)])).backward()
    return {"choice": list(choice), "coins": list(coins), "multiplier": multiplier.tolist(),
            "gradient": scores.grad.tolist()}


def outcomes(problem, jitter):
    result, scores = [], tensor(problem["logits"])
    for choice in itertools.product(range(len(scores)), repeat=2):
        full = forced(scores, jitter, choice, (1, 1))
        if not all(full > 0):  # masked, or drawn twice: its gate is 0
            continue
        thirds = forced(scores, jitter, choice, (0, 0))
        for coins in itertools.product((0, 1), repeat=2):
            if any(coin == 0 and a == b for coin, a, b in zip(coins, thirds, full)):
                continue  # the argmax: its coin has no effect
            result.append(outcome(problem, jitter, choice, coins))
    return result


def problems():
    for experts, width, loss, jitter in zip((2, 3, 4, 5, 6, 8), (2, 3, 4, 2, 3, 4), LOSSES, (0.5, 0.4, 0.6, 0.3, 0.3, 0.4)):
        maker = Maker(f"phimoe-{experts}-{loss}")
        yield maker.problem(f"phimoe-{experts}-{loss}", "mixture", loss, maker.numbers(experts), width), jitter
    # every expert kept; the published default 0.01; all logits negative; ties; a maximum of zero
    for name, loss, logits, jitter in (("all-kept", "log-cosh", [0.4, -0.3, 0.9, 0.1], 3.0),
                                       ("default-jitter", "polynomial", [1.2, 1.19, 1.0, 1.185], 0.01),
                                       ("negative", "separable-power", [-1.5, -0.75, -4.25, -0.8], 0.3),
                                       ("ties", "softmax-cross-entropy", [0.5, 1.25, 1.25, 0.5], 0.35),
                                       ("zero-maximum", "log-cosh", [-0.5, 0.0, -0.25, -1.0], 0.5)):
        yield Maker("phimoe-" + name).problem("phimoe-" + name, "mixture", loss, logits, 3), jitter


def main():
    path = sys.argv[1] if len(sys.argv) > 1 else os.path.join(FIXTURES, "reference", "phimoe-sparsemixer-outcomes.json")
    torch.set_num_threads(1)
    source = f"transformers {version('transformers')} phimoe sparsemixer, torch {version('torch')}, Float64"
    records = []
    for problem, jitter in problems():
        problem.pop("defaultOutputs")
        records.append({"problem": problem, "mask": {"rule": "reference-code", "threshold": jitter},
                        "estimator": "sparsemixer-v2-top2:reference-constants=true", "source": source,
                        "outcomes": outcomes(problem, jitter)})
    write_records(path, records, write, compact)


if __name__ == "__main__":
    main()
