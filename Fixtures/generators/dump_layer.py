"""Writes a mixture-of-experts layer with its input and loss as routegrad.layer/2, for `routegrad audit-layer`.

    python3 dump_layer.py [OUTPUT]     (default: ../layers/switch-block.safetensors; needs torch, transformers, safetensors)

`dump` takes any layer's tensors, `dump_block` a gated block of transformers with what `record` saw of it. Run as a program it
trains transformers' own Switch block (SwitchTransformersSparseMLP, 8 experts) within a small model of the next byte, on the text of
the GNU GPL as Debian ships it, for a few hundred steps, and dumps the block with the first 64 bytes of the text as tokens and
the next byte's cross entropy as loss: routegrad.layer/1, as nothing newer is in it.
"""

import json
import os
import sys

import torch
from safetensors.torch import save_file

HERE = os.path.dirname(os.path.abspath(__file__))
TEXT = "/usr/share/common-licenses/GPL-3"


def dump(path, input, router, w1, w2, activation, residual, router_bias=None, b1=None, b2=None, scale=None,
         target=None, unembedding=None, labels=None, note="", specification=None, **more):
    """input [T, d]; router [N, d], bias [N]; w1 [N, h, d], b1 [N, h]; w2 [N, e, h], b2 [N, e]; scale [e]; either target [T, e],
    or unembedding [V, e] and labels [T], or upstream [T, e]. activation: relu, gelu, gelu-tanh, silu or clamped-swiglu; residual:
    whether the input is added to the output; specification: a dict of routegrad.router-spec/1, or the name of a router of the
    catalogue. more: further tensors of routegrad.layer/2, with _ for the first dot: experts_w3, shared_w1, router_selection_bias."""
    tensors = {"input": input, "router.weight": router, "router.bias": router_bias, "experts.w1": w1, "experts.b1": b1,
               "experts.w2": w2, "experts.b2": b2, "scale": scale, "target": target, "unembedding": unembedding,
               "labels": labels}
    tensors.update({name.replace("_", ".", 1) if name != "upstream" else name: t for name, t in more.items()})
    tensors = {name: t.detach().contiguous() for name, t in tensors.items() if t is not None}
    metadata = {"schema": "routegrad.layer/1", "activation": activation, "residual": "add" if residual else "none", "note": note}
    if specification is not None or more or activation not in ("relu", "gelu", "silu"):
        metadata["schema"] = "routegrad.layer/2"
    if specification is not None:
        metadata["router"] = specification if isinstance(specification, str) else json.dumps(specification)
    save_file(tensors, path, metadata=metadata)


def record(block):
    """Hooks a block: after a forward and a backward pass the dict has its `input` and `upstream`, [tokens, d], of the last call."""
    seen = {}

    def after(_block, given, result):
        output = result[0] if isinstance(result, tuple) else result
        seen["input"] = given[0].detach().flatten(0, -2)
        output.register_hook(lambda gradient: seen.update(upstream=gradient.detach().flatten(0, -2)))

    block.register_forward_hook(after)
    return seen


def dump_block(path, block, seen, specification=None, note=""):
    """A gated block of transformers 5 (Mixtral, Qwen2-MoE, Qwen3-MoE, OLMoE, DeepSeek, gpt-oss and the like), whose experts have
    gate_up_proj and down_proj, with what `record` has seen. specification: as for `dump`; else the softmax's top k of its router,
    normalised unless its norm_topk_prob says otherwise."""
    experts = block.experts
    router = getattr(block, "gate", None) or block.router
    more, activation = {"upstream": seen["upstream"]}, "silu"
    if hasattr(experts, "gate_up_proj_bias"):  # gpt-oss: [N, d, 2h], the two maps' columns in turn
        up, bias = experts.gate_up_proj.transpose(1, 2), experts.gate_up_proj_bias
        w1, more["experts_w3"], w2 = up[:, ::2], up[:, 1::2], experts.down_proj.transpose(1, 2)
        b1, more["experts_b3"], b2 = bias[:, ::2], bias[:, 1::2], experts.down_proj_bias
        activation = "clamped-swiglu"
    else:
        w1, more["experts_w3"] = experts.gate_up_proj.chunk(2, 1)
        w2, b1, b2 = experts.down_proj, None, None
    shared = getattr(block, "shared_expert", None) or getattr(block, "shared_experts", None)
    if shared is not None:
        more.update(shared_w1=shared.gate_proj.weight[None], shared_w3=shared.up_proj.weight[None],
                    shared_w2=shared.down_proj.weight[None])
        gate = getattr(block, "shared_expert_gate", None)
        more["shared_gate"] = None if gate is None else gate.weight
    more["router_selection_bias"] = getattr(router, "e_score_correction_bias", None)
    if specification is None:
        over = "softmax-over-chosen" if hasattr(experts, "gate_up_proj_bias") else "score"
        specification = {
            "schema": "routegrad.router-spec/1", "name": type(block).__name__[:60], "experts": len(router.weight),
            "selection": {"kind": "top-k", "count": router.top_k},
            "gate": {"of": over, "normalized": over == "score" and bool(getattr(router, "norm_topk_prob", True))}}
    dump(path, seen["input"], router.weight, w1, w2, activation, False, router_bias=getattr(router, "bias", None), b1=b1, b2=b2,
         note=note, specification=specification, **more)


