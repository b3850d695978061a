"""Mean, variance and covariance of straight-through Gumbel-softmax and Gumbel-Rao by direct integration in mpmath:
reference/gumbel-mpmath.json.

    python3 gumbel_mpmath.py [--nodes 28] [--only NAME] [OUTPUT]    (default: ../reference/gumbel-mpmath.json)

The direct formulation, over differences of perturbed logits, and not the factorised integrals of the library. With
lambda = softmax(theta), E_k ~ Exp(lambda_k) and D = argmin E, the differences x_l = log(E_l/E_D) > 0 have on {D} the density
    (N-1)! lambda_D prod_{l != D} lambda_l e^{x_l} / (lambda_D + sum_{l != D} lambda_l e^{x_l})^N,
and p_D = 1/S, p_l = e^{-x_l/tau}/S, S = 1 + sum_l e^{-x_l/tau}. The sample is (1/tau) p_j (u_{D,j} - p.u_D). For N = 2 and 3 these are
integrals over a half-line and a quadrant, done by Gauss-Legendre panels: in x the integrand's nearest singularities are
at imaginary part pi (the density) and at +-i pi tau, real part <= 0 (the softmax), so panels are no wider than their
distance. Monomials p^a are integrated, so cancellation between them is at most that of the formula, with 60 digits.
Checks itself: probabilities come out as lambda; 36 nodes a panel instead of 28 give the same digits.
"""

import argparse
import os
import sys

from mpmath import mp, mpf

from fixture_json import FIXTURES, compact, write

PRINTED = 30
CUT = 80  # e^-80: what is left out beyond the last panel


def text(x):
    return mp.nstr(x, PRINTED, strip_zeros=True, min_fixed=-5, max_fixed=25)


def texts(v):
    return [text(x) for x in v]


# MARK: cases

GRADIENTS2 = [["0.5", "-1.25"], ["0.8125", "0.3"]]
GRADIENTS3 = [["0.5", "-1.25", "2"], ["0.7", "0.3", "-0.9"], ["-1.1", "0.0625", "0.45"]]
COEFFICIENTS3 = [["1", "-0.5", "0.3"]] * 3
MIXTURE = {
    "logits": ["0.4", "-0.9", "1.1"],
    "expertOutputs": [["0.5", "-1.5"], ["1.25", "0.75"], ["-0.6", "0.9"]],
    "scale": ["1", "1.5"],
    "loss": {"type": "quadratic", "matrix": [["1.5", "0.25"], ["0.25", "0.8"]], "linear": ["-0.3", "0.7"]},
}
ALL = ["0.05", "0.5", "1", "2", "10"]
CASES = [
    ("two-moderate", ["0.3", "-0.4"], GRADIENTS2, ALL),
    ("two-30", ["30", "-30"], GRADIENTS2, ALL),
    ("two-50", ["-50", "50"], GRADIENTS2, ALL),
    ("three-moderate", ["0.7", "-1.1", "0.25"], GRADIENTS3, ALL),
    ("three-linear", ["-0.2", "1.3", "0.1"], COEFFICIENTS3, ["0.5", "2"]),
    ("three-30", ["0", "30", "-30"], GRADIENTS3, ["0.5", "1", "2"]),
    ("three-50", ["50", "-50", "48.5"], GRADIENTS3, ["0.05", "1", "10"]),
    ("mixture", None, None, ["0.7", "3"]),
]
SAMPLES = 4  # K of Gumbel-Rao


def number(x):
    """The Float64 nearest to the decimal, as readers of the file get it."""
    return mpf(float(x))


# MARK: quadrature

def legendre(n):
    """Nodes and weights on [0, 1], by Newton's method."""
    rule = []
    for k in range(n):
        x = mp.cos(mp.pi * (k + mpf(3) / 4) / (n + mpf(1) / 2))
        for _ in range(12):
            p, q = mpf(1), mpf(0)
            for j in range(n):
                p, q = ((2 * j + 1) * x * p - j * q) / (j + 1), p
            slope = n * (x * p - q) / (x * x - 1)
            x -= p / slope
        rule.append(((1 + x) / 2, 1 / ((1 - x * x) * slope * slope)))
    return rule


