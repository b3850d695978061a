"""Audits of whole networks against brute force by autograd in float64; where torch and transformers are installed."""

import json

import numpy as np
import pytest

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

import routegrad  # noqa: E402
import routegrad.hf as hf  # noqa: E402
import routegrad.torch  # noqa: E402
import specification  # noqa: E402
from routegrad._gates import gates, gradients  # noqa: E402

SMALL = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "num_key_value_heads": 2,
         "vocab_size": 37, "max_position_embeddings": 32, "tie_word_embeddings": False, "pad_token_id": 0, "bos_token_id": 1,
         "eos_token_id": 2}
FAMILIES = {
    "mixtral": ("Mixtral", {"num_local_experts": 4, "num_experts_per_tok": 2}),
    "qwen3_moe": ("Qwen3Moe", {"num_experts": 6, "num_experts_per_tok": 3, "moe_intermediate_size": 16, "head_dim": 8,
                               "norm_topk_prob": True}),
    "olmoe": ("Olmoe", {"num_experts": 6, "num_experts_per_tok": 2, "norm_topk_prob": False}),
    "deepseek_v3": ("DeepseekV3", {
        "n_routed_experts": 8, "num_local_experts": 8, "num_experts_per_tok": 3, "n_group": 4, "topk_group": 2, "moe_intermediate_size": 16,
        "first_k_dense_replace": 0, "n_shared_experts": 1, "q_lora_rank": 8, "kv_lora_rank": 8, "qk_rope_head_dim": 4,
        "qk_nope_head_dim": 4, "v_head_dim": 8}),
    "gpt_oss": ("GptOss", {"num_local_experts": 4, "num_experts_per_tok": 2, "head_dim": 8, "sliding_window": 8}),
    "llama4": ("Llama4", {"num_local_experts": 4, "num_experts_per_tok": 2, "intermediate_size_mlp": 12, "head_dim": 8,
                          "interleave_moe_layer_step": 1}),
    "phimoe": ("Phimoe", {"num_local_experts": 4, "num_experts_per_tok": 2, "router_jitter_noise": 0.3}),
    "switch_transformers": ("SwitchTransformers", {
        "d_model": 16, "d_ff": 12, "d_kv": 8, "num_heads": 2, "num_layers": 2, "num_decoder_layers": 2, "num_experts": 4,
        "num_sparse_encoder_layers": 2, "num_sparse_decoder_layers": 2, "expert_capacity": 4, "decoder_start_token_id": 0}),
}


def made(family, dtype=torch.float64, **given):
    """A tiny model of a family in evaluation mode, and a batch."""
    name, fields = FAMILIES[family]
    fields = {**SMALL, **fields, **given}
    if family == "switch_transformers":
        fields = {key: value for key, value in fields.items() if key not in SMALL or key in ("vocab_size", "pad_token_id", "eos_token_id")}
        kind, config = "ForConditionalGeneration", transformers.SwitchTransformersConfig(**fields)
    elif family == "llama4":
        kind, config = "ForCausalLM", transformers.models.llama4.configuration_llama4.Llama4TextConfig(**fields)
    else:
        kind, config = "ForCausalLM", getattr(transformers, f"{name}Config")(**fields)
    with torch.random.fork_rng():
        torch.manual_seed(7)
        model = getattr(transformers, name + kind)(config).to(dtype).eval()
        if dtype == torch.float64 and family not in ("llama4", "switch_transformers"):
            model.set_experts_implementation("eager")  # the others have no float64
        for module in model.modules():
            if type(module).__name__ == "SwitchTransformersTop1Router":
                module.dtype = dtype
        with torch.no_grad():
            for key, parameter in model.named_parameters():
                if parameter.ndim > 1:
                    parameter.normal_(0, 0.3)
            for key, buffer in model.named_buffers():
                if key.endswith("e_score_correction_bias"):
                    buffer.normal_(0, 0.1)
        tokens = torch.randint(3, 37, (2, 7))
    return model, {"input_ids": tokens, "labels": tokens.clone()}


def expert(family, experts, i, x):
    """f_i(x), written out from the weights."""
    if family == "switch_transformers":
        part = experts[f"expert_{i}"]
        return torch.relu(x @ part.wi.weight.T) @ part.wo.weight.T
    if family == "gpt_oss":
        both = x @ experts.gate_up_proj[i] + experts.gate_up_proj_bias[i]
        gate, up = both[:, ::2].clamp(max=7.0), both[:, 1::2].clamp(-7.0, 7.0)
        return ((up + 1) * gate * torch.sigmoid(1.702 * gate)) @ experts.down_proj[i] + experts.down_proj_bias[i]
    if family == "llama4":
        gate, up = (x @ experts.gate_up_proj[i]).chunk(2, dim=-1)
        return (up * torch.nn.functional.silu(gate)) @ experts.down_proj[i]
    gate, up = (x @ experts.gate_up_proj[i].T).chunk(2, dim=-1)
    return (torch.nn.functional.silu(gate) * up) @ experts.down_proj[i].T


