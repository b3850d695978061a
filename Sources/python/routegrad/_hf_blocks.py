"""Small blocks of transformers, and the specifications that blocks state. For `routegrad.hf`."""

from __future__ import annotations

import copy
import importlib
import inspect
import math
from typing import Any

import torch

from ._arguments import shown
from ._errors import RouteGradError
from ._hf_families import FAMILIES, SCHEMA, TEMPLATES, Family

_ROUTER = ("gate", "router")
_BIAS = ("e_score_correction_bias", "expert_bias", "balancing_biases")
_SHARED = ("shared_expert", "shared_experts", "shared_mlp")
# What stands between the layer's input and its logits, and around the experts, and says nothing of routing.
_PASSED = ("post_mlp_layernorm", "pre_expert_proj", "pre_expert_norm", "post_expert_proj", "fc1_latent_proj", "fc2_latent_proj")
_ROUTER_PASSED = ("norm", "down_proj")


def block(name: str, *, experts: int = 8, top_k: int = 2, **given: Any) -> torch.nn.Module:
    """A small MoE block of a model of transformers, its weights drawn at random and its selection bias 0.

    Args:
        name: the model's folder, such as ``"mixtral"`` (of several blocks the first), or the block's class.
        experts, top_k: N and k, as far as the model lets them be chosen.
        given: what else its configuration is given, such as ``n_group=4``.
    """
    classes = [key for key, family in FAMILIES.items() if name in (key, family.folder)]
    if not classes:
        raise RouteGradError(f"name: expected a model or block of transformers that routes, got {shown(name)}")
    family = FAMILIES[classes[0]]
    module = importlib.import_module(f"transformers.models.{family.folder}.modeling_{family.folder}")
    made: torch.nn.Module = getattr(module, classes[0])(configuration(family, experts, top_k, **given), *family.arguments)
    with torch.no_grad():
        for parameter in made.parameters():
            if parameter.is_floating_point():
                if parameter.numel() == 1:
                    torch.nn.init.uniform_(parameter, 0.5, 2)  # a scale
                else:
                    torch.nn.init.normal_(parameter, std=0.5)
        for key, buffer in _named(made, _BIAS):
            buffer.zero_()
    return made


def configuration(family: Family, experts: int, top_k: int, **given: Any) -> Any:
    """A small configuration: as many hidden features as experts."""
    module = importlib.import_module(f"transformers.models.{family.folder}.configuration_{family.folder}")
    config = getattr(module, family.config)(**family.given(experts, top_k))
    parts = [config] + ([config.ffn_config] if hasattr(config, "ffn_config") else [])
    wanted: dict[str, Any] = {}
    for part in parts:
        names = set(vars(part)) | set(getattr(part, "attribute_map", {}))
        for key in names:
            if key in ("hidden_size", "d_model", "moe_hidden_size", "router_hidden_size"):
                wanted[key] = experts
            elif key in ("num_local_experts", "num_experts", "n_routed_experts", "moe_num_experts"):
                wanted[key] = experts
            elif key in ("num_experts_per_tok", "num_experts_per_token", "moe_topk", "moe_top_k", "moe_k", "top_k_experts"):
                wanted[key] = top_k
            elif key in ("n_group", "topk_group", "num_expert_group"):
                wanted[key] = 1
            elif "intermediate_size" in key or key in ("ffn_hidden_size", "expert_ffn_hidden_size", "share_expert_dim"):
                value = getattr(part, key)
                wanted[key] = [4] * len(value) if isinstance(value, (list, tuple)) else 4
    for key in ("n_shared_experts", "num_shared_experts", "moe_num_shared_experts"):
        if any(hasattr(part, key) for part in parts):
            wanted[key] = 1
    zero = given.get("zero_expert_num", 2 if hasattr(config, "zero_expert_num") else 0)
    if hasattr(config, "zero_expert_num"):
        wanted |= {"zero_expert_num": zero, "n_routed_experts": experts - zero, "num_local_experts": experts - zero}
    if family.entry == "zaya":
        wanted |= {"num_experts": experts - 1}
    if family.entry == "inkling":
        wanted |= {"n_routed_experts": experts - 2, "num_local_experts": experts - 2, "n_shared_experts": 2}
    if hasattr(config, "enable_moe_block"):
        wanted["enable_moe_block"] = True
    if family.form == "input":
        wanted["hidden_size"] = experts + 1  # one more, see BlockAdapter.route
    if hasattr(config, "pyramid_num_routed") or family.given(experts, top_k).get("pyramid_num_routed"):
        wanted = {key: value for key, value in wanted.items() if "intermediate" in key}
    for fields in (wanted, given):  # what is given last: a field may have two names
        for key, value in fields.items():
            places = [part for part in parts if hasattr(part, key)]
            if not places and fields is given:
                raise RouteGradError(f"{key}: {family.config} has no such field")
            for part in places:
                setattr(part, key, value)
    return config


