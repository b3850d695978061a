"""Routers of transformers: a real MoE block as a router that is asked, and the specification that its configuration states.

    import routegrad.hf
    block = routegrad.hf.block("deepseek_v3", experts=8, top_k=2, n_group=4, topk_group=2)   # or one of a model of yours
    routegrad.hf.specification(block)                  # docs/router-specifications.md
    adapter = routegrad.hf.adapter(block)              # .profile, .answer(call): the exchange `routegrad.router/2`

A block is recognised by the name of its class (`FAMILIES`). The adapter drives a copy of it whose experts are stubs: each
returns a unit vector, so that what comes out of the block is what every expert's output is multiplied by in the end, whatever
scales come after the experts. The copy's router has the identity as weight: what the block is given is its logits. Shared
experts return 0, norms and projections around the experts nothing but their input. The block itself is left alone.

Needs torch and transformers; nothing of them is imported before this module is.
"""

from __future__ import annotations

import copy
import dataclasses
import importlib
import inspect
import math
from collections.abc import Callable
from typing import Any

import torch

from ._errors import RouteGradError

SCHEMA = "routegrad.router-spec/1"

# What a family's router computes, by the name of its entry in the catalogue; what is read from a block is filled in, see
# `specification`. "top-k" and the score as the gate are left out.
TEMPLATES: dict[str, dict[str, Any]] = {
    "mixtral": {"gate": {"of": "score", "normalized": True}},
    "olmoe": {"gate": {"of": "score"}},
    "gemma-4": {"gate": {"of": "score", "normalized": True, "perExpertScale": True}},
    "gpt-oss": {"key": "logits", "gate": {"of": "softmax-over-chosen"}},
    "cohere2-moe": {"key": "logits", "gate": {"of": "sigmoid-of-logit", "normalized": True}},
    "llama-4": {"key": "logits", "gate": {"of": "sigmoid-of-logit"}, "applied": "input"},
    "deepseek-v2": {"groups": {"score": "max"}, "gate": {"of": "score", "scale": 1.0}},
    "mistral-4": {"groups": {"score": "sum-of-two"}, "gate": {"of": "score", "normalized": True, "epsilon": 1e-20, "scale": 1.0}},
    "deepseek-v3": {"score": "sigmoid", "selectionBias": True, "groups": {"score": "sum-of-two"},
                    "gate": {"of": "score", "normalized": True, "epsilon": 1e-20, "scale": 1.0}},
    "glm-4.5": {"score": "sigmoid", "selectionBias": True, "gate": {"of": "score", "normalized": True, "epsilon": 1e-20, "scale": 1.0}},
    "muse-spark": {"score": "sigmoid", "selectionBias": True, "gate": {"of": "score", "normalized": True, "epsilon": 1e-15, "scale": 1.0}},
    "lfm2": {"score": "sigmoid", "selectionBias": True, "gate": {"of": "score", "normalized": True, "epsilon": 1e-6, "scale": 1.0}},
    "minimax-m2": {"score": "sigmoid", "selectionBias": True, "gate": {"of": "score", "normalized": True, "scale": 1.0}},
    "inkling": {"score": "sigmoid", "selectionBias": True, "selection": {"kind": "top-k", "always": 0},
                "gate": {"of": "score", "normalized": True, "scale": 1.0}},
    "flint": {"score": "sigmoid", "gate": {"of": "score", "normalized": True}},
    "kolibri": {"score": "sigmoid", "key": "logits", "selectionBias": True, "gate": {"of": "score", "normalized": True}},
    "deepseek-v4": {"score": "softplus-sqrt", "selectionBias": True,
                    "gate": {"of": "score", "normalized": True, "epsilon": 1e-20, "scale": 1.0}},
    "deepseek-v4-hash": {"score": "softplus-sqrt", "selection": {"kind": "forced"},
                         "gate": {"of": "score", "normalized": True, "epsilon": 1e-20, "scale": 1.0}},
    "ernie-4.5": {"selectionBias": True, "gate": {"of": "score", "normalized": True, "floor": 0.0}},
    "longcat-flash": {"selectionBias": True, "gate": {"of": "score", "scale": 1.0}, "nullExperts": {"kind": "identity"}},
    "zaya": {"selectionBias": True, "gate": {"of": "score"}, "nullExperts": {"count": 1, "kind": "zero"}},
    "phi-3.5-moe": {"key": "logits", "mask": {"rule": "reference-code"}, "selection": {"kind": "sampled"},
                    "gate": {"of": "sequential", "outputScales": [1, 0.3333]}},
    "switch": {"gate": {"of": "score"}, "capacity": {"priority": "position"}},
    "nllb-moe": {"gate": {"of": "score", "normalized": True, "floor": torch.finfo(torch.float32).eps, "over": "kept"},
                 "capacity": {"priority": "rank"}},
}


