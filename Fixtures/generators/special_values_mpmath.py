"""Softmax, log cosh and cross-entropy where Float64 is easily lost, in 1000-digit arithmetic: reference/special-values.json.

    python3 special_values_mpmath.py [OUTPUT]        (default: ../reference/special-values.json)

Inputs are Float64 numbers, written so that they read back to the same bits; results are strings of 30 significant
digits. What is smaller than 1e-400 is written as 0.
"""

import os
import random
import sys

from mpmath import mp, mpf

from fixture_json import FIXTURES, compact, write
from moments_mpmath import objective, text, texts

mp.dps = 1000


def softmax_case(name, logits, tau=1.0):
    e = [mp.exp(mpf(x) / mpf(tau)) for x in map(float, logits)]
    s = mp.fsum(e)
    return {"name": name, "logits": [float(x) for x in logits], "temperature": tau,
            "probabilities": texts([x / s for x in e]),
            "complements": texts([mp.fsum(e[:i] + e[i + 1:]) / s for i in range(len(e))])}


def softmax_cases():
    r = random.Random("routegrad softmax")
    normal = lambda n, spread: [r.gauss(0, spread) for _ in range(n)]
    yield softmax_case("one expert", [3.25])
    yield softmax_case("one expert, largest logit", [1.7e308])
    yield softmax_case("two", [0, -40])
    yield softmax_case("two far apart", [700, -700])
    yield softmax_case("largest logits", [1.7e308, -1.7e308, 1.7e308])
    yield softmax_case("subnormal probabilities", [0, -710, -720.5, -740, -744.4, -746])
    yield softmax_case("dyadic ties", [0.5, 0.5, 0.5, 0.5])
    yield softmax_case("three ties", [-700, -700, -700])
    yield softmax_case("differences that round", [0.1, 1000.7, 999.9, 1000.3])
    yield softmax_case("large with small differences", [1e10 + 0.5, 1e10, 1e10 - 1.25, 1e10 + 1 / 3])
    yield softmax_case("large against small", [123456.789, 123450.1, 0.001])
    for n, spread in ((2, 1), (3, 5), (8, 2), (32, 3), (128, 2), (300, 10)):
        yield softmax_case(f"{n} of spread {spread}", normal(n, spread))
    for tau in (0.05, 0.7, 1.3, 10.0):
        yield softmax_case(f"temperature {tau}", normal(8, 3), tau)
    yield softmax_case("temperature with steep logits", [-3.1, 512.7, 511.9, 100.3], 0.7)


def log_cosh_cases():
    r = random.Random("routegrad log cosh")
    points = [0.0, 5e-324, 1e-310, 1e-200, 1e-160, 1e-20, 1e-8, 1e-4, 0.01, 0.3, 0.5, 1.0, 3.0, 10.0, 18.0, 19.0]
    points += [19.999999999999996, 20.0, 20.000000000000004, 30.0, 37.0, 300.0, 709.0, 710.5, 1e5, 1e300, 1.7e308]
    points += [r.choice([-1, 1]) * 10 ** r.uniform(-12, 2.5) for _ in range(40)]
    for x in points:
        x = float(x)
        up = mp.exp(-2 * abs(mpf(x))) if abs(x) < 1e5 else mpf(0)
        # log cosh x = |x| - log 2 + log(1 + exp(-2|x|)); 1000 digits are enough for all but the tiniest x.
        value = mpf(x) ** 2 / 2 if abs(x) < 1e-150 else abs(mpf(x)) - mp.log(2) + mp.log(1 + up)
        yield {"x": x, "value": text(value), "slope": text(mp.tanh(mpf(x)) if abs(x) < 1e5 else mp.sign(x))}


def cross_entropy_cases():
    r = random.Random("routegrad cross-entropy")
    for spread in (0.5, 5, 50, 400):
        for label in range(3):
            spec = {"type": "softmax-cross-entropy", "weights": [[r.gauss(0, spread) for _ in range(2)] for _ in range(3)],
                    "biases": [r.gauss(0, 1) for _ in range(3)], "label": label}
            point = [r.gauss(0, 1) for _ in range(2)]
            value, gradient = objective(spec)([mpf(x) for x in point])
            # What cancels in z = Wx + b cannot be had back: the size of the terms is the scale of the comparison.
            size = max(sum(abs(w * x) for w, x in zip(row, point)) + abs(b)
                       for row, b in zip(spec["weights"], spec["biases"]))
            yield {"loss": spec, "point": point, "scoreSize": size, "value": text(value), "gradient": texts(gradient)}


def main():
    output = sys.argv[1] if len(sys.argv) > 1 else os.path.join(FIXTURES, "reference", "special-values.json")
    parts = {"softmax": softmax_cases(), "logCosh": log_cosh_cases(), "crossEntropy": cross_entropy_cases()}
    blocks = [f'"{name}": [\n' + ",\n".join(compact(case) for case in part) + "]" for name, part in parts.items()]
    write(output, '{"digits": 30,\n' + ",\n".join(blocks) + "}")


if __name__ == "__main__":
    main()
