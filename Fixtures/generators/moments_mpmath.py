"""Exact means and variances of every estimator by brute force in 500-digit arithmetic: reference/moments-mpmath.json.

    python3 moments_mpmath.py [--small] [--digits 500] [OUTPUT]        (default: ../reference/moments-mpmath.json)

Deliberately naive: every outcome's probability and gradient straight from its definition, then
mean = sum p g and variance = sum p g^2 - mean^2. Shares nothing with the library. Checks itself: targets against
numerical differentiation (mask held fixed), leave-one-out against the enumeration of all N^K draws, and every claim of
unbiasedness of the design against the means.
Numbers are written with 30 significant digits; the working precision leaves an absolute error far below 1e-400,
and what is smaller than 1e-400 is written as 0. With another --digits the file must come out the same.
"""

import argparse
import itertools
import os
import struct
import sys
from math import prod

from mpmath import mp, mpf

from fixture_json import FIXTURES, compact, write
from moments_cases import cases

PRINTED = 30
ONE, TWO, HALF = mpf(1), mpf(2), mpf(1) / 2


def text(x):
    return "0" if abs(x) < mpf(10) ** -400 else mp.nstr(x, PRINTED, strip_zeros=True, min_fixed=-5, max_fixed=25)


def texts(v):
    return [text(x) for x in v]


def vector(v):
    return [mpf(x) for x in v]


def dot(a, b):
    return mp.fsum(x * y for x, y in zip(a, b))


def total(vectors, n):
    """The sum of (weight, vector) pairs."""
    result = [mpf(0)] * n
    for weight, v in vectors:
        if weight:
            result = [r + weight * x for r, x in zip(result, v)]
    return result


# MARK: objectives: z -> (value, gradient)

def objective(spec):
    kind = spec["type"]
    if kind == "linear":
        c = vector(spec["coefficients"])
        return lambda z: (dot(c, z), list(c))
    if kind == "quadratic":
        a, b = [vector(row) for row in spec["matrix"]], vector(spec["linear"])
        assert all(a[i][j] == a[j][i] for i in range(len(a)) for j in range(len(a)))

        def quadratic(z):
            az = [dot(row, z) for row in a]
            return dot(z, az) / 2 + dot(b, z), [x + y for x, y in zip(az, b)]
        return quadratic
    if kind == "separable-power":
        p, t = mpf(spec["exponent"]), vector(spec["targets"])
        w = vector(spec.get("weights", [1] * len(t)))

        def power(z):
            e = [x - y for x, y in zip(z, t)]
            return (mp.fsum(wj * abs(x) ** p for wj, x in zip(w, e)),
                    [wj * p * mp.sign(x) * abs(x) ** (p - 1) for wj, x in zip(w, e)])
        return power
    if kind == "log-cosh":
        a, t = vector(spec["scales"]), vector(spec["targets"])

        def log_cosh(z):
            value, gradient = mpf(0), []
            for aj, tj, zj in zip(a, t, z):
                up = mp.exp(aj * zj - tj)
                value += mp.log((up + 1 / up) / 2)
                gradient.append(aj * (up - 1 / up) / (up + 1 / up))
            return value, gradient
        return log_cosh
    if kind == "softmax-cross-entropy":
        w, b, label = [vector(row) for row in spec["weights"]], vector(spec["biases"]), spec["label"]

        def cross_entropy(z):
            q = [mp.exp(dot(row, z) + bias) for row, bias in zip(w, b)]
            s = mp.fsum(q)
            q = [x / s for x in q]
            error = [x - (c == label) for c, x in enumerate(q)]
            return -mp.log(q[label]), [mp.fsum(e * row[j] for e, row in zip(error, w)) for j in range(len(z))]
        return cross_entropy
    if kind == "polynomial":  # sum over q >= 0 of k_q (v.z)^q
        k, v = vector(spec["coefficients"]), vector(spec["direction"])

        def polynomial(z):
            s = dot(v, z)
            slope = mp.fsum(q * k[q] * s ** (q - 1) for q in range(1, len(k)))
            return mp.fsum(k[q] * s ** q for q in range(len(k))), [slope * x for x in v]
        return polynomial
    raise ValueError(kind)


