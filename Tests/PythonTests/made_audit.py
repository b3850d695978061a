"""An audit of a network that was made up, without PyTorch: `python made_audit.py FILE` writes its page."""

import sys

import numpy as np

from routegrad._network_report import LayerFindings, NetworkAudit


def audit(name: str = "model.layers.{}.mlp") -> NetworkAudit:
    """Four layers of 8 experts, of which the third has no gradient at all."""
    random = np.random.default_rng(0)
    layers = []
    for k in range(4):
        x, seen, unseen = (random.normal(size=(20, width)) * (k != 2) for width in (4, 8, 8))
        load = random.integers(0, 9, 8).astype(float)
        spec = {"selection": {"kind": "top-k", "count": 2}}
        layers.append(LayerFindings.of(name.format(k), spec, x, seen, unseen, load, 0, 40, 1e-9))
    return NetworkAudit(tuple(layers), 1.5, 640, 20, 0)


if __name__ == "__main__":
    audit().to_html(sys.argv[1])