@dataclasses.dataclass(frozen=True)
class Family:
    """How a class of blocks differs from the rest; what is None is found by the names below."""

    entry: str
    """Its entry in the catalogue, of TEMPLATES."""
    folder: str
    """Its folder in transformers.models."""
    config: str
    """The class of the configuration that makes a block."""
    form: str = "index"
    """How the block tells its experts what to do: `index`, `mask` (Switch, NLLB), `input` (Llama 4), `grouped` (JetMoe)."""
    logits: int | None = 0
    """Which of the router's results are the logits; None: it has no such result, or not the logits themselves."""
    given: Callable[[int, int], dict[str, Any]] = lambda experts, top_k: {}
    """What the configuration of a small block is made with."""
    arguments: tuple[Any, ...] = ()
    """What the block's class takes after the configuration."""


def _families() -> dict[str, Family]:
    """By the block's class."""
    rows = {
        "mixtral": ["mixtral Mixtral SparseMoeBlock", "minimax MiniMax SparseMoeBlock", "qwen3_5_moe Qwen3_5Moe SparseMoeBlock Text",
                    "qwen3_vl_moe Qwen3VLMoeText SparseMoeBlock", "hunyuan_v1_moe HunYuanMoEV1 Moe", "dbrx Dbrx FFN"],
        "olmoe": ["olmoe Olmoe SparseMoeBlock", "flex_olmo FlexOlmo SparseMoeBlock", "qwen2_moe Qwen2Moe SparseMoeBlock",
                  "qwen3_moe Qwen3Moe SparseMoeBlock", "qwen3_next Qwen3Next SparseMoeBlock", "mellum Mellum SparseMoeBlock",
                  "qwen4_exp Qwen4ExpText SparseMoeBlock", "lara_mini LaraMini SparseMoeBlock", "jamba Jamba SparseMoeBlock",
                  "qwen3_omni_moe Qwen3OmniMoeThinkerText SparseMoeBlock Qwen3OmniMoeTextConfig",
                  "qwen3_omni_moe Qwen3OmniMoeTalkerText SparseMoeBlock"],
        "gpt-oss": ["gpt_oss GptOss MLP", "openai_privacy_filter OpenAIPrivacyFilter MLP", "aria AriaText MoELayer",
                    "granitemoe GraniteMoe MoE", "granitemoe_swa GraniteMoeSWA MoE", "granitemoehybrid GraniteMoeHybrid MoE",
                    "granitemoeshared GraniteMoeShared MoE", "jetmoe JetMoe MoE"],
        "cohere2-moe": ["cohere2_moe Cohere2Moe SparseMoeBlock"],
        "llama-4": ["llama4 Llama4Text Moe"],
        "deepseek-v2": ["deepseek_v2 DeepseekV2 Moe", "deepseek_ocr2 DeepseekOcr2Text Moe", "unlimited_ocr UnlimitedOcrText Moe"],
        "mistral-4": ["mistral4 Mistral4 MoE", "mistral_large4 MistralLarge4Text MoE"],
        "deepseek-v3": ["deepseek_v3 DeepseekV3 MoE", "deepseek_v32 DeepseekV32 MoE", "axk1 AXK1 MoE", "axk2 AXK2 MoE",
                        "bailing_hybrid BailingHybrid MoE", "dots1 Dots1 MoE", "dots3_note Dots3NoteText MoE",
                        "glm4_moe Glm4Moe MoE", "glm4v_moe Glm4vMoeText MoE", "glm4_moe_lite Glm4MoeLite MoE",
                        "glm_moe_dsa GlmMoeDsa MoE", "glm5_next Glm5NextText MoE", "hy_v4 HYV4 MoE", "hy_v4_vl HYV4VL MoE HYV4VLTextConfig",
                        "kimi_linear KimiLinear MoE", "mimo_v2_flash MiMoV2Flash MoE", "nemotron_h NemotronH MoE",
                        "solar_open SolarOpen MoE", "exaone_moe ExaoneMoe SparseMoEBlock", "beam Beam MoE"],
        "glm-4.5": ["hy_v3 HYV3 MoE", "afmoe Afmoe SparseMoeBlock", "dots3_note Dots3NoteVision MoE"],
        "muse-spark": ["muse_spark MuseSpark MoE MuseSparkTextConfig"],
        "lfm2": ["lfm2_moe Lfm2Moe SparseMoeBlock"],
        "minimax-m2": ["minimax_m2 MiniMaxM2 SparseMoeBlock", "minimax_m3_vl MiniMaxM3VL SparseMoeBlock MiniMaxM3VLTextConfig",
                       "step3p7 Step3p7 SparseMoeBlock Step3p7TextConfig", "laguna Laguna SparseMoeBlock"],
        "inkling": ["inkling Inkling MoE InklingTextConfig"],
        "flint": ["flint Flint SparseMoeBlock"],
        "kolibri": ["kolibri1 Kolibri1 SparseMoeBlock"],
        "deepseek-v4": ["deepseek_v4 DeepseekV4 SparseMoeBlock", "inkling2 Inkling2 SparseMoeBlock Inkling2TextConfig",
                        "inkling2_loop Inkling2Loop SparseMoeBlock Inkling2LoopTextConfig"],
        "ernie-4.5": ["ernie4_5_moe Ernie4_5_Moe SparseMoeBlock", "ernie4_5_vl_moe Ernie4_5_VLMoe SparseMoeBlock Ernie4_5_VLMoeTextConfig"],
        "longcat-flash": ["longcat_flash LongcatFlash MoE"],
        "zaya": ["zaya Zaya SparseMoeBlock"],
        "phi-3.5-moe": ["phimoe Phimoe SparseMoeBlock"],
        "switch": ["switch_transformers SwitchTransformers SparseMLP"],
        "nllb-moe": ["nllb_moe NllbMoe SparseMLP"],
        "gemma-4": ["gemma4 Gemma4Text Router", "diffusion_gemma DiffusionGemmaText Router"],
    }
    special: dict[str, dict[str, Any]] = {
        "JetMoeMoE": {"form": "grouped", "logits": 4},
        "Llama4TextMoe": {"form": "input", "logits": 1},
        "SwitchTransformersSparseMLP": {"form": "mask", "logits": 2},
        "NllbMoeSparseMLP": {"form": "mask", "logits": 2, "arguments": (4,)},
        "DbrxFFN": {"logits": None},
        "ZayaSparseMoeBlock": {"arguments": (0,)},
        "DeepseekV4SparseMoeBlock": {"arguments": (0,)},
        "Step3p7SparseMoeBlock": {"arguments": (0,)},
        "Dots3NoteVisionMoE": {"arguments": (0,), "given": lambda experts, top_k: {
            "pyramid_num_routed": [experts], "num_hidden_layers": 1, "num_experts_per_tok": top_k, "hidden_size": experts,
            "num_attention_heads": 1, "adapter_in_dim": experts}},
        "Qwen3OmniMoeTalkerTextSparseMoeBlock": {"given": lambda experts, top_k: {"shared_expert_intermediate_size": 4}},
        "DiffusionGemmaTextRouter": {"logits": None},
        "Gemma4TextRouter": {"logits": None},
        "InklingMoE": {"logits": None},
        "MuseSparkMoE": {"logits": None},
        "Ernie4_5_VLMoeSparseMoeBlock": {"arguments": (4,)},
    }
    found = {}
    for entry, lines in rows.items():
        for line in lines:
            folder, prefix, suffix, *config = line.split()
            name = config[0] if config and config[0].endswith("Config") else prefix + "".join(config) + "Config"
            found[prefix + suffix] = Family(entry, folder, name, **special.get(prefix + suffix, {}))
    return found


