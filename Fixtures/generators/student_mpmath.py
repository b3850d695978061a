"""Student's distribution and paired t-tests (reference/student-mpmath.json).

    python3 student_mpmath.py
"""

import json
import os

from mpmath import mp, mpf, betainc, findroot, nstr, sqrt

from fixture_json import FIXTURES


def tail(t, nu):
    """P(|T| >= t)."""
    return betainc(mpf(nu) / 2, mpf(1) / 2, 0, nu / (nu + t * t), regularized=True)


def quantile(p, nu):
    return findroot(lambda t: tail(t, nu) / 2 - (1 - p), (mpf("1e-3"), mpf(40)), solver="bisect", maxsteps=400, tol=mpf(10) ** -40)


def paired(differences):
    xs = [mpf(x) for x in differences]
    n = len(xs)
    mean = sum(xs) / n
    error = sqrt(sum((x - mean) ** 2 for x in xs) / (n - 1) / n)
    width = quantile(mpf("0.975"), n - 1) * error
    return mean, mean - width, mean + width, tail(abs(mean / error), n - 1)


def main():
    mp.dps = 50
    digits = lambda x: nstr(x, 25)
    quantiles = [
        {"p": p, "degrees": nu, "t": digits(quantile(mpf(p), nu))}
        for p in (0.75, 0.90625, 0.96875) for nu in (1, 2, 3, 7, 19, 200)]
    cases = []
    for differences in ([0.25, 0.5], [-0.125, 0.5, 0.0625], [-0.25, -0.375, 0.125, -0.5, -0.0625, -0.75, 0.03125, -0.4375],
                        [(k * k % 23 - 9) / 16 for k in range(20)]):
        mean, low, high, p = paired(differences)
        cases.append({"differences": differences, "mean": digits(mean), "low": digits(low), "high": digits(high), "p": digits(p)})
    with open(os.path.join(FIXTURES, "reference", "student-mpmath.json"), "w") as file:
        json.dump({"quantiles": quantiles, "paired": cases}, file, indent=1)
        file.write("\n")


if __name__ == "__main__":
    main()