def dense_gates(family, logits, choice, config):
    """The gates of all experts: those of the chosen as they are, the others' with the divisor held; [slots][T, N]."""
    chosen = torch.zeros_like(logits).scatter(1, choice.clamp(min=0), (choice >= 0).to(logits.dtype))
    p = torch.softmax(logits, -1)
    if family in ("olmoe", "switch_transformers"):
        return [p]
    if family == "llama4":
        return [torch.sigmoid(logits)]
    if family == "phimoe":
        slots, left = [], logits
        for j in (0, 1):
            top = left.max(-1, keepdim=True).values
            far = (top - logits) / torch.maximum(logits.abs(), top) > 2 * config.router_jitter_noise
            slots.append(torch.softmax(left.masked_fill(far, -torch.inf), -1))
            left = left.scatter(1, choice[:, j:j + 1], -torch.inf)
        return slots
    h, scale = (torch.sigmoid(logits), config.routed_scaling_factor) if family == "deepseek_v3" else (p, 1.0)
    total = (h * chosen).sum(-1, keepdim=True)
    return [scale * torch.where(chosen > 0, h / total, h / total.detach())]


def brute_force(family, model, batch):
    """For each MoE layer: the sparse and the dense gradient at the logits, [T, N], and x [T, d]; by autograd of u·Σ g_i f_i."""
    records, handles = [], []
    for module in model.modules():
        if type(module).__name__.endswith(("MoeBlock", "SparseMLP", "MoE", "TextMoe", "GptOssMLP")):
            record = {"block": module}
            router = getattr(module, "gate", None) or module.router

            def block_hook(_m, given, result, record=record):
                record["x"] = given[0].detach().reshape(-1, given[0].shape[-1])
                record["y"] = result[0] if isinstance(result, tuple) else result

            def router_hook(_m, given, result, record=record):
                record["router"] = result

            handles += [module.register_forward_hook(block_hook), router.register_forward_hook(router_hook)]
            records.append(record)
    loss = model(**batch).loss
    for handle in handles:
        handle.remove()
    upstream = torch.autograd.grad(loss, [record["y"] for record in records])
    found = []
    for record, u in zip(records, upstream):
        x, u, result = record["x"], u.reshape(-1, u.shape[-1]), record["router"]
        at = {"llama4": 1, "switch_transformers": 2}.get(family, 0)
        logits = result[at].detach().double().reshape(len(x), -1).requires_grad_()
        n = logits.shape[1]
        if family == "llama4":
            choice = logits.topk(model.config.num_experts_per_tok).indices
        elif family == "switch_transformers":
            mask = result[0].reshape(-1, n)
            choice = torch.where(mask.sum(-1) > 0, mask.argmax(-1), -1)[:, None]
        else:
            choice = result[2]
        chosen = torch.zeros_like(logits).scatter(1, choice.clamp(min=0), (choice >= 0).to(logits.dtype)).detach()
        sparse = dense = 0.0
        with torch.enable_grad():
            for j, g in enumerate(dense_gates(family, logits, choice, model.config)):
                for i in range(n):
                    if family == "llama4":
                        term = (u * expert(family, record["block"].experts, i, g[:, i:i + 1] * x)).sum(-1)
                    else:
                        term = g[:, i] * (u * expert(family, record["block"].experts, i, x).detach()).sum(-1)
                    taken = (choice[:, j] == i).double() if family == "phimoe" else chosen[:, i]
                    sparse, dense = sparse + (taken * term).sum(), dense + term.sum()
        found.append((*(torch.autograd.grad(value, logits, retain_graph=True)[0] for value in (sparse, dense)), x))
    return found


def difference(sparse, dense):
    bias = sparse - dense
    return {"norm": sparse.norm(), "dense_norm": dense.norm(), "bias_norm": bias.norm(), "relative_bias": bias.norm() / dense.norm(),
            "cosine": (sparse * dense).sum() / (sparse.norm() * dense.norm()),
            "unseen": bias.norm() ** 2 / (sparse.norm() ** 2 + bias.norm() ** 2)}


@pytest.mark.parametrize("family", FAMILIES)
def test_audits_are_those_of_brute_force(family):
    model, batch = made(family)
    found = routegrad.torch.audit(model, batch)
    wanted = brute_force(family, model, batch)
    assert len(found.layers) == len(wanted) >= 2
    assert found.loss == pytest.approx(model(**batch).loss.item(), rel=1e-12)
    for layer, (sparse, dense, x) in zip(found.layers, wanted):
        assert layer.fraction == 1 and layer.logits.bias_norm > 0
        for part, pair in ((layer.logits, (sparse, dense)), (layer.weight, (sparse.T @ x, dense.T @ x))):
            for key, value in difference(*pair).items():
                assert getattr(part, key) == pytest.approx(value.item(), rel=1e-9, abs=1e-15), (layer.name, key)
        assert layer.gradient_error < 1e-5 * max(1e-3, layer.logits.norm)
        assert sum(layer.load) == pytest.approx(1)
        assert (layer.turned_away > 0) <= (family == "switch_transformers")


