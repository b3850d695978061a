"""Every public function with every kind of bad argument: what is refused is refused with RouteGradError, one line that names the
argument; nothing else is raised but what the caller's own code raised, and nothing crashes."""

import decimal
import fractions
import os
import random
import warnings

import numpy as np
import pytest
import routegrad
from conftest import MIXTURE
from routegrad import testing


class Mine(Exception):
    """What the caller's own code raises."""


class Hostile:
    """Raises whatever is asked of it."""

    def _refuse(self, *_):
        raise Mine("hostile\nin two lines")

    __array__ = __float__ = __int__ = __index__ = __len__ = __iter__ = __getitem__ = __call__ = _refuse
    __repr__ = __str__ = __eq__ = __hash__ = __bool__ = __fspath__ = _refuse


class Unprintable(Exception):
    def __str__(self):
        raise Mine


def raises(*_, **__):
    raise Mine("no\nin two lines")


def raises_unprintable(*_, **__):
    raise Unprintable


def stream_that_raises():
    yield np.zeros((1, 3))
    raise Mine


def within_itself():
    a = []
    a.append(a)
    return a


def dict_within_itself():
    a = {"type": "linear"}
    a["coefficients"] = a
    return a


def read_only():
    a = np.zeros((3, 3))
    a.flags.writeable = False
    return a


def unaligned():
    return np.frombuffer(bytearray(8 * 9 + 1), dtype=np.float64, offset=1, count=9).reshape(3, 3)


class Sub(str):
    pass