def _family(made: torch.nn.Module) -> Family:
    for kind in type(made).__mro__:
        if kind.__name__ in FAMILIES:
            return FAMILIES[kind.__name__]
    raise RouteGradError(f"block: {type(made).__name__} is none of the MoE blocks known (routegrad.hf.FAMILIES)")


def _router(made: torch.nn.Module) -> Any:
    if type(made).__name__.endswith("Router"):
        return made
    for key in _ROUTER:
        found = getattr(made, key, None)
        if isinstance(found, torch.nn.Module):
            return found
    raise RouteGradError(f"block: {type(made).__name__} has neither of {', '.join(_ROUTER)}")


def _named(made: torch.nn.Module, names: tuple[str, ...]) -> list[tuple[str, torch.Tensor]]:
    tensors = list(made.named_parameters()) + list(made.named_buffers())
    return [(key, tensor) for key, tensor in tensors if key.split(".")[-1] in names]


def _weight(router: Any) -> tuple[torch.nn.Module, str]:
    """Where the router's linear map is."""
    if hasattr(router, "router_mlp"):
        return router.router_mlp.out_proj, "weight"
    for place in (router, *(child for child in router.children())):
        if isinstance(getattr(place, "weight", None), torch.nn.Parameter) and place.weight.ndim == 2:
            return place, "weight"
    raise RouteGradError(f"block: {type(router).__name__} has no matrix as weight")