# MARK: routing

def softmax(logits, support, tau=ONE):
    """Softmax over `support`, zero elsewhere."""
    e = {i: mp.exp(logits[i] / tau) for i in support}
    s = mp.fsum(e.values())
    return [e[i] / s if i in e else mpf(0) for i in range(len(logits))]


def jacobian(p, v):
    """J(p) v = (diag(p) - p p^T) v."""
    mean = dot(p, v)
    return [pi * (x - mean) for pi, x in zip(p, v)]


def support(logits, candidates, rule, threshold):
    """The experts of `candidates` that the mask keeps, the maximum being that of the candidates."""
    top = max(logits[i] for i in candidates)
    kept = []
    for i in candidates:
        if rule == "none":
            keep = True
        elif rule == "paper":
            margin = mpf(threshold) * (abs(top) + abs(logits[i])) - (top - logits[i])
            assert margin == 0 or abs(margin) > 1e-9, "too near the mask's edge"
            keep = margin >= 0
        else:
            factor = max(abs(logits[i]), top)
            ratio, most = mpf(0) if factor == 0 else (top - logits[i]) / factor, 2 * mpf(threshold)  # 0/0 keeps the expert
            assert ratio in (0, most) or abs(ratio - most) > 1e-9, "too near the mask's edge"
            keep = not ratio > most
        if keep:
            kept.append(i)
    return kept


class Problem:
    """A problem with its mask, and what the definitions speak of: pi, dpi_i, G, G', f(I_i), F_i."""

    def __init__(self, problem, rule, threshold):
        self.logits = vector(problem["logits"])
        self.n = len(self.logits)
        self.rule, self.threshold = rule, threshold
        self.support = support(self.logits, range(self.n), rule, threshold)
        self.pi = softmax(self.logits, self.support)
        self.argmax = max(range(self.n), key=lambda i: (self.logits[i], -i))
        self.mixture = problem["kind"] == "mixture"
        if self.mixture:
            self.f = [vector(row) for row in problem["expertOutputs"]]
            self.d = len(self.f[0])
            self.omega = vector(problem.get("scale", [1] * self.d))
            self.stand_ins = [vector(row) for row in problem["defaultOutputs"]] if "defaultOutputs" in problem else None
            self.loss = objective(problem["loss"])
            self.rays = {}
            # on a mixture a categorical estimator sees F(D) = G(sum_i D_i pi_i f_i), and adds the gating sample
            self.value = [self.G(self.scaled(ONE, i))[0] for i in range(self.n)]
            slope = [self.ray(i, ONE) for i in range(self.n)]
            self.gating = [[slope[i] * x for x in self.dpi(i)] for i in range(self.n)]
            self.credit = [self.value[i] + self.pi[i] * slope[i] for i in range(self.n)]
        else:
            f = objective(problem["objective"])
            at = [f([mpf(int(i == j)) for j in range(self.n)]) for i in range(self.n)]
            self.value = self.credit = [a[0] for a in at]
            self.gradient_at = [a[1] for a in at]
            self.gating = [[mpf(0)] * self.n for _ in range(self.n)]

    def indicator(self, i):
        return [mpf(int(i == j)) for j in range(self.n)]

    def score(self, i):
        """I_i - pi."""
        return [a - b for a, b in zip(self.indicator(i), self.pi)]

    def dpi(self, i):
        return [self.pi[i] * x for x in self.score(i)]

    def scaled(self, c, i):
        return [c * self.pi[i] * x for x in self.f[i]]

    def G(self, y):
        """(G(y), G'(y)) with G(y) = g(omega * y)."""
        value, gradient = self.loss([w * x for w, x in zip(self.omega, y)])
        return value, [w * x for w, x in zip(self.omega, gradient)]

    def ray(self, i, c):
        """G'(c pi_i f_i) . f_i."""
        if (i, c) not in self.rays:
            self.rays[i, c] = dot(self.G(self.scaled(c, i))[1], self.f[i])
        return self.rays[i, c]

    def objective_gradient(self, i):
        """The gradient of f, or of F, at I_i."""
        if not self.mixture:
            return self.gradient_at[i]
        outer = self.G(self.scaled(ONE, i))[1]
        return [self.pi[j] * dot(outer, self.f[j]) for j in range(self.n)]

    def rest(self, i):
        """The second draw's softmax once i is taken; its mask ignores the first draw's."""
        others = [j for j in range(self.n) if j != i]
        return softmax(self.logits, support(self.logits, others, self.rule, self.threshold))