SPECIFICATIONS = [
    {"score": {"kind": "softmax", "temperature": 0.7}, "gate": {"of": "score", "scale": 2.5}},
    {"score": "softmax", "gate": {"of": "score", "normalized": True, "floor": 0.4}},
    {"score": "softmax", "gate": {"of": "score", "normalized": True, "factor": 2}},
    {"score": "sigmoid", "gate": {"of": "score", "normalized": True, "epsilon": 0.1, "scale": 2.5}},
    {"score": "softplus-sqrt", "gate": {"of": "score", "normalized": True, "epsilon": 1e-20, "scale": 1.5}},
    {"score": {"kind": "exp", "temperature": 2}, "gate": {"of": "score", "normalized": True}},
    {"score": "relu", "key": "logits", "gate": {"of": "score"}},
    {"score": "identity", "gate": {"of": "score"}},
    {"key": "logits", "gate": {"of": "softmax-over-chosen", "scale": 0.5}},
    {"key": "logits", "gate": {"of": "sigmoid-of-logit", "normalized": True}},
    {"key": "logits", "gate": {"of": "one"}},
    {"key": "logits", "mask": {"rule": "paper", "threshold": 0.4}, "gate": {"of": "sequential"}},
    {"key": "logits", "mask": {"rule": "reference-code", "threshold": 0.4}, "gate": {"of": "sequential"}},
    {"key": "logits", "gate": {"of": "sequential"}},
]


@pytest.mark.parametrize("spec", SPECIFICATIONS, ids=str)
def test_gates_and_gradients_are_those_of_the_specification(spec):
    """Gates and the sparse gradient by specification.py; the unseen part by autograd with the divisor stopped."""
    made = torch.Generator().manual_seed(5)
    logits, slopes = (torch.randn(9, 6, generator=made, dtype=torch.float64) for _ in range(2))
    choice = torch.stack([torch.randperm(6, generator=made)[:2] for _ in range(9)])
    if "mask" in spec:  # a choice that the mask keeps
        choice = logits.topk(2).indices
    spec = {"experts": 6, "selection": {"kind": "forced", "count": 2}, **spec}
    call = {"mode": "eval", "logits": logits.tolist(), "choice": choice.tolist(), "expertOutputs": slopes[..., None].tolist(),
            "upstream": [[1.0]] * 9}
    wanted = specification.answer(spec, call)
    numbers = [tensor.numpy() for tensor in (logits, choice, slopes)]
    assert np.allclose(gates(spec, *numbers[:2]), wanted["multipliers"], rtol=1e-6, atol=1e-7)
    seen, unseen = map(torch.from_numpy, gradients(spec, *numbers))
    assert torch.allclose(seen, torch.tensor(wanted["gradient"], dtype=torch.float64), rtol=1e-11, atol=1e-13)
    theta = logits.clone().requires_grad_()
    everyone = [list(range(6))] * 9
    if spec["gate"]["of"] == "one":
        assert not unseen.any()
    elif spec["gate"]["of"] == "sequential":
        total, left = 0.0, [set() for _ in range(9)]
        for j in (0, 1):
            for t in range(9):
                keep = torch.tensor(specification.kept_by_mask(spec.get("mask"), logits[t].tolist(), left[t]))
                p = torch.softmax(torch.where(keep, theta[t], -torch.inf), -1)
                total = total + (p * slopes[t]).sum() - p[choice[t, j]] * slopes[t, choice[t, j]]
                left[t] = left[t] | {int(choice[t, j])}
        assert torch.allclose(unseen, torch.autograd.grad(total, theta)[0], rtol=1e-11, atol=1e-13)
    else:
        of = spec["gate"]["of"]
        whole = spec | {"gate": {"of": "score"}, "score": {
            "score": spec.get("score", "softmax"), "softmax-over-chosen": "softmax", "sigmoid-of-logit": "sigmoid"}[of]}
        h = torch.stack(specification.raw_gates(whole, theta, specification.scores(whole["score"], theta), everyone))
        divisor = torch.ones(9, 1, dtype=torch.float64)
        if spec["gate"].get("normalized") or of == "softmax-over-chosen":
            divisor = h.gather(1, choice).sum(1, keepdim=True) + spec["gate"].get("epsilon", 0)
            divisor = divisor.clamp(min=spec["gate"].get("floor", 0)).detach()
        left_out = torch.ones_like(logits).scatter(1, choice, 0.0)
        factor = spec["gate"].get("scale", 1) * spec["gate"].get("factor", 1)
        total = (factor * left_out * slopes * h / divisor).sum()
        assert torch.allclose(unseen, torch.autograd.grad(total, theta)[0], rtol=1e-11, atol=1e-13)


def test_the_routing_of_a_switch_without_room_is_counted():
    model, batch = made("switch_transformers", expert_capacity=1)
    found = routegrad.torch.audit(model, batch)
    assert all(layer.turned_away > 0 for layer in found.layers)
    for layer, (sparse, dense, _) in zip(found.layers, brute_force("switch_transformers", model, batch)):
        assert layer.logits.bias_norm == pytest.approx((sparse - dense).norm().item(), rel=1e-9)


def test_a_phi_moe_in_training_draws_its_experts():
    model, batch = made("phimoe")
    found = routegrad.torch.audit(model.train(), batch)
    assert all(0 < layer.logits.unseen < 1 for layer in found.layers)  # autograd's gradient is held to it within


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_other_precisions(dtype):
    for family in ("mixtral", "deepseek_v3", "llama4"):
        model, batch = made(family, dtype)
        exact, batch = made(family)
        exact.load_state_dict({key: value.double() for key, value in model.state_dict().items()})
        near = 1e-3 if dtype == torch.float32 else 0.5  # half precision chooses other experts for some tokens
        for one, other in zip(routegrad.torch.audit(model, batch).layers, routegrad.torch.audit(exact, batch).layers):
            assert one.logits.cosine == pytest.approx(other.logits.cosine, abs=near)


