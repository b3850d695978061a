"""Writes the hand-sized problems that ship with the program (all of problems/ but real-router.json).

    python3 shipped_problems.py [OUTPUT_DIRECTORY]        (default: ../problems)

Fixed seed; values are rounded to four decimals so that they read well.
"""

import os
import sys

import numpy as np

from fixture_json import FIXTURES, write_problems

EXPERTS, WIDTH, CLASSES = 8, 16, 5


def rounded(array):
    return (np.round(array, 4) + 0.0).tolist()


def reinmax_polynomials():
    """The polynomial programming task of ReinMax (arXiv 2304.08612), one problem for each exponent."""
    return [{
        "name": f"reinmax-polynomial-{exponent:g}", "kind": "categorical", "logits": [0.5, -0.5],
        "objective": {"type": "separable-power", "exponent": exponent, "targets": [0.45, 0.45], "weights": [1, 0]},
    } for exponent in (1.5, 2.0, 3.0)]


def cross_entropy(rng, width, spread):
    return {"type": "softmax-cross-entropy", "weights": rounded(spread * rng.normal(size=(CLASSES, width))),
            "biases": rounded(0.3 * rng.normal(size=CLASSES)), "label": int(rng.integers(CLASSES))}


def categorical_cross_entropy(rng):
    return [{"name": "categorical-8-cross-entropy", "kind": "categorical", "logits": rounded(rng.normal(size=EXPERTS)),
             "objective": cross_entropy(rng, EXPERTS, 1.5)}]


def mixtures(rng):
    """One mixture of eight experts for each loss, each with its own logits and experts."""
    root = rng.normal(size=(WIDTH, WIDTH)) / np.sqrt(WIDTH)
    losses = {
        "linear": {"type": "linear", "coefficients": rounded(rng.normal(size=WIDTH))},
        "quadratic": {"type": "quadratic", "matrix": rounded(root @ root.T), "linear": rounded(rng.normal(size=WIDTH))},
        "separable-power": {"type": "separable-power", "exponent": 3.0, "targets": rounded(0.5 * rng.normal(size=WIDTH)),
                            "weights": rounded(rng.uniform(0.5, 1.5, size=WIDTH))},
        "log-cosh": {"type": "log-cosh", "scales": rounded(rng.uniform(0.5, 2.0, size=WIDTH)),
                     "targets": rounded(rng.normal(size=WIDTH))},
        "softmax-cross-entropy": cross_entropy(rng, WIDTH, 0.5),
        "polynomial": {"type": "polynomial", "coefficients": [0.2, -0.7, 0.5, 0.3, 0.1],
                       "direction": rounded(rng.normal(size=WIDTH) / 4)},
    }
    problems = []
    for name, loss in losses.items():
        problem = {"name": f"mixture-8-{name}", "kind": "mixture", "logits": rounded(rng.normal(size=EXPERTS))}
        outputs = rng.normal(size=(EXPERTS, WIDTH))
        problem["expertOutputs"] = rounded(outputs)
        if name in ("separable-power", "log-cosh", "polynomial"):
            problem["scale"] = rounded(rng.uniform(0.5, 1.5, size=WIDTH))
        if name == "log-cosh":  # a lagging average of what the expert put out
            problem["defaultOutputs"] = rounded(0.6 * outputs + 0.3 * rng.normal(size=(EXPERTS, WIDTH)))
        problem["loss"] = loss
        problems.append(problem)
    return problems


def main():
    folder = sys.argv[1] if len(sys.argv) > 1 else os.path.join(FIXTURES, "problems")
    rng = np.random.default_rng(20231117)
    for name, problems in (("reinmax-polynomial", reinmax_polynomials()),
                           ("categorical-8", categorical_cross_entropy(rng)),
                           ("mixtures-8", mixtures(rng))):
        write_problems(os.path.join(folder, name + ".json"), problems)


if __name__ == "__main__":
    main()