FAMILIES = _families()

_ROUTER = ("gate", "router")
_BIAS = ("e_score_correction_bias", "expert_bias", "balancing_biases")
_SHARED = ("shared_expert", "shared_experts", "shared_mlp")
# What stands between the layer's input and its logits, and around the experts, and says nothing of routing.
_PASSED = ("post_mlp_layernorm", "pre_expert_proj", "pre_expert_norm", "post_expert_proj", "fc1_latent_proj", "fc2_latent_proj")
_ROUTER_PASSED = ("norm", "down_proj")


# Making a block.


def block(name: str, *, experts: int = 8, top_k: int = 2, **given: Any) -> torch.nn.Module:
    """A small MoE block of a model of transformers, its weights drawn at random and its selection bias 0.

    Args:
        name: the model's folder, such as ``"mixtral"`` (of several blocks the first), or the block's class.
        experts, top_k: N and k, as far as the model lets them be chosen.
        given: what else its configuration is given, such as ``n_group=4``.
    """
    classes = [key for key, family in FAMILIES.items() if name in (key, family.folder)]
    if not classes:
        raise RouteGradError(f"name: expected a model or block of transformers that routes, got {name!r}")
    family = FAMILIES[classes[0]]
    module = importlib.import_module(f"transformers.models.{family.folder}.modeling_{family.folder}")
    made = getattr(module, classes[0])(configuration(family, experts, top_k, **given), *family.arguments)
    with torch.no_grad():
        for parameter in made.parameters():
            if parameter.is_floating_point():
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


