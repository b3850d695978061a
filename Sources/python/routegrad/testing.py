"""For tests of routers and estimators: random problems that shrink (Hypothesis), assertions, and those of the fixture `routegrad_check`.

``hypothesis`` is imported when a strategy is made, not before; ``pip install routegrad[testing]`` brings it along.

    from hypothesis import given
    from routegrad.testing import assert_conditional_gradients, mixture_problems

    @given(mixture_problems())
    def test_my_router(problem):
        assert_conditional_gradients(problem, "conventional", lambda choice, coins: my_gradient(problem, choice[0]))
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ._arguments import number, shown, whole
from ._arguments import seed as check_seed
from ._arrays import as_array, require_shape
from ._errors import RouteGradError
from ._expectations import target as _target
from ._lint import lint
from ._outcomes import outcomes
from ._problems import Mask, Problem, categorical, mixture
from ._verification import verify

if TYPE_CHECKING:
    from hypothesis.strategies import SearchStrategy

Gradient = Callable[[tuple[int, ...], tuple[int, ...]], ArrayLike]


class RandomProblem(Problem):
    """A problem that remembers what it was made of, so that a test can hand the same numbers to another program."""

    __slots__ = ("logits", "expert_outputs", "loss")

    logits: NDArray[np.float64]
    """θ, [N]."""
    expert_outputs: NDArray[np.float64] | None
    """f, [N, d]; None on a categorical problem."""
    loss: dict[str, Any]
    """The loss or objective, as in a problem file."""


def evaluate(loss: dict[str, Any], point: ArrayLike) -> tuple[float, NDArray[np.float64]]:
    """The value and the gradient of the losses that the strategies draw, in NumPy: for a test's own side."""
    z = as_array(point, "point", 1)
    known = {"linear": {"coefficients": 1}, "quadratic": {"matrix": 2, "linear": 1}, "log-cosh": {"scales": 1, "targets": 1}}
    kind = loss.get("type") if isinstance(loss, Mapping) else None
    if not isinstance(kind, str) or kind not in known:
        raise RouteGradError(f"loss.type: expected {', '.join(known)}, got {shown(kind)}")
    field = {name: as_array(loss.get(name), f"loss.{name}", rank) for name, rank in known[kind].items()}
    for name, array in field.items():
        require_shape(array, (z.size,) * array.ndim, f"loss.{name}")
    if kind == "linear":
        return float(field["coefficients"] @ z), field["coefficients"]
    if kind == "quadratic":
        slope = 0.5 * (field["matrix"] @ z + z @ field["matrix"])
        return float(0.5 * z @ slope + field["linear"] @ z), slope + field["linear"]
    u = field["scales"] * z - field["targets"]
    size = np.abs(u)
    return float(np.sum(size + np.log1p(np.exp(-2 * size)) - np.log(2))), field["scales"] * np.tanh(u)


def losses(width: int, *, types: tuple[str, ...] = ("linear", "quadratic", "log-cosh")) -> SearchStrategy[dict[str, Any]]:
    """Losses of ``width`` variables, as dicts; they shrink to a linear one with small whole coefficients."""
    from hypothesis import strategies as st

    vector = st.lists(_numbers(), min_size=width, max_size=width)

    def symmetric(rows: list[list[float]]) -> list[list[float]]:
        return [[rows[max(i, j)][min(i, j)] for j in range(width)] for i in range(width)]

    matrix = st.lists(vector, min_size=width, max_size=width).map(symmetric)
    known = {
        "linear": st.fixed_dictionaries({"type": st.just("linear"), "coefficients": vector}),
        "quadratic": st.fixed_dictionaries({"type": st.just("quadratic"), "matrix": matrix, "linear": vector}),
        "log-cosh": st.fixed_dictionaries({"type": st.just("log-cosh"), "scales": vector, "targets": vector}),
    }
    return st.one_of([known[name] for name in types])


def mixture_problems(
    *, experts: tuple[int, int] = (2, 6), width: tuple[int, int] = (1, 4),
    types: tuple[str, ...] = ("linear", "quadratic", "log-cosh"),
) -> SearchStrategy[RandomProblem]:
    """Mixture problems with ``experts`` and ``width`` within bounds, ties and equal outputs among them.

    They shrink to few experts, few outputs and small whole numbers, and print as the call that makes them.
    """
    from hypothesis import strategies as st

    @st.composite
    def draw_problem(draw: Any) -> RandomProblem:
        n = draw(st.integers(*experts))
        d = draw(st.integers(*width))
        logits = draw(st.lists(_numbers(), min_size=n, max_size=n))
        outputs = draw(st.lists(st.lists(_numbers(), min_size=d, max_size=d), min_size=n, max_size=n))
        loss = draw(losses(d, types=types))
        made = mixture(logits, outputs, loss)
        return _remembering(made, f"routegrad.mixture({logits!r}, {outputs!r}, {loss!r})", logits, outputs, loss)

    return draw_problem()


