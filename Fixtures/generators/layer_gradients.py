"""Blocks of transformers as routegrad.layer/2 in Float64, with PyTorch's own gradients of them.

    python3 layer_gradients.py [FOLDER]     (default: ../layers; needs torch, transformers 5.24.0, safetensors)

Writes NAME.safetensors and NAME-gradients.safetensors for a small Qwen2-MoE block (gated experts, a shared expert with a gate, k = 2,
normalised) and a gpt-oss block (clamped SwiGLU, biases everywhere, k = 3). The loss is the mean over tokens of u·y with random u. Gradients
are of that mean, by autograd, of
  conventional:   the block itself;
  dense-mixer:    the block's output with the gates' gradient of yaof20/DenseMixer (at 116e83d): every expert's output, detached, times
                  its part of the softmax, the sum over the chosen detached for those left out;
  dense-backward: the same with every expert's output in the graph.
Routers compute in Float64: transformers' softmax in Float32 is taken out of them.
"""

import os
import sys

import torch
from safetensors.torch import save_file

from dump_layer import dump_block

HERE = os.path.dirname(os.path.abspath(__file__))


def blocks():
    from transformers import GptOssConfig, Qwen2MoeConfig
    from transformers.models.gpt_oss.modeling_gpt_oss import GptOssMLP
    from transformers.models.qwen2_moe.modeling_qwen2_moe import Qwen2MoeSparseMoeBlock
    yield "qwen2-moe-block", Qwen2MoeSparseMoeBlock(Qwen2MoeConfig(
        hidden_size=6, moe_intermediate_size=5, num_experts=6, num_experts_per_tok=2, norm_topk_prob=True,
        shared_expert_intermediate_size=7))
    yield "gpt-oss-block", GptOssMLP(GptOssConfig(
        hidden_size=5, intermediate_size=4, num_local_experts=5, num_experts_per_tok=3))


def each_expert(block, x):
    """f_i(x) of every expert, [T, N, d], through the block's own code."""
    experts, count = block.experts, len((getattr(block, "gate", None) or block.router).weight)
    one = torch.ones(len(x), 1, dtype=x.dtype)
    return torch.stack([experts(x, torch.full((len(x), 1), i), one) for i in range(count)], 1)


def main():
    folder = sys.argv[1] if len(sys.argv) > 1 else os.path.join(HERE, "..", "layers")
    torch.manual_seed(20261129)
    torch.set_default_dtype(torch.float64)
    softmax = torch.nn.functional.softmax
    torch.nn.functional.softmax = lambda x, dim=None, dtype=None, **_: softmax(x, dim=dim)
    for name, block in blocks():
        with torch.no_grad():
            for parameter in block.parameters():
                parameter.normal_(std=0.8)
        block = block.double().eval()
        router = getattr(block, "gate", None) or block.router
        d, k = router.weight.shape[1], router.top_k
        x = torch.randn(7, d, requires_grad=True)
        u = torch.randn(7, d)

        def output():
            y = block(x[None])
            return (y[0] if isinstance(y, tuple) else y).reshape(x.shape)

        weights = {"router.weight": router.weight, "input": x, "experts.w1": block.experts.gate_up_proj,
                   "experts.w2": block.experts.down_proj}
        if getattr(router, "bias", None) is not None:
            weights["router.bias"] = router.bias
            weights["experts.b1"], weights["experts.b2"] = block.experts.gate_up_proj_bias, block.experts.down_proj_bias

        def gates():
            p = torch.softmax(x @ router.weight.T + (0 if getattr(router, "bias", None) is None else router.bias), -1)
            members = torch.zeros_like(p).scatter(1, p.topk(k, -1).indices, 1.0)
            total = (members * p).sum(-1, keepdim=True)
            return members, p * members / total + p * (1 - members) / total.detach()

        y = output()
        members, dense = gates()
        f = each_expert(block, x)
        routed = torch.einsum("tn,tnd->td", dense * members, f)
        past = y - routed  # the shared expert
        assert name != "gpt-oss-block" or past.abs().max() < 1e-12
        losses = {
            "conventional": y,
            "dense-mixer": past + torch.einsum("tn,tnd->td", (dense * members).detach(), f)
            + torch.einsum("tn,tnd->td", dense, f.detach()),
            "dense-backward": past + torch.einsum("tn,tnd->td", dense, f)}
        found = {}
        for subject, value in losses.items():
            gradients = torch.autograd.grad((u * value).sum(1).mean(), list(weights.values()), retain_graph=True)
            for part, gradient in zip(weights, gradients):
                if part in ("experts.w1", "experts.b1") and name == "gpt-oss-block":
                    gradient = gradient if part == "experts.b1" else gradient.transpose(1, 2)
                    found[f"{subject}/{part}"], found[f"{subject}/{part[:-1]}3"] = gradient[:, ::2], gradient[:, 1::2]
                elif part == "experts.w1":
                    found[f"{subject}/experts.w1"], found[f"{subject}/experts.w3"] = gradient.chunk(2, 1)
                elif part == "experts.w2" and name == "gpt-oss-block":
                    found[f"{subject}/{part}"] = gradient.transpose(1, 2)
                else:
                    found[f"{subject}/{part}"] = gradient
        note = "transformers 5.24.0, torch 2.15.0"
        dump_block(os.path.join(folder, f"{name}.safetensors"), block, {"input": x, "upstream": u}, note=note)
        save_file({part: t.contiguous() for part, t in found.items()},
                  os.path.join(folder, f"{name}-gradients.safetensors"),
                  metadata={"schema": "routegrad.gradients/1", "note": note})
        print(name, "loss", (u * y).sum(1).mean().item())


if __name__ == "__main__":
    main()
