"""Every MoE block of transformers is held to its specification, by autograd and specification.py; where torch and transformers
are installed (CI does without). What deviates is in docs/routers-of-transformers.md; each finding is a test here."""

import importlib
import math
import pathlib
import random
import re

import pytest

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

import routegrad._hf_blocks as _hf_blocks  # noqa: E402
import routegrad.hf as hf  # noqa: E402
import specification  # noqa: E402

VERSION = "5.24.0"
# 64 units of rounding of Float32, as lint has it.
TOLERANCE = 64 * 2.0**-23

pytestmark = pytest.mark.skipif(transformers.__version__ != VERSION, reason=f"the findings are those of transformers {VERSION}")


def small(kind, **given):
    """A small block with groups, where it can have them."""
    entry = hf.FAMILIES[kind].entry
    if entry in ("deepseek-v3", "mistral-4", "deepseek-v2"):
        given = {"n_group": 4, "topk_group": 2, "top_k": 3} | given
    if entry == "deepseek-v2":
        given = {"topk_method": "group_limited_greedy"} | given
    if entry == "switch":
        given = {"top_k": 1, "expert_capacity": 2, "router_jitter_noise": 0.0} | given
    if entry == "phi-3.5-moe":
        given = {"router_jitter_noise": 0.3} | given
    if kind == "NllbMoeSparseMLP":
        given = {"expert_capacity": 3, "moe_eval_capacity_token_fraction": -1.0, "moe_token_dropout": 0.0} | given
    return hf.adapter(kind, experts=8, **given)


def call_of(adapter, seed, mode="eval", tokens=6, bias=3.0):
    spec, dice = adapter.spec, random.Random(f"{adapter.kind} {seed}")
    n = spec["experts"]

    def numbers(*shape, scale=1.0):
        if len(shape) > 1:
            return [numbers(*shape[1:], scale=scale) for _ in range(shape[0])]
        return [float(torch.tensor(dice.gauss(0, scale))) for _ in range(shape[0])]

    call = {"call": seed, "mode": mode, "logits": numbers(tokens, n, scale=1.5), "expertOutputs": numbers(tokens, n, 2),
            "upstream": numbers(tokens, 2),
            "uniforms": [[dice.uniform(0.01, 0.99) for _ in range(adapter.profile["uniforms"])] for _ in range(tokens)]}
    if spec.get("selectionBias"):
        call["bias"] = numbers(n, scale=abs(bias))
        if bias < 0:
            call["bias"] = [-abs(b) - 1.5 for b in call["bias"]]
    if spec["gate"].get("perExpertScale"):
        call["expertScales"] = [float(torch.tensor(dice.uniform(0.5, 2))) for _ in range(n)]
    if spec["selection"]["kind"] == "forced":
        call["choice"] = [dice.sample(range(n), spec["selection"]["count"]) for _ in range(tokens)]
    if spec.get("applied") == "input":
        call["inputs"] = numbers(tokens, 3)
        call["functions"] = [{"inner": numbers(4, 3), "outer": numbers(2, 4), "offset": numbers(2)} for _ in range(n)]
    if "nullExperts" in spec:
        call["inputs"] = numbers(tokens, 2)
        for t in range(tokens):
            for i in range(n - spec["nullExperts"]["count"], n):
                call["expertOutputs"][t][i] = call["inputs"][t] if spec["nullExperts"]["kind"] == "identity" else [0.0, 0.0]
    return call


def dense(answer, experts):
    rows = torch.zeros(len(answer["choice"]), experts, dtype=torch.float64)
    for t, (choice, multipliers) in enumerate(zip(answer["choice"], answer["multipliers"])):
        rows[t, choice] = torch.tensor(multipliers, dtype=torch.float64)
    return rows


def close(found, wanted):
    found, wanted = (torch.as_tensor(x, dtype=torch.float64) for x in (found, wanted))
    return (found - wanted).abs().max() <= TOLERANCE * max(1.0, wanted.abs().max())