def state(model):
    return ({key: value.clone() for key, value in model.state_dict().items()},
            [None if p.grad is None else p.grad.clone() for p in model.parameters()],
            [module.training for module in model.modules()],
            [len(module._forward_hooks) + len(module._forward_pre_hooks) for module in model.modules()], torch.get_rng_state())


def same(before, after):
    return (all(torch.equal(after[0][key], value) for key, value in before[0].items())
            and all(a is b is None or torch.equal(a, b) for a, b in zip(before[1], after[1]))
            and before[2:4] == after[2:4] and torch.equal(before[4], after[4]))


@pytest.mark.parametrize("family", FAMILIES)
def test_the_model_stays_as_it_was(family):
    model, batch = made(family)
    model.model.train() if family == "phimoe" else None  # draws at random
    next(model.parameters()).grad = torch.ones_like(next(model.parameters()))
    before = state(model)
    routegrad.torch.audit(model, batch, tokens=5)
    if family != "llama4":
        routegrad.torch.counterfactuals(model.eval() if family != "phimoe" else model, batch, 0, [3])
    assert same(before, state(model))


REFUSED = {"DbrxFFN", "JetMoeMoE", "MuseSparkMoE", "InklingMoE", "LongcatFlashMoE", "ZayaSparseMoeBlock", "NllbMoeSparseMLP",
           "Gemma4TextRouter", "DiffusionGemmaTextRouter"}


@pytest.mark.parametrize("kind", hf.FAMILIES)
def test_every_block_is_audited_or_refused(kind):
    """Gates and autograd's gradient at the logits are held to the specification within."""
    with torch.random.fork_rng():
        torch.manual_seed(3)
        made = hf.block(kind, experts=8).eval()
        width = 8 + (hf.FAMILIES[kind].form == "input")
        x, goal = torch.randn(2, 5, width), torch.randn(10, width)
    extra = ()
    if kind == "DeepseekV4SparseMoeBlock":  # chooses by the token's number
        made.gate.tid2eid[:10] = torch.stack([torch.randperm(8)[:2] for _ in range(10)])
        extra = (torch.arange(10).reshape(2, 5),)

    def loss(model, batch):
        y = model(batch, *extra)
        return ((y[0] if isinstance(y, tuple) else y).reshape(-1, width) * goal).sum()

    if kind in REFUSED:
        with pytest.raises(routegrad.RouteGradError, match="is not audited as it is|such gates are not audited"):
            routegrad.torch.audit(made, x, loss=loss)
        return
    layer, = routegrad.torch.audit(made, x, loss=loss).layers
    assert layer.tokens == 10 and layer.experts == 8
    assert layer.gradient_error <= 1e-4 * max(1, layer.logits.norm)


def test_hooks_are_removed_after_an_exception():
    model, batch = made("mixtral")
    before = state(model)

    def fails(model, batch):
        model(**batch)
        raise KeyError("of the caller")

    for call in (lambda: routegrad.torch.audit(model, batch, loss=fails),
                 lambda: routegrad.torch.counterfactuals(model, batch, 0, [1], loss=fails)):
        with pytest.raises(KeyError, match="of the caller"):
            call()
        assert same(before, state(model))


def test_tokens_are_taken_by_seed():
    model, batch = made("olmoe")
    few = routegrad.torch.audit(model, batch, tokens=5, seed=3)
    assert few.layers[0].tokens == 5 and few.layers[0].batch_tokens == 14
    assert few.to_json() == routegrad.torch.audit(model, batch, tokens=5, seed=3).to_json()
    assert few.to_json() != routegrad.torch.audit(model, batch, tokens=5, seed=4).to_json()
    rows = np.random.default_rng(3).permutation(14)[:5]
    sparse, dense, _ = brute_force("olmoe", model, batch)[1]
    assert few.layers[1].logits.bias_norm == pytest.approx((sparse - dense)[rows].norm().item(), rel=1e-9)


def test_auxiliary_losses_are_left_out():
    model, batch = made("mixtral")
    alone = routegrad.torch.audit(model, batch)
    joint = routegrad.torch.audit(model, {**batch, "output_router_logits": True})
    assert joint.loss > alone.loss
    # Of the last layer; the others' outputs change the loads above them.
    assert joint.layers[-1].logits.norm == pytest.approx(alone.layers[-1].logits.norm, rel=1e-9)


class Own(torch.nn.Module):
    """A router and experts of one's own, k = 1."""

    def __init__(self, experts=3, width=4):
        super().__init__()
        self.gate = torch.nn.Linear(width, experts, bias=False)
        self.parts = torch.nn.ModuleList(torch.nn.Linear(width, width) for _ in range(experts))

    def forward(self, x):
        p = torch.softmax(self.gate(x), -1)
        weight, index = p.max(-1)
        return x + weight[:, None] * torch.stack([self.parts[int(i)](row) for i, row in zip(index, x)])


