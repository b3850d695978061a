"""The lint on NumPy routers: sound ones pass, and each mistake is refuted by the check that is about it."""

import json
import subprocess
import sys

import numpy as np
import pytest
import routegrad
from conftest import ROOT, program_status


def softmax(x):
    with np.errstate(invalid="ignore"):
        shifted = np.exp(x - x.max(-1, keepdims=True))
    return shifted / shifted.sum(-1, keepdims=True)


def top_k(logits, k=1, detached=False):
    """Softmax, then the k largest."""
    p = softmax(logits)
    choice = np.argsort(-p, axis=-1, kind="stable")[:, :k]
    multipliers = np.take_along_axis(p, choice, -1)

    def backward(given):
        spread = np.zeros_like(p)
        np.put_along_axis(spread, choice, given, -1)
        return spread if detached else p * (spread - (spread * p).sum(-1, keepdims=True))

    return multipliers, choice, backward


def softmax_after_top1(logits):
    _, choice, _ = top_k(logits)
    return np.ones(choice.shape), choice, lambda given: np.zeros_like(logits)


def writes_to_its_argument(logits):
    result = top_k(logits)
    logits += 1
    return result


def sampled(logits, uniforms):
    """Draws its expert by the inverse of the distribution function."""
    p = softmax(logits)
    choice = np.minimum((uniforms[:, :1] >= p.cumsum(-1)).sum(-1), p.shape[1] - 1)[:, None]

    def backward(given):
        return given * np.take_along_axis(p, choice, -1) * (np.eye(p.shape[1])[choice[:, 0]] - p)

    return np.take_along_axis(p, choice, -1), choice, backward


@pytest.mark.parametrize("k", [1, 2])
def test_a_sound_router_is_proved(k):
    found = routegrad.lint(lambda logits: top_k(logits, k), experts=5, top_k=k, name="top-k")
    assert found.verdict == "proved", found
    assert "gate-gradient" in found.checks("proved") and found.checks("refuted") == []
    assert "Verdict: proved" in str(found) and repr(found).startswith("<Lint proved")


@pytest.mark.parametrize(("router", "check"), [
    (lambda logits: top_k(logits, detached=True), "gradient-sum"), (softmax_after_top1, "router-gradient"),
    (writes_to_its_argument, "inputs-unchanged"),
])
def test_mistakes_are_refuted(router, check):
    found = routegrad.lint(router, experts=4)
    assert found.verdict == "refuted" and check in found.checks("refuted"), found


def test_draws_are_forced():
    found = routegrad.lint(sampled, experts=4, uniforms=1)
    assert "repeatability" in found.checks("proved") and "gate-gradient" in found.checks("proved"), found


def test_is_told_whether_it_trains():
    modes = set()

    def router(logits, uniforms, training):
        modes.add(training)
        return sampled(logits, uniforms) if training else top_k(logits)

    assert "evaluation-mode" in routegrad.lint(router, experts=4, uniforms=1).checks("proved")
    assert modes == {True, False}


class Protocol:
    """The exchange itself, as an object."""

    profile = {"name": "Protocol", "experts": 4, "topK": 1, "gates": "softmax"}

    def answer(self, call):
        multipliers, choice, backward = top_k(np.array([[-np.inf if x is None else x for x in row] for row in call["logits"]]))
        outputs, upstream = np.array(call["expertOutputs"]), np.array(call["upstream"])
        chosen = np.take_along_axis(outputs, choice[:, :, None], 1)
        return {"call": call["call"], "choice": choice.tolist(), "multipliers": multipliers.tolist(),
                "gradient": backward((chosen * upstream[:, None]).sum(-1)).tolist()}


def test_is_what_the_program_finds(tmp_path):
    """`routegrad lint` on a process that answers with the same object."""
    script = tmp_path / "router.py"
    script.write_text(
        f"import json, sys; sys.path.insert(0, {str(ROOT / 'Tests' / 'PythonTests')!r})\n"
        "from test_lint import Protocol\n"
        "router = Protocol(); sys.stdin.readline()\n"
        "print(json.dumps(router.profile), flush=True)\n"
        "for line in sys.stdin: print(json.dumps(router.answer(json.loads(line))), flush=True)\n")
    _, output = program_status("lint", "--experts", "4", "--format", "json", "--", sys.executable, str(script))
    assert routegrad.lint(Protocol(), experts=4).findings == json.loads(output)


def test_exceptions_come_back():
    error = KeyError("weights")

    def router(logits):
        raise error

    with pytest.raises(routegrad.RouteGradError, match="router function raised KeyError: 'weights'") as caught:
        routegrad.lint(router)
    assert caught.value.__cause__ is error


@pytest.mark.parametrize(("call", "message"), [
    (lambda: routegrad.lint(3), "expected a callable"),
    (lambda: routegrad.lint(top_k, framework="numba"), "framework"),
    (lambda: routegrad.lint(top_k, experts=1), "2 to 1024"),
    (lambda: routegrad.lint(top_k, gates="hard"), "gates"),
    (lambda: routegrad.lint(top_k, mask="paper"), "mask: expected a pair"),
    (lambda: routegrad.lint(lambda logits: None), "router: expected"),
    (lambda: routegrad.lint(lambda logits: (logits, logits, None)), "whole-numbered choices"),
    (lambda: routegrad.lint(lambda logits: (logits[:, :1], np.full((len(logits), 1), 99), None)), "below 8"),
])
def test_refusals(call, message):
    with pytest.raises(routegrad.RouteGradError, match=message):
        call()