# Values that are right nowhere.
NEVER = {
    "an object": object, "complex": lambda: 1 + 2j, "complex array": lambda: np.ones((3, 3), complex),
    "surrogate": lambda: "mid\ud800point", "NUL": lambda: "midpoint\0", "lone NUL": lambda: "\0", "not UTF-8": lambda: b"\xff\xfe",
    "set": lambda: {1, 2}, "Ellipsis": lambda: ..., "type": lambda: BaseException, "module": lambda: os,
    "dates": lambda: np.array(["2020-01-01"], "M8[D]"), "structured": lambda: np.zeros(3, [("a", float)]),
    "text array": lambda: np.array(["1.0", "2.0", "3.0"]), "object array": lambda: np.array([None, "x", 3], object),
    "bytes array": lambda: np.array([b"1", b"2"]), "void": lambda: np.zeros(3, "V8"), "within itself": within_itself,
    "ragged": lambda: [[1.0], [1.0, 2.0]], "masked": lambda: np.ma.masked_array(np.zeros((3, 3)), np.eye(3)),
    "huge list": lambda: [10**400] * 3, "decimal NaN": lambda: decimal.Decimal("sNaN"), "two lines": lambda: "mid\npoint\r\n",
    "long text": lambda: "x" * 100_000, "four dimensions": lambda: np.zeros((1, 1, 1, 1)),
    "keys that are no strings": lambda: {1: 2, None: 3, (1,): 4}, "dict within itself": dict_within_itself,
    "huge number in a dict": lambda: {"type": "linear", "coefficients": [10**5000]},
    "surrogates in a dict": lambda: {"type": "\ud800", "\ud800": 1}, "nested": lambda: eval("[" * 90 + "]" * 90),
}
# Values that are right somewhere, or whose refusal is the caller's own exception.
SOMEWHERE = {
    "None": lambda: None, "True": lambda: True, "zero": lambda: 0, "minus one": lambda: -1, "2^41": lambda: 2**41,
    "2^63": lambda: 2**63, "2^64": lambda: 2**64, "-2^63-1": lambda: -(2**63) - 1, "10^400": lambda: 10**400, "-10^400": lambda: -(10**400),
    "half": lambda: 0.5, "NaN": lambda: float("nan"), "inf": lambda: float("inf"), "-inf": lambda: -float("inf"),
    "1e308": lambda: 1e308, "1e-320": lambda: 1e-320, "empty text": lambda: "", "text": lambda: "nothing", "subclass": lambda: Sub("midpoint"),
    "NumPy text": lambda: np.str_("paper"), "bytes": lambda: b"midpoint", "bytearray": lambda: bytearray(b"{}"),
    "memoryview": lambda: memoryview(bytes(16)), "empty list": list, "empty dict": dict, "empty tuple": tuple, "empty array": lambda: np.zeros(0),
    "no columns": lambda: np.zeros((3, 0)), "no rows": lambda: np.zeros((0, 3)), "0-d": lambda: np.array(2.0), "0-d int": lambda: np.array(2),
    "float16": lambda: np.ones((3, 3), np.float16), "longdouble": lambda: np.full(3, np.longdouble("1e4000")),
    "big-endian": lambda: np.ones((3, 3), ">f8"), "strided": lambda: np.ones((6, 6))[::2, ::2], "backwards": lambda: np.ones((3, 3))[::-1, ::-1],
    "read-only": read_only, "unaligned": unaligned, "Fortran": lambda: np.ones((3, 3), order="F"), "matrix": lambda: np.asmatrix(np.ones((3, 3))),
    "bools": lambda: np.ones((3, 3), bool), "uint64": lambda: np.full(3, 2**64 - 1, np.uint64), "int8": lambda: np.full((3, 1), -5, np.int8),
    "NaNs": lambda: np.full((3, 3), np.nan), "infinities": lambda: np.full(3, np.inf), "1e155": lambda: np.full((3, 3), 1e155),
    "masked, nothing": lambda: np.ma.masked_array(np.zeros((3, 3))), "masked number": lambda: np.ma.masked, "fractions": lambda: [fractions.Fraction(1, 3)] * 3,
    "pair": lambda: ("paper", 0.1), "pair of wrong types": lambda: (0.1, "paper"), "pair with None": lambda: (None, None), "triple": lambda: (1, 2, 3),
    "pair of NaN": lambda: ("paper", float("nan")), "pair of huge": lambda: ("paper", 10**400), "pair of numbers": lambda: (1.0, 0.0),
    "pair of infinities": lambda: (-float("inf"), float("inf")), "pair of largest": lambda: (-1.7e308, 1.7e308), "list pair": lambda: ["paper", 0.1],
    "generator": lambda: (x for x in ()), "stream of rubbish": lambda: iter([None, "x", {}]), "stream that raises": stream_that_raises,
    "hostile": Hostile, "raises": lambda: raises, "raises unprintable": lambda: raises_unprintable, "callable": lambda: (lambda *_, **__: None),
    "callable of text": lambda: (lambda *_, **__: ("x", "y")), "callable of NaN": lambda: (lambda y, *_: (float("nan"), y)),
    "callable of huge": lambda: (lambda y, *_: (10**400, y)), "callable of surrogates": lambda: (lambda *_: ("\ud800", "\0")),
    "callable of three": lambda: (lambda *_: (1, 2, 3)), "callable of wrong shape": lambda: (lambda y, *_: (1.0, y[:0])),
    "missing file": lambda: "/nonexistent/x.json", "a folder": lambda: os.curdir, "missing keys": lambda: {"type": "linear"},
    "a whole problem": lambda: dict(MIXTURE), "wrong type in a dict": lambda: {"type": 3, "coefficients": "x"},
    "NaN in a dict": lambda: {"type": "linear", "coefficients": [float("nan")] * 3}, "function in a dict": lambda: {"type": "linear", "coefficients": raises},
    "gradient only": lambda: {"gradient": np.zeros((3, 3))}, "choice too large": lambda: {"gradient": np.zeros((3, 3)), "choice": [2**62, 99, 3]},
    "choice uint64": lambda: {"gradient": np.zeros((3, 3)), "choice": np.full(3, 2**64 - 1, np.uint64)},
    "choice negative": lambda: {"gradient": np.zeros((3, 3)), "choice": [-9, -1, 0]},
    "no choices": lambda: {"gradient": np.zeros((3, 3)), "choice": np.zeros((3, 0), int)},
    "coins of floats": lambda: {"gradient": np.zeros((3, 3)), "choice": [0, 0, 0], "coins": [0.5, 0, 0]},
    "probabilities above one": lambda: {"gradient": np.zeros((3, 3)), "probability": [3.0, 0, 0]},
    "probability text": lambda: {"gradient": np.zeros((3, 3)), "probability": "x"},
    "finite but huge": lambda: {"gradient": np.full((3, 3), 1.7e308), "choice": [0, 1, 2], "probability": [0.2, 0.3, 0.5]},
}
BAD = {**NEVER, **SOMEWHERE}