def block(module, **given):
    return routegrad.torch.Block(**{
        "block": module, "router": module.gate, "experts": list(module.parts), "logits": lambda z: z,
        "choice": lambda z: z.argmax(-1, keepdim=True), "gates": lambda z: torch.softmax(z, -1).max(-1, keepdim=True).values,
        "specification": {"score": "softmax", "selection": {"kind": "top-k", "count": 1}, "gate": {"of": "score"}}, "name": "mine",
        **given})


def test_blocks_of_your_own():
    torch.manual_seed(1)
    module, x, goal = Own().double(), torch.randn(6, 4).double(), torch.randn(6, 4).double()

    def loss(model, batch):
        return ((model(batch) - goal) ** 2).sum()

    layer, = routegrad.torch.audit(module, x, block(module), loss=loss).layers
    theta = (x @ module.gate.weight.T).detach().requires_grad_()
    u = 2 * (module(x) - goal).detach()
    outputs = torch.stack([part(x) for part in module.parts], 1).detach()
    c = (u[:, None] * outputs).sum(-1)
    p = torch.softmax(theta, -1)
    dense, = torch.autograd.grad((p * c).sum(), theta, retain_graph=True)
    sparse, = torch.autograd.grad((p * c).gather(1, p.argmax(-1, keepdim=True)).sum(), theta)
    for key, value in difference(sparse, dense).items():
        assert getattr(layer.logits, key) == pytest.approx(value.item(), rel=1e-9)
    wrong = {"specification": {"score": "sigmoid", "selection": {"kind": "top-k", "count": 1}, "gate": {"of": "score"}}}
    with pytest.raises(routegrad.RouteGradError, match="mine: gates: expected those of its specification"):
        routegrad.torch.audit(module, x, block(module, **wrong), loss=loss)
    with pytest.raises(routegrad.RouteGradError, match="mine: logits: expected 2 experts, got 3"):
        routegrad.torch.audit(module, x, block(module, experts=list(module.parts)[:2]), loss=loss)
    narrow = [torch.nn.Linear(4, 3).double() for _ in range(3)]
    with pytest.raises(routegrad.RouteGradError, match=r"mine: expert 0: expected an output of shape \[6, 4\], got \[6, 3\]"):
        routegrad.torch.audit(module, x, block(module, experts=narrow), loss=loss)


def test_a_block_that_is_called_twice_has_the_tokens_of_both_calls():
    torch.manual_seed(1)
    module, x = Own().double(), torch.randn(6, 4).double()
    weights = torch.linspace(0.5, 1.5, 6)[:, None]

    def loss(model, batch):
        return sum((weights[part] * model(batch[part]) ** 2).sum() for part in (slice(0, 2), slice(2, 6)))

    once, = routegrad.torch.audit(module, x, block(module), loss=lambda model, batch: (weights * model(batch) ** 2).sum()).layers
    twice, = routegrad.torch.audit(module, x, block(module), loss=loss).layers
    assert once.tokens == twice.tokens == twice.batch_tokens == 6 and once.load == twice.load
    assert twice.weight.bias_norm == pytest.approx(once.weight.bias_norm, rel=1e-12)
    assert twice.logits.cosine == pytest.approx(once.logits.cosine, rel=1e-12)


def test_an_expert_that_nobody_chose_is_not_finite():
    torch.manual_seed(1)
    module, x = Own(), torch.rand(6, 4)
    with torch.no_grad():
        module.gate.weight[2] = -10
        module.parts[2].bias[0] = float("nan")
    with pytest.raises(routegrad.RouteGradError, match="mine: expert outputs: expected finite numbers"):
        routegrad.torch.audit(module, x, block(module), loss=lambda model, batch: model(batch).square().sum())
    assert not module.gate._forward_hooks


def test_what_cannot_be_audited_is_said():
    def refused(match, model, batch, **given):
        before = state(model)
        with pytest.raises(routegrad.RouteGradError, match=match):
            routegrad.torch.audit(model, batch, **given)
        after = state(model)
        assert before[2:4] == after[2:4] and torch.equal(before[4], after[4])

    model, batch = made("mixtral")
    refused("tokens: expected at least 1", model, batch, tokens=0)
    refused("layers: expected a number below 2", model, batch, layers=[2])
    refused("layers: expected each layer once", model, batch, layers=[0, -2])
    refused("batch: expected labels", model, {"input_ids": batch["input_ids"]})
    refused("batch: expected a dict", model, 3)
    refused("loss: expected a tensor of one number", model, batch, loss=lambda m, b: m(**b).logits)
    refused("none of the MoE blocks", torch.nn.Linear(2, 2), batch)
    refused("expected a router that gets a gradient", model, batch, loss=lambda m, b: torch.no_grad()(m)(**b).loss)
    with torch.no_grad():
        model.model.layers[0].mlp.experts.down_proj[3] = float("nan")
    refused("expected finite numbers|expected a finite number", model, batch)
    model, batch = made("mixtral")
    model.model.layers[1].mlp.experts.down_proj = torch.nn.Parameter(
        torch.zeros(model.model.layers[1].mlp.experts.down_proj.shape, dtype=torch.int8), requires_grad=False)
    refused("down_proj: expected float16, bfloat16, float32 or float64, it is quantised", model, batch)
    model, batch = made("mixtral")
    model.model.layers[1].mlp.gate.weight.device_mesh = "as a DTensor has"
    refused("weight: expected a whole tensor, it is sharded", model, batch)
    model, batch = made("mixtral")
    model.activation_checkpointing_enable({"use_reentrant": True})
    refused("gradient checkpointing", model.train(), batch)
    with torch.device("meta"):
        meta = transformers.MixtralForCausalLM(model.config)
    with pytest.raises(routegrad.RouteGradError, match="on the meta device"):
        routegrad.torch.audit(meta, batch)
    frozen, batch = made("olmoe")
    refused("expected a router that gets a gradient", frozen.requires_grad_(False), batch)
    switch, batch = made("switch_transformers")
    refused(r"call model.eval\(\)", switch.train(), batch)