def half_line(rule, tau, end):
    """Nodes and weights on [0, end]."""
    points, start = [], mpf(0)
    while start < end:
        width = min(mpf("0.95") * mp.sqrt(start * start + (mp.pi * tau) ** 2), mpf(3), 12 * max(tau, start / 6))
        width = min(width, end - start)
        points += [(start + width * x, width * w) for x, w in rule]
        start += width
    return points


def monomials(n, D, lam, tau, rule):
    """E[prod_l w_l^{a_l} / S^q ; D] by exponents: q = 0, 2 and 4."""
    others = [l for l in range(n) if l != D]
    axes = []
    for l in others:
        end = CUT - mp.log(lam[l])  # given D, e^x - 1 = V/(lambda_l m) with V, m ~ Exp(1)
        axes.append([(lam[l] * mp.exp(x), mp.exp(-x / tau), w) for x, w in half_line(rule, tau, end)])
    one = mpf(1)
    sums = {}
    if n == 2:
        table = {(q, a): mpf(0) for q, top in ((0, 0), (2, 2), (4, 4)) for a in range(top + 1)}
        for e, p, w in axes[0]:
            base = w * e * lam[D] / (lam[D] + e) ** 2
            table[0, 0] += base
            inverse = one / (1 + p) ** 2
            term = base * inverse
            for a in range(3):
                table[2, a] += term
                term *= p
            term = base * inverse * inverse
            for a in range(5):
                table[4, a] += term
                term *= p
        return others, {(q, a, 0): v for (q, a), v in table.items()}
    sums = {(q, a, b): mpf(0) for q, top in ((0, 0), (2, 2), (4, 4)) for a in range(top + 1) for b in range(top + 1 - a)}
    small = mpf(10) ** -62
    for e, p, w in axes[0]:
        row = w * e * 2 * lam[D]
        line = {(q, b): mpf(0) for q, top in ((0, 0), (2, 2), (4, 4)) for b in range(top + 1)}
        c, s = lam[D] + e, one + p
        for f, r, v in axes[1]:
            d = c + f
            base = v * f / (d * d * d)
            S = s + r
            inverse = one / (S * S)
            two = base * inverse
            four = two * inverse
            line[0, 0] += base
            line[2, 0] += two
            line[4, 0] += four
            if r > small:
                two *= r
                line[2, 1] += two
                line[2, 2] += two * r
                four *= r
                line[4, 1] += four
                four *= r
                line[4, 2] += four
                four *= r
                line[4, 3] += four
                line[4, 4] += four * r
        powers = [one, p, p ** 2, p ** 3, p ** 4]
        for q, top in ((0, 0), (2, 2), (4, 4)):
            for b in range(top + 1):
                value = row * line[q, b]
                for a in range(top + 1 - b):
                    sums[q, a, b] += value * powers[a]
    return others, sums


def conditional(n, D, u, lam, tau, rule):
    """E[g ; D] and E[g g^T ; D]."""
    others, sums = monomials(n, D, lam, tau, rule)
    assert abs(sums[0, 0, 0] - lam[D]) < lam[D] * mpf(10) ** -29, (D, sums[0, 0, 0], lam[D])

    def polynomial(j):
        """(1/tau) w_j sum_k w_k (u_j - u_k) as {(a, b): coefficient}."""
        result = {}
        for k in range(n):
            exponents = [0, 0]
            for index in (j, k):
                if index != D:
                    exponents[others.index(index)] += 1
            key = tuple(exponents)
            result[key] = result.get(key, mpf(0)) + (u[j] - u[k]) / tau
        return result

    forms = [polynomial(j) for j in range(n)]
    mean = [mp.fsum(c * sums[2, a, b] for (a, b), c in form.items() if c) for form in forms]
    second = [[mp.fsum(c * d * sums[4, a + e, b + f] for (a, b), c in x.items() for (e, f), d in y.items() if c and d)
               for y in forms] for x in forms]
    return mean, second


# MARK: problems

