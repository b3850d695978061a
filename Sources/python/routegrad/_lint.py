"""The lint battery on a router that Python can call."""

from __future__ import annotations

import ctypes
import json
from collections.abc import Callable, Mapping, Sequence
from ctypes import byref, c_int, c_void_p
from dataclasses import dataclass
from typing import Any

from ._arguments import seed as check_seed
from ._arguments import one_line, shown, text, whole
from ._arrays import as_array
from ._errors import RouteGradError
from ._library import ROUTER, VERDICTS, ReportHandle, fail, lib, raised, watch
from ._problems import to_json
from ._routers import adapter
from ._verification import texts


@dataclass(frozen=True, repr=False)
class Lint:
    """What the battery found; ``print`` it to read it."""

    verdict: str
    """``"proved"`` on all calls made, ``"refuted"`` or ``"undecided"``."""
    findings: dict[str, Any]
    """All of it, in the format ``routegrad.lint/1``."""
    text: str
    """The same for people."""

    def checks(self, verdict: str | None) -> list[str]:
        """The names of the checks with a verdict; those that do not apply have the verdict None."""
        return [check["check"] for check in self.findings["checks"] if check["verdict"] == verdict]

    def __str__(self) -> str:
        return self.text

    def __repr__(self) -> str:
        return f"<Lint {self.verdict}: refuted {self.checks('refuted')}, undecided {self.checks('undecided')}>"


def lint(
    router: Any, *, experts: int = 8, top_k: int = 1, framework: str | None = None, seed: int = 0, name: str | None = None,
    uniforms: int = 0, takes: str = "logits", gates: str = "softmax", mask: tuple[str, float] | None = None,
    output_scales: Sequence[float] = (1.0,), gradient_factor: float = 1.0, jitter: tuple[str, float] | None = None,
    auxiliary_loss: tuple[str, float] | None = None, capacity: int | None = None, routes_jointly: bool = False,
    may_choose_fewer: bool = False, precision: str | None = None, spec: Mapping[str, Any] | str | None = None, config: Any = None,
) -> Lint:
    """Holds a router to deterministic checks, its random draws forced: what ``routegrad lint`` does (docs/lint.md).

    Args:
        router: called as ``router(logits)`` with logits [T, N] of its framework, and returns ``(multipliers, choice)``, both
            [T, k], like ``topk``: what each chosen expert's output is multiplied by, and the experts, −1 for none. A
            parameter ``training`` is passed, if it has one. A dict may be returned instead, ``{"multipliers", "choice"}``
            and any of ``dispatch`` [T, N], ``expert_inputs`` [T, k, N], ``auxiliary_loss`` (a number), ``gradient_of``
            (PyTorch: the logits, where the router makes them of an input). What the frameworks add:

            - PyTorch, a module or a function with ``framework="torch"``: gradients by autograd. Draws of ``torch.rand``,
              ``rand_like``, ``uniform_``, ``exponential_`` (so of ``gumbel_softmax``), ``randn``, ``randn_like``, ``normal_``,
              ``bernoulli`` and ``multinomial`` (N uniform draws without replacement, k with) are forced.
            - JAX, what ``jax.jit`` returns or a function with ``framework="jax"``: gradients by ``jax.vjp``. A router that
              draws takes its uniform draws as a second argument, [T, ``uniforms``].
            - NumPy, any other callable: as for JAX, with a third result ``backward``, a function from the gradient at the
              multipliers, [T, k], to that at the logits, [T, N].
            - a MoE block of transformers, or the name of a model with ``spec``, see ``routegrad.hf``: it is held to
              ``spec`` or, without, to what its own configuration states. Then nothing else but ``config`` and ``seed`` is read.
            - an object with ``profile`` and ``answer(call)``, the exchange of docs/lint-protocol.md itself; then nothing
              but ``experts``, ``top_k`` and ``seed`` is read.
        experts, top_k: N and k.
        spec: the specification that it is held to (docs/router-specifications.md), a dict; the profile is then that, but for
            ``uniforms``, ``takes`` and ``precision``. A callable is handed what its specification reads by the names of its
            parameters: ``bias``, ``choice``, ``normals``, ``noise_logits``, ``expert_scales``, ``sequences``, ``global_tokens``,
            ``global_counts``; None where a call has none. Its dict may have ``auxiliary_loss`` (its gradient by autograd or
            ``jax.grad``, else as ``auxiliary_gradient``), ``noise_gradient`` and ``bias_after``, too. For a block of transformers it may be the name
            of a family whose router it ought to be, such as ``"deepseek-v3"``, with the block's own numbers.
        config: for a block, the model's configuration, if its load-balancing loss is to be held, too.
        seed: of the calls.
        name, uniforms, …, precision: the profile, what the router says of itself (docs/lint-protocol.md), to which it is
            held. ``mask`` and ``jitter`` are pairs ``("reference-code", 0.1)``, ``("input", 0.01)``, and ``auxiliary_loss`` is
            ``("all", coefficient)``. ``precision`` is that of the framework's arrays if None.

    Raises RouteGradError if the router raised, its exception as ``__cause__``, or its answer cannot be read.
    """
    n, k, seed = whole(experts, "experts"), whole(top_k, "top_k"), check_seed(seed)
    if name is None and not isinstance(router, str):
        name = getattr(router, "__name__", type(router).__name__)
    if isinstance(router, str) or isinstance(spec, str) or type(router).__module__.startswith("transformers."):
        try:
            from . import hf
        except ImportError as error:
            raise RouteGradError(f"router: {shown(router)} takes PyTorch and transformers: {one_line(str(error))}") from error
        driven = hf.adapter(router, spec=spec, config=config)
        selection = driven.spec["selection"]
        return _ask(driven, driven.spec["experts"], selection["count"] + selection.get("always", 0), seed)
    if spec is not None:
        return _specified(router, spec, framework, seed, uniforms, takes, precision)
    profile = {
        "name": text(name, "name").decode(), "experts": n, "topK": k,
        "uniforms": uniforms, "takes": takes, "gates": gates, "mask": _pair(mask, "mask", "rule", "threshold"),
        "outputScales": as_array(output_scales, "output_scales", 1).tolist(), "gradientFactor": gradient_factor,
        "jitter": _pair(jitter, "jitter", "on", "width"),
        "auxiliaryLoss": _pair(auxiliary_loss, "auxiliary_loss", "counting", "coefficient"), "capacity": capacity,
        "routesJointly": routes_jointly, "mayChooseFewer": may_choose_fewer, "precision": precision,
    }
    profile = json.loads(to_json(profile, "profile"))  # numbers of NumPy as Python's; refused here if it is none of JSON's
    return _ask(adapter(router, framework, profile), n, k, seed)


