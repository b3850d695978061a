"""The catalogue of routers, routers/catalogue.json: what transformers has and what papers describe.

    python3 router_catalogue.py [OUTPUT]        (default: ../routers/catalogue.json; needs torch and transformers)

A family of transformers is read from its own code: its block is made on the meta device with its configuration's defaults,
and `routegrad.hf.specification` says what that states. Families whose specifications differ in numbers only are one entry,
which has those of the first. What papers describe is written here.
"""

import importlib
import json
import os
import sys
import types

import torch
import transformers

from fixture_json import FIXTURES, compact

# The package without its C library, which nothing here needs.
package = types.ModuleType("routegrad")
package.__path__ = [os.path.join(os.path.dirname(FIXTURES), "Sources", "python", "routegrad")]
sys.modules.setdefault("routegrad", package)
import routegrad.hf as hf  # noqa: E402

# Configurations without defaults for what a router needs, and published ones that say more than the defaults.
GIVEN = {
    "Qwen3OmniMoeTalkerTextSparseMoeBlock": {"shared_expert_intermediate_size": 384},
    "Dots1MoE": {"n_routed_experts": 128, "num_experts_per_tok": 6, "n_shared_experts": 2, "norm_topk_prob": True},
    "HunYuanMoEV1Moe": {"num_experts": 64, "moe_topk": 8},
    "Gemma4TextRouter": {"num_experts": 128, "top_k_experts": 8},
    "DiffusionGemmaTextRouter": {"num_experts": 128, "top_k_experts": 8},
    "DeepseekV2Moe": {"n_routed_experts": 160, "num_experts_per_tok": 6, "n_group": 8, "topk_group": 3, "routed_scaling_factor": 16.0,
                      "topk_method": "group_limited_greedy"},
    "DeepseekOcr2TextMoe": {"num_experts_per_tok": 6},
}

# One more block of a class: DeepSeek-V4's first layers are hashed.
TWICE = {"DeepseekV4SparseMoeBlock": {"mlp_layer_types": ["moe"] * 43}}

# Whose numbers an entry has, where it is not the first's.
FIRST = {"glm-4.5": "Glm4MoeMoE"}

NOTES = {
    "mixtral": "Softmax, top-k, divided by their sum: the same as the softmax over the chosen logits. Jitter on the router's input (Mixtral, "
               "MiniMax: router_jitter_noise, DBRX: moe_jitter_eps) is off by default.",
    "olmoe": "norm_topk_prob switches between this and mixtral in OLMoE, FlexOLMo, Qwen2-MoE and Qwen3-MoE.",
    "gpt-oss": "A softmax over the k largest logits. JetMoE routes its attention the same way. Cohere2-MoE has sigmoids instead with "
               "expert_selection_fn sigmoid, and halves the sum beside shared experts (shared_expert_combination_strategy average).",
    "llama-4": "The gate multiplies the expert's input.",
    "deepseek-v2": "DeepSeek-V2's published numbers; the configuration's default is topk_method greedy, which is olmoe's router.",
    "mistral-4": "With n_group > 1, groups as in deepseek-v3; transformers masks them at 0.",
    "deepseek-v3": "Beam multiplies by the scale after the experts, which is the same.",
    "glm-4.5": "deepseek-v3 without groups, in those that could have them by n_group 1 or none. AXK2 with groups masks them at 0.",
    "minimax-m2": "MiniMax-M3 and Step-3.7 multiply by the scale after the experts. Laguna can cap its logits (moe_router_logit_softcapping, "
                  "0 by default), which the language cannot say.",
    "muse-spark": "The temperature is 1/output_multiplier.",
    "inkling": "The last experts are shared: every token has them, and the gates are normalised over them, too. global_scale is a "
               "parameter, 1 at first.",
    "zaya": "The last expert is skipping: transformers says multiplier 0 of expert 0.",
    "ernie-4.5": "The floor is moe_norm_min.",
    "longcat-flash": "The last experts return their input.",
    "deepseek-v4-hash": "A table from the token's id to its experts; the gates are learned.",
    "phi-3.5-moe": "SparseMixer-v2 as published in the model's code; the coin's factor is 0.3333, not a third.",
    "switch": "Expert capacity is that of a sequence.",
    "nllb-moe": "In evaluation the capacity is a fraction of the batch (moe_eval_capacity_token_fraction). A random second expert "
                "(second_expert_policy) and batch priority (batch_prioritized_routing) cannot be said.",
}

