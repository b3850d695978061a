"""A router's gradient samples, as JSON lines without end: the conventional gate gradient of my-token.json.

    python3 router.py | routegrad verify - --problem my-token.json --estimator conventional
    python3 router.py --detached | routegrad verify - --problem my-token.json --estimator conventional

With --detached the softmax is not differentiated through, which leaves the gradient on the chosen expert only.
"""

import json
import math
import random
import sys

logits = [0.3, -1.2, 0.8]
outputs = [[0.1, 0.2], [1.0, -0.4], [0.0, 0.3]]
scales, targets = [1.0, 2.0], [0.5, -0.5]

total = sum(math.exp(x) for x in logits)
pi = [math.exp(x) / total for x in logits]
random.seed(1)

try:
    while True:
        [choice] = random.choices(range(3), pi)
        y = [pi[choice] * x for x in outputs[choice]]
        slope = [a * math.tanh(a * z - t) for a, z, t in zip(scales, y, targets)]
        weight = pi[choice] * sum(s * x for s, x in zip(slope, outputs[choice]))
        gradient = [weight * ((k == choice) - pi[k]) for k in range(3)]
        if "--detached" in sys.argv:
            gradient = [g if k == choice else 0 for k, g in enumerate(gradient)]
        print(json.dumps({"gradient": gradient, "choice": [choice], "coins": []}), flush=True)
except BrokenPipeError:  # the verdict is in
    sys.stderr.close()