def holds(adapter, call):
    """Whether the block answers a call as its specification says; the first field that it does not."""
    found, spec = adapter.answer(call), adapter.spec
    if spec["selection"]["kind"] == "sampled" and call["mode"] == "train":
        call = call | {"choice": found["choice"]}
    wanted = specification.answer(spec, call)
    # The order in which `topk(sorted=False)` lists experts is none.
    if [set(row) for row in found["choice"]] != [set(row) for row in wanted["choice"]]:
        return "choice"
    n = spec["experts"]
    multipliers = dense(found, n), dense(wanted, n)
    if (spec.get("nullExperts") or {}).get("kind") == "zero":  # nothing is multiplied
        multipliers = tuple(rows[:, :n - spec["nullExperts"]["count"]] for rows in multipliers)
    if not close(*multipliers):
        return "multipliers"
    for key in ("gradient", "output", "auxiliaryLoss", "auxiliaryGradient"):
        if key in wanted and not close(found[key], wanted[key]):
            return key
    return None


LOSSES_OF_SOFTMAX = {  # the loss counts the largest softmax entries, which are not what the router chooses
    "MiniMaxM2SparseMoeBlock", "MiniMaxM3VLSparseMoeBlock", "LagunaSparseMoeBlock", "DeepseekV4SparseMoeBlock",
    "Ernie4_5_MoeSparseMoeBlock", "Ernie4_5_VLMoeSparseMoeBlock", "Glm4vMoeTextMoE", "Glm5NextTextMoE",
}


def test_losses_are_specified_where_there_are_any():
    """So that `test_blocks_are_as_specified` compares them."""
    for kind, family in hf.FAMILIES.items():
        module = importlib.import_module(f"transformers.models.{family.folder}.modeling_{family.folder}")
        assert ("auxiliaryLosses" in small(kind).spec) == (
            hasattr(module, "load_balancing_loss_func") and kind != "DeepseekV4SparseMoeBlock"), kind  # layer 0 is hashed


def test_the_page_names_every_block():
    page = (pathlib.Path(__file__).resolve().parents[2] / "docs" / "routers-of-transformers.md").read_text(encoding="utf-8")
    assert [kind for kind in hf.FAMILIES if f"`{kind}`" not in page] == []
    tests = set(re.findall(r"`(test_\w+)`", page))
    assert tests and tests <= set(globals())


@pytest.mark.parametrize("mode", ["eval", "train"])
@pytest.mark.parametrize("kind", hf.FAMILIES)
def test_blocks_are_as_specified(kind, mode):
    adapter = small(kind)
    without_losses = {key: value for key, value in adapter.spec.items() if key != "auxiliaryLosses"}
    if kind in LOSSES_OF_SOFTMAX or adapter.spec["selection"]["kind"] == "sampled":
        adapter.spec = without_losses
    coins = adapter.spec["gate"].get("outputScales")
    if coins and mode == "train":
        pytest.skip("see test_phi_moe_in_training")
    for seed in range(8):
        for bias in (3.0, -3.0) if kind != "AXK2MoE" else (0.0,):
            assert holds(adapter, call_of(adapter, seed, mode, bias=bias)) is None


@pytest.mark.parametrize("kind", [kind for kind, family in hf.FAMILIES.items() if family.form == "index"])
def test_experts_are_combined_as_told(kind):
    """The block's own experts: Σ_j w_j f_{i_j}(x), experts one at a time."""
    if kind.endswith("Router"):
        pytest.skip("the router alone")
    made = hf.block(kind, experts=8, top_k=2).eval()
    spec = hf.specification(made)
    n = spec["experts"] - spec["selection"].get("always", 0) - (kind == "ZayaSparseMoeBlock")
    states, tokens = torch.randn(4, 8), 4
    index = torch.stack([torch.randperm(n)[:2] for _ in range(tokens)])
    weights = torch.rand(tokens, 2)
    with torch.no_grad():
        found = made.experts(states, index, weights).reshape(tokens, -1)
        for t in range(tokens):
            wanted = 0.0
            for j in (0, 1):
                alone = torch.eye(2)[j:j + 1]  # both experts, one of them with weight 1
                wanted = wanted + weights[t, j] * made.experts(states[t:t + 1], index[t:t + 1], alone).reshape(-1)
            assert close(found[t], wanted)


