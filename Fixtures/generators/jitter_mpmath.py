"""Switch's jitter and soft Gumbel-softmax by direct integration in mpmath: reference/jitter-mpmath.json.

    python3 jitter_mpmath.py [--nodes 24] [--only NAME] [OUTPUT]    (default: ../reference/jitter-mpmath.json)

Jitter: with x_k = theta_k u_k, u_k ~ U[1-r, 1+r], D = argmax x and m = softmax(x)_D, the expectations over u of the choice, of
G(m f_D), of the conventional sample g_k = (G'(m f_D).f_D) m (I_D - p)_k u_k and of g g^T, by nested Gauss-Legendre between all
places where the integrand may have a kink: where a coordinate meets an end of another's range, or one that was fixed before
it. The gradient of the loss is its central difference of sixth order in theta (step 1e-5, 50 digits), which knows nothing of
boundaries.

Soft Gumbel-softmax, N = 2: theta_1 - theta_2 plus the difference of two Gumbels is logistic, so p_1 = sigmoid((theta_1 - theta_2 +
L)/tau) and g_1 = (1/tau) p_1 p_2 (df_1 - df_2) at p, an integral over L by panels no wider than the distance to the nearest
singularity (at imaginary part pi, and pi tau around L = theta_2 - theta_1).

Checks itself: probabilities sum to one; --nodes 32 gives the same digits.
"""

import argparse
import os
import sys

from mpmath import mp, mpf

from fixture_json import FIXTURES, compact, write
from gumbel_mpmath import legendre, number, texts, text

SCALES, TARGETS = ["1.5", "2"], ["0.5", "-0.7"]
OUTPUTS = [["1.5", "-0.9"], ["0.91", "-0.5"], ["0.54", "-0.1"]]

JITTER = [
    ("two", ["1", "0.9"], "0.1"),
    ("two-negative", ["-1", "-0.9"], "0.2"),
    ("two-wide", ["3", "2.5"], "0.75"),
    ("two-large", ["50", "49"], "0.125"),
    ("three", ["2", "1.9", "2.1"], "0.125"),
    ("three-signs", ["1.2", "1.1", "-0.5"], "0.25"),
]
SOFT = [(logits, tau) for logits in (["0.3", "-0.4"], ["-50", "50"], ["2", "1"]) for tau in ("0.05", "0.5", "1", "10")]


def log_cosh(point):
    """Value and gradient."""
    arguments = [number(a) * z - number(t) for a, z, t in zip(SCALES, point, TARGETS)]
    value = mp.fsum(abs(x) + mp.log1p(mp.exp(-2 * abs(x))) - mp.log(2) for x in arguments)
    return value, [number(a) * mp.tanh(x) for a, x in zip(SCALES, arguments)]


def jitter(theta, r, rule, wants_moments=True):
    """[P(D = k)], [E g], [E g g^T by rows], L."""
    n = len(theta)
    f = [[number(x) for x in row] for row in OUTPUTS[:n]]
    sums = [mpf(0)] * (2 * n + n * n + 1)

    def body(x, weight):
        D = max(range(n), key=lambda k: x[k])
        w = [mp.exp(v - x[D]) for v in x]
        total = mp.fsum(w)
        m = 1 / total
        value, gradient = log_cosh([m * z for z in f[D]])
        sums[-1] += weight * value
        if not wants_moments:
            return
        slope = mp.fsum(a * b for a, b in zip(gradient, f[D]))
        g = [slope * m * ((k == D) - w[k] / total) * x[k] / theta[k] for k in range(n)]
        sums[D] += weight
        for k in range(n):
            sums[n + k] += weight * g[k]
            for l in range(n):
                sums[2 * n + k * n + l] += weight * g[k] * g[l]

    def descend(fixed, weight):
        k = len(fixed)
        if k == n:
            return body(fixed, weight)
        low, high = sorted((theta[k] * (1 - r), theta[k] * (1 + r)))
        ends = [t * (1 + s * r) for t in theta[k + 1:] for s in (-1, 1)]
        cuts = sorted({low, high} | {c for c in fixed + ends if low < c < high})
        for a, b in zip(cuts, cuts[1:]):
            for node, w in rule:
                descend(fixed + [a + (b - a) * node], weight * w * (b - a) / (high - low))

    descend([], mpf(1))
    return sums