BALANCE = {"kind": "balance"}

# name, source, fields of the specification, notes.
PAPERS = [
    ("gshard", "arXiv 2006.16668, algorithm 1", {
        "experts": 128, "selection": {"kind": "top-k", "count": 2}, "gate": {"of": "score", "normalized": True},
        "capacity": {"limit": 64, "priority": "rank"},
        "auxiliaryLosses": [BALANCE | {"coefficient": 0.01, "counting": "first"}]},
     "The capacity depends on the batch. The second expert is dispatched with probability 2g₂ only, which cannot be said; the paper's "
     "loss is Σ (c_e/S) m_e / E, so its factor is coefficient times E²."),
    ("switch-paper", "arXiv 2101.03961, section 2", {
        "experts": 64, "noise": {"kind": "uniform-input", "width": 0.01}, "selection": {"kind": "top-k", "count": 1},
        "capacity": {"limit": 64, "priority": "position"},
        "auxiliaryLosses": [BALANCE | {"coefficient": 0.01, "counting": "first"}]},
     "The capacity is tokens/experts times a factor of 1 to 2."),
    ("st-moe", "arXiv 2202.08906, sections 2 and 3", {
        "experts": 32, "noise": {"kind": "uniform-input", "width": 0.01}, "selection": {"kind": "top-k", "count": 2},
        "gate": {"of": "score", "normalized": True}, "capacity": {"limit": 64, "priority": "rank"},
        "auxiliaryLosses": [BALANCE | {"coefficient": 0.01, "counting": "first"}, {"kind": "z", "coefficient": 0.001}]},
     "A second expert below a threshold is dispatched at random, which cannot be said."),
    ("base", "arXiv 2103.16716, section 3", {
        "experts": 128, "selection": {"kind": "unstated", "count": 1, "joint": True}, "gate": {"of": "sigmoid-of-logit"}, "replays": True},
     "In training a balanced assignment of the batch, which is not unique; in evaluation the largest logit."),
    ("expert-choice", "arXiv 2202.09368, section 3", {
        "experts": 64, "selection": {"kind": "expert-choice", "count": 4}, "gate": {"of": "score"}},
     "c is the batch's tokens times a factor (2), divided by the experts."),
    ("noisy-top-k", "arXiv 1701.06538, section 2.1 and appendix A", {
        "experts": 256, "noise": {"kind": "learned-normal"}, "key": "logits", "selection": {"kind": "top-k", "count": 4},
        "gate": {"of": "softmax-over-chosen"},
        "auxiliaryLosses": [{"kind": "cv-squared", "coefficient": 0.1, "probabilities": "gate"}]},
     "The importance loss; the load loss is in what cannot be said."),
    ("v-moe", "arXiv 2106.05974, section 2 and 4", {
        "experts": 32, "noise": {"kind": "normal", "width": 0.03125}, "selection": {"kind": "top-k", "count": 2},
        "capacity": {"limit": 64, "priority": "score"},
        "auxiliaryLosses": [{"kind": "cv-squared", "coefficient": 0.01}]},
     "Noise of deviation 1/N. Batch-prioritised routing by the gate; half of its loss, see load."),
    ("remoe", "arXiv 2412.14711, section 3", {
        "experts": 8, "score": "relu", "selection": {"kind": "threshold", "above": 0, "count": 8}},
     "Its sparsity comes of an L1 term whose coefficient adapts, which cannot be said."),
    ("top-p", "arXiv 2403.07652, section 3", {"experts": 16, "selection": {"kind": "top-p", "mass": 0.4, "count": 16}},
     "Its loss on the gates' entropy cannot be said."),
    ("hash-layers", "arXiv 2106.04426, section 3", {"experts": 64, "selection": {"kind": "forced", "count": 1}, "gate": {"of": "one"}}, ""),
    ("r3", "arXiv 2510.11370, section 3", {
        "experts": 128, "selection": {"kind": "forced", "count": 8}, "gate": {"of": "softmax-over-chosen"}},
     "Replayed choices: the experts recorded at rollout, gates and gradients of the present logits. Any router that says replays takes them, too."),
    ("vitpose-plus", "arXiv 2212.04246; transformers vitpose_backbone", {
        "experts": 6, "selection": {"kind": "forced", "count": 1}, "gate": {"of": "one"}},
     "The expert is that of the data set which the caller names; it makes a part of the features. Models: vitpose_backbone."),
    ("cohere2-moe-sigmoid", "transformers cohere2_moe, expert_selection_fn sigmoid", {
        "experts": 8, "key": "logits", "selection": {"kind": "top-k", "count": 2}, "gate": {"of": "sigmoid-of-logit", "normalized": True}},
     "Models: cohere2_moe; its default is gpt-oss's router."),
    ("sparsemixer", "arXiv 2310.00811; microsoft/SparseMixer", {
        "experts": 8, "key": "logits", "mask": {"rule": "reference-code", "threshold": 0.1}, "selection": {"kind": "sampled", "count": 1},
        "gate": {"of": "score", "factor": 2, "outputScales": [1, 0.5]}}, "The paper's mask is the rule paper."),
    ("sparsemixer-v2", "arXiv 2409.12136", {
        "experts": 16, "key": "logits", "mask": {"rule": "reference-code", "threshold": 0.1}, "selection": {"kind": "sampled", "count": 2},
        "gate": {"of": "sequential", "outputScales": [1, 1 / 3]}}, ""),
    ("deepseek-v3-training", "arXiv 2412.19437, section 2.1.2; arXiv 2408.15664", {
        "experts": 256, "score": "sigmoid", "selectionBias": True, "groups": {"count": 8, "kept": 4, "score": "sum-of-two"},
        "selection": {"kind": "top-k", "count": 8}, "gate": {"of": "score", "normalized": True, "scale": 2.5},
        "auxiliaryLosses": [BALANCE | {"coefficient": 0.0001, "counting": "mean", "probabilities": "normalized-score", "scope": "sequence"}],
        "biasUpdate": {"rule": "sign", "rate": 0.001}},
     "deepseek-v3 with what trains it, none of which is in transformers."),
    ("qwen3-global-balance", "arXiv 2501.11873", {
        "experts": 128, "selection": {"kind": "top-k", "count": 8}, "gate": {"of": "score", "normalized": True},
        "auxiliaryLosses": [BALANCE | {"coefficient": 0.001, "counting": "all", "scope": "global"}]}, ""),
]