def test_no_framework_is_imported():
    """In an interpreter of its own: other tests may have imported one."""
    code = ("import sys, routegrad, test_lint; assert routegrad.lint(test_lint.top_k).verdict == 'proved'; "
            "assert not {'torch', 'jax', 'transformers'} & set(sys.modules)")
    subprocess.run([sys.executable, "-c", code], cwd=ROOT / "Tests" / "PythonTests", check=True)


class HalfPrecision:
    """What a tensor of a type that NumPy does not have does: PyTorch's bfloat16."""

    def __init__(self, values):
        self.values = np.asarray(values, dtype=np.float32)

    def detach(self):
        return self

    cpu = detach

    def numpy(self):
        raise TypeError("Got unsupported ScalarType BFloat16")

    def float(self):
        return Float32(self.values)


class Float32(HalfPrecision):
    def numpy(self):
        return self.values


def test_tensors_of_types_that_numpy_does_not_have():
    def router(logits):
        multipliers, choice, backward = top_k(logits.astype(np.float32))
        return HalfPrecision(multipliers), choice, lambda given: HalfPrecision(backward(given))

    assert routegrad.lint(router, experts=4, precision="float32").verdict == "proved"
    problem = routegrad.mixture(HalfPrecision([0.5, 1.0]), HalfPrecision([[1.0], [2.0]]), {"type": "linear", "coefficients": HalfPrecision([1.0])})
    plain = routegrad.mixture([0.5, 1.0], [[1.0], [2.0]], {"type": "linear", "coefficients": [1.0]})
    assert np.array_equal(routegrad.target(problem), routegrad.target(plain))
    assert routegrad.verify(HalfPrecision(np.zeros((3, 2))), plain, "conventional").verdict != "proved"


BIASED = {
    "experts": 8, "score": "sigmoid", "selectionBias": True, "groups": {"count": 4, "kept": 2, "score": "sum-of-two"},
    "selection": {"kind": "top-k", "count": 3}, "gate": {"of": "score", "normalized": True, "scale": 2.5}, "replays": True,
}


def biased(logits, bias=None, choice=None, *, outside=-np.inf, in_gate=False, forced=True):
    """Sigmoids, groups, a selection bias: DeepSeek-V3's router, right or wrong."""
    with np.errstate(over="ignore"):
        score = 1 / (1 + np.exp(-logits))
    keys = np.where(logits == -np.inf, -np.inf, score + bias)
    groups = keys.reshape(len(keys), 4, 2)
    kept = np.argsort(-groups.sum(-1), axis=-1, kind="stable")[:, :2]
    mask = np.zeros((len(keys), 4), bool)
    np.put_along_axis(mask, kept, True, -1)
    keys = np.where(mask.repeat(2, -1), keys, outside)
    if choice is None or not forced:
        choice = np.argsort(-keys, axis=-1, kind="stable")[:, :3]
        choice = np.where(np.take_along_axis(keys, choice, -1) == -np.inf, -1, choice)
    there = choice >= 0
    gates = score + bias if in_gate else score
    chosen = np.where(there, np.take_along_axis(gates, np.where(there, choice, 0), -1), 0)
    slopes = np.take_along_axis(score * (1 - score), np.where(there, choice, 0), -1)
    total = chosen.sum(-1, keepdims=True)

    def backward(given):
        given = 2.5 * (given - (given * chosen).sum(-1, keepdims=True) / total) / total
        spread = np.zeros_like(logits)
        np.put_along_axis(spread, np.where(there, choice, 0), np.where(there, given * slopes, 0), -1)
        return spread

    return 2.5 * chosen / total, choice, backward


def test_a_router_is_held_to_a_specification():
    found = routegrad.lint(biased, spec=BIASED)
    assert found.verdict == "proved", found
    assert {"selection", "tiny-gates", "bias-precision", "replay"} <= set(found.checks("proved"))
    assert found.findings["router"]["specification"]["experts"] == 8


@pytest.mark.parametrize("wrong, check, mistake", [
    ({"outside": 0.0}, "selection", "masked-groups-at-zero"), ({"in_gate": True}, "gate-order", "bias-in-gate"),
    ({"forced": False}, "replay", "choice-not-forced"),
])
def test_a_mistake_against_the_specification_is_named(wrong, check, mistake):
    def router(logits, bias=None, choice=None):
        return biased(logits, bias, choice, **wrong)

    found = routegrad.lint(router, spec=BIASED)
    detail, = (c["detail"] for c in found.findings["checks"] if c["check"] == check)
    assert check in found.checks("refuted") and f"({mistake})" in detail, found


@pytest.mark.parametrize("spec, words", [
    ({**BIASED, "experts": 9}, "groups.count: expected a divisor of 9"), ({**BIASED, "score": "tanh"}, "score: expected one of"),
    ({"experts": 8}, "selection"), ({**BIASED, "applied": "input"}, "experts as functions"), (3, "spec: expected a dict"),
    ({**BIASED, "experts": "eight"}, "experts"), ({**BIASED, "selection": {"kind": "top-k", "count": 9}}, "expected 0 to 8"),
])
def test_bad_specifications_get_one_line(spec, words):
    with pytest.raises(routegrad.RouteGradError) as caught:
        routegrad.lint(biased, spec=spec)
    assert words in str(caught.value) and "\n" not in str(caught.value)