def plus(a, b):
    return [x + y for x, y in zip(a, b)]


def times(c, v):
    return [c * x for x in v]


# MARK: estimators: a list of (probability, gradient)

def per_draw(P, gradient):
    return [(P.pi[i], gradient(i)) for i in P.support]


def reinforce(P, baseline="none", value=None, samples=None):
    if baseline == "leave-one-out":
        return leave_one_out(P, int(samples))
    if baseline == "none":
        b = mpf(0)
    elif baseline == "constant":
        b = mpf(float(value))
    elif baseline == "uniform-mean":
        b = mp.fsum(P.value[i] for i in P.support) / len(P.support)
    elif baseline == "optimal":
        weight = {i: P.pi[i] * dot(P.score(i), P.score(i)) for i in P.support}
        norm = mp.fsum(weight.values())
        b = mp.fsum(P.credit[i] * weight[i] for i in P.support) / norm if norm else mpf(0)
    return per_draw(P, lambda i: plus(times(P.value[i] - b, P.score(i)), P.gating[i]))


class UStatistic:
    """Leave-one-out over K draws: the average over pairs of h(i, j), whose moments follow from the N^2 pairs."""

    def __init__(self, P, samples):
        self.P, self.samples = P, samples
        n, S = P.n, P.support
        h = {(i, j): plus(times((P.value[i] - P.value[j]) / 2, [a - b for a, b in zip(P.indicator(i), P.indicator(j))]),
                          times(HALF, plus(P.gating[i], P.gating[j]))) for i in S for j in S}
        given = {i: total([(P.pi[j], h[i, j]) for j in S], n) for i in S}
        pairs = moments([(P.pi[i] * P.pi[j], h[i, j]) for i in S for j in S], n, covariance=n <= 4)
        singles = moments([(P.pi[i], given[i]) for i in S], n, covariance=n <= 4)
        k = samples
        mix = lambda one, two: 2 * (2 * (k - 2) * one + two) / mpf(k * (k - 1))
        self.mean = pairs[0]
        self.variance = [mix(a, b) for a, b in zip(singles[1], pairs[1])]
        self.covariance = None
        if n <= 4:
            self.covariance = [[mix(a, b) for a, b in zip(r, s)] for r, s in zip(singles[2], pairs[2])]
        if len(S) ** samples <= 300:
            self.check(moments(self.draws(), n, covariance=False))

    def draws(self):
        P, k = self.P, self.samples
        result = []
        for draw in itertools.product(P.support, repeat=k):
            gradient = [mpf(0)] * P.n
            for a in range(k):
                b = mp.fsum(P.value[draw[c]] for c in range(k) if c != a) / (k - 1)
                sample = plus(times(P.value[draw[a]] - b, P.score(draw[a])), P.gating[draw[a]])
                gradient = plus(gradient, times(ONE / k, sample))
            result.append((prod((P.pi[i] for i in draw), start=ONE), gradient))
        return result

    def check(self, brute):
        for a, b in zip(self.mean + self.variance, brute[0] + brute[1]):
            assert abs(a - b) < mpf(10) ** -420, "leave-one-out: U-statistic and enumeration differ"


def leave_one_out(P, samples):
    return UStatistic(P, samples)