def _specified(
    router: Any, spec: Any, framework: str | None, seed: Any, uniforms: int, takes: str, precision: str | None,
) -> Lint:
    """The battery on a callable that is held to a specification."""
    if not isinstance(spec, Mapping):
        raise RouteGradError(f"spec: expected a dict, a specification (docs/router-specifications.md), got {shown(spec)}")
    spec = {"schema": "routegrad.router-spec/1", "name": "router", **spec}
    if spec.get("functions") or spec.get("applied") == "input":
        raise RouteGradError(
            "spec: experts as functions are not put to a callable; expected an object with 'profile' and 'answer(call)'")
    n, selection = whole(spec.get("experts"), "spec: experts"), spec.get("selection")
    noise = spec.get("noise") if isinstance(spec.get("noise"), Mapping) else {}
    draws = n if noise.get("kind") in ("uniform", "uniform-input", "gumbel") else 0
    profile = {
        "schema": "routegrad.router/2", "specification": spec, "uniforms": max(uniforms, draws),
        "normals": n if noise.get("kind") in ("normal", "learned-normal") else 0, "takes": takes, "precision": precision,
    }
    count = selection.get("count", 1) if isinstance(selection, Mapping) else 1
    joint = isinstance(selection, Mapping) and selection.get("kind") == "expert-choice"
    return _ask(adapter(router, framework, json.loads(to_json(profile, "spec"))), n, 0 if joint else count, seed)


def _ask(driven: Any, n: int, k: int, seed: Any) -> Lint:
    """The battery on what drives a router."""
    answer = _exchange(driven.profile, driven.answer)
    watch()
    verdict, report = c_int(), ReportHandle()
    status = lib.rg_lint(answer, None, n, k, seed, byref(verdict), byref(report))
    if status:
        fail(status)
    words, findings = texts(report)
    return Lint(VERDICTS[verdict.value], findings, words)


def _pair(value: tuple[str, float] | None, name: str, first: str, second: str) -> dict[str, Any] | None:
    if value is None:
        return None
    if not isinstance(value, (tuple, list)) or len(value) != 2:
        raise RouteGradError(f"{name}: expected a pair of {first} and {second}, got {shown(value)}")
    return {first: value[0], second: value[1]}


def _exchange(profile: Mapping[str, Any], answer: Callable[[dict[str, Any]], dict[str, Any]]) -> Any:
    """The C function that answers for a router; what that raises is kept for the thread, see ``_library.fail``."""
    said: list[ctypes.c_char_p] = []

    def call(_context: int, line: int, length: int, answered: Any) -> int | None:
        try:
            raised.entering = False
            asked = json.loads(ctypes.string_at(line, length))
            given = answer(asked) if "call" in asked else profile
            line_back = json.dumps(given, allow_nan=False).encode()
            said[:] = [ctypes.c_char_p(line_back)]
            answered[0] = len(line_back)
            return ctypes.cast(said[0], c_void_p).value
        except BaseException as error:  # noqa: BLE001 - nothing may pass through C; it is raised again on the other side
            raised.exception = error
            return None

    return ROUTER(call)