def categorical_problems(
    *, experts: tuple[int, int] = (2, 6), types: tuple[str, ...] = ("linear", "quadratic", "log-cosh")
) -> SearchStrategy[RandomProblem]:
    """Categorical problems, likewise."""
    from hypothesis import strategies as st

    @st.composite
    def draw_problem(draw: Any) -> RandomProblem:
        n = draw(st.integers(*experts))
        logits = draw(st.lists(_numbers(), min_size=n, max_size=n))
        objective = draw(losses(n, types=types))
        made = categorical(logits, objective)
        return _remembering(made, f"routegrad.categorical({logits!r}, {objective!r})", logits, None, objective)

    return draw_problem()


def assert_conditional_gradients(
    problem: Problem, estimator: str, gradient: Gradient, *, mask: Mask = None, rtol: float = 1e-9, atol: float = 1e-12
) -> None:
    """Asserts that a foreign implementation has an estimator's gradient given everything that is random: a proof by
    enumeration, without samples.

    Args:
        gradient: called as ``gradient(choice, coins)`` with every outcome of positive probability; returns the foreign
            gradient for these draws, [N].
        rtol, atol: the error allowed, relative to the outcome's largest coordinate and absolute. About 1e-9 for float64 and
            1e-4 for float32 implementations.

    Raises AssertionError with the first outcome that differs.
    """
    if not callable(gradient):
        raise RouteGradError(f"gradient: expected a callable, got {shown(gradient)}")
    for outcome in outcomes(problem, estimator, mask=mask):
        if outcome.probability == 0:
            continue
        given = as_array(gradient(outcome.choice, outcome.coins), "gradient", 1)
        expected = outcome.gradient
        _assert_close(
            given, expected, rtol, atol,
            f"{estimator} on {problem!r}: given choice {outcome.choice} and coins {outcome.coins}")


def assert_mean_gradient(
    problem: Problem, mean: ArrayLike, target: str = "expected-loss", *, mask: Mask = None, rtol: float = 1e-9,
    atol: float = 1e-12,
) -> None:
    """Asserts that an exactly computed mean gradient, [N], is a target's: for implementations that can be enumerated.

    Do not pass the mean of samples: it is never equal to anything (use a test with stated error rates).

    Raises AssertionError with both gradients.
    """
    expected = _target(problem, target, mask=mask)
    _assert_close(as_array(mean, "mean", 1), expected, rtol, atol, f"{target} of {problem!r}")


def assert_verified(samples: Any, problem: Problem, estimator: str | None = None, **options: Any) -> None:
    """Asserts that gradient samples are those of an estimator, or have a target as their mean, by :func:`routegrad.verify`.

    Arguments are those of ``verify``. A sound program fails with a probability of at most ``false_fail_rate``, 1e-6, unless it
    gives too few samples.

    Raises AssertionError with the report unless the verdict is ``"proved"`` or ``"consistent"``.
    """
    __tracebackhide__ = True
    found = verify(samples, problem, estimator, **options)
    if found.verdict not in ("proved", "consistent"):
        raise AssertionError(str(found))


def assert_lints(router: Any, *, known: Collection[str] = (), **options: Any) -> None:
    """Asserts that no check of :func:`routegrad.lint` refutes a router, nor leaves it undecided.

    Args:
        known: checks that it is known not to pass.
        options: those of ``lint``.

    Raises AssertionError with the report.
    """
    __tracebackhide__ = True
    if isinstance(known, str) or not isinstance(known, Collection):
        raise RouteGradError(f"known: expected a list of checks, got {shown(known)}")
    found = lint(router, **options)
    if set(found.checks("refuted") + found.checks("undecided")) - set(known):
        raise AssertionError(str(found))


Draw = Callable[[int, "np.random.Generator"], Any]
"""Gives gradient samples, [count, N], or a dict of them with what was drawn, as :func:`routegrad.verify` takes them."""


