"""Holds five published routers against the oracle and prints the table of docs/conformance.md.

    python docs/examples/conformance/run.py [reinmax|gumbel|phimoe|switch|mixtral …]

Needs routegrad and what requirements.txt beside this file names.
"""

import importlib
import sys

SUBJECTS = ("reinmax", "gumbel", "phimoe", "switch", "mixtral")


def main():
    print("| subject | claim | verdict | figure |\n|---|---|---|---|")
    for name in sys.argv[1:] or SUBJECTS:
        for row in importlib.import_module(f"subject_{name}").findings():
            print(f"| {row.subject} | {row.question} | {row.verdict} | {row.figure} |", flush=True)


if __name__ == "__main__":
    main()