class ByteModel(torch.nn.Module):
    """Bytes, causal attention, layer norm, Switch block with a residual around it, next byte."""

    def __init__(self, width=32, experts=8, hidden=48, classes=128):
        super().__init__()
        from transformers import SwitchTransformersConfig
        from transformers.models.switch_transformers.modeling_switch_transformers import SwitchTransformersSparseMLP
        self.embed = torch.nn.Embedding(classes, width)
        self.place = torch.nn.Embedding(64, width)
        self.attention = torch.nn.MultiheadAttention(width, 4, batch_first=True)
        self.norm = torch.nn.LayerNorm(width)
        self.block = SwitchTransformersSparseMLP(SwitchTransformersConfig(
            d_model=width, d_ff=hidden, num_experts=experts, expert_capacity=64, dropout_rate=0.0,
            router_jitter_noise=0.1, dense_act_fn="relu"))
        self.head = torch.nn.Linear(width, classes, bias=False)

    def forward(self, tokens):
        length = tokens.shape[1]
        x = self.embed(tokens) + self.place(torch.arange(length))
        mask = torch.triu(torch.ones(length, length, dtype=torch.bool), 1)
        x = self.norm(x + self.attention(x, x, x, attn_mask=mask, need_weights=False)[0])
        y = self.block(x)
        return x, x + y, self.head(x + y)


def main():
    output = sys.argv[1] if len(sys.argv) > 1 else os.path.join(HERE, "..", "layers", "switch-block.safetensors")
    torch.manual_seed(20240918)
    torch.set_num_threads(1)
    text = torch.tensor(list(open(TEXT, "rb").read())).clamp(max=127)
    model = ByteModel()
    seen = {}
    model.block.router.register_forward_hook(lambda _, inputs, result: seen.update(logits=result[2]))
    optimiser = torch.optim.Adam(model.parameters(), lr=3e-3)
    for step in range(600):
        starts = torch.randint(0, len(text) - 65, (16,))
        batch = torch.stack([text[s:s + 65] for s in starts])
        _, _, scores = model(batch[:, :-1])
        p = torch.softmax(seen["logits"].flatten(0, 1), -1)
        shares = torch.bincount(p.argmax(-1), minlength=8) / len(p)
        loss = torch.nn.functional.cross_entropy(scores.flatten(0, 1), batch[:, 1:].flatten())
        loss = loss + 0.01 * 8 * (shares * p.mean(0)).sum()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    model.eval()
    tokens = text[20:85]
    with torch.no_grad():
        x, y, scores = model(tokens[None, :-1])
    block = model.block
    experts = [block.experts[f"expert_{i}"] for i in range(8)]
    w1, w2 = (torch.stack([getattr(e, name).weight for e in experts]) for name in ("wi", "wo"))
    # The layer that is dumped is the one that ran.
    p = torch.softmax(x[0] @ block.router.classifier.weight.T, -1)
    gate, chosen = p.max(-1)
    again = torch.stack([gate[t] * (w2[i] @ torch.relu(w1[i] @ x[0, t])) for t, i in enumerate(chosen)])
    assert torch.allclose(x[0] + again, y[0], atol=1e-5), (x[0] + again - y[0]).abs().max()
    dump(output, x[0], block.router.classifier.weight, w1, w2, "relu", True, unembedding=model.head.weight, labels=tokens[1:],
         note=f"transformers SwitchTransformersSparseMLP, 600 steps, training loss {loss.item():.2f}")
    print(f"training loss {loss.item():.3f}; tokens by expert {torch.bincount(chosen, minlength=8).tolist()}")


if __name__ == "__main__":
    main()
