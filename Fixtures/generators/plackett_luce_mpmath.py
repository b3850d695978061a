"""Subsets drawn without replacement, in proportion to e^theta: reference/plackett-luce-mpmath.json.

    python3 plackett_luce_mpmath.py [OUTPUT]        (default: ../reference/plackett-luce-mpmath.json)

Probabilities and scores of subsets as sums over all k! orders, in 200 digits; given the subset, who was first and who second. Asserts that the
probabilities of all subsets sum to one where there are at most 100, and that the integral of prod(1 - u^(w_i/(W - W_S))) over (0, 1) is the same
for small cases. Logits are Float64 numbers that read back to the same bits, null for minus infinity; 30 significant digits, 0 below 1e-400.
"""

import itertools
import math
import os
import random
import sys

from mpmath import mp, mpf

from fixture_json import FIXTURES, lines, write
from moments_mpmath import text, texts

mp.dps = 200


def weights(logits):
    return [mpf(0) if x is None else mp.exp(mpf(x)) for x in logits]


def measure(w, subset):
    """P(S), its score, and the law of the first two."""
    n, k = len(w), len(subset)
    outside = mp.fsum(w[i] for i in range(n) if i not in subset)
    probability, pressure = mpf(0), mpf(0)
    inside = {a: mpf(0) for a in subset}
    first = {a: mpf(0) for a in subset}
    second = {(a, b): mpf(0) for a in subset for b in subset}
    rests = {}  # weight left by the set that is already drawn

    def rest(drawn):
        if drawn not in rests:
            rests[drawn] = outside + mp.fsum(w[i] for i in subset if i not in drawn)
        return rests[drawn]
    for order in itertools.permutations(subset):
        p, sums, passed = mpf(1), mpf(0), []
        for t, i in enumerate(order):
            left = rest(frozenset(order[:t]))
            p *= w[i] / left
            sums += 1 / left
            passed.append((i, sums))
        probability += p
        pressure += p * sums
        for i, s in passed:
            inside[i] += p * s
        first[order[0]] += p
        if k > 1:
            second[order[0], order[1]] += p
    score = [1 - w[j] * inside[j] / probability if j in inside else -w[j] * pressure / probability for j in range(n)]
    return (probability, score, [first[a] / probability for a in subset],
            [[second[a, b] / first[a] if first[a] else mpf(0) for b in subset] for a in subset])


def case(name, logits, subsets, integral=False):
    w, found = weights(logits), []
    for subset in subsets:
        probability, score, first, second = measure(w, list(subset))
        if integral:
            out = mp.fsum(x for i, x in enumerate(w) if i not in subset)
            with mp.workdps(40):
                by_integral = mp.quad(lambda u: mp.fprod(1 - u ** (w[i] / out) for i in subset), [0, 0.25, 0.5, 0.75, 1])
                assert abs(by_integral - probability) < mpf(10) ** -20, (name, subset, by_integral - probability)
        found.append({"subset": list(subset), "probability": text(probability), "logProbability": text(mp.log(probability)),
                      "score": texts(score), "first": texts(first), "second": [texts(row) for row in second]})
    k = len(subsets[0])
    possible = [i for i, x in enumerate(w) if x]
    if math.comb(len(possible), k) <= 100:
        assert abs(mp.fsum(measure(w, list(s))[0] for s in itertools.combinations(possible, k)) - 1) < mpf(10) ** -180
    return {"name": name, "logits": logits, "subsets": found}


def cases():
    r = random.Random("routegrad plackett-luce")
    normal = lambda n, spread: [r.gauss(0, spread) for _ in range(n)]
    every = lambda n, k: list(itertools.combinations(range(n), k))
    for n, k in ((1, 1), (2, 1), (2, 2), (3, 2), (4, 1), (4, 2), (4, 3), (4, 4), (5, 3), (6, 2)):
        yield case(f"{k} of {n}", normal(n, 1.5), every(n, k), integral=n > k and n <= 4)
    yield case("ties", [0.5] * 5, every(5, 2))
    yield case("minus infinity", [None, 0.5, -1.25, None, 2.0], [(1, 2), (1, 4), (2, 4)])
    yield case("far apart", [1e4, -1e4, 1e4 - 3.5, 0.1], every(4, 2))
    yield case("steep", [0.0, -40.0, -80.5, 5.0], every(4, 2))
    yield case("almost certain", [0.0, -0.5, -60.0, -61.5, -100.25], every(5, 2))
    for n, k, spread in ((16, 5, 1), (64, 6, 2), (128, 8, 1), (128, 7, 6)):
        logits = normal(n, spread)
        top = sorted(range(n), key=lambda i: -logits[i])
        yield case(f"{k} of {n}, spread {spread}", logits, [tuple(sorted(top[:k])), tuple(sorted(r.sample(range(n), k)))])


def main():
    output = sys.argv[1] if len(sys.argv) > 1 else os.path.join(FIXTURES, "reference", "plackett-luce-mpmath.json")
    write(output, '{"cases": ' + lines(cases()) + "}")


if __name__ == "__main__":
    main()
