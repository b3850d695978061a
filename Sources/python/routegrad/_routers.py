"""Routers of NumPy, JAX and PyTorch behind one face: a profile, and answers to the calls of docs/lint-protocol.md."""

from __future__ import annotations

import inspect
import math
import sys
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ._arguments import one_line, shown
from ._arrays import plain_array
from ._errors import RouteGradError

# What a router may return besides, and what it may take besides, by the names of its parameters; the field of the exchange.
_EXTRAS = {
    "dispatch": "dispatch", "auxiliary_loss": "auxiliaryLoss", "auxiliary_gradient": "auxiliaryGradient",
    "noise_gradient": "noiseGradient", "bias_after": "biasAfter",
}
_GIVEN = {
    "bias": "bias", "choice": "choice", "normals": "normals", "noise_logits": "noiseLogits",
    "expert_scales": "expertScales", "sequences": "sequences", "global_tokens": "globalTokens",
    "global_counts": "globalCounts",
}


def adapter(router: Any, framework: str | None, profile: dict[str, Any]) -> Any:
    """What drives a router; none of the frameworks is imported unless the router is one of its own."""
    if not isinstance(router, type) and hasattr(router, "profile") and callable(getattr(router, "answer", None)):
        return router
    if not callable(router):
        raise RouteGradError(f"router: expected a callable, got {type(router).__name__}")
    if framework is not None and not isinstance(framework, str):
        raise RouteGradError(f"framework: expected 'torch', 'jax' or 'numpy', got {shown(framework)}")
    if framework is None:
        framework = _framework(router)
    try:
        if framework == "torch":
            from ._torch import TorchAdapter
            return TorchAdapter(router, profile)
        if framework == "jax":
            return JaxAdapter(router, profile)
    except ImportError as error:
        raise RouteGradError(f"framework: {framework} cannot be imported: {one_line(str(error))}") from error
    if framework == "numpy":
        return Adapter(router, profile)
    raise RouteGradError(f"framework: expected 'torch', 'jax' or 'numpy', got {shown(framework)}")


def _framework(router: Any) -> str:
    torch = sys.modules.get("torch")
    if torch is not None and isinstance(router, torch.nn.Module):
        return "torch"
    return "jax" if type(router).__module__.split(".")[0] in ("jax", "jaxlib") else "numpy"


class Adapter:
    """Drives a NumPy router."""

    precision = "float64"

    def __init__(self, router: Callable[..., Any], profile: dict[str, Any]):
        self.router = router
        self.profile = {**profile, "precision": profile["precision"] or self.precision}
        self.experts = profile["specification"]["experts"] if "specification" in profile else profile["experts"]
        function = getattr(router, "forward", router)
        self.takes_training = _has_parameter(function, "training")
        self.takes = [name for name in _GIVEN if _has_parameter(function, name)]
        self.given: dict[str, Any] = {}

    def answer(self, call: dict[str, Any]) -> dict[str, Any]:
        """The answer to a call."""
        logits = np.array([[-math.inf if x is None else x for x in row] for row in call["logits"]])
        outputs, upstream = np.array(call["expertOutputs"]), np.array(call["upstream"])
        # A parameter that this call has nothing for is None.
        self.given = {
            name: np.array(call[_GIVEN[name]]) if call.get(_GIVEN[name]) is not None else None for name in self.takes}
        self.normals = np.array(call["normals"]) if call.get("normals") is not None else np.zeros((len(logits), 0))
        result, backward, after = self.run(logits, np.array(call["uniforms"]), call["mode"] == "train")
        choice, multipliers = self.plain_arrays(result, logits.shape[0])
        kept = choice >= 0
        chosen = np.take_along_axis(outputs, np.where(kept, choice, 0)[:, :, None], axis=1)
        given = np.where(kept, np.einsum("tkw,tw->tk", chosen, upstream), 0.0)
        with np.errstate(invalid="ignore"):
            weighted = np.where(kept, multipliers, 0.0)[:, :, None] * chosen
        answer = {
            "call": call["call"], "choice": [row[keep].tolist() for row, keep in zip(choice, kept)],
            "multipliers": [_plain(row[keep]) for row, keep in zip(multipliers, kept)],
            "gradient": _plain(backward(given)), "output": _plain(weighted.sum(1)), "logitsAfter": _plain(after),
        }
        if result.get("expert_inputs") is not None:
            answer["expertInputs"] = [_plain(row[keep]) for row, keep in zip(self.array(result["expert_inputs"]), kept)]
        for key, field in _EXTRAS.items():
            if result.get(key) is not None:
                answer[field] = _plain(self.array(result[key]))
        return answer

    def run(
        self, logits: NDArray[np.float64], uniforms: NDArray[np.float64], training: bool
    ) -> tuple[Mapping[str, Any], Callable[[NDArray[np.float64]], NDArray[np.float64]], NDArray[np.float64]]:
        """The router's result as a dict, its backward pass, and its argument afterwards."""
        handed = logits.copy()
        result = _named(self.call(handed, uniforms, training), ("multipliers", "choice", "backward"))
        return result, result["backward"], handed

    def call(self, logits: Any, uniforms: Any, training: bool) -> Any:
        """Calls the router."""
        arguments = (logits, uniforms) if self.profile["uniforms"] else (logits,)
        return self.router(*arguments, **self.named(training))

    def named(self, training: bool) -> dict[str, Any]:
        """What the router takes by name, as arrays of its framework."""
        given = {name: None if value is None else self.of_framework(value) for name, value in self.given.items()}
        return {**given, **({"training": training} if self.takes_training else {})}

    def of_framework(self, value: NDArray[Any]) -> Any:
        """An array of NumPy as the framework's."""
        return value

    @staticmethod
    def array(value: Any) -> NDArray[Any]:
        """An array of the framework as NumPy's."""
        return plain_array(value, "router")

    def plain_arrays(self, result: Mapping[str, Any], tokens: int) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """Choice and multipliers, [T, k], checked."""
        choice, multipliers = (self.array(result[name]) for name in ("choice", "multipliers"))
        if choice.dtype.kind not in "iu" or choice.ndim != 2 or choice.shape[0] != tokens or choice.shape != multipliers.shape:
            raise RouteGradError(
                f"router: expected multipliers and whole-numbered choices of one shape [{tokens}, k], got {multipliers.dtype} "
                f"{list(multipliers.shape)} and {choice.dtype} {list(choice.shape)}")
        if choice.size and choice.max() >= self.experts:
            raise RouteGradError(f"router: expected choices below {self.experts}, got {choice.max()}")
        return choice.astype(np.int64), multipliers.astype(np.float64)