def test_results_are_for_people_and_for_programs(tmp_path):
    model, batch = made("qwen3_moe")
    lines = []
    found = routegrad.torch.audit(model, batch, progress=lines.append)
    assert lines[0] == "2 layers: a forward and a backward pass, then up to 512 tokens through 12 experts (6144 evaluations)"
    assert found.evaluations == 2 * 14 * 6
    assert len(str(found).splitlines()) == 5 and max(map(len, str(found).splitlines())) <= 80
    content = json.loads(found.to_json())
    assert content == found.to_dict() and content["layers"][0]["logits"]["relative_bias"] == found.layers[0].logits.relative_bias
    found.to_html(tmp_path / "audit.html")
    assert found.layers[1].name in (tmp_path / "audit.html").read_text(encoding="utf-8")
    with pytest.raises(routegrad.RouteGradError, match="cannot be written"):
        found.to_html(tmp_path / "none" / "audit.html")
    other = routegrad.torch.counterfactuals(model, batch, "model.layers.1.mlp", [3])
    assert str(other).count("\n") == 5 and str(other).count("*") == 2 and "<td>" in other._repr_html_()
    other.to_html(tmp_path / "losses.html")
    methods = [(x.to_dataframe, "pandas") for x in (found, other)] + [(x.plot, "matplotlib") for x in (found, other)]
    for method, module in methods:
        try:
            __import__(module)
        except ImportError:
            with pytest.raises(routegrad.RouteGradError, match=f"expected {module} to be installed"):
                method()
        else:
            assert method() is not None


def in_double(model):
    """Norms that do not compute in float32, and such a loss: so that differences of losses say something."""
    for module in list(model.modules()):
        for name, child in list(module.named_children()):
            if type(child).__name__.endswith("RMSNorm"):
                made = torch.nn.RMSNorm(child.weight.shape[0], eps=1e-6).double()
                made.weight = child.weight
                setattr(module, name, made)
    return model


def exact_loss(model, batch):
    scores = model(input_ids=batch["input_ids"]).logits[:, :-1]
    return torch.nn.functional.cross_entropy(scores.flatten(0, 1), batch["labels"][:, 1:].flatten())


def forced(model, batch, layer, token, choice, gates):
    """The loss where one token of a layer goes to these experts."""
    experts = model.model.layers[layer].mlp.experts

    def before(_module, given):
        index, weights = given[1].clone(), given[2].clone()
        index[token], weights[token] = torch.tensor(choice), torch.as_tensor(gates, dtype=weights.dtype)
        return given[0], index, weights

    handle = experts.register_forward_pre_hook(before)
    try:
        with torch.no_grad():
            return exact_loss(model, batch).item()
    finally:
        handle.remove()


def test_losses_in_depth_are_those_of_forced_choices():
    """Of the first layer: the second routes anew."""
    model, batch = made("olmoe", num_experts_per_tok=1)
    found = routegrad.torch.counterfactuals(in_double(model), batch, 0, [4, 9], loss=exact_loss)
    for token, losses, table in zip(found.tokens, found.losses, found.tables):
        p = torch.softmax(torch.tensor(table["logits"], dtype=torch.float64), 0)
        assert losses == pytest.approx([forced(model, batch, 0, token, [i], [p[i]]) for i in range(6)], rel=1e-12)


def test_counterfactuals_of_top_1_are_exact_problems():
    """Of the last layer, above which all is in double precision: against differences of the network's loss."""
    model, batch = made("olmoe", num_experts_per_tok=1)
    found = routegrad.torch.counterfactuals(in_double(model), batch, 1, [4, 9], nodes=[1.0, 0.5], loss=exact_loss)
    assert found.kind == "mixture" and found.problems[0].experts == 6
    step = 1e-5
    for token, losses, problem, table in zip(found.tokens, found.losses, found.problems, found.tables):
        theta = torch.tensor(table["logits"], dtype=torch.float64)
        p = torch.softmax(theta, 0)
        assert losses == pytest.approx([forced(model, batch, 1, token, [i], [p[i]]) for i in range(6)], rel=1e-12)
        for i, row in enumerate(table["loss"]["slopes"]):
            for node, slope in zip((1.0, 0.5), row):
                high, low = (forced(model, batch, 1, token, [i], [node * p[i] + s]) for s in (step, -step))
                assert slope == pytest.approx((high - low) / (2 * step), rel=1e-7, abs=1e-9)
        # The expected loss differentiated: choices by softmax(θ), gates softmax(θ).
        wanted = []
        for i in range(6):
            sides = []
            for s in (step, -step):
                q = torch.softmax(theta + s * torch.nn.functional.one_hot(torch.tensor(i), 6), 0)
                sides.append(sum(q[j].item() * forced(model, batch, 1, token, [j], [q[j]]) for j in range(6)))
            wanted.append((sides[0] - sides[1]) / (2 * step))
        assert np.allclose(routegrad.target(problem), wanted, rtol=1e-7, atol=1e-9)
        conventional = routegrad.assess(problem, "conventional").relative_bias
        assert 0 < routegrad.assess(problem, "midpoint").relative_bias < conventional


