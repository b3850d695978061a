"""Writes a layer of random numbers as routegrad.layer/1, to measure `routegrad audit-layer` at any size.

    python3 random_layer.py OUTPUT TOKENS EXPERTS WIDTH HIDDEN [CLASSES]     (needs torch, safetensors)

Float32, GELU, biases on the experts, residual; a squared error, or with CLASSES a cross-entropy. Seed 1.
"""

import sys

import torch

from dump_layer import dump


def main():
    output = sys.argv[1]
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