def test_experts_of_switch_are_combined_as_told():
    made = hf.block("switch_transformers", experts=4, top_k=1, expert_capacity=2).eval()
    states = torch.randn(1, 12, 4)
    with torch.no_grad():
        mask, gates, _ = made.router(states)
        assert 0 < mask.sum() < 12  # some are turned away
        wanted = sum(mask[0, :, i:i + 1] * gates[0] * made.experts[f"expert_{i}"](states[0]) for i in range(4))
        assert close(made(states)[0], wanted)


def test_experts_of_llama_4_are_combined_as_told():
    made = hf.block("llama4", experts=4, top_k=2).eval()
    states = torch.randn(5, 5)
    with torch.no_grad():
        gates, _ = made.router(states)
        wanted = made.shared_expert(states)
        for i in range(4):
            alone = torch.zeros(4, 5, 5)
            alone[i] = states * gates[:, i:i + 1]
            wanted = wanted + made.experts(alone.reshape(20, 5)).reshape(4, 5, 5)[i]
        assert close(made(states[None])[0], wanted)


def test_experts_of_jetmoe_are_combined_as_told():
    made = hf.block("jetmoe", experts=4).eval()
    states = torch.randn(6, 4)
    with torch.no_grad():
        _, tokens, gates, sizes, _ = made.router(states)
        experts = torch.repeat_interleave(torch.arange(4), torch.as_tensor(sizes)).tolist()
        wanted = made.bias.repeat(6, 1)
        for t, gate, i in zip(tokens.tolist(), gates, experts):
            left, right = (made.input_linear.weight[i] @ states[t]).chunk(2)
            wanted[t] += gate * (made.output_linear.weight[i] @ (made.activation(left) * right))
        assert close(made(states[None])[0], wanted)


def test_lint_of_blocks():
    """The whole battery: a block by its configuration, and by a family's name; what deviates is refuted."""
    lint = pytest.importorskip("routegrad", reason="without the C library").__dict__.get("lint")
    if lint is None:
        pytest.skip("without the C library")
    block = hf.block("deepseek_v3", n_group=4, topk_group=2, top_k=3)
    assert lint(block).verdict == lint(block, spec="deepseek-v3").verdict == "proved"
    assert "gate-order" in lint(block, spec="deepseek-v4").checks("refuted")
    assert "selection" in lint(hf.block("axk2", n_group=4, topk_group=2, top_k=3)).checks("refuted")
    config = hf.configuration(hf.FAMILIES["MixtralSparseMoeBlock"], 8, 2, router_jitter_noise=0.1)
    jittered = lint(hf.block("mixtral", router_jitter_noise=0.1), config=config)
    assert jittered.checks("refuted") == ["expert-input", "inputs-unchanged"]
    assert {"auxiliary-loss", "auxiliary-gradient"} <= set(jittered.checks("proved"))
    wide = transformers.MixtralConfig(hidden_size=16, intermediate_size=4, router_jitter_noise=0.1)
    block = transformers.models.mixtral.modeling_mixtral.MixtralSparseMoeBlock(wide)
    before = {key: value.clone() for key, value in block.state_dict().items()}
    assert lint(block).checks("refuted") == ["expert-input", "inputs-unchanged"]
    assert all(torch.equal(value, before[key]) for key, value in block.state_dict().items())
    assert lint(hf.block("minimax_m2")).verdict == "proved"
    refuted = lint(hf.block("minimax_m2"), config=transformers.MiniMaxM2Config()).checks("refuted")
    assert refuted == ["auxiliary-loss", "auxiliary-gradient"]
    with pytest.raises(hf.RouteGradError, match="none of the MoE blocks"):
        lint(torch.nn.Linear(2, 2), spec="mixtral")
    with pytest.raises(hf.RouteGradError, match="spec: expected one of mixtral"):
        lint(block, spec="mixtrale")
    with pytest.raises(hf.RouteGradError, match="4 hidden features are fewer than the 8"):
        lint(transformers.models.mixtral.modeling_mixtral.MixtralSparseMoeBlock(
            transformers.MixtralConfig(hidden_size=4, intermediate_size=4)))


# Findings.


