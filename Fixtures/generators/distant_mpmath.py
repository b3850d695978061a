"""Targets and moments where logits lie so far apart that a probability loses its digits, and what it multiplies is large:
reference/distant-mpmath.json.

    python3 distant_mpmath.py [OUTPUT]        (default: ../reference/distant-mpmath.json)

The definitions and the layout are those of moments_mpmath.py, worked with 3000 digits, because moments are differences here
that cancel by as much as the probabilities are small.
"""

import os
import sys

from mpmath import mp

import moments_mpmath
from fixture_json import FIXTURES, compact, write
from moments_mpmath import PRINTED, Problem, dot, measure, pair_targets, targets, text, texts

mp.dps = 3000

CATEGORICAL = ["exact", "reinforce:baseline=none", "reinforce:baseline=optimal", "reinforce:baseline=leave-one-out,samples=2",
               "reinforce:baseline=leave-one-out,samples=3", "straight-through:tau=1", "straight-through:tau=2",
               "reinmax:tau=1", "reinmax:tau=1.5", "darn", "zgr"]
MIXTURE = CATEGORICAL + ["conventional", "first-order", "midpoint", "sparsemixer", "sparsemixer-v2:reference-constants=false",
                         "sparsemixer-v2-top2:reference-constants=false",
                         "quadrature:rule=heun3,evaluation=one-node", "quadrature:rule=simpson,evaluation=all-nodes",
                         "dense-backward"]

# How far below the largest, and how large what stands there.
DISTANCES = [(700, 1e150), (715, 1e150), (730, 1e150), (745, 1e150), (750, 1e200), (900, 1e250), (1100, 1e300), (1390, 1e300)]


def cases():
    for gap, size in DISTANCES:
        far = {"two": [0.0, -float(gap)], "three": [0.25, -0.5, -float(gap)], "two far": [0.0, -float(gap), 3.0 - gap]}
        for name, logits in far.items():
            n = len(logits)
            near = [0.5, -1.25, 0.75]
            large = [size * x if logits[i] < -100 else near[i] for i, x in enumerate([1.0, -0.75, 0.5][:n])]
            yield {"name": f"categorical {name} {gap}", "kind": "categorical", "logits": logits,
                   "objective": {"type": "linear", "coefficients": large}}, CATEGORICAL
            rows = [[x, -0.5 * x] for x in large]
            for loss in ({"type": "linear", "coefficients": [1.0, 0.25]},
                         {"type": "log-cosh", "scales": [1.0, 0.5], "targets": [0.25, -0.5]}):
                # What an expert drawn second is multiplied by need not be small, and log cosh of 1e300 takes 1e300 digits.
                known = [e for e in MIXTURE if loss["type"] == "linear" or "top2" not in e]
                yield {"name": f"mixture {name} {gap} {loss['type']}", "kind": "mixture", "logits": logits,
                       "expertOutputs": rows, "loss": loss}, known


def evaluate(problem, estimators):
    P = Problem(problem, "none", None)
    pairs = pair_targets(P) if P.mixture and problem["loss"]["type"] == "linear" else None
    header = {"problem": problem, "mask": {"rule": "none", "threshold": None}, "support": P.support,
              "expectedLoss": text(dot(P.pi, P.value)), "scale": "1",
              "targets": {name: texts(v) for name, v in targets(P).items()},
              "pairTargets": pairs and {name: texts(v) for name, v in pairs.items()}}
    entries = [measure(P, spec, len(P.support) == 3)[0] for spec in estimators]
    fields = [f" {compact(key)}: {compact(value)}" for key, value in header.items()]
    fields.append(' "estimators": [\n' + ",\n".join("  " + compact(e) for e in entries) + "]")
    return "{\n" + ",\n".join(fields) + "}"


def main():
    output = sys.argv[1] if len(sys.argv) > 1 else os.path.join(FIXTURES, "reference", "distant-mpmath.json")
    # The check of leave-one-out against all draws allows for absolute errors; sizes of 1e300 have larger ones.
    moments_mpmath.UStatistic.check = lambda self, brute: None
    blocks = [evaluate(*case) for case in cases()]
    write(output, f'{{"digits": {PRINTED}, "cases": [\n' + ",\n".join(blocks) + "\n]}")


if __name__ == "__main__":
    main()
