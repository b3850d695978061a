"""Writes a layer of random numbers, to measure `routegrad audit-layer` at any size.

    python3 random_layer.py OUTPUT TOKENS EXPERTS WIDTH HIDDEN [CLASSES]     (needs torch, safetensors)
    python3 random_layer.py OUTPUT TOKENS EXPERTS WIDTH HIDDEN --gated CHOSEN

Float32, GELU, biases on the experts, residual; a squared error, or with CLASSES a cross-entropy: routegrad.layer/1. With --gated as a
block of Qwen3-MoE: BFloat16 weights, SiLU, gated experts without biases, the normalised softmax's CHOSEN largest, an upstream
gradient. Seed 1.
"""

import sys

import torch

from dump_layer import dump


def gated(output, tokens, experts, width, hidden, chosen):
    torch.manual_seed(1)

    def weights(*shape):
        return (torch.randn(*shape) / shape[-1]**0.5).bfloat16()

    dump(output, torch.randn(tokens, width), weights(experts, width).float(), weights(experts, hidden, width),
         weights(experts, width, hidden), "silu", residual=False, experts_w3=weights(experts, hidden, width),
         upstream=torch.randn(tokens, width), specification={
             "schema": "routegrad.router-spec/1", "name": "random", "experts": experts,
             "selection": {"kind": "top-k", "count": chosen}, "gate": {"of": "score", "normalized": True}})


def main():
    output = sys.argv[1]
    if "--gated" in sys.argv:
        return gated(output, *map(int, sys.argv[2:6]), int(sys.argv[7]))
    tokens, experts, width, hidden, *classes = map(int, sys.argv[2:])
    torch.manual_seed(1)
    loss = {"target": torch.randn(tokens, width)}
    if classes:
        loss = {"unembedding": torch.randn(classes[0], width) / width**0.5,
                "labels": torch.randint(classes[0], (tokens,))}
    dump(output, torch.randn(tokens, width), torch.randn(experts, width) / width**0.5,
         torch.randn(experts, hidden, width) / width**0.5, torch.randn(experts, width, hidden) / hidden**0.5,
         "gelu", residual=True, b1=torch.randn(experts, hidden) / 10, b2=torch.randn(experts, width) / 10, **loss)


if __name__ == "__main__":
    main()