def test_nllb_moe_runs_two_experts_only():
    """Whatever the router says, first choices go to expert 1, and second ones to expert 0."""
    made = hf.block("nllb_moe", experts=8, moe_token_dropout=0.0).eval()
    ran = set()
    for i in range(8):
        made.experts[f"expert_{i}"].register_forward_hook(lambda *_, i=i: ran.add(i))
    states = torch.randn(1, 12, 8)
    with torch.no_grad():
        output = made(states)[0]
        first, gates, _ = made.router(states[0])
        f = [made.experts[f"expert_{i}"](states[0]) for i in range(8)]
    chosen = {int(i) for row in gates for i in row.nonzero()}
    assert len(chosen) > 2
    assert not close(output, sum(gates[:, i:i + 1] * f[i] for i in range(8)))
    second = gates * (1 - first)
    assert close(output, (gates * first).sum(-1, keepdim=True) * f[1] + second.sum(-1, keepdim=True) * f[0])


def test_nllb_moe_keeps_the_capacity_of_an_evaluation():
    adapter = small("NllbMoeSparseMLP", expert_capacity=2, moe_eval_capacity_token_fraction=1.0)
    call = call_of(adapter, 0, "train", tokens=9)
    assert holds(adapter, call) is None
    adapter.answer(call_of(adapter, 1, "eval", tokens=9))
    assert holds(adapter, call) == "choice"


def test_axk2_chooses_outside_of_the_kept_groups():
    """Masked keys are 0, which is more than a negative key."""
    adapter = small("AXK2MoE")
    assert all(holds(adapter, call_of(adapter, seed, bias=-3.0)) == "choice" for seed in range(8))


@pytest.mark.parametrize("kind", sorted(LOSSES_OF_SOFTMAX))
def test_losses_that_count_other_choices(kind):
    adapter = small(kind, **({"mlp_layer_types": ["moe"]} if kind.startswith("DeepseekV4") else {}))
    assert "auxiliaryLosses" in adapter.spec
    assert {holds(adapter, call_of(adapter, seed)) for seed in range(4)} == {"auxiliaryLoss"}


def test_phi_moes_loss_counts_the_largest_logits_and_not_what_was_drawn():
    adapter = small("PhimoeSparseMoeBlock")
    call = call_of(adapter, 0, "train", tokens=32)
    found = adapter.answer(call)
    wanted = specification.answer(adapter.spec, call | {"choice": found["choice"]})
    assert not close(found["auxiliaryLoss"], wanted["auxiliaryLoss"])
    largest = torch.tensor(call["logits"]).topk(2).indices.tolist()
    assert close(found["auxiliaryLoss"], specification.answer(adapter.spec, call | {"choice": largest})["auxiliaryLoss"])


JITTER = {
    "MixtralSparseMoeBlock": "router_jitter_noise", "MiniMaxSparseMoeBlock": "router_jitter_noise",
    "MiniMaxM2SparseMoeBlock": "router_jitter_noise", "DbrxFFN": "moe_jitter_eps",
    "SwitchTransformersSparseMLP": "router_jitter_noise",
}


@pytest.mark.parametrize("kind", JITTER)
def test_jitter_changes_what_experts_read(kind):
    adapter = small(kind, **{JITTER[kind]: 0.2})
    adapter.spec.pop("auxiliaryLosses", None)
    for seed in range(4):
        call = call_of(adapter, seed, "train")
        assert holds(adapter, call) is None  # the routing is as specified
        found, given = adapter.answer(call), torch.tensor(call["logits"])
        read = [row[0] for row in found["expertInputs"] if row]
        kept = torch.tensor([bool(row) for row in found["expertInputs"]])
        factors = 0.8 + 0.4 * torch.tensor(call["uniforms"])
        assert close(torch.tensor(read), (given * factors)[kept])
        assert close(found["logitsAfter"], given * factors)  # the caller's input, too


def test_phi_moe_jitters_twice():
    adapter = small("PhimoeSparseMoeBlock", input_jitter_noise=0.2)
    call = call_of(adapter, 0, "train")
    read = torch.tensor([row[0] for row in adapter.answer(call)["expertInputs"]])
    u = 0.8 + 0.4 * torch.tensor(call["uniforms"])
    assert close(read, torch.tensor(call["logits"]) * u[:, :8] * u[:, 8:16])


