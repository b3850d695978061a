"""Routers of whole networks of PyTorch: what their gradients miss.

    import routegrad.torch
    print(routegrad.torch.audit(model, batch))                          # every MoE layer of a transformers model
    found = routegrad.torch.counterfactuals(model, batch, layer=0, tokens=[3])
    print(routegrad.assess(found.problems[0], "conventional"))          # exact, in depth

docs/guides/network-audit.md has the definitions. Needs torch, and transformers for its models.
"""

from __future__ import annotations

from ._counterfactuals import Counterfactuals
from ._errors import RouteGradError
from ._network_report import Difference, LayerFindings, NetworkAudit
from ._torch_audit import audit
from ._torch_blocks import Block
from ._torch_counterfactuals import counterfactuals

__all__ = [
    "Block", "Counterfactuals", "Difference", "LayerFindings", "NetworkAudit", "RouteGradError", "audit", "counterfactuals",
]
