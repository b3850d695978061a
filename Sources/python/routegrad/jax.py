"""Routers of networks of JAX, which are functions: what their gradients miss.

    import routegrad.jax

    def loss(params, batch):                                   # yours, with two calls in every layer
        …
        gates = routegrad.jax.routed("layer 0", x, logits, choice, gates)
        y = …                                                  # Σ_j gates_j f_{choice_j}(x)
        y = routegrad.jax.combined("layer 0", y)
        …

    layer = routegrad.jax.Layer("layer 0", experts=8, expert=lambda params, i, x: …, specification={…})
    print(routegrad.jax.audit(loss, params, batch, layer))
    found = routegrad.jax.counterfactuals(loss, params, batch, layer, tokens=[3])
    print(routegrad.assess(found.problems[0], "conventional"))          # exact, in depth

docs/guides/network-audit.md has the definitions. Needs jax.
"""

from __future__ import annotations

from ._counterfactuals import Counterfactuals
from ._errors import RouteGradError
from ._jax_audit import Layer, audit, combined, routed
from ._jax_counterfactuals import counterfactuals
from ._network_report import Difference, LayerFindings, NetworkAudit

__all__ = [
    "Counterfactuals", "Difference", "Layer", "LayerFindings", "NetworkAudit", "RouteGradError", "audit", "combined", "counterfactuals",
    "routed",
]