def test_phi_moe_in_training():
    """Given the choice: the gates times 1 or 0.3333, with the gradient of the gates."""
    adapter = small("PhimoeSparseMoeBlock")
    seen = set()
    for seed in range(8):
        call = call_of(adapter, seed, "train")
        found = adapter.answer(call)
        wanted = specification.answer(adapter.spec, call | {"choice": found["choice"]})
        assert close(found["gradient"], wanted["gradient"])
        for a, b in zip(found["multipliers"], wanted["multipliers"]):
            seen |= {round(x / y, 5) for x, y in zip(a, b)}
    assert seen == {1.0, 0.3333}


@pytest.mark.parametrize("kind, field, values, more", [
    ("DeepseekV2Moe", "norm_topk_prob", (False, True), {}),
    ("DeepseekV4SparseMoeBlock", "norm_topk_prob", (False, True), {"mlp_layer_types": ["moe"]}),
    ("DeepseekV4SparseMoeBlock", "router_jitter_noise", (0.0, 0.5), {"mlp_layer_types": ["moe"]}),
    ("MiniMaxM3VLSparseMoeBlock", "router_jitter_noise", (0.0, 0.5), {}),
    ("Llama4TextMoe", "router_jitter_noise", (0.0, 0.5), {}),
    ("LagunaSparseMoeBlock", "moe_apply_router_weight_on_input", (False, True), {}),
])
def test_fields_without_effect(kind, field, values, more):
    answers = []
    for value in values:
        adapter = small(kind, **{field: value}, **more)
        call = call_of(adapter, 0, "train")
        answers.append({key: value for key, value in adapter.answer(call).items()})
    assert answers[0] == answers[1]


@pytest.mark.parametrize("folder", ["llama4", "openai_privacy_filter"])
def test_coefficients_that_nothing_reads(folder):
    texts = {part: pathlib.Path(importlib.import_module(f"transformers.models.{folder}.{part}_{folder}").__file__).read_text()
             for part in ("configuration", "modeling")}
    assert "router_aux_loss_coef" in texts["configuration"] and "router_aux_loss_coef" not in texts["modeling"]


def test_longcat_flash_leaves_out_its_router_bias():
    family = hf.FAMILIES["LongcatFlashMoE"]
    config = hf.configuration(family, 8, 2)
    config.router_bias = True
    made = transformers.models.longcat_flash.modeling_longcat_flash.LongcatFlashMoE(config)
    router = made.router
    torch.nn.init.normal_(router.classifier.weight)
    states = torch.randn(1, 5, 8)
    before = router(states)
    with torch.no_grad():
        router.classifier.bias.copy_(torch.arange(8.0) * 10)
    assert all(torch.equal(a, b) for a, b in zip(before, router(states)))


@pytest.mark.parametrize("given", [{}, {"mlp_layer_types": ["moe"]}])
def test_deepseek_v4_has_no_gradient_where_a_logit_is_low(given):
    """√softplus is 0 in Float32 below −104, its derivative there ∞·0: one expert, chosen or not, and all are NaN."""
    adapter = small("DeepseekV4SparseMoeBlock", **given)
    call = call_of(adapter, 0)
    call["logits"][0] = [2.0, 1.0, 0.5, -110.0, 0.0, 1.5, -1.0, -2.0]
    if not given:
        call["choice"][0] = [0, 1]
    else:
        call["bias"] = [0.0] * 8
    found = adapter.answer(call)
    assert 3 not in found["choice"][0]
    assert found["gradient"][0][3] is None and None not in found["multipliers"][0]
    # Above it, all is well.
    call["logits"][0][3] = -80.0
    adapter.spec.pop("auxiliaryLosses", None)
    assert None not in adapter.answer(call)["gradient"][0]
    assert holds(adapter, call) is None


def test_cohere2_moe_halves_routed_outputs_beside_shared_experts():
    assert hf.specification(hf.block("cohere2_moe"))["gate"]["scale"] == 0.5
    assert "scale" not in hf.specification(hf.block("cohere2_moe", num_shared_experts=0))["gate"]


def test_zaya_leaves_out_the_skip_experts_multiplier():
    adapter = small("ZayaSparseMoeBlock")
    call = call_of(adapter, 0)
    call["bias"] = [0.0] * 7 + [10.0]
    found = adapter.answer(call)
    assert all(row[0] == 7 for row in found["choice"]) and all(row[0] == 0.0 for row in found["multipliers"])
    assert adapter.block.experts.choice[:, 0].tolist() == [0] * 6