def straight_through(P, tau, draw_tau="1"):
    tau = mpf(float(tau))
    p = softmax(P.logits, P.support, tau)
    if draw_tau != "1":
        draws = softmax(P.logits, P.support, mpf(float(draw_tau)))
        return [(draws[i], times(1 / tau, jacobian(p, P.objective_gradient(i)))) for i in P.support]
    return per_draw(P, lambda i: plus(times(1 / tau, jacobian(p, P.objective_gradient(i))), P.gating[i]))


def reinmax(P, tau):
    p = softmax(P.logits, P.support, mpf(float(tau)))

    def gradient(i):
        slope = P.objective_gradient(i)
        between = times(HALF, plus(p, P.indicator(i)))
        return plus(plus(times(TWO, jacobian(between, slope)), times(-HALF, jacobian(P.pi, slope))), P.gating[i])
    return per_draw(P, gradient)


def darn(P):
    def gradient(i):
        score = plus(P.indicator(i), times(-ONE, P.pi))
        return plus(times(dot(P.objective_gradient(i), score), score), P.gating[i])
    return per_draw(P, gradient)


def zgr(P):
    return [(p, times(HALF, plus(a, b))) for (p, a), (_, b) in zip(straight_through(P, "1"), darn(P))]


def along(P, i, factor, c):
    """factor (G'(c pi_i f_i) . f_i) dpi_i."""
    return times(factor * P.ray(i, c), P.dpi(i))


def conventional(P):
    return per_draw(P, lambda i: along(P, i, ONE, ONE))


def first_order(P):
    return per_draw(P, lambda i: along(P, i, TWO, ONE))


def coin(P, i):
    return [(P.pi[i] / 2, along(P, i, TWO, HALF)), (P.pi[i] / 2, along(P, i, TWO, ONE))]


def midpoint(P):
    return [o for i in P.support for o in coin(P, i)]


def sparsemixer(P):
    return [o for i in P.support for o in ([(P.pi[i], along(P, i, TWO, ONE))] if i == P.argmax else coin(P, i))]


def third(constants):
    """1/3, or as the published code has it: 0.3333 in single precision."""
    return mpf(struct.unpack("f", struct.pack("f", 0.3333))[0]) if constants == "true" else ONE / 3


def coins_v2(is_argmax, node):
    return [(ONE, ONE)] if is_argmax else [(ONE * 3 / 4, node), (ONE / 4, ONE)]


def sparsemixer_v2(P, reference_constants):
    node = third(reference_constants)
    return [(P.pi[i] * q, along(P, i, ONE, c)) for i in P.support for q, c in coins_v2(i == P.argmax, node)]


def sparsemixer_v2_top2(P, reference_constants):
    node, result = third(reference_constants), []
    for i in P.support:
        rest = P.rest(i)
        second_argmax = max((j for j in range(P.n) if j != i), key=lambda j: (P.logits[j], -j))
        for j in (j for j in range(P.n) if rest[j] > 0):
            dpi, drest = P.dpi(i), jacobian(rest, P.indicator(j))
            for q1, c1 in coins_v2(i == P.argmax, node):
                for q2, c2 in coins_v2(j == second_argmax, node):
                    y = [c1 * P.pi[i] * a + c2 * rest[j] * b for a, b in zip(P.f[i], P.f[j])]
                    outer = P.G(y)[1]
                    result.append((P.pi[i] * rest[j] * q1 * q2,
                                   plus(times(dot(outer, P.f[i]), dpi), times(dot(outer, P.f[j]), drest))))
    return result