def softmax(theta):
    largest = max(theta)
    weights = [mp.exp(x - largest) for x in theta]
    return [w / mp.fsum(weights) for w in weights]


def mixture_pieces(lam):
    """u_{i,j} = G'(pi_i f_i).(pi_j f_j) and c_i = G'(pi_i f_i).(pi_i f_i)."""
    scale = [number(x) for x in MIXTURE["scale"]]
    f = [[number(x) * s for x, s in zip(row, scale)] for row in MIXTURE["expertOutputs"]]
    matrix = [[number(x) for x in row] for row in MIXTURE["loss"]["matrix"]]
    linear = [number(x) for x in MIXTURE["loss"]["linear"]]
    u = []
    for i, row in enumerate(f):
        point = [lam[i] * x for x in row]
        slope = [sum(a * x for a, x in zip(line, point)) + b for line, b in zip(matrix, linear)]
        u.append([lam[j] * sum(a * x for a, x in zip(slope, f[j])) for j in range(len(f))])
    return u, [u[i][i] for i in range(len(f))]


def measure(theta, u, c, tau, rule):
    n = len(theta)
    lam = softmax(theta)
    if u is None:
        u, c = mixture_pieces(lam)
    pieces = [conditional(n, D, u[D], lam, tau, rule) for D in range(n)]
    # E[g | D] with the gating sample c_D (I_D - pi), which is a function of D.
    means = [[m / lam[D] + c[D] * ((k == D) - lam[k]) for k, m in enumerate(pieces[D][0])] for D in range(n)]
    mean = [mp.fsum(lam[D] * means[D][k] for D in range(n)) for k in range(n)]
    within = [[mp.fsum(pieces[D][1][j][k] - pieces[D][0][j] * pieces[D][0][k] / lam[D] for D in range(n))
               for k in range(n)] for j in range(n)]
    between = [[mp.fsum(lam[D] * (means[D][j] - mean[j]) * (means[D][k] - mean[k]) for D in range(n))
                for k in range(n)] for j in range(n)]
    return mean, [[[b + w / K for b, w in zip(x, y)] for x, y in zip(between, within)] for K in (1, SAMPLES)]


def evaluate(name, logits, gradients, tau, nodes):
    theta = [number(x) for x in (logits or MIXTURE["logits"])]
    u = gradients and [[number(x) for x in row] for row in gradients]
    mean, covariances = measure(theta, u, [mpf(0)] * len(theta), number(tau), legendre(nodes))
    fields = {"name": name, "kind": "categorical" if gradients else "mixture", "tau": float(tau)}
    if gradients:
        fields |= {"logits": [float(x) for x in logits], "gradients": [[float(x) for x in row] for row in gradients]}
    else:
        floats = lambda v: [floats(x) for x in v] if isinstance(v, list) else float(v)  # noqa: E731
        fields |= {key: floats(MIXTURE[key]) for key in ("logits", "expertOutputs", "scale")}
        fields["loss"] = {"type": "quadratic"} | {key: floats(MIXTURE["loss"][key]) for key in ("matrix", "linear")}
    fields["mean"] = texts(mean)
    fields["covariance"] = [texts(row) for row in covariances[0]]
    fields["samples"] = SAMPLES
    fields["raoCovariance"] = [texts(row) for row in covariances[1]]
    return compact(fields)


def main():
    options = argparse.ArgumentParser()
    options.add_argument("output", nargs="?", default=os.path.join(FIXTURES, "reference", "gumbel-mpmath.json"))
    options.add_argument("--nodes", type=int, default=28)
    options.add_argument("--only")
    options = options.parse_args()
    mp.dps = 60
    rows = []
    for name, logits, gradients, temperatures in CASES:
        for tau in temperatures if options.only in (None, name) else []:
            rows.append(" " + evaluate(name, logits, gradients, tau, options.nodes))
            print(name, tau, file=sys.stderr, flush=True)
    write(options.output, f'{{"digits": {PRINTED}, "cases": [\n' + ",\n".join(rows) + "\n]}")


if __name__ == "__main__":
    main()