# Reading a block.


def _family(made: torch.nn.Module) -> Family:
    for kind in type(made).__mro__:
        if kind.__name__ in FAMILIES:
            return FAMILIES[kind.__name__]
    raise RouteGradError(f"block: {type(made).__name__} is none of the MoE blocks known (routegrad.hf.FAMILIES)")


def _router(made: torch.nn.Module) -> torch.nn.Module:
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


def _weight(router: torch.nn.Module) -> tuple[torch.nn.Module, str]:
    """Where the router's linear map is."""
    if hasattr(router, "router_mlp"):
        return router.router_mlp.out_proj, "weight"
    for place in (router, *(child for child in router.children())):
        if isinstance(getattr(place, "weight", None), torch.nn.Parameter) and place.weight.ndim == 2:
            return place, "weight"
    raise RouteGradError(f"block: {type(router).__name__} has no matrix as weight")


def specification(made: torch.nn.Module, config: Any = None) -> dict[str, Any]:
    """The specification that a block's class and configuration state (docs/router-specifications.md).

    It is what the block ought to compute: `adapter` tells what it does. Blocks keep little of their model's configuration;
    the load-balancing loss is in the specification if that is given, too.
    """
    family, router = _family(made), _router(made)
    places = (router, made)

    def read(*names: str, of: tuple[Any, ...] = places) -> Any:
        for place in of:
            for name in names:
                value = getattr(place, name, None)
                if value is not None and not isinstance(value, (torch.nn.Module, torch.Tensor)) and not callable(value):
                    return value
        return None

    entry = family.entry
    if type(router).__name__ == "DeepseekV4HashRouter":
        entry = "deepseek-v4-hash"
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
        gate["floor"] = float(read("norm_min"))
    if entry == "cohere2-moe" and read("expert_selection_fn") == "softmax":
        spec["gate"] = {"of": "softmax-over-chosen"}
    if entry == "lfm2" and not read("use_expert_bias"):
        del spec["selectionBias"]
    if entry == "muse-spark" and router.output_multiplier != 1:
        spec["score"] = {"kind": "sigmoid", "temperature": 1 / router.output_multiplier}
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
        spec["nullExperts"]["count"] = made.experts.zero_expert_num
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