def test_losses_of_layers_are_pooled():
    """Two layers that collapse, each on an expert of its own, look balanced together: 1, where each of them is 2."""
    loss = transformers.models.mixtral.modeling_mixtral.load_balancing_loss_func
    first, second = torch.tensor([[30.0, 0.0]] * 4), torch.tensor([[0.0, 30.0]] * 4)
    assert close(loss((first,), 2, 1), 2.0) and close(loss((second,), 2, 1), 2.0)
    assert close(loss((first, second), 2, 1), 1.0)


def test_switch_has_no_losses_if_every_layer_is_sparse():
    found = []
    for sparse in (1, 2):
        config = transformers.SwitchTransformersConfig(
            vocab_size=64, d_model=16, d_kv=8, d_ff=16, num_heads=2, num_layers=2, num_sparse_encoder_layers=sparse, num_experts=4,
            num_decoder_layers=2, num_sparse_decoder_layers=sparse, pad_token_id=0, decoder_start_token_id=0)
        model = transformers.SwitchTransformersForConditionalGeneration(config)
        tokens = torch.randint(1, 64, (2, 5))
        found.append(model(input_ids=tokens, labels=tokens, output_router_logits=True))
    assert all(found[0][key].item() > 0 for key in ("encoder_z_loss", "encoder_aux_loss", "decoder_z_loss", "decoder_aux_loss"))
    assert all(found[1][key] == 0 for key in ("encoder_z_loss", "encoder_aux_loss", "decoder_z_loss", "decoder_aux_loss"))
    assert len(found[1].encoder_router_logits) == 2  # both layers have routers


@pytest.mark.parametrize("name", ["gemma4", "diffusion_gemma"])
def test_gemmas_router_logits_are_probabilities(name):
    """What is recorded as router_logits is the router's first result."""
    made = hf.block(name)
    module = transformers.models.__dict__[name].__dict__[f"modeling_{name}"]
    recorders = [kind._can_record_outputs["router_logits"] for kind in vars(module).values()
                 if isinstance(kind, type) and "router_logits" in (getattr(kind, "_can_record_outputs", None) or {})]
    assert recorders and all(recorder.target_class is type(made) and recorder.index == 0 for recorder in recorders)
    assert close(made(torch.randn(5, 8))[0].sum(-1).detach(), torch.ones(5))


CAST_UP = {  # these multiply in Float32 whatever their weights are; an MLP or refused: see the page
    "LaraMiniSparseMoeBlock", "OpenAIPrivacyFilterMLP", "MistralLarge4TextMoE", "LongcatFlashMoE", "FlintSparseMoeBlock",
    "Kolibri1SparseMoeBlock", "MuseSparkMoE", "InklingMoE", "SwitchTransformersSparseMLP", "NllbMoeSparseMLP", "HYV3MoE", "Dots3NoteVisionMoE",
} | {kind for kind, family in hf.FAMILIES.items() if family.entry in ("deepseek-v2", "deepseek-v3", "ernie-4.5")}


@pytest.mark.parametrize("kind", [kind for kind in hf.FAMILIES if not kind.startswith(("Inkling2", "Zaya"))])
def test_what_bf16_routers_multiply_in(kind, monkeypatch):
    adapter = hf.adapter(kind, dtype=torch.bfloat16, **({"top_k": 1} if kind.startswith("Switch") else {}))
    seen, linear = set(), torch.nn.functional.linear

    def recorded(states, weight, bias=None):
        seen.add(states.dtype)
        return linear(states, weight, bias)

    monkeypatch.setattr(torch.nn.functional, "linear", recorded)
    adapter.route(call_of(adapter, 0))
    assert seen == {torch.float32 if kind in CAST_UP else torch.bfloat16}


LATENT = {"q_lora_rank": 8, "kv_lora_rank": 8, "qk_rope_head_dim": 8, "qk_nope_head_dim": 8, "v_head_dim": 8}


