"""A top-1 router in forty lines of Python without packages, for `routegrad lint`; the exchange is docs/lint-protocol.md.

    routegrad lint -- python3 router.py                  # softmax over all experts, then top-1: sound
    routegrad lint -- python3 router.py --softmax-last   # softmax over the chosen expert alone: its gate is 1, its gradient 0
"""

import json
import math
import sys

SOFTMAX_LAST = "--softmax-last" in sys.argv


def softmax(logits):
    top = max(logits)
    weights = [math.exp(x - top) if x > -math.inf else 0 for x in logits]
    return [w / sum(weights) for w in weights]


def route(logits, outputs, upstream):
    """Choice, gate, gradient of the logits, and output of one token."""
    logits = [-math.inf if x is None else x for x in logits]  # null: masked by the caller
    choice = max(range(len(logits)), key=lambda k: logits[k])
    pi = softmax(logits)
    gate = 1.0 if SOFTMAX_LAST else pi[choice]
    slope = sum(u * f for u, f in zip(upstream, outputs[choice]))  # ∂L/∂gate
    gradient = [0.0 if SOFTMAX_LAST else slope * pi[choice] * ((k == choice) - pi[k]) for k in range(len(pi))]
    return [choice], [gate], gradient, [gate * f for f in outputs[choice]]


greeting = json.loads(sys.stdin.readline())
profile = {"name": "router.py", "experts": greeting["experts"], "topK": 1, "gates": "softmax"}
print(json.dumps(profile), flush=True)
for line in sys.stdin:
    call = json.loads(line)
    tokens = [route(*token) for token in zip(call["logits"], call["expertOutputs"], call["upstream"])]
    choice, multipliers, gradient, output = (list(part) for part in zip(*tokens))
    answer = {
        "call": call["call"], "choice": choice, "multipliers": multipliers, "gradient": gradient, "output": output,
        "logitsAfter": call["logits"]}
    print(json.dumps(answer), flush=True)
