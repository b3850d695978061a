"""Mean and covariance of REINFORCE with a control variate at relaxed draws (REBAR, RELAX): reference/relaxed-controls.json.

    python3 relaxed_controls.py [OUTPUT]        (default: ../reference/relaxed-controls.json)

Two experts: 40-digit arithmetic, the draw and the draw given D as functions of one uniform (the binary reparametrisation), their derivatives by
mpmath's numerical differentiation, adaptive quadrature over the uniform's logit. Three experts: Gauss-Legendre panels over the ratios of the race's
times, the whole reparametrisation differentiated by the complex step in Float64. Asserts that the two agree to 1e-13 on two experts, and that means are the
derivative of the expected loss.
"""

import os
import sys

import numpy as np
from mpmath import mp, mpf

from fixture_json import FIXTURES, compact, write

mp.dps = 40

LOG_COSH = {"type": "log-cosh", "scales": [1.5, 0.75], "targets": [0.25, -0.5]}
LOG_COSH3 = {"type": "log-cosh", "scales": [1.5, 0.75, 1.0], "targets": [0.25, -0.5, 0.125]}
QUADRATIC = {"type": "quadratic", "matrix": [[1.0, 0.5], [0.5, -2.0]], "linear": [0.25, 1.5]}
LINEAR = {"type": "linear", "coefficients": [1.25, -0.5]}
OUTPUTS = [[0.5, -1.5], [1.25, 0.75], [-0.625, 0.875]]


def problems():
    for logits in ([0.375, -0.625], [2.5, -3.0]):
        for f in (LINEAR, QUADRATIC, LOG_COSH):
            yield {"kind": "categorical", "logits": logits, "objective": f}
    yield {"kind": "mixture", "logits": [0.375, -0.625], "expertOutputs": OUTPUTS[:2], "loss": LOG_COSH}
    yield {"kind": "categorical", "logits": [0.5, -0.25, 1.0], "objective": LOG_COSH3}
    yield {"kind": "mixture", "logits": [0.5, -0.25, -1.0], "expertOutputs": OUTPUTS, "loss": LOG_COSH}


def cases():
    for problem in problems():
        for tau, eta, coupled, weights in ((0.5, 1.0, False, None), (0.125, 0.75, False, None), (2.0, 1.25, True, None),
                                           (0.5, 1.0, False, [0.75, -0.5, 0.25]), (0.25, 1.0, True, [0.75, -0.5, 0.25])):
            n = len(problem["logits"])
            yield problem, tau, eta, coupled, weights and weights[:n]


class Arithmetic:
    """The few functions that both kinds of number need."""

    def __init__(self, exp, log, log_cosh):
        self.exp, self.log, self.log_cosh = exp, log, log_cosh


def complex_log_cosh(x):
    sign = np.where(np.real(x) < 0, -1.0, 1.0)
    return sign * x + np.log1p(np.exp(-2 * sign * x)) - np.log(2.0)


MP = Arithmetic(mp.exp, mp.log, lambda x: mp.log(mp.cosh(x)))
NP = Arithmetic(np.exp, np.log, complex_log_cosh)


def function(kind, f, z, a):
    if kind == "linear":
        return sum(c * x for c, x in zip(f["coefficients"], z))
    if kind == "quadratic":
        m, b = f["matrix"], f["linear"]
        return sum(m[i][j] * z[i] * z[j] for i in range(len(z)) for j in range(len(z))) / 2 + sum(
            b[i] * z[i] for i in range(len(z)))
    return sum(a.log_cosh(s * x - t) for s, t, x in zip(f["scales"], f["targets"], z))


def loss(problem, p, pi, a):
    """F(p); pi are the multipliers of a mixture."""
    if problem["kind"] == "categorical":
        return function(problem["objective"]["type"], problem["objective"], p, a)
    rows = problem["expertOutputs"]
    y = [sum(p[i] * pi[i] * rows[i][e] for i in range(len(rows))) for e in range(len(rows[0]))]
    return function(problem["loss"]["type"], problem["loss"], y, a)


