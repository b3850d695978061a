"""The pytest plugin in pytest runs of its own."""

import re

import pytest

pytest_plugins = ["pytester"]

ESTIMATORS = '''
    import numpy as np
    import pytest
    import routegrad

    THETA, MATRIX = [0.3, -1.2, 0.8], np.diag([1.0, 2.0, 3.0])

    @pytest.fixture
    def problem():
        return routegrad.categorical(THETA, {"type": "quadratic", "matrix": MATRIX, "linear": [1, 0, -1]})

    def losses():
        return 0.5 * np.diag(MATRIX) + [1, 0, -1]

    def reinforce(count, rng, factor=1.0):
        p = np.exp(THETA) / np.exp(THETA).sum()
        choice = rng.choice(3, size=count, p=p)
        return factor * losses()[choice][:, None] * (np.eye(3)[choice] - p)
'''


@pytest.fixture
def suite(pytester):
    """Runs tests that are appended to two estimators."""
    def run(body, *arguments):
        pytester.makepyfile(ESTIMATORS + body)
        return pytester.runpytest("-p", "no:cacheprovider", "-p", "no:hypothesispytest", *arguments)

    return run


def test_what_is_right_passes(suite):
    suite('''
    def test_unbiased(routegrad_check, problem):
        routegrad_check.assert_unbiased(reinforce, problem, bounds=(-2, 2))

    def test_samples(routegrad_check, problem):
        routegrad_check.assert_samples_of("reinforce", reinforce, problem)

    def test_draws_are_told(routegrad_check, problem):
        def draw(count, rng):
            p = np.exp(THETA) / np.exp(THETA).sum()
            choice = rng.choice(3, size=count, p=p)
            return {"gradient": losses()[choice][:, None] * (np.eye(3)[choice] - p), "choice": choice[:, None]}
        routegrad_check.assert_samples_of("reinforce", draw, problem)

    def test_router(routegrad_check):
        def router(logits):
            p = np.exp(logits - logits.max(-1, keepdims=True))
            p /= p.sum(-1, keepdims=True)
            choice = p.argmax(-1)[:, None]
            return np.take_along_axis(p, choice, -1), choice, lambda g: g * np.take_along_axis(p, choice, -1) * (
                np.eye(p.shape[1])[choice[:, 0]] - p)
        routegrad_check.assert_router_matches(router)
        spec = {"experts": 8, "score": "softmax", "selection": {"kind": "top-k", "count": 1}, "gate": {"of": "score"}}
        routegrad_check.assert_router_matches(router, spec)
    ''').assert_outcomes(passed=4)


def test_what_is_wrong_is_shown_with_its_seed(suite):
    result = suite('''
    def test_biased(routegrad_check, problem):
        routegrad_check.assert_unbiased(lambda n, rng: reinforce(n, rng, 1.3), problem, bounds=(-3, 3))

    def test_router(routegrad_check):
        def ones(logits):
            choice = logits.argmax(-1)[:, None]
            return np.ones(choice.shape), choice, lambda g: np.zeros_like(logits)
        routegrad_check.assert_router_matches(ones)

    def test_undecided(routegrad_check, problem):
        routegrad_check.assert_unbiased(reinforce, problem, bounds=(-2, 2), max_samples=100)
    ''')
    result.assert_outcomes(failed=3)
    text = result.stdout.str()
    assert "AssertionError: refuted: " in text and "AssertionError: undecided: " in text
    assert "router-gradient     refuted" in text
    assert "_verification.py" not in text and "testing.py" not in text  # the caller's line alone is shown
    assert len(re.findall(r"drawn with routegrad_check.seed = \d+; the same again by --routegrad-seed=0", text)) == 3


def test_seeds_are_of_the_test_and_of_the_option(suite):
    body = '''
    import pathlib

    @pytest.mark.parametrize("case", [0, 1])
    def test_seed(routegrad_check, case):
        assert routegrad_check.rng().random() == routegrad_check.rng().random()
        with open("seeds", "a") as file:
            print(routegrad_check.seed, file=file)
    '''
    import pathlib

    def seeds(*arguments):
        result = suite(body, *arguments)
        result.assert_outcomes(passed=2)
        found = pathlib.Path("seeds").read_text().split()
        pathlib.Path("seeds").unlink()
        assert len(set(found)) == 2
        return found, result.stdout.str()

    first, header = seeds()
    assert "--routegrad-seed" not in header
    assert seeds("--routegrad-seed=0")[0] == first == seeds()[0]
    other, header = seeds("--routegrad-seed=7")
    assert not set(other) & set(first) and "routegrad: --routegrad-seed=7" in header
    _, header = seeds("--routegrad-seed=random")
    chosen = re.search(r"routegrad: --routegrad-seed=(\d+)", header).group(1)
    again, _ = seeds(f"--routegrad-seed={chosen}")
    assert again != first
    wrong = suite(body, "--routegrad-seed=-1")
    assert wrong.ret == pytest.ExitCode.USAGE_ERROR
    assert "expected a whole number from 0 to 2**64 - 1 or random" in wrong.stderr.str()


def test_the_package_is_not_imported_before_it_is_asked_for(pytester):
    pytester.makepyfile('''
        import sys

        def test_nothing():
            assert "_routegrad_pytest" in sys.modules
            assert not {"routegrad", "numpy"} & set(sys.modules)
    ''')
    pytester.runpytest_subprocess("-p", "no:cacheprovider").assert_outcomes(passed=1)


@pytest.mark.parametrize(("call", "message"), [
    ("assert_unbiased(3, problem, bounds=(-1, 1))", "draw: expected a callable, got 3"),
    ("assert_unbiased(reinforce, problem, bounds=(-2, 2), batch=0)", "batch: expected at least 1"),
    ("assert_unbiased(reinforce, problem, bounds=(-2, 2), target='nothing')", "target: expected one of"),
    ("assert_samples_of('reinforze', reinforce, problem)", "did you mean 'reinforce'"),
])
def test_refusals(suite, call, message):
    result = suite(f'''
    def test_refused(routegrad_check, problem):
        with pytest.raises(routegrad.RouteGradError, match="{message}"):
            routegrad_check.{call}
    ''')
    result.assert_outcomes(passed=1)