def losses_of_rows(model, batch):
    """One for each row, in double precision."""
    scores = model(input_ids=batch["input_ids"]).logits[:, :-1]
    losses = torch.nn.functional.cross_entropy(scores.flatten(0, 1), batch["labels"][:, 1:].flatten(), reduction="none")
    return losses.reshape(len(batch["labels"]), -1).mean(1)


@pytest.mark.parametrize(("family", "given"), [
    ("olmoe", {"num_experts_per_tok": 1}), ("mixtral", {}), ("qwen3_moe", {}), ("gpt_oss", {})])
@pytest.mark.parametrize("together", [2, 5, 100])
def test_variants_in_one_batch_are_those_one_by_one(family, given, together):
    model, batch = made(family, **given)
    in_double(model).eval()
    options = {"nodes": [1.0, 0.5], "loss": losses_of_rows}
    one = routegrad.torch.counterfactuals(model, batch, 0, [4, 9], **options)
    calls = []
    model.register_forward_pre_hook(lambda *_: calls.append(1))
    many = routegrad.torch.counterfactuals(model, batch, 0, [4, 9], together=together, **options)
    variants = 13 if family == "olmoe" else len(one.experts[0])
    assert len(calls) == 2 + 2 * -(-variants // together)
    assert many.experts == one.experts and many.chosen == one.chosen
    assert np.allclose(many.losses, one.losses, rtol=1e-9, atol=0)
    for a, b in zip(many.tables, one.tables):
        part = "loss" if one.kind == "mixture" else "objective"
        for key in ("values", "slopes") if one.kind == "mixture" else ("values", "gradients"):
            assert np.allclose(a[part][key], b[part][key], rtol=1e-9, atol=1e-12), key
        assert a["logits"] == pytest.approx(b["logits"], rel=1e-12)
    # The model's own loss computes in single precision.
    own = routegrad.torch.counterfactuals(model, batch, 0, [4], together=together)
    assert own.losses == pytest.approx(np.array(routegrad.torch.counterfactuals(model, batch, 0, [4]).losses), rel=1e-6)


def test_variants_in_one_batch_that_would_not_be_the_same_are_refused():
    model, batch = made("mixtral")

    def refused(match, model=model, batch=batch, **given):
        before = state(model)
        with pytest.raises(routegrad.RouteGradError, match=match):
            routegrad.torch.counterfactuals(model, batch, 0, [1], **{"together": 4, **given})
        assert same(before, state(model))

    refused("together: expected at least 1, got 0", together=0)
    refused("together: expected rows that do not depend on each other", loss=lambda m, b: (
        losses_of_rows(m, b) * torch.arange(1, 1 + len(b["labels"]))))
    refused("loss: expected one for each row of the batch, with 2 copies of it, got 1", loss=lambda m, b: m(**b).loss)
    # What the model adds to its loss, which is not in its loss_function. (transformers leaves hooks of its own, the first time.)
    model(**batch, output_router_logits=True)
    refused("together: expected rows that do not depend", batch={**batch, "output_router_logits": True})
    refused("together: expected a batch whose tensors have equally many rows",
            batch={**batch, "position_ids": torch.arange(7)[None]})
    phimoe, batch = made("phimoe")
    refused("together: expected 1 for a model in training", model=phimoe.train(), batch=batch)


@pytest.mark.parametrize("family", ["mixtral", "deepseek_v3", "gpt_oss"])
def test_counterfactuals_swap_the_last_of_several(family):
    model, batch = made(family)
    found = routegrad.torch.counterfactuals(model, batch, 0, [5])
    (kept, (among,), (losses,)) = found.chosen[0][:-1], found.experts, found.losses
    assert found.kind == "categorical" and found.chosen[0][-1] in among and not set(kept) & set(among)
    n = model.config.num_local_experts
    theta = torch.zeros(n, dtype=torch.float64)
    theta[list(among)] = torch.tensor(found.tables[0]["logits"], dtype=torch.float64)
    # With the expert that it has anyway nothing changes.
    assert losses[among.index(found.chosen[0][-1])] == pytest.approx(model(**batch).loss.item(), rel=1e-6)
    assert len(set(losses)) == len(among)
    pi = torch.softmax(torch.tensor(found.tables[0]["logits"], dtype=torch.float64), 0).numpy()
    assert np.allclose(routegrad.target(found.problems[0]), pi * (np.array(losses) - pi @ np.array(losses)), rtol=1e-9, atol=1e-12)
    assert json.loads(found.to_json())["schema"] == "routegrad.problems/1"


def test_counterfactuals_of_a_switch_and_what_they_refuse():
    model, batch = made("switch_transformers", expert_capacity=64)
    found = routegrad.torch.counterfactuals(model, batch, 0, [2])
    assert found.kind == "mixture"
    assert found.losses[0][found.chosen[0][0]] == pytest.approx(model(**batch).loss.item(), rel=1e-9)
    with pytest.raises(routegrad.RouteGradError, match="tokens: expected numbers below 14, got 14"):
        routegrad.torch.counterfactuals(model, batch, 0, [14])
    with pytest.raises(routegrad.RouteGradError, match="nodes: expected 1 among them"):
        routegrad.torch.counterfactuals(model, batch, 0, [2], nodes=[0.5])


@pytest.mark.parametrize("k", [1, 2])
@pytest.mark.parametrize("together", [1, 3])
def test_counterfactuals_of_gates_on_the_input(k, together):
    """Llama 4: y = Σ f_i(g_i x), written out from the weights. Of the last layer, above which all is in double precision."""
    model, batch = made("llama4", num_experts_per_tok=k)
    in_double(model).eval()
    block, token = model.model.layers[1].feed_forward, 5
    found = routegrad.torch.counterfactuals(
        model, batch, 1, [token], loss=losses_of_rows if together > 1 else exact_loss, together=together)
    (own,), (among,), (losses,), (table,) = found.chosen, found.experts, found.losses, found.tables
    assert found.kind == "categorical" and len(own) == k and own[-1] in among

    def forced(choice, more=None, times=0.0):
        """The loss with these experts, and with so many times what another one adds."""
        def after(_module, given, result):
            x = given[0].reshape(-1, given[0].shape[-1])[token:token + 1]
            theta = block.router(x)[1].reshape(-1)

            def added(i):
                return expert("llama4", block.experts, i, torch.sigmoid(theta[i]) * x)[0]

            y = result[0].clone()
            y.view(-1, y.shape[-1])[token] += sum(map(added, choice)) - sum(map(added, own)) + (times * added(more) if more is not None else 0)
            return (y, *result[1:])

        handle = block.register_forward_hook(after)
        try:
            with torch.no_grad():
                return exact_loss(model, batch).item()
        finally:
            handle.remove()

    for i, value, row in zip(among, losses, table["objective"]["gradients"]):
        assert value == pytest.approx(forced([*own[:-1], i]), rel=1e-9)
        for j, slope in zip(among, row):
            sides = [forced([*own[:-1], i], j, times) for times in (1e-5, -1e-5)]
            assert slope == pytest.approx((sides[0] - sides[1]) / 2e-5, rel=1e-6, abs=1e-9)


@pytest.mark.parametrize("together", [1, 4])
def test_counterfactuals_of_a_block_of_your_own(together):
    torch.manual_seed(1)
    module, x, goal, token, step = Own().double().eval(), torch.randn(6, 4).double(), torch.randn(6, 4).double(), 2, 1e-5

    def loss(model, batch):
        rows = ((torch.tanh(model(batch)) - goal.repeat(len(batch) // 6, 1)) ** 2).sum(1)
        return rows if together > 1 else rows.mean()

    found = routegrad.torch.counterfactuals(
        module, x, block(module), [token], nodes=[1.0, 0.5], loss=loss, together=together)
    theta = (x[token] @ module.gate.weight.T).detach()

    def forced(i, gate):
        with torch.no_grad():
            y = module(x)
            y[token] = x[token] + gate * module.parts[i](x[token])
            return ((torch.tanh(y) - goal) ** 2).sum(1).mean().item()

    p = torch.softmax(theta, 0).tolist()
    (losses,), (table,), (problem,) = found.losses, found.tables, found.problems
    assert found.kind == "mixture" and found.layer == "mine" and table["logits"] == pytest.approx(theta.tolist(), rel=1e-12)
    assert losses == pytest.approx([forced(i, p[i]) for i in range(3)], rel=1e-12)
    assert table["loss"]["valueAtZero"] == pytest.approx(forced(0, 0.0), rel=1e-12)
    for i, row in enumerate(table["loss"]["slopes"]):
        for node, slope in zip((1.0, 0.5), row):
            assert slope == pytest.approx((forced(i, node * p[i] + step) - forced(i, node * p[i] - step)) / (2 * step), rel=1e-7)
    wanted = []
    for i in range(3):
        sides = [torch.softmax(theta + s * torch.eye(3).double()[i], 0).tolist() for s in (step, -step)]
        wanted.append(sum(q[j] * forced(j, q[j]) * sign for sign, q in zip((1, -1), sides) for j in range(3)) / (2 * step))
    assert np.allclose(routegrad.target(problem), wanted, rtol=1e-7, atol=1e-10)
    assert not module._forward_hooks and not module.gate._forward_hooks
    tuple_of = Own().double()
    plain = tuple_of.forward
    tuple_of.forward = lambda x: (plain(x), None)
    again = routegrad.torch.counterfactuals(tuple_of, x, block(tuple_of), [token], loss=lambda m, b: m(b)[0].square().mean())
    assert len(set(again.losses[0])) == 3
