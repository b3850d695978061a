"""Routers of transformers: a real MoE block as a router that is asked, and the specification that its configuration states.

    import routegrad.hf
    block = routegrad.hf.block("deepseek_v3", experts=8, top_k=2, n_group=4, topk_group=2)   # or one of a model of yours
    routegrad.hf.specification(block)                  # docs/router-specifications.md
    adapter = routegrad.hf.adapter(block)              # .profile, .answer(call): the exchange `routegrad.router/2`

A block is recognised by the name of its class (`FAMILIES`). The adapter drives a copy of it whose experts are stubs: each
returns a unit vector, so that what comes out of the block is what every expert's output is multiplied by in the end, whatever
scales come after the experts. The copy's router has the identity as weight: what the block is given is its logits. Shared
experts return 0, norms and projections around the experts nothing but their input. The block itself is left alone.

Needs torch and transformers; nothing of them is imported before this module is.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from ._errors import RouteGradError
from ._hf_adapter import BlockAdapter
from ._hf_blocks import block, configuration, specification
from ._hf_families import FAMILIES, SCHEMA, TEMPLATES, Family

__all__ = [
    "FAMILIES", "SCHEMA", "TEMPLATES", "BlockAdapter", "Family", "RouteGradError", "adapter", "block", "configuration", "specification",
]


def adapter(made: torch.nn.Module | str, *, spec: Mapping[str, Any] | str | None = None, dtype: torch.dtype = torch.float32,
            config: Any = None, **given: Any) -> BlockAdapter:
    """Drives a block, or a small one of the model with this name (`block`, which ``given`` goes to).

    Args:
        made: the block or the name.
        spec: what it is held to: a specification, or the name of a family whose router it ought to be, with its own
            numbers; else what it states of itself (`specification`).
        dtype: in which it computes; its own weights are not touched.
        config: the model's configuration, for the load-balancing loss.
    """
    if isinstance(made, str):
        config = config or _configured(made, **given)
        made = block(made, **given)
    if isinstance(spec, str):
        spec = specification(made, config, spec)
    return BlockAdapter(made, spec, dtype, config)


def _configured(name: str, *, experts: int = 8, top_k: int = 2, **given: Any) -> Any:
    family = next(family for key, family in FAMILIES.items() if name in (key, family.folder))
    return configuration(family, experts, top_k, **given)