class Checks:
    """The assertions of the pytest fixture ``routegrad_check``; each test has seeds of its own, from ``--routegrad-seed``.

        def test_my_estimator(routegrad_check):
            routegrad_check.assert_unbiased(draw, problem, bounds=(-9, 9))     # draw(count, rng) gives gradients, [count, N]
    """

    def __init__(self, seed: int = 0):
        self.seed: int = check_seed(seed)
        """From 0 to 2**64 − 1: for generators that are not NumPy's, ``torch.manual_seed(routegrad_check.seed)``."""

    def rng(self) -> np.random.Generator:
        """A new generator; every call gives the same one."""
        return np.random.default_rng(self.seed)

    def assert_unbiased(
        self, draw: Draw, problem: Problem, *, bounds: tuple[float, float], target: str = "expected-loss", mask: Mask = None,
        batch: int = 4096, max_samples: int = 1_000_000, **options: Any,
    ) -> None:
        """Asserts that an estimator's samples have a target as their mean.

        Args:
            draw: called as ``draw(count, rng)`` until the verdict is there; gives gradients, [count, N], each of a draw of its own.
            bounds: ``(lo, hi)``, between which every coordinate of every sample lies; what lies outside is refused.
            target, mask, options: as in :func:`routegrad.verify`, rates of error among them.
            batch: the first count; later ones double, so that n samples take few calls.
            max_samples: fails as undecided after so many.

        Raises AssertionError with the report unless the verdict is ``"consistent"``; a sound estimator fails with a probability of at most
        ``false_fail_rate``, 1e-6, if ``max_samples`` are enough.
        """
        __tracebackhide__ = True
        assert_verified(
            self._batches(draw, batch, max_samples), problem, target=target, bounds=bounds, mask=mask, max_samples=max_samples, **options)

    def assert_samples_of(
        self, estimator: str, draw: Draw, problem: Problem, *, mask: Mask = None, batch: int = 4096, max_samples: int = 1_000_000,
        **options: Any,
    ) -> None:
        """Asserts that samples are those of a known estimator, biased as it may be: its mean, and if ``draw`` says what was drawn, outcome
        by outcome. Else as :meth:`assert_unbiased`."""
        __tracebackhide__ = True
        assert_verified(
            self._batches(draw, batch, max_samples), problem, estimator, mask=mask, max_samples=max_samples, **options)

    def assert_router_matches(
        self, router: Any, spec: Mapping[str, Any] | str | None = None, *, known: Collection[str] = (), **options: Any
    ) -> None:
        """Asserts that a router is what a specification says (docs/router-specifications.md), or what ``options``, those of
        :func:`routegrad.lint`, say of it.

        Raises AssertionError with the report unless every check but the ``known`` passes.
        """
        __tracebackhide__ = True
        assert_lints(router, known=known, **{"spec": spec, "seed": self.seed, **options})

    def _batches(self, draw: Draw, batch: int, most: int) -> Iterator[Any]:
        if not callable(draw):
            raise RouteGradError(f"draw: expected a callable, got {shown(draw)}")
        count, rng, given = whole(batch, "batch"), self.rng(), 0
        if count < 1:
            raise RouteGradError(f"batch: expected at least 1, got {shown(batch)}")
        while given < most:
            yield draw(count, rng)
            given, count = given + count, min(2 * count, 1 << 16)


def _assert_close(given: np.ndarray, expected: np.ndarray, rtol: float, atol: float, where: str) -> None:
    __tracebackhide__ = True  # pytest then shows the caller's line
    if given.shape != expected.shape:
        raise AssertionError(f"{where}: expected shape {list(expected.shape)}, got {list(given.shape)}")
    error = float(np.max(np.abs(given - expected), initial=0.0))
    allowed = number(atol, "atol") + number(rtol, "rtol") * float(np.max(np.abs(expected), initial=0.0))
    if not error <= allowed:
        raise AssertionError(
            f"{where}\n  expected {expected.tolist()}\n  got      {given.tolist()}\n  error    {error:.3g}, allowed {allowed:.3g}")


def _numbers() -> Any:
    from hypothesis import strategies as st

    # Small whole numbers first (ties, zeros), then anything of moderate size; subnormals are another test's business.
    return st.one_of(
        st.integers(-3, 3).map(float),
        st.floats(-5, 5, allow_nan=False, allow_infinity=False, allow_subnormal=False))


def _remembering(problem: Problem, text: str, logits: Any, outputs: Any, loss: dict[str, Any]) -> RandomProblem:
    result = RandomProblem(problem._handle, text)
    result.logits = np.array(logits)
    result.expert_outputs = None if outputs is None else np.array(outputs)
    result.loss = loss
    return result
