"""Writes the fixtures' JSON: compact, with line breaks where a reader wants them. Used by the other generators."""

import json
import os

FIXTURES = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


def compact(value):
    return json.dumps(value, allow_nan=False, ensure_ascii=True)


def write(path, text):
    with open(path, "w", encoding="ascii", newline="\n") as file:
        file.write(text + "\n")


def lines(items, indent=""):
    """A JSON array with one item on each line."""
    return "[\n" + ",\n".join(indent + compact(item) for item in items) + "\n]"


def write_problems(path, problems):
    """A `routegrad.problems/1` file: one field of a problem on each line."""
    blocks = []
    for problem in problems:
        problem = {"schema": "routegrad.problem/1"} | problem
        fields = [f"   {compact(key)}: {compact(value)}" for key, value in problem.items()]
        blocks.append("  {\n" + ",\n".join(fields) + "}")
    write(path, '{"schema": "routegrad.problems/1", "problems": [\n' + ",\n".join(blocks) + "\n]}")