def layer_arguments():
    draw = np.random.default_rng(0).normal
    shapes = {"input": (4, 3), "router.weight": (2, 3), "experts.w1": (2, 5, 3), "experts.w2": (2, 3, 5), "target": (4, 3)}
    return {name: draw(size=shape) for name, shape in shapes.items()}


def router(logits):
    p = np.exp(logits - logits.max(-1, keepdims=True))
    p /= p.sum(-1, keepdims=True)
    choice = p.argmax(-1)[:, None]
    return np.take_along_axis(p, choice, -1), choice, lambda given: np.zeros_like(p)


def right_calls():
    """Every public function, and arguments that are right."""
    mixture = routegrad.mixture(MIXTURE["logits"], MIXTURE["expertOutputs"], MIXTURE["loss"])
    linear = {"type": "linear", "coefficients": [1.0, 2.0, 3.0]}
    ask = {"problem": mixture, "estimator": "midpoint", "mask": ("paper", 0.5)}
    moments = {**ask, "covariance": True, "method": "monte-carlo", "samples": 100, "seed": 1, "tolerance": 1e-6, "threads": 1}
    verify = {
        "samples": np.zeros((3, 3)), "problem": mixture, "mask": None, "false_fail_rate": 1e-6, "false_pass_rate": 1e-3,
        "detectable_bias": 0.05, "tolerance": 1e-5, "max_samples": 10}
    table = {
        "mixture": (routegrad.mixture, {
            "logits": MIXTURE["logits"], "expert_outputs": MIXTURE["expertOutputs"], "loss": MIXTURE["loss"], "scale": [1.0, 1.5],
            "default_outputs": MIXTURE["defaultOutputs"],
            "router": {"weight": np.diag(MIXTURE["logits"]), "input": np.ones(3), "bias": np.zeros(3)}}),
        "categorical": (routegrad.categorical, {"logits": [0.0, 1.0, 2.0], "objective": linear}),
        "problem": (routegrad.problem, {"source": MIXTURE}), "problems": (routegrad.problems, {"path": "problem.json"}),
        "masked": (lambda mask: mixture.masked(mask), {"mask": None}),
        "expected_loss": (routegrad.expected_loss, {"problem": mixture, "mask": None}),
        "target": (routegrad.target, {"problem": mixture, "target": "dense-mixture", "mask": None}),
        "moments": (routegrad.moments, moments), "assess": (routegrad.assess, {**moments, "target": "gating-term"}),
        "outcomes": (routegrad.outcomes, ask), "sample": (routegrad.sample, {**ask, "count": 5, "seed": 3, "threads": 2}),
        "verify": (routegrad.verify, {**verify, "estimator": "midpoint"}),
        "verify, a target": (routegrad.verify, {**verify, "target": "expected-loss", "bounds": (-9.0, 9.0)}),
        "audit_layer": (routegrad.audit_layer, {
            "tensors": layer_arguments(), "activation": "relu", "residual": True, "estimators": "midpoint", "target": "expected-loss",
            "mask": None, "threads": 1}),
        "lint": (routegrad.lint, {
            "router": router, "experts": 4, "top_k": 1, "framework": "numpy", "seed": 0, "name": "router", "uniforms": 0, "takes": "logits",
            "gates": "softmax", "mask": None, "output_scales": (1.0,), "gradient_factor": 1.0, "jitter": None, "auxiliary_loss": None,
            "capacity": None, "routes_jointly": False, "may_choose_fewer": False, "precision": None}),
        "evaluate": (testing.evaluate, {"loss": linear, "point": [0.0, 1.0, 2.0]}),
        "assert_conditional_gradients": (testing.assert_conditional_gradients, {
            "problem": mixture, "estimator": "exact", "gradient": lambda choice, coins: routegrad.target(mixture), "mask": None, "rtol": 1e-9,
            "atol": 1e-12}),
        "assert_mean_gradient": (testing.assert_mean_gradient, {
            "problem": mixture, "mean": routegrad.target(mixture), "target": "expected-loss", "mask": None, "rtol": 1e-9, "atol": 1e-12}),
        "assert_verified": (testing.assert_verified, {"samples": [routegrad.target(mixture)], "problem": mixture, "estimator": "exact"}),
    }
    arrays = layer_arguments()
    for name in (*arrays, "labels", "unembedding", "router.bias", "scale"):
        def audit(_name=name, **changed):
            return routegrad.audit_layer({**arrays, _name: changed["tensor"]}, activation="relu", estimators="midpoint")
        table[f"audit_layer, {name}"] = (audit, {"tensor": arrays.get(name)})
    # A callable is called only when something is computed.
    for name in ("mixture", "categorical"):
        make, arguments = table[name]
        table[name] = (lambda _make=make, **changed: routegrad.target(_make(**changed)), arguments)
    return table