def rule_nodes(rule, points=None):
    """The rule's (c, b) on [0, 1]."""
    q = lambda a, b=1: mpf(a) / b
    if rule == "gauss-legendre":
        n = int(points)
        roots = [mp.findroot(lambda x: mp.legendre(n, x), mp.cos(mp.pi * (k + q(3, 4)) / (n + HALF))) for k in range(n)]
        roots = [mpf(0) if abs(x) < mpf(10) ** (-mp.dps // 2) else x for x in roots]
        slope = lambda x: n * (x * mp.legendre(n, x) - mp.legendre(n - 1, x)) / (x * x - 1)
        return [((1 + x) / 2, 1 / ((1 - x * x) * slope(x) ** 2)) for x in roots]
    return {
        "euler": [(ONE, ONE)],
        "midpoint": [(HALF, ONE)],
        "heun3": [(ONE, q(1, 4)), (q(1, 3), q(3, 4))],
        "simpson": [(q(0), q(1, 6)), (HALF, q(2, 3)), (ONE, q(1, 6))],
        "rkf4": [(q(0), q(25, 216)), (q(3, 8), q(1408, 2565)), (q(12, 13), q(2197, 4104)), (ONE, q(-1, 5))],
        "rkf5": [(q(0), q(16, 135)), (q(3, 8), q(6656, 12825)), (q(12, 13), q(28561, 56430)), (ONE, q(-9, 50)),
                 (HALF, q(2, 55))],
    }[rule]


def quadrature(P, rule, evaluation, points=None):
    nodes = rule_nodes(rule, points)
    assert abs(mp.fsum(b for _, b in nodes) - 1) < mpf(10) ** (10 - mp.dps)
    beta = {c: b for c, b in nodes}
    beta[ONE] = beta.get(ONE, mpf(0)) + 1  # the multiplier's own gradient
    if evaluation == "all-nodes":
        return per_draw(P, lambda i: total([(b * P.ray(i, c), P.dpi(i)) for c, b in beta.items()], P.n))
    size = mp.fsum(abs(b) for b in beta.values())
    return [(P.pi[i] * abs(b) / size, along(P, i, mp.sign(b) * size, c)) for i in P.support for c, b in beta.items()]


def dense_backward(P):
    def gradient(i):
        outer = P.G(P.scaled(ONE, i))[1]
        return jacobian(P.pi, [dot(outer, f) for f in P.f])
    return per_draw(P, gradient)


def default_moe(P, k):
    chosen = sorted(range(P.n), key=lambda i: (-P.logits[i], i))[:int(k)]
    terms = [P.f[i] if i in chosen else P.stand_ins[i] for i in range(P.n)]
    outer = P.G(total(zip(P.pi, terms), P.d))[1]
    return [(ONE, jacobian(P.pi, [dot(outer, t) for t in terms]))]


def exact(P):
    return [(ONE, targets(P)["expected-loss"])]


ESTIMATORS = {"reinforce": reinforce, "straight-through": straight_through, "reinmax": reinmax, "darn": darn, "zgr": zgr, "exact": exact,
              "conventional": conventional, "first-order": first_order, "midpoint": midpoint,
              "sparsemixer": sparsemixer, "sparsemixer-v2": sparsemixer_v2, "sparsemixer-v2-top2": sparsemixer_v2_top2,
              "quadrature": quadrature, "dense-backward": dense_backward, "default-moe": default_moe}
NATURAL_TARGET = {"conventional": "gating-term", "sparsemixer-v2": "routing-term", "dense-backward": "dense-backward",
                  "default-moe": "dense-mixture"}  # all others: expected-loss


# MARK: targets

def targets(P):
    n, pi, draws = P.n, P.pi, P.support
    if not P.mixture:
        return {"expected-loss": jacobian(pi, P.value)}
    routing = total([(P.value[i], P.dpi(i)) for i in draws], n)
    gating = total([(pi[i] * P.ray(i, ONE), P.dpi(i)) for i in draws], n)
    dense = P.G(total(zip(pi, P.f), P.d))[1]
    return {"expected-loss": plus(routing, gating), "routing-term": routing, "gating-term": gating,
            "dense-mixture": jacobian(pi, [dot(dense, f) for f in P.f]),
            "dense-backward": moments(dense_backward(P), n, covariance=False)[0]}


def pair_targets(P):
    n, routing, gating = P.n, [], []
    for i in P.support:
        rest = P.rest(i)
        for j in (j for j in range(n) if rest[j] > 0):
            p, dpi, drest = P.pi[i] * rest[j], P.dpi(i), jacobian(rest, P.indicator(j))
            value, outer = P.G(plus(times(P.pi[i], P.f[i]), times(rest[j], P.f[j])))
            routing += [(value * rest[j], dpi), (value * P.pi[i], drest)]
            gating += [(p * dot(outer, P.f[i]), dpi), (p * dot(outer, P.f[j]), drest)]
    routing, gating = total(routing, n), total(gating, n)
    return {"expected-loss": plus(routing, gating), "routing-term": routing, "gating-term": gating}


def check_by_differences(P, exact, pairs, coordinates):
    """Central differences of the expected loss with respect to the logits, the mask (the support) held fixed."""
    h, allowed = mpf(10) ** (-mp.dps // 3), mpf(10) ** (-mp.dps // 2)

    def at(logits):
        pi = softmax(logits, P.support)
        if not P.mixture:
            return {"expected-loss": dot(pi, P.value)}
        loss = lambda p: mp.fsum(q * P.G(times(m, f))[0] for q, m, f in zip(*p) if q)
        outer = {i: P.G(P.scaled(ONE, i))[1] for i in P.support}
        mixed = total(zip(pi, P.f), P.d)
        return {"expected-loss": loss((pi, pi, P.f)), "routing-term": loss((pi, P.pi, P.f)),
                "gating-term": loss((P.pi, pi, P.f)), "dense-mixture": P.G(mixed)[0],
                "dense-backward": mp.fsum(P.pi[i] * dot(outer[i], mixed) for i in P.support)}

    def pairs_at(logits):
        pi, result = softmax(logits, P.support), dict.fromkeys(pairs, mpf(0))
        for i in P.support:
            fixed = P.rest(i)
            rest = softmax(logits, [j for j in range(P.n) if fixed[j] > 0])
            for j in (j for j in range(P.n) if fixed[j] > 0):
                value = lambda p, r: P.G(plus(times(p[i], P.f[i]), times(r[j], P.f[j])))[0]
                moved, held = value(pi, rest), value(P.pi, fixed)
                result["expected-loss"] += pi[i] * rest[j] * moved
                result["routing-term"] += pi[i] * rest[j] * held
                result["gating-term"] += P.pi[i] * fixed[j] * moved
        return result

    for k in coordinates:
        up, down = list(P.logits), list(P.logits)
        up[k], down[k] = up[k] + h, down[k] - h
        for function, expected in ((at, exact),) + (((pairs_at, pairs),) if pairs else ()):
            a, b = function(up), function(down)
            for name, gradient in expected.items():
                assert abs((a[name] - b[name]) / (2 * h) - gradient[k]) < allowed, f"target {name}, coordinate {k}"


def check_theory(P, spec, mean, exact, pairs):
    """What estimators.md claims without bias must be without bias."""
    degree = {"linear": 1, "quadratic": 2, "polynomial": len(spec.get("coefficients", [])) - 1}.get(spec["type"], 99)
    equal = lambda name, target: all(abs(a - b) < mpf(10) ** -420 for a, b in zip(mean[name], target))
    orders = {"euler": 1, "midpoint": 2, "heun3": 3, "simpson": 4, "rkf4": 4, "rkf5": 5, "gauss": 6}
    for name in mean:
        order = next((order for rule, order in orders.items() if "rule=" + rule in name), 0)
        if name.startswith(("reinforce", "exact")) or order >= degree:
            assert equal(name, exact["expected-loss"]), name
        if "all-nodes" in name:
            assert equal(name, mean.get(name.replace("all-nodes", "one-node"), mean[name])), name
    for name, target, most in (("conventional", "gating-term", 99), ("dense-backward", "dense-backward", 99),
                               ("first-order", "expected-loss", 1), ("midpoint", "expected-loss", 2),
                               ("sparsemixer", "expected-loss", 1), ("straight-through:tau=1", "expected-loss", 1),
                               ("reinmax:tau=1", "expected-loss", 2), ("darn", "expected-loss", 1),
                               ("zgr", "expected-loss", 2), ("straight-through:tau=1,draw-tau=0.5", "expected-loss", 1),
                               ("sparsemixer-v2:reference-constants=false", "routing-term", 1)):
        if name in mean and degree <= most:
            assert equal(name, exact[target]), name
    if pairs and degree == 1:
        assert equal("sparsemixer-v2-top2:reference-constants=false", pairs["gating-term"])


# MARK: moments and the file

def moments(outcomes, n, covariance):
    """(mean, variance, covariance) of (probability, gradient) pairs."""
    assert abs(mp.fsum(p for p, _ in outcomes) - 1) < mpf(10) ** (20 - mp.dps)
    mean = total(outcomes, n)
    second = total([(p, [x * x for x in g]) for p, g in outcomes], n)
    variance = [s - m * m for s, m in zip(second, mean)]
    matrix = None
    if covariance:
        matrix = [[mp.fsum(p * g[a] * g[b] for p, g in outcomes) - mean[a] * mean[b] for b in range(n)] for a in range(n)]
    return mean, variance, matrix


def parse(spec):
    name, _, rest = spec.partition(":")
    parameters = dict(item.split("=") for item in rest.split(",")) if rest else {}
    return name, {key.replace("-", "_"): value for key, value in parameters.items()}


def measure(P, spec, covariance):
    name, parameters = parse(spec)
    outcomes = ESTIMATORS[name](P, **parameters)
    if isinstance(outcomes, UStatistic):
        count, mean, variance, matrix = (len(P.support) ** outcomes.samples, outcomes.mean, outcomes.variance,
                                         outcomes.covariance)
    else:
        count, (mean, variance, matrix) = len(outcomes), moments(outcomes, P.n, covariance)
    entry = {"estimator": spec, "target": NATURAL_TARGET.get(name, "expected-loss"), "outcomes": count,
             "mean": texts(mean), "variance": texts(variance), "totalVariance": text(mp.fsum(variance))}
    if covariance:
        entry["covariance"] = [texts(row) for row in matrix]
    return entry, mean


def evaluate(case):
    problem, (rule, threshold) = case["problem"], case["mask"]
    P = Problem(problem, rule, threshold)
    exact = targets(P)
    pairs = pair_targets(P) if P.mixture and 2 <= P.n <= 32 else None
    check_by_differences(P, exact, pairs if P.n <= 8 else None, range(P.n) if P.n <= 8 else (0, P.argmax, P.n - 1))
    largest = max(abs(x) for x in exact["expected-loss"])
    spread = max(p * (1 - p) for p in P.pi)
    header = {"problem": problem, "mask": {"rule": rule, "threshold": threshold}, "support": P.support,
              "expectedLoss": text(dot(P.pi, P.value)),
              "scale": text(max(largest, mp.fsum(p * abs(v) for p, v in zip(P.pi, P.value)) * spread)),
              "targets": {name: texts(v) for name, v in exact.items()},
              "pairTargets": pairs and {name: texts(v) for name, v in pairs.items()}}
    entries, means = [], {}
    for spec in case["estimators"]:
        entry, means[spec] = measure(P, spec, case["covariance"])
        entries.append(entry)
    check_theory(P, problem.get("loss") or problem["objective"], means, exact, pairs)
    fields = [f" {compact(key)}: {compact(value)}" for key, value in header.items()]
    fields.append(' "estimators": [\n' + ",\n".join("  " + compact(e) for e in entries) + "]")
    return "{\n" + ",\n".join(fields) + "}"


def main():
    options = argparse.ArgumentParser()
    options.add_argument("output", nargs="?", default=os.path.join(FIXTURES, "reference", "moments-mpmath.json"))
    options.add_argument("--small", action="store_true", help="only the cases with at most eight experts")
    options.add_argument("--digits", type=int, default=500)
    options = options.parse_args()
    mp.dps = options.digits
    chosen = [c for c in cases() if not options.small or len(c["problem"]["logits"]) <= 8]
    blocks = []
    for case in chosen:
        blocks.append(evaluate(case))
        print(case["problem"]["name"], case["mask"], len(blocks[-1]), file=sys.stderr, flush=True)
    write(options.output, f'{{"digits": {PRINTED}, "cases": [\n' + ",\n".join(blocks) + "\n]}")


if __name__ == "__main__":
    main()
