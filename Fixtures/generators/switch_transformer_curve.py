"""Twenty steps of a small Switch Transformer in PyTorch, Float32: ../reference/switch-transformer-curve.safetensors.

The architecture of workload W4 (docs/benchmarks.md) at a smaller size, without jitter, so that nothing is random: initial weights under
RouteGrad's names and in its layouts, the bytes of a batch, and the loss of every step of Adam on that batch, in Float32 and in Float64."""
import copy

import torch
import torch.nn as nn
import torch.nn.functional as F
from safetensors.torch import save_file

from fixture_json import FIXTURES

WIDTH, HEADS, LAYERS, HIDDEN, EXPERTS, CONTEXT, BATCH, STEPS = 24, 3, 4, 32, 4, 16, 4, 20


class Attention(nn.Module):
    def __init__(self):
        super().__init__()
        self.qkv, self.out = nn.Linear(WIDTH, 3 * WIDTH), nn.Linear(WIDTH, WIDTH)

    def forward(self, x):
        batch, length, _ = x.shape
        q, k, v = self.qkv(x).view(batch, length, 3, HEADS, -1).permute(2, 0, 3, 1, 4)
        y = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        return self.out(y.transpose(1, 2).reshape(batch, length, WIDTH))


class Switch(nn.Module):
    """p_D expert_D(x), D the most probable expert, and N times the sum of share times mean probability of the experts."""

    def __init__(self):
        super().__init__()
        self.router = nn.Linear(WIDTH, EXPERTS)
        self.w1 = nn.Parameter(torch.randn(EXPERTS, HIDDEN, WIDTH) / WIDTH ** 0.5)
        self.b1 = nn.Parameter(torch.zeros(EXPERTS, HIDDEN))
        self.w2 = nn.Parameter(torch.randn(EXPERTS, WIDTH, HIDDEN) / HIDDEN ** 0.5)
        self.b2 = nn.Parameter(torch.zeros(EXPERTS, WIDTH))

    def forward(self, x):
        flat = x.reshape(-1, WIDTH)
        p = torch.softmax(self.router(flat), -1)
        top, chosen = p.max(-1)
        hidden = F.relu(torch.einsum("nhd,td->tnh", self.w1, flat) + self.b1)
        outputs = torch.einsum("ndh,tnh->tnd", self.w2, hidden) + self.b2
        y = outputs[torch.arange(len(flat)), chosen] * top[:, None]
        shares = torch.bincount(chosen, minlength=EXPERTS) / len(flat)
        return y.view_as(x), EXPERTS * (p.mean(0) * shares).sum()


class Block(nn.Module):
    def __init__(self, is_switch):
        super().__init__()
        self.norm1, self.attention, self.norm2 = nn.LayerNorm(WIDTH), Attention(), nn.LayerNorm(WIDTH)
        if is_switch:
            self.switch = Switch()
        else:
            self.up, self.down = nn.Linear(WIDTH, HIDDEN), nn.Linear(HIDDEN, WIDTH)

    def forward(self, x):
        x = x + self.attention(self.norm1(x))
        z = self.norm2(x)
        if hasattr(self, "switch"):
            y, balance = self.switch(z)
            return x + y, balance
        return x + self.down(F.relu(self.up(z))), 0.0


class Model(nn.Module):
    def __init__(self):
        super().__init__()
        self.tokens = nn.Parameter(torch.randn(256, WIDTH) * 0.02)
        self.positions = nn.Parameter(torch.randn(CONTEXT, WIDTH) * 0.02)
        self.blocks = nn.ModuleList(Block(k % 2 == 1) for k in range(LAYERS))
        self.norm = nn.LayerNorm(WIDTH)

    def forward(self, data):
        x, balance = self.tokens[data[:, :-1]] + self.positions, 0.0
        for block in self.blocks:
            x, b = block(x)
            balance = balance + b
        logits = self.norm(x) @ self.tokens.T
        return F.cross_entropy(logits.reshape(-1, 256), data[:, 1:].reshape(-1)) + 0.01 * balance


def curve(model, data):
    adam = torch.optim.Adam(model.parameters(), lr=1e-3, betas=(0.9, 0.999), eps=1e-8)
    losses = []
    for _ in range(STEPS):
        adam.zero_grad()
        loss = model(data)
        loss.backward()
        adam.step()
        losses.append(loss.item())
    return losses


def name(key):
    for experts in ("w1", "b1", "w2", "b2"):
        key = key.replace(f"switch.{experts}", f"switch.experts.{experts}")
    return key


def matrix(key, tensor):
    """RouteGrad's tensors are matrices: vectors are one row, experts stand one below the other (biases a row each)."""
    if tensor.dim() == 3:
        tensor = tensor.flatten(0, 1)
    return (tensor[None] if tensor.dim() == 1 else tensor).contiguous().clone()


def main():
    torch.manual_seed(0)
    torch.set_num_threads(1)
    model = Model()
    data = torch.randint(0, 256, (BATCH, CONTEXT + 1))
    file = {name(k): matrix(k, v.detach()) for k, v in model.named_parameters()}
    double = copy.deepcopy(model).double()
    file["data"] = data
    file["losses"] = torch.tensor(curve(model, data), dtype=torch.float64)
    file["losses.float64"] = torch.tensor(curve(double, data), dtype=torch.float64)
    print("largest difference of the precisions:", (file["losses"] - file["losses.float64"]).abs().max().item())
    print(file["losses"][[0, -1]].tolist())
    save_file(file, FIXTURES + "/reference/switch-transformer-curve.safetensors", metadata={"torch": torch.__version__})


main()
