"""The pytest plugin: the fixture ``routegrad_check`` and the option ``--routegrad-seed``.

A module of its own beside the package: pytest imports it in every run where routegrad is installed, and it imports neither the package nor NumPy
before a test asks for the fixture.
"""

from __future__ import annotations

import argparse
import hashlib
import secrets
from collections.abc import Generator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from routegrad.testing import Checks

_USED = pytest.StashKey[int]()


def _seed(text: str) -> int | str:
    if text == "random":
        return text
    if not text.isdecimal() or int(text) >= 2**64:
        raise argparse.ArgumentTypeError(f"expected a whole number from 0 to 2**64 - 1 or random, got {text!r}")
    return int(text)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.getgroup("routegrad").addoption(
        "--routegrad-seed", type=_seed, default=0, metavar="SEED",
        help="seed of what tests with the fixture routegrad_check draw, a number or 'random' (default: 0)")


def pytest_configure(config: pytest.Config) -> None:
    if config.option.routegrad_seed == "random":  # chosen once, so that workers of pytest-xdist are given the number
        config.option.routegrad_seed = secrets.randbits(64)


def pytest_report_header(config: pytest.Config) -> str | None:
    seed: int = config.option.routegrad_seed
    return f"routegrad: --routegrad-seed={seed}" if seed else None


@pytest.fixture
def routegrad_check(request: pytest.FixtureRequest) -> Checks:
    """Assertions about routers and gradient estimators, with seeds of this test's own (routegrad.testing.Checks)."""
    from routegrad.testing import Checks

    # Of the test and of the option: tests draw other numbers than each other, whatever order they run in.
    content = f"{request.config.option.routegrad_seed} {request.node.nodeid}".encode()
    seed = int.from_bytes(hashlib.blake2b(content, digest_size=8).digest(), "little")
    request.node.stash[_USED] = seed
    return Checks(seed)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if report.failed and _USED in item.stash:
        given = item.config.option.routegrad_seed
        report.sections.append(
            ("routegrad", f"drawn with routegrad_check.seed = {item.stash[_USED]}; the same again by --routegrad-seed={given}"))
    return report
