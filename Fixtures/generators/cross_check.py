"""Compares every outcome of the published codes (reference/*-outcomes.json) with the definitions in moments_mpmath.py.

    python3 cross_check.py        (prints the largest difference of each file; fails above 1e-13)
"""

import json
import os

from mpmath import mp

from fixture_json import FIXTURES
from moments_mpmath import ESTIMATORS, Problem, parse


def main():
    mp.dps = 50
    for name in ("sparsemixer-v1-outcomes", "reinmax-outcomes", "phimoe-sparsemixer-outcomes"):
        worst, count = 0, 0
        with open(os.path.join(FIXTURES, "reference", name + ".json")) as file:
            records = json.load(file)
        for record in records:
            P = Problem(record["problem"], record["mask"]["rule"], record["mask"]["threshold"])
            estimator, parameters = parse(record["estimator"])
            defined = [gradient for _, gradient in ESTIMATORS[estimator](P, **parameters)]
            listed = [o for o in record["outcomes"]
                      if not (estimator == "sparsemixer" and o["choice"] == [P.argmax] and o["coins"] == [0])]
            assert len(defined) == len(listed), record["problem"]["name"]
            for outcome, gradient in zip(listed, defined):
                largest = max(1, *(abs(x) for x in gradient))
                worst = max([worst] + [abs(a - b) / largest for a, b in zip(outcome["gradient"], gradient)])
            count += len(listed)
        print(f"{name}: {len(records)} records, {count} outcomes, largest difference {mp.nstr(worst, 2)}")
        assert worst < 1e-13


if __name__ == "__main__":
    main()