def softmax(x, a):
    w = [a.exp(v) for v in x]
    return [v / sum(w) for v in w]


def fixed(problem, tau, weights, a, pi):
    """c as a function of the relaxed logits z."""
    def c(z):
        p = softmax([v / tau for v in z], a)
        return sum(w * x for w, x in zip(weights, p)) if weights else loss(problem, p, pi, a)
    return c


def factors(problem, pi, a, gate):
    """F_D plus the gating sample's factor, which is the derivative of F by log pi_D."""
    n = len(pi)
    out = []
    for d in range(n):
        one = [1 if i == d else 0 for i in range(n)]
        value = loss(problem, one, pi, a)
        out.append(value + (gate(lambda t: loss(problem, one, [q * a.exp(t) for q in pi], a)) if problem["kind"] == "mixture" else 0))
    return out


def assembled(pi, b, eta, given):
    """Mean and covariance from E and Cov of the control's part given D."""
    n = len(pi)
    means = [[b[d] * ((1 if j == d else 0) - pi[j]) + eta * given[d][0][j] for j in range(n)] for d in range(n)]
    mean = [sum(pi[d] * means[d][j] for d in range(n)) for j in range(n)]
    cov = [[sum(pi[d] * (eta**2 * given[d][1][j][k] + (means[d][j] - mean[j]) * (means[d][k] - mean[k])) for d in range(n))
            for k in range(n)] for j in range(n)]
    return mean, cov


def binary(problem, tau, eta, coupled, weights):
    theta = [mpf(x) for x in problem["logits"]]
    delta, tau, eta = theta[0] - theta[1], mpf(tau), mpf(eta)
    pi = softmax(theta, MP)
    c = fixed(problem, tau, weights, MP, pi)
    b = factors(problem, pi, MP, lambda f: mp.diff(f, 0))
    zero = mpf(0)

    def level(gap):
        return c([gap, zero])

    def slope(gap):
        return mp.diff(level, gap)

    def gap(d, move, v, w):
        """L at theta_0 - theta_1 + move, given D, from one uniform v, w being 1 - v."""
        q = 1 / (1 + mp.exp(delta + move))  # 1 - pi_0
        if d == 0:
            return delta + move + mp.log((q + (1 - q) * v) / ((1 - q) * w))
        return delta + move + mp.log(q * v / ((1 - q) + q * w))

    def given(d):
        s = (1 - pi[0]) if d == 0 else -pi[0]
        ends = [mpf(-90), -40, -20, -8, -2, 2, 8, 20, 40, 90]

        def parts(x):
            v, w = 1 / (1 + mp.exp(-x)), 1 / (1 + mp.exp(x))
            at = gap(d, zero, v, w)
            y = slope(at)
            # The derivative of L at fixed noise, formed by the quantile's own definition.
            moved = mp.diff(lambda t: gap(d, t, v, w), zero)
            return v * w, -level(at) * s - y * moved, y

        def expectation(f):
            def integrand(x):
                density, a, y = parts(x)
                return density * f(a, y)
            return mp.quad(integrand, ends, maxdegree=5)

        if coupled:
            m = expectation(lambda a, y: a + y)
            return m, expectation(lambda a, y: (a + y - m) ** 2)
        m, k = expectation(lambda a, y: a), expectation(lambda a, y: y)
        return m + k, expectation(lambda a, y: (a - m) ** 2) + expectation(lambda a, y: (y - k) ** 2)

    both = []
    for d in range(2):
        m, v = given(d)
        both.append(([m, -m], [[v, -v], [-v, v]]))
    return pi, b, assembled(pi, b, eta, both)


def panels(low, high, count, points):
    x, w = np.polynomial.legendre.leggauss(points)
    edges = np.linspace(low, high, count + 1)
    half = (edges[1:] - edges[:-1]) / 2
    mid = (edges[1:] + edges[:-1]) / 2
    return (mid[:, None] + half[:, None] * x).ravel(), (half[:, None] * w).ravel()


