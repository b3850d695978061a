"""The MoE families of transformers: what their routers compute, and how their blocks differ. For `routegrad.hf`."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

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
    "nllb-moe": {"gate": {"of": "score", "normalized": True, "floor": 2.0**-23, "over": "kept"},
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