NOT_SAID = [
    ("soft-moe", "arXiv 2308.00951: every expert works on convex combinations of all tokens; no token has a choice."),
    ("doge", "transformers doge: 16384 experts by product keys, the k largest sums of two half-logits; logits are not one for each expert."),
    ("noisy-top-k's load loss", "arXiv 1701.06538: CV² of a smooth estimate of loads, which is a normal distribution function of noise and rank."),
    ("gshard's second expert", "arXiv 2006.16668: dispatched with a probability that depends on its gate."),
    ("dselect-k", "arXiv 2106.03760: gates of smooth steps on a binary code, without scores."),
    ("smear", "arXiv 2306.03745: merges the experts' parameters, so that one expert runs."),
    ("mixture-of-depths", "arXiv 2404.02258: one expert that takes the tokens of the largest scores; a specification has two or more."),
    ("laguna's capped logits", "transformers laguna, moe_router_logit_softcapping: a tanh of the logits (off by default)."),
    ("granite_docling's density router", "transformers granite_docling: a regression on images that chooses how they are cut; no experts."),
]


def made(kind, **given):
    """The block with its configuration's defaults, without storage."""
    family = hf.FAMILIES[kind]
    configurations = importlib.import_module(f"transformers.models.{family.folder}.configuration_{family.folder}")
    models = importlib.import_module(f"transformers.models.{family.folder}.modeling_{family.folder}")
    config = getattr(configurations, family.config)(**(GIVEN.get(kind, {}) | given))
    with torch.device("meta"):
        return getattr(models, kind)(config, *family.arguments), config