def panelled(problem, tau, eta, coupled, weights):
    theta = np.array(problem["logits"])
    n = len(theta)
    pi = softmax(list(theta), NP)
    c = fixed(problem, tau, weights, NP, pi)
    h = 1e-30
    b = factors(problem, pi, NP, lambda f: np.imag(f(1j * h)) / h)
    b = [float(np.real(x)) for x in b]
    x, w = panels(-46, 46, 92, 14)
    # Ratios V_l/V_D: the first has the survival 1/(1 + R), the next over 1 + R of those before (1 + S)^-2.
    first = np.exp(x)
    if n == 2:
        ratios, density = [first], w * first / (1 + first) ** 2
    else:
        a, s = np.meshgrid(first, first, indexing="ij")
        ratios = [a, (1 + a) * s]
        density = np.outer(w, w) * a / (1 + a) ** 2 * 2 * s / (1 + s) ** 3
    mass = density.sum()
    assert abs(mass - 1) < 1e-13, mass

    def at(d, j, kind):
        """c and its derivative by theta_j: of z, whose noise is held, or of z given D, whose V are."""
        moved = theta.astype(complex)
        moved[j] += 1j * h
        p = softmax(list(moved), NP)
        rest = iter(ratios)
        r = [None if l == d else next(rest) for l in range(n)]
        if kind == "given":
            # V_D = 1: c does not see what all times have in common.
            z = [np.zeros(np.shape(ratios[0]), complex) if l == d else -np.log(1 + r[l] / p[l]) for l in range(n)]
        else:
            # Held noise: z_l - theta_l as it is at theta.
            z = [(moved[l] - theta[l]) + (np.zeros(np.shape(ratios[0])) if l == d else -np.log(1 + r[l] / pi[l]))
                 for l in range(n)]
        value = c(z)
        return np.real(value), np.imag(value) / h

    given = []
    for d in range(n):
        score = [(1 if j == d else 0) - pi[j] for j in range(n)]
        free = np.array([at(d, j, "free")[1] for j in range(n)])
        parts = []
        for j in range(n):
            value, slope = at(d, j, "given")
            parts.append(-value * score[j] - slope)
        own = np.array(parts)

        def two(v):
            m = np.array([(density * v[j]).sum() for j in range(n)])
            e = [v[j] - m[j] for j in range(n)]
            return m, np.array([[(density * e[j] * e[k]).sum() for k in range(n)] for j in range(n)])

        if coupled:
            m, v = two(own + free)
        else:
            (m1, v1), (m2, v2) = two(own), two(free)
            m, v = m1 + m2, v1 + v2
        given.append((m, v))
    return pi, b, assembled(pi, b, eta, given)


def main():
    out = []
    for problem, tau, eta, coupled, weights in cases():
        pi, b, (mean, cov) = panelled(problem, tau, eta, coupled, weights)
        if len(pi) == 2:
            coarse = (mean, cov)
            pi, b, (mean, cov) = binary(problem, tau, eta, coupled, weights)
            for u, v in zip(mean + [x for r in cov for x in r], list(coarse[0]) + [x for r in coarse[1] for x in r]):
                assert abs(float(u) - v) < 1e-13 * max(1, abs(v)), (problem, tau, u, v)
        expected = [pi[j] * sum(pi[k] * (b[j] - b[k]) for k in range(len(pi))) for j in range(len(pi))]
        for u, v in zip(mean, expected):
            assert abs(u - v) < 1e-11, (problem, tau, u, v)
        text = (lambda v: mp.nstr(v, 30)) if len(pi) == 2 else (lambda v: repr(float(v)))
        out.append({"problem": {"schema": "routegrad.problem/1"} | problem, "tau": tau, "eta": eta, "coupled": coupled, "weights": weights,
                    "mean": [text(v) for v in mean], "covariance": [[text(v) for v in r] for r in cov]})
        print(len(out), problem["kind"], problem["logits"], tau, file=sys.stderr)
    body = ",\n".join("  " + compact(case) for case in out)
    path = sys.argv[1] if len(sys.argv) > 1 else os.path.join(FIXTURES, "reference", "relaxed-controls.json")
    write(path, '{"cases": [\n' + body + "\n]}")


main()
