"""Writes a mixture-of-experts layer with its input and loss as routegrad.layer/1, for `routegrad audit-layer`.

    python3 dump_layer.py [OUTPUT]     (default: ../layers/switch-block.safetensors; needs torch, transformers, safetensors)

`dump` takes any layer's tensors. Run as a program it trains transformers' own Switch block (SwitchTransformersSparseMLP, 8 experts)
within a small model of the next byte, on the text of the GNU GPL as Debian ships it, for a few hundred steps, and dumps the
block with the first 64 bytes of the text as tokens and the next byte's cross entropy as loss.
"""

import os
import sys

import torch
from safetensors.torch import save_file

HERE = os.path.dirname(os.path.abspath(__file__))
TEXT = "/usr/share/common-licenses/GPL-3"


def dump(path, input, router, w1, w2, activation, residual, router_bias=None, b1=None, b2=None, scale=None,
         target=None, unembedding=None, labels=None, note=""):
    """input [T, d]; router [N, d], bias [N]; w1 [N, h, d], b1 [N, h]; w2 [N, e, h], b2 [N, e]; scale [e]; either target [T, e],
    or unembedding [V, e] and labels [T]. activation: relu, gelu or silu; residual: whether the input is added to the output."""
    tensors = {"input": input, "router.weight": router, "router.bias": router_bias, "experts.w1": w1, "experts.b1": b1,
               "experts.w2": w2, "experts.b2": b2, "scale": scale, "target": target, "unembedding": unembedding,
               "labels": labels}
    tensors = {name: t.detach().contiguous() for name, t in tensors.items() if t is not None}
    save_file(tensors, path, metadata={"schema": "routegrad.layer/1", "activation": activation,
                                       "residual": "add" if residual else "none", "note": note})


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