def shape(spec):
    """A specification without its numbers; factors of 1 and what is false are left out."""
    def strip(value, key=""):
        if isinstance(value, dict):
            return {k: strip(v, k) for k, v in value.items() if k not in ("name", "schema", "scale", "auxiliaryLosses", "noise") and v is not False}
        return value if isinstance(value, (str, bool)) or key == "epsilon" else "number"

    return json.dumps(strip(spec), sort_keys=True)


def tidy(spec):
    """The specification without what it would be without saying."""
    spec = dict(spec)
    gate = {key: value for key, value in (spec.get("gate") or {}).items()
            if not (key == "scale" and value == 1) and value is not False}
    if gate == {"of": "score"}:
        del spec["gate"]
    else:
        spec["gate"] = gate
    order = ("schema", "name", "experts", "noise", "score", "key", "selectionBias", "groups", "mask", "selection", "gate", "applied",
             "nullExperts", "capacity", "auxiliaryLosses")
    return {key: spec[key] for key in order if key in spec}


def main():
    path = sys.argv[1] if len(sys.argv) > 1 else os.path.join(FIXTURES, "routers", "catalogue.json")
    entries = {}
    for kind, family in hf.FAMILIES.items():
        for given in ({}, TWICE[kind]) if kind in TWICE else ({},):
            block, config = made(kind, **given)
            spec = hf.specification(block, config)
            entries.setdefault(shape(spec), []).append((kind, family.folder, spec))
    blocks = []
    names = set()
    for form, members in entries.items():
        # The name of the template that it has the shape of.
        name = next((spec["name"] for _, _, spec in members if shape(spec) == shape(hf.TEMPLATES[spec["name"]] | {
            "experts": 0, "selection": {"kind": "top-k", "count": 0} | hf.TEMPLATES[spec["name"]].get("selection", {})})), members[0][2]["name"])
        chosen = next((m for m in members if m[0] == FIRST.get(name)), None) or next(m for m in members if m[2]["name"] == name)
        assert name not in names, name
        names.add(name)
        spec = tidy({**chosen[2], "name": name})
        rows = [{"block": kind, "model": folder, "experts": spec["experts"], "count": spec["selection"]["count"],
                 **({"groups": [spec["groups"]["count"], spec["groups"]["kept"]]} if "groups" in spec else {}),
                 **({"scale": spec["gate"]["scale"]} if spec["gate"].get("scale", 1) != 1 else {})} for kind, folder, spec in members]
        blocks.append({"name": name, "models": sorted({folder for _, folder, _ in members}),
                       "source": f"transformers {transformers.__version__}, models/{chosen[1]}/modeling_{chosen[1]}.py, {chosen[0]}",
                       "spec": spec, "notes": NOTES.get(name, ""), "blocks": rows})
    for name, source, fields, notes in PAPERS:
        models = notes.split("Models: ")[1].split(";")[0].rstrip(".").split(", ") if "Models: " in notes else []
        blocks.append({"name": name, "models": models, "source": source,
                       "spec": {"schema": hf.SCHEMA, "name": name, **fields}, "notes": notes, "blocks": []})
    said = ",\n".join(compact(entry) for entry in blocks)
    not_said = ",\n".join(compact({"name": name, "reason": reason}) for name, reason in NOT_SAID)
    with open(path, "w", encoding="ascii", newline="\n") as file:
        file.write('{"schema": "routegrad.router-catalogue/1", "entries": [\n' + said + '\n], "not-said": [\n' + not_said + "\n]}\n")
    print(f"{len(blocks)} entries, {len(NOT_SAID)} that cannot be said", file=sys.stderr)
    for entry in blocks:
        print(entry["name"], [f"{b['block']} {b['experts']}/{b['count']}" for b in entry["blocks"]])


if __name__ == "__main__":
    main()