class JaxAdapter(Adapter):
    """Drives a JAX router."""

    precision = "float32"

    def __init__(self, router: Callable[..., Any], profile: dict[str, Any]):
        import jax

        self.jax = jax
        if jax.numpy.zeros(1, jax.dtypes.canonicalize_dtype(np.float64)).dtype == np.float64:
            self.precision = "float64"
        super().__init__(router, profile)

    def run(self, logits: Any, uniforms: Any, training: bool) -> Any:
        jax = self.jax
        handed, draws = (jax.numpy.asarray(x, dtype=self.precision) for x in (logits, uniforms))

        def multipliers(x: Any) -> Any:
            result = _named(self.call(x, draws, training), ("multipliers", "choice"))
            return result["multipliers"], {key: value for key, value in result.items() if key != "multipliers"}

        values, pull, rest = jax.vjp(multipliers, handed, has_aux=True)
        if rest.get("auxiliary_loss") is not None and "auxiliary_gradient" not in rest:
            rest["auxiliary_gradient"] = jax.grad(lambda x: multipliers(x)[1]["auxiliary_loss"].sum())(handed)
        return ({**rest, "multipliers": values}, lambda given: np.asarray(pull(given.astype(values.dtype))[0]),
                np.asarray(handed))


    def of_framework(self, value: NDArray[Any]) -> Any:
        return self.jax.numpy.asarray(value, dtype=self.precision if value.dtype.kind == "f" else None)


def _named(result: Any, names: tuple[str, ...]) -> Mapping[str, Any]:
    """A router's result by name."""
    if isinstance(result, Mapping):
        named: Mapping[str, Any] = result
    elif isinstance(result, (tuple, list)) and len(result) == len(names):
        named = dict(zip(names, result))
    else:
        raise RouteGradError(f"router: expected ({', '.join(names)}) or a dict of them, got {type(result).__name__}")
    missing = [name for name in names if name not in named]
    if missing:
        raise RouteGradError(f"router: expected {', '.join(names)}, {missing[0]} is missing")
    return named


def _has_parameter(function: Callable[..., Any], name: str) -> bool:
    try:
        return name in inspect.signature(function).parameters
    except Exception:  # noqa: BLE001 - whatever a stranger's signature raises
        return False


def _plain(array: Any) -> Any:
    """Nested lists; what is not finite becomes null."""
    found = plain_array(array, "router")
    if found.dtype.kind != "f" or np.isfinite(found).all():
        return found.tolist()
    written = found.astype(object)
    written[~np.isfinite(found)] = None
    return written.tolist()