RIGHT = right_calls()
MAY_RAISE_ITS_OWN = (Mine, Unprintable)


def attempt(function, arguments, where):
    """Whether a call is refused; fails if it is refused in any other way than it should be."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            function(**arguments)
        except routegrad.RouteGradError as error:
            message = str(error)
            assert message and len(message.splitlines()) == 1 and len(message) <= 2000, (where, message)
            assert "ctypes" not in message and "argument " not in message.split(":")[0], (where, message)
            message.encode()
            return True
        except MAY_RAISE_ITS_OWN:
            return True
        except AssertionError:
            if not where[0].startswith("assert_"):
                raise
            return True
    return False


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "problem.json").write_text('{"schema": "routegrad.problems/1", "problems": []}')


@pytest.mark.parametrize("name", RIGHT)
def test_one_bad_argument(name):
    function, right = RIGHT[name]
    taken = []
    for argument in right:
        for kind, make in BAD.items():
            refused = attempt(function, {**right, argument: make()}, (name, argument, kind))
            if kind in NEVER and not refused:
                taken.append((argument, kind))
    # What a router calls itself may be any text.
    assert [(a, k) for a, k in taken if not (a == "name" and k in ("two lines", "long text"))] == []


def test_several_bad_arguments():
    choose = random.Random(20_250_115)
    for _ in range(3000):
        name = choose.choice(list(RIGHT))
        function, right = RIGHT[name]
        changed = choose.sample(list(right), min(len(right), choose.randint(2, 4)))
        kinds = [choose.choice(list(BAD)) for _ in changed]
        attempt(function, {**right, **{a: BAD[k]() for a, k in zip(changed, kinds)}}, (name, tuple(zip(changed, kinds))))


def test_the_right_arguments_are_right():
    for name, (function, right) in RIGHT.items():
        if name not in ("problems", "audit_layer, labels", "audit_layer, unembedding", "audit_layer, router.bias", "audit_layer, scale"):
            assert attempt(function, right, (name,)) is False, name


def test_nothing_public_is_left_out():
    tested = {name.split(",")[0] for name in RIGHT}
    functions = {name for name in routegrad.__all__ if callable(getattr(routegrad, name)) and not isinstance(getattr(routegrad, name), type)}
    assert functions - tested == {"estimators"}  # takes no arguments
