"""The law of random subsets, p(z) ~ exp(sum z_i theta_i) given how many there are: reference/subsets-mpmath.json.

    python3 subsets_mpmath.py [OUTPUT]        (default: ../reference/subsets-mpmath.json)

log Z, marginals, their complements and covariances. Up to 12 items every subset is summed; beyond that elementary symmetric
polynomials of all items but one or two are multiplied out again for each, in 1000 digits, which for smaller cases is asserted to give the same. Logits are
Float64 numbers that read back to the same bits, null for minus infinity; results have 30 significant digits, 0 below 1e-400.
Of large cases the covariances of a few items with all others are kept.
"""

import itertools
import os
import random
import sys

from mpmath import mp, mpf

from fixture_json import FIXTURES, lines, write
from moments_mpmath import text, texts

mp.dps = 1000


def weights(logits):
    return [mpf(0) if x is None else mp.exp(mpf(x)) for x in logits]


def brute_force(logits, low, high):
    w, n = weights(logits), len(logits)
    total, single, pair = mpf(0), [mpf(0)] * n, {}
    none = [mpf(0)] * n
    for m in range(low, high + 1):
        for subset in itertools.combinations(range(n), m):
            p = mp.fprod(w[i] for i in subset)
            total += p
            for i in subset:
                single[i] += p
            for i in set(range(n)) - set(subset):
                none[i] += p
            for i, j in itertools.combinations(subset, 2):
                pair[i, j] = pair.get((i, j), mpf(0)) + p
    mu = [x / total for x in single]
    covariance = lambda i, j: mu[i] * none[i] / total if i == j else pair.get((min(i, j), max(i, j)), mpf(0)) / total - mu[i] * mu[j]
    return mp.log(total), mu, [x / total for x in none], covariance


def polynomials(w, most):
    e = [mpf(1)] + [mpf(0)] * most
    for x in w:
        for m in range(most, 0, -1):
            e[m] += x * e[m - 1]
    return e


def by_polynomials(logits, low, high):
    w, n = weights(logits), len(logits)
    total = mp.fsum(polynomials(w, high)[low:high + 1])
    mu, none = [], []
    for i in range(n):
        e = polynomials(w[:i] + w[i + 1:], high)
        none.append(mp.fsum(e[low:high + 1]) / total)
        mu.append(w[i] * mp.fsum(e[m - 1] for m in range(max(low, 1), high + 1)) / total)

    def covariance(i, j):
        if i == j:
            return mu[i] * none[i]
        e = polynomials([x for k, x in enumerate(w) if k not in (i, j)], high)
        return w[i] * w[j] * mp.fsum(e[m - 2] for m in range(max(low, 2), high + 1)) / total - mu[i] * mu[j]
    return mp.log(total), mu, none, covariance


def case(name, logits, low, high=None, rows=None):
    high = low if high is None else high
    n = len(logits)
    found = (brute_force if n <= 12 else by_polynomials)(logits, low, high)
    if n <= 6:
        again = by_polynomials(logits, low, high)
        for a, b in zip([found[0]] + found[1] + found[2], [again[0]] + again[1] + again[2]):
            assert abs(a - b) < mpf(10) ** -900
    log_z, mu, none, covariance = found
    rows = list(range(n)) if rows is None else rows
    return {"name": name, "logits": logits, "least": low, "most": high, "logNormalizer": text(log_z), "marginals": texts(mu),
            "complements": texts(none), "rows": rows, "covariances": [[text(covariance(i, j)) for j in range(n)] for i in rows]}


def cases():
    r = random.Random("routegrad subsets")
    normal = lambda n, spread: [r.gauss(0, spread) for _ in range(n)]
    for n in range(1, 7):
        for k in range(0, n + 1):
            yield case(f"{n} items, {k}", normal(n, 1.5), k)
    for n, k in ((8, 2), (8, 5), (10, 3), (12, 2), (12, 6), (12, 11)):
        yield case(f"{n} items, {k}", normal(n, 2), k)
    for n, low, high in ((3, 0, 3), (3, 1, 2), (5, 2, 4), (5, 0, 1), (6, 1, 6), (8, 2, 3), (12, 3, 7)):
        yield case(f"{n} items, {low} to {high}", normal(n, 1.5), low, high)
        yield case(f"{n} items, {low} to {high}, negative", [x - 12 for x in normal(n, 4)], low, high)
        yield case(f"{n} items, {low} to {high}, positive", [x + 12 for x in normal(n, 4)], low, high)
    yield case("ties", [0.25] * 6, 3)
    yield case("two levels", [1.5, -1.5, 1.5, -1.5, 1.5], 2)
    for k in (1, 2, 3, 5):
        yield case(f"far apart, {k}", [1e4, -1e4, 1e4 - 3.5, 0.1, -1e4 + 0.3], k)
        yield case(f"minus infinity, {k}", [None, 0.5, None, -1.25, 2.0, 0.5, 700.3], k)
    yield case("all that can be", [None, 3.0, None, -800.5, 0.0], 3)
    yield case("steep", [0.0, -40.0, -80.5, -300.25, 5.0, -739.0], 2)
    yield case("steep, 1 to 3", [0.5, -40.0, 80.5, -300.25, 5.0, -739.0], 1, 3)
    yield case("far apart, 1 to 4", [1e4, -1e4, 1e4 - 3.5, 0.1, -1e4 + 0.3], 1, 4)
    yield case("rounded differences", [0.1, 1000.7, 999.9, 1000.3, 1001.1], 2)
    for n, k, spread in ((32, 4, 1), (64, 8, 2), (128, 1, 3), (128, 2, 1), (128, 8, 3), (128, 8, 20)):
        yield case(f"{n} items of spread {spread}, {k}", normal(n, spread), k, rows=[0, n // 2, n - 1])
    yield case("64 items, 6 to 8", normal(64, 1), 6, 8, rows=[0, 33, 63])


def main():
    output = sys.argv[1] if len(sys.argv) > 1 else os.path.join(FIXTURES, "reference", "subsets-mpmath.json")
    write(output, '{"cases": ' + lines(cases()) + "}")


if __name__ == "__main__":
    main()
