"""Dumps 32 tokens of a published mixture-of-experts block: problems/real-router.json.

    python3 real_router.py [OUTPUT]        (default: ../problems/real-router.json; needs torch and transformers)

One Phi-MoE decoder layer as transformers builds it (random weights, fixed seed) reads 32 bytes of English prose.
Logits are what its router returns, expert outputs what its expert module returns for each expert. The loss of a token is
the cross entropy of the next byte's class under a linear head W applied to residual + y, hence biases = W residual + b.
Computed in Float64, stored as the shortest Float32 decimals.
"""

import os
import sys

import numpy as np
import torch
from transformers import PhimoeConfig, PhimoeModel

from fixture_json import FIXTURES, write_problems

# Charles Darwin, On the Origin of Species (1859), the last sentence; public domain.
PROSE = b"from so simple a beginning endless forms most beautiful and most wonderful have been, and are being, evolved."
TOKENS, EXPERTS, HIDDEN = 32, 8, 16
CLASSES = [b" ", b"aeiou", b"tnsr", b"hldc", b"mfpgwyb", b"vkxjqz", b",.;:!?", None]  # None: any other byte


def byte_class(byte):
    return next(i for i, members in enumerate(CLASSES) if members is None or byte in members)


def shortest(array):
    """The shortest decimals that read back to the same Float32."""
    array = array.detach().numpy().astype(np.float32)
    if array.ndim > 1:
        return [shortest(torch.from_numpy(row)) for row in array]
    return [float(str(x)) + 0.0 for x in array]


def main():
    output = sys.argv[1] if len(sys.argv) > 1 else os.path.join(FIXTURES, "problems", "real-router.json")
    torch.manual_seed(20240918)
    torch.set_num_threads(1)
    config = PhimoeConfig(vocab_size=256, hidden_size=HIDDEN, intermediate_size=16, num_hidden_layers=1,
                          num_attention_heads=4, num_key_value_heads=2, num_local_experts=EXPERTS, initializer_range=0.35,
                          max_position_embeddings=64, pad_token_id=None, bos_token_id=None, eos_token_id=None,
                          attn_implementation="eager", experts_implementation="eager")
    model = PhimoeModel(config).double().eval()
    layer = model.layers[0]
    block = layer.mlp
    seen = {}
    layer.post_attention_layernorm.register_forward_hook(lambda _, inputs, result: seen.update(residual=inputs[0], x=result))
    block.router.register_forward_hook(lambda _, inputs, result: seen.update(router=result))
    block.register_forward_hook(lambda _, inputs, result: seen.update(y=result))
    with torch.no_grad():
        model(input_ids=torch.tensor([list(PROSE[:TOKENS])]))
        residual, x, y = (seen[name].reshape(TOKENS, HIDDEN) for name in ("residual", "x", "y"))
        logits, weights, chosen = seen["router"]
        ones = torch.ones(TOKENS, 1, dtype=torch.float64)
        experts = torch.stack([block.experts(x, torch.full((TOKENS, 1), i), ones) for i in range(EXPERTS)], dim=1)
        # the pieces put together again are the block's own output
        picked = experts[torch.arange(TOKENS)[:, None], chosen]
        assert torch.allclose((weights[..., None] * picked).sum(1), y, rtol=0, atol=1e-12)
        assert torch.allclose(x @ block.router.weight.T, logits, rtol=0, atol=1e-12)
        head = 0.35 * torch.randn(len(CLASSES), HIDDEN, dtype=torch.float64)
        bias = 0.2 * torch.randn(len(CLASSES), dtype=torch.float64)
        biases = residual @ head.T + bias
    problems = [{
        "name": f"real-router/token-{t:02d}", "kind": "mixture", "logits": shortest(logits[t]),
        "expertOutputs": shortest(experts[t]),
        "loss": {"type": "softmax-cross-entropy", "weights": shortest(head), "biases": shortest(biases[t]),
                 "label": byte_class(PROSE[t + 1])},
    } for t in range(TOKENS)]
    write_problems(output, problems)
    p = torch.softmax(logits, -1)
    print(f"logits sd {logits.std():.2f}, outputs rms {experts.pow(2).mean().sqrt():.2f}, largest probability "
          f"{p.max(-1)[0].min():.2f}..{p.max(-1)[0].max():.2f}", file=sys.stderr)


if __name__ == "__main__":
    main()