# Driving a block.


class _Unit(torch.nn.Module):
    """Experts whose outputs are unit vectors: the sum over the chosen is the multipliers themselves, [T][N]."""

    def __init__(self, form: str, experts: int):
        super().__init__()
        self.form, self.experts = form, experts
        self.inputs: torch.Tensor | None = None
        self.choice: torch.Tensor | None = None
        self.weights: torch.Tensor | None = None

    def forward(self, *given: Any, **_: Any) -> torch.Tensor:
        states = given[0]
        flat = states.reshape(-1, states.shape[-1])
        if self.form == "input":  # Llama 4: [N·T][d], multiplied before
            parts = flat.reshape(self.experts, -1, flat.shape[-1])
            self.inputs = parts
            return parts.reshape(flat.shape)
        self.inputs = flat.detach().clone()
        if self.form == "mask":
            # [T][N] with ones where a token goes; Switch has one gate for all of them.
            mask, weights = given[1].reshape(len(flat), -1), given[2].reshape(len(flat), -1)
            dense = weights * (mask if weights.shape[1] == 1 else 1)
            self.choice = None
        else:
            index, weights = given[1].reshape(len(flat), -1), given[2].reshape(len(flat), -1)
            self.choice, self.weights = index.detach(), weights.detach()
            dense = torch.zeros(len(flat), self.experts, dtype=weights.dtype).scatter_add(1, index, weights)
        return torch.nn.functional.pad(dense, (0, flat.shape[-1] - self.experts)).reshape(states.shape)


class _Grouped(torch.nn.Module):
    """JetMoe's output projection of tokens that are sorted by expert."""

    def __init__(self, experts: int):
        super().__init__()
        self.experts = experts

    def forward(self, inputs: torch.Tensor, sizes: Any) -> torch.Tensor:
        which = torch.repeat_interleave(torch.arange(self.experts), torch.as_tensor(sizes))
        return torch.nn.functional.one_hot(which, self.experts).to(inputs.dtype)


class _Widened(torch.nn.Module):
    """JetMoe's input projection: two halves of the same width."""

    def forward(self, inputs: torch.Tensor, sizes: Any) -> torch.Tensor:
        self.inputs = inputs.detach().clone()
        self.experts = torch.repeat_interleave(torch.arange(len(sizes)), torch.as_tensor(sizes)).tolist()
        return torch.cat([inputs, inputs], dim=-1)


class _Always(torch.nn.Module):
    """Inkling's shared experts, the last ones, which have gates of the router's."""

    def __init__(self, experts: int):
        super().__init__()
        self.experts = experts

    def forward(self, states: torch.Tensor, gammas: torch.Tensor) -> torch.Tensor:
        flat = gammas.reshape(-1, gammas.shape[-1])
        left, hidden = self.experts - flat.shape[-1], states.shape[-1]
        return torch.nn.functional.pad(flat, (left, hidden - self.experts)).reshape(states.shape)


class _Alone(torch.nn.Module):
    """A router without its block, which is a whole layer of the model."""

    def __init__(self, router: torch.nn.Module, experts: torch.nn.Module):
        super().__init__()
        self.router, self.experts = router, experts

    def forward(self, states: torch.Tensor) -> torch.Tensor:
        flat = states.reshape(-1, states.shape[-1])
        _, weights, index = self.router(flat)
        made: torch.Tensor = self.experts(flat, index, weights)
        return made.reshape(states.shape)


class _Through(torch.nn.Module):
    def forward(self, states: torch.Tensor, *_: Any, **__: Any) -> torch.Tensor:
        return states


class _Nothing(torch.nn.Module):
    def forward(self, states: torch.Tensor, *_: Any, **__: Any) -> torch.Tensor:
        return torch.zeros_like(states)