def specification(made: torch.nn.Module, config: Any = None, entry: str | None = None) -> dict[str, Any]:
    """The specification that a block's class and configuration state (docs/router-specifications.md).

    It is what the block ought to compute: `adapter` tells what it does. Blocks keep little of their model's configuration;
    the load-balancing loss is in the specification if that is given, too. With ``entry``, the router of another family of
    `TEMPLATES` with the block's numbers: what a block that claims to be one has to be.
    """
    if entry is not None and entry not in TEMPLATES:
        raise RouteGradError(f"spec: expected one of {', '.join(TEMPLATES)}, got {shown(entry)}")
    family, router = _family(made), _router(made)
    places = (router, made)

    def read(*names: str, of: tuple[Any, ...] = places) -> Any:
        for place in of:
            for name in names:
                value = getattr(place, name, None)
                if value is not None and not isinstance(value, (torch.nn.Module, torch.Tensor)) and not callable(value):
                    return value
        return None

    if entry is None:
        entry = "deepseek-v4-hash" if type(router).__name__ == "DeepseekV4HashRouter" else family.entry
    holder, name = _weight(router)
    spec: dict[str, Any] = {"schema": SCHEMA, "name": entry, "experts": getattr(holder, name).shape[0]}
    spec |= copy.deepcopy(TEMPLATES[entry])
    own = getattr(router, "config", None) or getattr(made, "config", None)
    k = read("top_k") or (getattr(own, "top_k_experts", None)) or {"switch": 1, "nllb-moe": 2}.get(entry)
    spec["selection"] = {"kind": "top-k"} | spec.get("selection", {}) | {"count": k}
    gate = spec["gate"]

    if "scale" in gate:
        gate["scale"] = math.prod(
            float(value) for place in places for value in [read(
                "routed_scaling_factor", "route_scale", "router_scaling_factor", of=(place,))] if value is not None)
    normalized = read("norm_topk_prob")
    if normalized is not None:
        gate["normalized"] = bool(normalized)
    if "groups" in spec:
        count, kept = read("num_group"), read("topk_group")
        if entry == "deepseek-v2" and read("topk_method") != "group_limited_greedy" or (count or 1) == 1:
            del spec["groups"]
        else:
            spec["groups"] |= {"count": count, "kept": kept}
    if "floor" in gate and entry == "ernie-4.5":
        gate["floor"] = float(read("norm_min") or 0.0)
    if entry == "cohere2-moe" and read("expert_selection_fn") == "softmax":
        spec["gate"] = {"of": "softmax-over-chosen"}
    if entry == "lfm2" and not read("use_expert_bias"):
        del spec["selectionBias"]
    multiplier = read("output_multiplier")
    if entry == "muse-spark" and multiplier not in (None, 1):
        spec["score"] = {"kind": "sigmoid", "temperature": 1 / multiplier}
    if entry == "deepseek-v4" and hasattr(router, "score_fn"):
        kinds = {"Sigmoid": "sigmoid", "SqrtSoftplus": "softplus-sqrt", "Softmax": "softmax"}
        spec["score"] = next((word for key, word in kinds.items() if key in type(router.score_fn).__name__), spec["score"])
    if entry == "cohere2-moe" and made.num_shared_experts and made.shared_expert_combination_strategy == "average":
        spec["gate"]["scale"] = 0.5
    if entry == "inkling":
        spec["selection"]["always"] = router.n_shared_experts
        gate["scale"] *= 1.0 if router.global_scale.is_meta else router.global_scale.item()
    if getattr(router, "router_logit_softcapping", 0.0):
        raise RouteGradError("block: a specification has no cap on logits (moe_router_logit_softcapping)")
    if entry == "longcat-flash":
        experts: Any = made.experts
        spec["nullExperts"]["count"] = experts.zero_expert_num
        if not spec["nullExperts"]["count"]:
            del spec["nullExperts"]
    if entry in ("switch", "nllb-moe"):
        spec["capacity"]["limit"] = router.expert_capacity
    if entry == "nllb-moe":
        if router.batch_prioritized_routing or router.second_expert_policy != "all":
            raise RouteGradError("block: a specification has neither batch-prioritized second choices nor a random second expert")
        if router.normalize_router_prob_before_dropping:
            del gate["over"]
    if entry == "phi-3.5-moe":
        spec["mask"]["threshold"] = router.router_jitter_noise
    if type(made).__name__ == "DbrxFFN":
        p = made.moe_normalize_expert_weights
        if p not in (None, 1, 1.0):
            raise RouteGradError(f"block: a specification has no gates divided by their {p}-norm")
        gate["normalized"] = p is not None
    width = read("jitter_noise", "moe_jitter_eps", "input_jitter_noise")
    if width:
        spec["noise"] = {"kind": "uniform-input", "width": width}
    coefficient = next((getattr(part, key) for part in (config, getattr(config, "ffn_config", None))
                        for key in ("router_aux_loss_coef", "aux_loss_coef", "moe_loss_weight") if hasattr(part, key)), None)
    if coefficient and _loss(made) is not None and entry != "deepseek-v4-hash":  # whose logits are not recorded
        counting = "first" if entry == "switch" else "all"
        spec["auxiliaryLosses"] = [{"kind": "balance", "coefficient": coefficient, "counting": counting}]
    return spec


def _loss(made: torch.nn.Module) -> Any:
    """The load-balancing loss of a block's module."""
    return getattr(inspect.getmodule(type(made)), "load_balancing_loss_func", None)