def jitter_case(name, logits, r, nodes):
    theta, r = [number(x) for x in logits], number(r)
    n = len(theta)
    rule = legendre(nodes)
    sums = jitter(theta, r, rule)
    assert abs(mp.fsum(sums[:n]) - 1) < mpf(10) ** -33, sums[:n]
    h = mpf(10) ** -5
    target = []
    for k in range(n):
        def loss(steps):
            moved = list(theta)
            moved[k] += steps * h
            return jitter(moved, r, rule, False)[-1]
        target.append((45 * (loss(1) - loss(-1)) - 9 * (loss(2) - loss(-2)) + loss(3) - loss(-3)) / (60 * h))
    mean = sums[n:2 * n]
    covariance = [[sums[2 * n + k * n + l] - mean[k] * mean[l] for l in range(n)] for k in range(n)]
    return compact({
        "name": name, "logits": [float(x) for x in logits], "jitter": float(r),
        "probabilities": texts(sums[:n]), "loss": text(sums[-1]), "mean": texts(mean),
        "covariance": [texts(row) for row in covariance], "target": [mp.nstr(x, 22) for x in target]})


def soft_case(logits, tau, nodes):
    theta, tau = [number(x) for x in logits], number(tau)
    gap = theta[0] - theta[1]
    rule = legendre(nodes)

    def side(sign):
        """Integrals over L >= 0 of either sign."""
        sums = [mpf(0)] * 2
        centre, start = -sign * gap, mpf(0)
        end = 90 + abs(gap)  # e^-90 of what there is at the far side of the softmax's step
        while start < end:
            near = mp.sqrt((start - centre) ** 2 + (mp.pi * tau) ** 2)
            width = min(mpf(1), near / 4, end - start)
            if start < centre < start + width:
                width = min(width, mp.pi * tau / 4)
            for node, w in rule:
                L = start + width * node
                density = mp.exp(-L) / (1 + mp.exp(-L)) ** 2
                z = (gap + sign * L) / tau
                p, q = 1 / (1 + mp.exp(-z)), 1 / (1 + mp.exp(z))
                _, slopes = log_cosh([p, q])
                g = p * q * (slopes[0] - slopes[1]) / tau
                sums[0] += w * width * density * g
                sums[1] += w * width * density * g * g
            start += width
        return sums

    parts = [side(1), side(-1)]
    mean = parts[0][0] + parts[1][0]
    second = parts[0][1] + parts[1][1]
    return compact({"logits": [float(x) for x in logits], "tau": float(tau), "mean": text(mean), "variance": text(second - mean * mean)})


def main():
    options = argparse.ArgumentParser()
    options.add_argument("output", nargs="?", default=os.path.join(FIXTURES, "reference", "jitter-mpmath.json"))
    options.add_argument("--nodes", type=int, default=24)
    options.add_argument("--only")
    options = options.parse_args()
    mp.dps = 50
    jitters, softs = [], []
    for name, logits, r in JITTER:
        if options.only in (None, name):
            # Between kinks the integrand is analytic far beyond a short interval; three dimensions are dear.
            nodes = options.nodes if len(logits) == 2 else options.nodes - 10
            jitters.append("  " + jitter_case(name, logits, r, nodes))
            print(name, file=sys.stderr, flush=True)
    for logits, tau in SOFT:
        if options.only in (None, "soft"):
            softs.append("  " + soft_case(logits, tau, options.nodes))
            print("soft", logits, tau, file=sys.stderr, flush=True)
    write(options.output, f'{{"digits": 22, "outputs": {compact([[float(x) for x in row] for row in OUTPUTS])}, '
          f'"scales": {compact([float(x) for x in SCALES])}, "targets": {compact([float(x) for x in TARGETS])},\n'
          ' "jitter": [\n' + ",\n".join(jitters) + '\n ],\n "soft": [\n' + ",\n".join(softs) + "\n]}")


if __name__ == "__main__":
    main()