class BlockAdapter:
    """A block of transformers as a router: `profile`, and `answer` to the calls of the exchange."""

    def __init__(self, made: torch.nn.Module, spec: dict[str, Any] | None = None, dtype: torch.dtype = torch.float32,
                 config: Any = None):
        self.family = _family(made)
        self.stated = specification(made, config)
        self.spec = self.stated if spec is None else spec
        self.experts = self.stated["experts"]
        self.dtype = dtype
        self.kind = type(made).__name__
        self.hash = self.stated["name"] == "deepseek-v4-hash"
        self.loss = _loss(made)
        self.unordered = "sorted=False" in inspect.getsource(type(_router(made)))
        self.block = self._copy(made)
        self.recorded: Any = None
        _router(self.block).register_forward_hook(self._record)
        noise = (self.stated.get("noise") or {}).get("kind")
        uniforms = self.experts if noise else 0
        if self.stated["name"] == "phi-3.5-moe":
            uniforms = (2 * uniforms) + 2 * self.experts + 2  # jitter in block and router; two draws and two coins
        self.profile = {
            "schema": "routegrad.router/2", "specification": self.spec, "uniforms": uniforms, "normals": 0,
            "takes": "input", "precision": {torch.float64: "float64"}.get(dtype, "float32"),
        }

    def _copy(self, made: torch.nn.Module) -> torch.nn.Module:
        """The block with stubs, its router's weight the identity; parameters of experts are not copied."""
        left_out: dict[int, torch.nn.Module] = {}
        if self.family.form == "grouped":
            left_out[id(made.output_linear)] = _Grouped(self.experts)
            left_out[id(made.input_linear)] = _Widened()
        elif made is not _router(made):
            left_out[id(made.experts)] = _Unit(self.family.form, self.experts)
        for name in _SHARED:
            if isinstance(getattr(made, name, None), torch.nn.Module):
                left_out[id(getattr(made, name))] = _Always(self.experts) if self.stated["name"] == "inkling" else _Nothing()
        for name in _PASSED:
            if isinstance(getattr(made, name, None), torch.nn.Module):
                left_out[id(getattr(made, name))] = _Through()
        router = _router(made)
        if hasattr(router, "router_mlp"):
            left_out[id(router.router_mlp)] = _Through()
        for name in _ROUTER_PASSED:
            if isinstance(getattr(router, name, None), torch.nn.Module):
                left_out[id(getattr(router, name))] = _Through()
        holder, name = _weight(router)
        hidden = self.experts if self.family.form == "grouped" or hasattr(router, "router_mlp") else getattr(holder, name).shape[1]
        needed = self.experts + (self.family.form == "input")
        if hidden < needed:
            raise RouteGradError(
                f"block: its {hidden} hidden features are fewer than the {needed} that it takes to ask for any logits of its "
                f"{self.experts} experts")
        self.hidden = hidden
        alone = made is _router(made)
        made = copy.deepcopy(made, dict(left_out)).to(self.dtype)
        router = _router(made)
        with torch.no_grad():
            if not hasattr(router, "router_mlp"):
                holder, name = _weight(router)
                getattr(holder, name).copy_(torch.eye(self.experts, hidden))
                if isinstance(getattr(holder, "bias", None), torch.Tensor):
                    holder.bias.zero_()
            if self.family.form == "grouped":
                made.bias.zero_()
            if hasattr(router, "scale") and isinstance(router.scale, torch.Tensor):  # Gemma 4, on the router's input
                router.scale.fill_(1)
                router.scalar_root_size = 1.0
        return _Alone(router, _Unit(self.family.form, self.experts)) if alone else made

    def _record(self, _module: Any, _given: Any, result: Any) -> None:
        self.recorded = result

    def _force(self, call: dict[str, Any]) -> None:
        with torch.no_grad():
            for _, tensor in _named(self.block, _BIAS):
                bias = call.get("bias")
                given = torch.zeros(self.experts) if bias is None else torch.tensor(bias)
                tensor.copy_(given[:tensor.numel()].reshape(tensor.shape))  # what is always chosen has no bias
            for _, tensor in _named(self.block, ("per_expert_scale",)):
                scales = call.get("expertScales")
                tensor.copy_(torch.ones(self.experts) if scales is None else torch.tensor(scales))
            if self.hash:
                _router(self.block).tid2eid = torch.tensor(call["choice"])

    def route(self, call: dict[str, Any]) -> dict[str, Any]:
        """Choice [T][≤ k] and multipliers [T][N] of a call, in the graph; the tensor whose gradient is asked for."""
        from ._torch import Draws

        values = [[-math.inf if x is None else x for x in row] for row in call["logits"]]
        given = torch.tensor(values, dtype=self.dtype)
        tokens = len(given)
        leaf = torch.nn.functional.pad(given, (0, self.hidden - self.experts))
        if self.family.form == "input":
            leaf[:, -1] = 1.0  # what experts get of it is the multiplier
        leaf.requires_grad_()
        handed = (leaf * 1.0)[None]  # a copy, as a layer in the middle of a network gets it: what is changed in place shows
        self._force(call)
        self.block.train(call["mode"] == "train")
        extra = (torch.arange(tokens)[None],) if self.hash else ()
        # A row of draws for each token.
        with Draws(call.get("uniforms") or [[]] * tokens, self.dtype).forced():
            result = self.block(handed, *extra)
        result = result[0] if isinstance(result, tuple) else result
        router_result = self.recorded
        unit = None if self.family.form == "grouped" else self.block.experts
        dense = unit.inputs[:, :, -1].T if self.family.form == "input" else result.reshape(tokens, -1)[:, :self.experts]
        index = getattr(unit, "choice", None)
        if self.stated["name"] == "zaya":
            index = torch.where(unit.weights == 0, self.experts - 1, index)  # the skip expert: the block says 0, and nothing
        # An order that `topk` was not asked for is none; by multiplier, it goes with the experts where these change places.
        if index is not None and self.unordered:
            index = index.gather(1, unit.weights.argsort(dim=-1, descending=True, stable=True))
        if index is not None:
            always = self.stated["selection"].get("always", 0)
            choice = [row + list(range(self.experts - always, self.experts)) for row in index.tolist()]
        else:
            choice = []
            for row in dense.detach().tolist():
                there = [i for i, m in enumerate(row) if m != 0]
                choice.append(sorted(there, key=lambda i: -row[i]))
        source = leaf
        if self.stated.get("noise") and self.family.logits is not None:
            source = router_result[self.family.logits]
        elif self.stated.get("noise"):
            source = router_result  # DBRX's router returns the logits alone
        logits = router_result[self.family.logits] if isinstance(router_result, tuple) and self.family.logits is not None else router_result
        return {"choice": choice, "dense": dense, "source": source, "logits": logits, "handed": handed, "unit": unit}

    def answer(self, call: dict[str, Any]) -> dict[str, Any]:
        """The answer to a call."""
        found = self.route(call)
        choice, dense, source = found["choice"], found["dense"], found["source"]
        outputs = torch.tensor(call["expertOutputs"], dtype=dense.dtype)
        upstream = torch.tensor(call["upstream"], dtype=dense.dtype)
        output = self._output(call, choice, dense, outputs)
        tokens = len(choice)

        def gradient(value: torch.Tensor) -> Any:
            if not value.requires_grad:
                return torch.zeros(tokens, self.experts).tolist()
            got, = torch.autograd.grad(value, source, retain_graph=True, allow_unused=True)
            return plain((torch.zeros_like(source) if got is None else got).reshape(tokens, -1)[:, :self.experts])

        answer = {
            "call": call.get("call"), "choice": choice,
            "multipliers": [[plain(dense[t, i]) for i in row] for t, row in enumerate(choice)],
            "gradient": gradient((upstream * output).sum()), "output": plain(output),
            "logitsAfter": plain(found["handed"].reshape(tokens, -1)[:, :self.experts]),
        }
        answer["expertInputs"] = self._inputs(found["unit"], choice)
        loss = self.auxiliary(found["logits"])
        if loss is not None:
            answer["auxiliaryLoss"], answer["auxiliaryGradient"] = plain(loss), gradient(loss)
        return answer

    def _inputs(self, unit: Any, choice: Any) -> Any:
        """What each chosen expert got; where the gate is applied to it, without that."""
        if self.family.form == "grouped":
            widened = self.block.input_linear
            got = dict(zip(zip(self.recorded[1].tolist(), widened.experts), widened.inputs[:, :self.experts].tolist()))
            return [[plain_list(got[t, i]) for i in row] for t, row in enumerate(choice)]
        if self.family.form == "input":
            gates = unit.inputs[:, :, -1:]
            inputs = (unit.inputs / torch.where(gates == 0, 1.0, gates)).detach()[:, :, :self.experts].tolist()
            return [[plain_list(inputs[i][t]) for i in row] for t, row in enumerate(choice)]
        inputs = unit.inputs[:, :self.experts].tolist()
        return [[plain_list(inputs[t])] * len(row) for t, row in enumerate(choice)]

    def _output(self, call: dict[str, Any], choice: Any, dense: torch.Tensor, outputs: torch.Tensor) -> torch.Tensor:
        """y, of the multipliers found; with functions, the experts are those."""
        rows = []
        functions, to_input = call.get("functions"), self.stated.get("applied") == "input"
        for t, row in enumerate(choice):
            total = torch.zeros(len(call["upstream"][t]), dtype=dense.dtype)
            for i in row:
                if functions and to_input:
                    f = {key: torch.tensor(value, dtype=dense.dtype) for key, value in functions[i].items()}
                    x = dense[t, i] * torch.tensor(call["inputs"][t], dtype=dense.dtype)
                    total = total + f["outer"] @ torch.tanh(f["inner"] @ x) + f["offset"]
                else:
                    total = total + dense[t, i] * outputs[t, i]
            rows.append(total)
        return torch.stack(rows)

    def auxiliary(self, logits: Any) -> torch.Tensor | None:
        """The model's load-balancing loss of these logits, times the coefficient that the specification has."""
        if self.loss is None or not isinstance(logits, torch.Tensor) or not self.stated.get("auxiliaryLosses"):
            return None
        flat = logits.reshape(-1, logits.shape[-1])
        if self.stated["name"] == "switch":
            p = torch.softmax(flat, -1)[None]
            value = self.loss(p, p.argmax(-1))
        else:
            value = self.loss((flat,), self.experts, self.stated["selection"]["count"])
        found: torch.Tensor = self.stated["auxiliaryLosses"][0]["coefficient"] * value
        return found


def adapter(made: torch.nn.Module | str, *, spec: dict[str, Any] | None = None, dtype: torch.dtype = torch.float32,
            config: Any = None, **given: Any) -> BlockAdapter:
    """Drives a block, or a small one of the model with this name (`block`, which ``given`` goes to).

    Args:
        made: the block or the name.
        spec: what it is held to; else what it states of itself, `specification`.
        dtype: in which it computes; its own weights are not touched.
        config: the model's configuration, for the load-balancing loss.
    """
    if isinstance(made, str):
        made, config = block(made, **given), config or _configured(made, **given)
    return BlockAdapter(made, spec, dtype, config)


def _configured(name: str, *, experts: int = 8, top_k: int = 2, **given: Any) -> Any:
    family = next(family for key, family in FAMILIES.items() if name in (key, family.folder))
    return configuration(family, experts, top_k, **given)


def plain(value: Any) -> Any:
    """Nested lists; what is not finite becomes null."""
    return plain_list(value.detach().tolist() if isinstance(value, torch.Tensor) else value)


def plain_list(value: Any) -> Any:
    """The same of lists."""
    if isinstance(value, list):
        return [plain_list(x) for x in value]
    return value if math.isfinite(value) else None
