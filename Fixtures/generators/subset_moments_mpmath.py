"""Targets, means and covariances of estimators that draw subsets, by brute force: reference/subset-moments-mpmath.json.

    python3 subset_moments_mpmath.py [OUTPUT]        (default: ../reference/subset-moments-mpmath.json)

Every subset's probability from its definition in 500-digit arithmetic, marginals and covariances as sums over them; problems of
moments_cases.py with two to eight experts, but for those whose logits lie a hundred and more apart. Asserts that targets are central
differences of the expected loss, and that what claims to be exact for affine objectives is.
"""

import itertools
import os
import sys

from mpmath import mp, mpf

from fixture_json import FIXTURES, compact, write
from moments_cases import cases
from moments_mpmath import Problem, dot, jacobian, moments, objective, parse, plus, softmax, texts, times, total

mp.dps = 500


def bernoulli(logits, support, low, high):
    """Subset -> probability: independent coins of odds e^theta, given the number of heads."""
    w = {i: mp.exp(logits[i]) for i in support}
    all_of = [s for k in range(low, high + 1) for s in itertools.combinations(support, k)]
    weight = {s: mp.fprod(w[i] for i in s) for s in all_of}
    z = mp.fsum(weight.values())
    return {s: x / z for s, x in weight.items()}


def plackett_luce(logits, support, k):
    """Subset -> probability: the sum over all orders of drawing without replacement."""
    w = {i: mp.exp(logits[i]) for i in support}
    law = {}
    for s in itertools.combinations(support, k):
        p = mpf(0)
        for order in itertools.permutations(s):
            left, q = dict(w), mpf(1)
            for i in order:
                q *= w[i] / mp.fsum(left.values())
                del left[i]
            p += q
        law[s] = p
    return law


