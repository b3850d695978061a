"""Problems that several tests use, and the program that results are compared with."""

import json
import os
import pathlib
import subprocess

import pytest
import routegrad

ROOT = pathlib.Path(__file__).resolve().parents[2]
PROBLEMS = sorted((ROOT / "Fixtures" / "problems").glob("*.json"))

MIXTURE = {
    "kind": "mixture", "logits": [0.3, -1.2, 0.8], "expertOutputs": [[0.1, 0.2], [1.0, -0.4], [0.0, 0.3]],
    "scale": [1.0, 1.5], "defaultOutputs": [[0.1, 0.1], [0.8, -0.2], [0.1, 0.2]],
    "loss": {"type": "log-cosh", "scales": [1.0, 2.0], "targets": [0.5, -0.5]},
}


@pytest.fixture
def mixture():
    return routegrad.mixture(
        MIXTURE["logits"], MIXTURE["expertOutputs"], MIXTURE["loss"], scale=MIXTURE["scale"],
        default_outputs=MIXTURE["defaultOutputs"])


@pytest.fixture
def callable_mixture():
    """Makes a mixture problem of a callable loss."""
    def make(loss):
        return routegrad.mixture(MIXTURE["logits"], MIXTURE["expertOutputs"], loss)

    return make


def program_status(*arguments: str) -> tuple[int, str]:
    """How the program ends, and what it prints."""
    path = os.environ.get("ROUTEGRAD_PROGRAM")
    if not path:
        pytest.skip("ROUTEGRAD_PROGRAM is not set")
    ran = subprocess.run([path, *arguments], capture_output=True, text=True)
    assert ran.stderr == "", ran.stderr
    return ran.returncode, ran.stdout


def program(*arguments: str) -> str:
    """What the program prints when all is well."""
    status, output = program_status(*arguments)
    assert status == 0
    return output


def report(*arguments: str) -> list[dict]:
    return json.loads(program("report", "--format", "json", "--quiet", *arguments))["problems"]
