"""How much memory calls of every kind leave behind: python leak_check.py 1000000"""

import gc
import sys

import routegrad

MIXTURE = ([0.3, -1.2, 0.8], [[0.1, 0.2], [1.0, -0.4], [0.0, 0.3]])
LOSS = {"type": "log-cosh", "scales": [1.0, 2.0], "targets": [0.5, -0.5]}


def resident() -> int:
    """The bytes of this process that are in memory."""
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * 4096


def raising(y):
    raise ValueError("no")


def calls(count: int) -> None:
    """So many calls: problems made and given back, moments, outcomes, targets, verdicts, refusals, callables that
    raise."""
    problem = routegrad.mixture(*MIXTURE, LOSS)
    samples = routegrad.sample(problem, "sparsemixer", 20)
    for k in range(count):
        kind = k % 10
        if kind == 0:
            problem = routegrad.mixture(*MIXTURE, LOSS)
        elif kind == 1:
            routegrad.outcomes(problem, "sparsemixer")
        elif kind == 2:
            routegrad.target(problem)
        elif kind in (3, 4):
            try:
                if kind == 3:
                    routegrad.target(problem, "nothing")
                else:
                    routegrad.moments(routegrad.mixture(*MIXTURE, raising), "midpoint")
            except routegrad.RouteGradError:
                pass
        elif kind == 5:
            routegrad.moments(routegrad.mixture(*MIXTURE, lambda y: (0.5 * y @ y, y)), "midpoint")
        elif kind == 6:
            routegrad.sample(problem, "sparsemixer", 10)
        elif kind == 7:
            routegrad.moments(problem, "sparsemixer", mask=("paper", 0.5), covariance=True)
        elif kind == 8:
            routegrad.verify({"gradient": samples, "choice": [0] * 20}, problem, "sparsemixer")
        else:
            try:
                routegrad.verify(samples * float("nan"), problem, target="expected-loss", bounds=(-1.0, 1.0))
            except routegrad.RouteGradError:
                pass


def growth(count: int) -> int:
    """The bytes by which the process grows in so many calls, after a first round."""
    calls(max(count // 10, 4000))
    gc.collect()
    before = resident()
    calls(count)
    gc.collect()
    return resident() - before


if __name__ == "__main__":
    number = int(sys.argv[1])
    print(f"{number} calls: {growth(number)} bytes more in memory, {resident() // 2**20} MiB in all")