class Subsets:
    """A problem with a law of subsets: P(S), its score, mu, Cov z, F(S), dF/dz, slopes of the experts drawn."""

    def __init__(self, P, k, k_max=None, law="conditional-bernoulli", baseline="0"):
        self.P, self.low, self.high, self.kind = P, int(k), int(k_max or k), law
        self.baseline = mpf(float(baseline))
        self.law = self.probabilities(P.logits)
        z = {s: [mpf(int(i in s)) for i in range(P.n)] for s in self.law}
        self.mu = total([(p, z[s]) for s, p in self.law.items()], P.n)
        self.score = {s: plus(z[s], times(-1, self.mu)) for s in self.law}
        self.covariance = [[mp.fsum(p * self.score[s][i] * self.score[s][j] for s, p in self.law.items())
                            for j in range(P.n)] for i in range(P.n)]
        if law == "plackett-luce":
            self.score = self.differences()
        self.value, self.gradient, self.slopes = {}, {}, {}
        for s in self.law:
            self.value[s], self.gradient[s], self.slopes[s] = self.evaluate(P.pi, s, z[s])

    def probabilities(self, logits):
        if self.kind == "plackett-luce":
            return plackett_luce(logits, self.P.support, self.low)
        return bernoulli(logits, self.P.support, self.low, self.high)

    def differences(self):
        """d log P(S)/d theta by central differences of fourth order with steps of 1e-100: some 390 digits."""
        P, h = self.P, mpf(10) ** -100
        score = {s: [mpf(0)] * P.n for s in self.law}
        for k in P.support:
            laws = []
            for step in (-2, -1, 1, 2):
                logits = list(P.logits)
                logits[k] += step * h
                laws.append(self.probabilities(logits))
            for s, p in self.law.items():
                a, b, c, d = (law[s] for law in laws)
                score[s][k] = (a - 8 * b + 8 * c - d) / (12 * h) / p
        return score

    def evaluate(self, pi, s, z):
        P = self.P
        if not P.mixture:
            value, gradient = P.objective(z)
            return value, gradient, [mpf(0)] * P.n
        value, outer = P.G(total([(pi[i], P.f[i]) for i in s], P.d))
        slopes = [dot(outer, f) for f in P.f]
        return value, [p * x for p, x in zip(pi, slopes)], [x * y for x, y in zip(z, slopes)]

    def product(self, v):
        return [dot(row, v) for row in self.covariance]

    def gates(self, s):
        return jacobian(self.P.pi, self.slopes[s])

    def targets(self):
        routing = total([(p * self.value[s], self.score[s]) for s, p in self.law.items()], self.P.n)
        if not self.P.mixture:
            return {"expected-loss": routing}
        gating = total([(p, self.gates(s)) for s, p in self.law.items()], self.P.n)
        return {"expected-loss": plus(routing, gating), "routing-term": routing, "gating-term": gating}

    def check(self):
        """The expected loss by central differences."""
        P, h = self.P, mpf(10) ** (-mp.dps // 3)
        exact = self.targets()["expected-loss"]
        for k in range(P.n):
            def at(step):
                logits = list(P.logits)
                logits[k] += step
                pi = softmax(logits, P.support)
                law = self.probabilities(logits)
                return mp.fsum(p * self.evaluate(pi, s, [mpf(int(i in s)) for i in range(P.n)])[0] for s, p in law.items())
            assert abs((at(h) - at(-h)) / (2 * h) - exact[k]) < mpf(10) ** (-mp.dps // 2), k


def simple(D):
    return [(p, plus(D.product(D.gradient[s]), D.gates(s))) for s, p in D.law.items()]


def probmoe(D):
    sparse = lambda s: [p * x for p, x in zip(D.P.pi, D.slopes[s])]
    return [(p, plus(D.product(sparse(s)), D.gates(s))) for s, p in D.law.items()]


def subset_reinforce(D):
    return [(p, plus(times(D.value[s] - D.baseline, D.score[s]), D.gates(s))) for s, p in D.law.items()]


ESTIMATORS = {"simple": simple, "probmoe": probmoe, "subset-reinforce": subset_reinforce}
REINFORCE = ["subset-reinforce:law=plackett-luce,k=1,baseline=0", "subset-reinforce:law=plackett-luce,k=2,baseline=0",
             "subset-reinforce:law=plackett-luce,k=3,baseline=0.7",
             "subset-reinforce:law=conditional-bernoulli,k=2,baseline=0.7",
             "subset-reinforce:law=conditional-bernoulli,k=1,k-max=2,baseline=0"]
SPECIFICATIONS = REINFORCE + ["simple:k=1", "simple:k=2", "simple:k=3", "simple:k=1,k-max=2", "probmoe:k=1", "probmoe:k=2",
                  "probmoe:k=2,k-max=3"]


def measure(P, spec, affine):
    name, parameters = parse(spec)
    D = Subsets(P, **parameters)
    targets = D.targets()
    mean, variance, covariance = moments(ESTIMATORS[name](D), P.n, P.n <= 3)
    D.check()
    if affine and name == "simple" or name == "subset-reinforce":
        assert all(abs(a - b) < mpf(10) ** -300 for a, b in zip(mean, targets["expected-loss"])), spec
    entry = {"estimator": spec, "outcomes": len(D.law), "targets": {key: texts(v) for key, v in targets.items()},
             "mean": texts(mean), "variance": texts(variance)}
    if P.n <= 3:
        entry["covariance"] = [texts(row) for row in covariance]
    return entry


def evaluate(case):
    problem, (rule, threshold) = case["problem"], case["mask"]
    P = Problem(problem, rule, threshold)
    if not P.mixture:
        P.objective = objective(problem["objective"])
    affine = (problem.get("loss") or problem["objective"])["type"] == "linear"
    entries = []
    for spec in SPECIFICATIONS:
        name, parameters = parse(spec)
        most = int(parameters.get("k_max", parameters["k"]))
        if most > len(P.support) or (name == "probmoe" and not P.mixture):
            continue
        entries.append(measure(P, spec, affine))
    fields = [f' "problem": {compact(problem)}', f' "mask": {compact({"rule": rule, "threshold": threshold})}']
    fields.append(' "estimators": [\n' + ",\n".join("  " + compact(e) for e in entries) + "]")
    return "{\n" + ",\n".join(fields) + "}"


def main():
    output = sys.argv[1] if len(sys.argv) > 1 else os.path.join(FIXTURES, "reference", "subset-moments-mpmath.json")
    chosen = [c for c in cases() if 2 <= len(c["problem"]["logits"]) <= 8
              and max(c["problem"]["logits"]) - min(c["problem"]["logits"]) < 100]
    blocks = []
    for case in chosen:
        blocks.append(evaluate(case))
        print(case["problem"]["name"], len(blocks[-1]), file=sys.stderr, flush=True)
    write(output, '{"cases": [\n' + ",\n".join(blocks) + "\n]}")


if __name__ == "__main__":
    main()