@pytest.mark.parametrize("folder, name, given, dtype", [
    ("deepseek_v3", "DeepseekV3", {
        "n_routed_experts": 8, "n_group": 2, "topk_group": 1, "first_k_dense_replace": 1, "moe_intermediate_size": 8, **LATENT}, torch.float32),
    ("lfm2_moe", "Lfm2Moe", {
        "num_experts": 8, "num_dense_layers": 1, "layer_types": ["full_attention"] * 2, "moe_intermediate_size": 8}, torch.float32),
    ("minimax_m2", "MiniMaxM2", {"num_local_experts": 8}, torch.bfloat16),
    ("minimax_m3_vl", "MiniMaxM3VL", {
        "num_local_experts": 8, "dense_intermediate_size": 16, "shared_intermediate_size": 16}, torch.bfloat16),
    ("laguna", "Laguna", {"num_experts": 8, "moe_intermediate_size": 8, "shared_expert_intermediate_size": 8}, torch.bfloat16),
    ("longcat_flash", "LongcatFlash", {
        "n_routed_experts": 6, "zero_expert_num": 2, "moe_topk": 2, "ffn_hidden_size": 16, "expert_ffn_hidden_size": 8, "num_layers": 1,
        **LATENT}, torch.bfloat16),
])
def test_selection_biases_loaded_in_half_precision(folder, name, given, dtype, tmp_path):
    """In BF16 a bias of 0.301 is 0.30078125, and a step of 0.001 is less than its rounding."""
    configuration, models = (
        importlib.import_module(f"transformers.models.{folder}.{part}_{folder}") for part in ("configuration", "modeling"))
    config = getattr(configuration, name + ("TextConfig" if name == "MiniMaxM3VL" else "Config"))(**({
        "vocab_size": 64, "hidden_size": 32, "num_attention_heads": 2, "num_key_value_heads": 2, "head_dim": 16, "num_hidden_layers": 2,
        "max_position_embeddings": 64, "intermediate_size": 16, "num_experts_per_tok": 2} | given))
    kind = getattr(models, name + "ForCausalLM")
    model = kind(config)
    with torch.no_grad():
        for _, bias in _hf_blocks._named(model, _hf_blocks._BIAS):
            bias.fill_(0.301)
    model.save_pretrained(tmp_path)
    _, bias = _hf_blocks._named(kind.from_pretrained(tmp_path, dtype=torch.bfloat16), _hf_blocks._BIAS)[0]
    assert bias.dtype == dtype and bias.flatten()[0].item() == (0.30078125 if dtype == torch.bfloat16 else float(torch.tensor(0.301)))


def test_longcat_flash_cannot_choose_one_expert():
    made = hf.block("longcat_flash", top_k=1)
    with pytest.raises(ValueError, match="not enough values to unpack"):
        made(torch.randn(1, 3, 8))


def test_a_talkers_configuration_makes_no_block():
    config = transformers.models.qwen3_omni_moe.configuration_qwen3_omni_moe.Qwen3OmniMoeTalkerTextConfig()
    assert not hasattr(config, "shared_expert_intermediate_size")


def test_doge_routes_tokens_by_other_tokens():
    """Half-logits are split over the batch: what the first of four tokens chooses depends on the third one."""
    module = transformers.models.doge.modeling_doge
    config = transformers.DogeConfig(hidden_size=8, intermediate_size=8, num_experts=16, num_experts_per_tok=2, is_moe=True)
    made = module.DogeCDMoE(config).eval()
    with torch.no_grad():
        for parameter in made.parameters():
            torch.nn.init.normal_(parameter)
        states = torch.randn(1, 4, 8)
        before = made(states)[0][0, 0]
        states[0, 2] = -states[0, 2]
        assert not torch.allclose(made(states)[0][0, 0], before)


# All of them.

NOT_HELD = {"doge": "product keys", "vitpose_backbone": "no gate, no choice"}


def test_every_family_is_known():
    """A modeling file with experts that is in neither list is new."""
    folder = pathlib.Path(transformers.__file__).parent / "models"
    pattern = re.compile(r"^class \w+(Experts|SparseMoe\w*|MoE|Moe|NaiveMoe|CDMoE)\(|^class \w+TopK\w*Router\(", re.M)
    routed = {path.parent.name for path in folder.glob("*/modeling_*.py") if pattern.search(path.read_text(encoding="utf-8"))}
    assert routed == {family.folder for family in hf.FAMILIES.values()} | set(NOT_HELD)
