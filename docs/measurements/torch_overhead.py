"""What the slopes u·f_i of routegrad.torch.audit add to evaluating the experts: docs/guides/network-audit.md has the figures.

    python docs/measurements/torch_overhead.py [THREADS] [TRIALS]

A layer of Qwen3-MoE with N = 128, k = 8, d = 512, h = 256 and T = 512 tokens in Float32. Compared are, one after the other in every trial, all
experts for all tokens by the block's own code, the same by bare matrix products, and what the audit does. Times are the process's processor time, on all
threads, which other programs on the machine disturb least; the smallest of the trials, and the median of each trial's ratio.
"""

import statistics
import sys
import time

import numpy as np
import torch
import transformers
from routegrad._torch_audit import slopes
from routegrad._torch_blocks import sites

threads, trials = (int(word) for word in (*sys.argv[1:], *("1", "15")[len(sys.argv) - 1:]))
torch.set_num_threads(threads)
torch.manual_seed(0)
model = transformers.Qwen3MoeForCausalLM(transformers.Qwen3MoeConfig(
    vocab_size=64, hidden_size=512, moe_intermediate_size=256, num_hidden_layers=1, num_attention_heads=4, num_key_value_heads=4,
    num_experts=128, num_experts_per_tok=8)).eval()
site, = sites(model, None)
x, u, logits = torch.randn(512, 512), torch.randn(512, 512), np.random.default_rng(0).normal(size=(512, 128))


@torch.no_grad()
def experts():
    for i in range(128):
        site.each(i, x)


@torch.no_grad()
def products():
    for up, down in zip(site.module.gate_up_proj, site.module.down_proj):
        gate, value = (x @ up.T).chunk(2, -1)
        (torch.nn.functional.silu(gate) * value) @ down.T


def audit():
    slopes(site, x, u, logits)


times = {function: [] for function in (experts, products, audit)}
for trial in range(trials + 1):
    for function, taken in times.items():
        start = time.process_time()
        function()
        if trial:  # the first is for warming up
            taken.append(time.process_time() - start)
ratios = [a / e - 1 for a, e in zip(times[audit], times[experts])]
print(f"{threads} threads, {trials} trials: " + ", ".join(f"{f.__name__} {min(t):.3f} s" for f, t in times.items())
      + f"; added to the experts {100 * (min(times[audit]) / min(times[experts]) - 1):.1f} % (median of the trials {100 * statistics.median(ratios):.1f} %)")
