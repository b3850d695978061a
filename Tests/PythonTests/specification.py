"""A router specification evaluated by autograd, in double precision: written from docs/router-specifications.md alone.

    answer(spec, call) -> {"choice", "multipliers", "gradient", "output", "auxiliaryLoss", "auxiliaryGradient",
                           "noiseGradient", "biasAfter"}

`spec` and `call` are what `json.loads` makes of the JSON; −∞ among logits is null. An answer has only what applies. It
shares nothing with the library: Fixtures/generators/router_specifications.py writes with it what the library's own
reference router is held to, and test_hf.py holds the blocks of transformers to it. What it does not decide: which experts a
router draws or takes by an unstated rule (the call says, as `choice`), and coins (`outputScales`; 1 here).
"""

from __future__ import annotations

import itertools
import math
from typing import Any

import torch

DTYPE = torch.float64
FORCED = ("forced", "sampled", "unstated")


def tensor(values: Any) -> torch.Tensor:
    """Nested lists as a tensor; null is −∞."""
    def number(value: Any) -> Any:
        return [number(x) for x in value] if isinstance(value, list) else -math.inf if value is None else value

    return torch.tensor(number(values), dtype=DTYPE)


# 1. Logits and noise.


def noisy(noise: dict[str, Any] | None, logits: torch.Tensor, nu: torch.Tensor | None, call: dict[str, Any]) -> torch.Tensor:
    """z [T][N]."""
    if noise is None or call["mode"] != "train":
        return logits
    kind, n = noise["kind"], logits.shape[1]
    width = noise.get("width", 1.0)
    if kind in ("uniform", "uniform-input"):
        factors = 1 - width + 2 * width * tensor(call["uniforms"])[:, :n]
        if kind == "uniform":
            return logits * factors
        return (logits.detach() * factors).requires_grad_()  # the gradient is that of z
    if kind == "normal":
        return logits + width * tensor(call["normals"])
    if kind == "learned-normal":
        assert nu is not None
        return logits + torch.nn.functional.softplus(nu) * tensor(call["normals"])
    if kind == "gumbel":
        return logits - width * torch.log(-torch.log(tensor(call["uniforms"])[:, :n]))
    raise ValueError(kind)


# 2. to 4. Score, key, restriction.


def kept_by_mask(mask: dict[str, Any] | None, z: list[float], out: set[int]) -> list[bool]:
    """Which experts SparseMixer's mask keeps of those not `out`, for one token."""
    left = [i for i in range(len(z)) if i not in out and z[i] > -math.inf]
    top = max(z[i] for i in left)
    rule, r = (mask or {}).get("rule", "none"), (mask or {}).get("threshold", 0.0)

    def keeps(x: float) -> bool:
        if rule == "paper":
            return top - x <= r * (abs(top) + abs(x))
        if rule == "reference-code":
            scale = max(abs(x), top)
            return not ((top - x) / scale > 2 * r) if scale else True
        return True

    return [i in left and keeps(z[i]) for i in range(len(z))]


def masked(mask: dict[str, Any] | None, z: torch.Tensor) -> torch.Tensor:
    """z with −∞ where the mask keeps nothing."""
    keep = torch.tensor([kept_by_mask(mask, row, set()) for row in z.tolist()])
    return torch.where(keep, z, -math.inf)


def scores(score: Any, z: torch.Tensor) -> torch.Tensor:
    """s [T][N], 0 where z is −∞."""
    kind = score if isinstance(score, str) else score["kind"]
    tau = 1.0 if isinstance(score, str) else score.get("temperature", 1.0)
    there = z > -math.inf
    x = torch.where(there, z, 0.0) / tau
    if kind == "softmax":
        return torch.softmax(torch.where(there, x, -math.inf), -1)
    if kind == "sigmoid":
        s = torch.sigmoid(x)
    elif kind == "softplus-sqrt":
        # Far below 0 it is e^{x/2}: the root's derivative there is not ∞·0.
        s = torch.where(x > -40, torch.sqrt(torch.logaddexp(x.clamp(min=-40), torch.zeros_like(x))), torch.exp(x.clamp(max=0) / 2))
    elif kind == "relu":
        s = torch.relu(x)
    elif kind == "exp":
        s = torch.exp(x)
    elif kind == "identity":
        s = x
    else:
        raise ValueError(kind)
    return torch.where(there, s, 0.0)


def best(values: list[float], count: int) -> list[int]:
    """The indices of the largest values above −∞, the largest first, of equal ones the lower index."""
    return [i for i in sorted(range(len(values)), key=lambda i: (-values[i], i)) if values[i] > -math.inf][:count]


def restricted(groups: dict[str, Any] | None, keys: list[float]) -> list[float]:
    """A token's keys, −∞ outside of the kept groups."""
    if groups is None:
        return keys
    of = [i * groups["count"] // len(keys) for i in range(len(keys))]
    worth = []
    for g in range(groups["count"]):
        members = sorted((k for k, group in zip(keys, of) if group == g), reverse=True)
        worth.append(members[0] if groups["score"] == "max" else sum(members[:2]))
    kept = sorted(range(len(worth)), key=lambda g: (-worth[g], g))[:groups["kept"]]
    return [k if of[i] in kept else -math.inf for i, k in enumerate(keys)]


# 5. Selection.


def chosen(spec: dict[str, Any], call: dict[str, Any], s: torch.Tensor, keys: torch.Tensor) -> list[list[int]]:
    """Each token's experts, in order of choice, before capacity."""
    if call.get("choice") is not None:
        return [list(row) for row in call["choice"]]
    selection = spec["selection"]
    kind, count = selection["kind"], selection["count"]
    rows = [restricted(spec.get("groups"), row) for row in keys.tolist()]
    if kind == "expert-choice":
        takers = [best([row[i] for row in rows], count) for i in range(s.shape[1])]
        return [[i for i, tokens in enumerate(takers) if t in tokens] for t in range(len(rows))]
    if kind == "top-p":
        result = []
        for t, row in enumerate(rows):
            taken, mass = [], 0.0
            for i in best(row, count):
                if mass >= selection["mass"]:
                    break
                taken.append(i)
                mass += s[t, i].item()
            result.append(taken)
        return result
    if kind == "threshold":
        return [[i for i in best(row, count) if row[i] > selection["above"]] for row in rows]
    if kind == "top-k" or (kind == "sampled" and call["mode"] != "train"):
        always = list(range(s.shape[1] - selection.get("always", 0), s.shape[1]))
        return [best(row[:len(row) - len(always)], count) + always for row in rows]
    raise ValueError(f"{kind}: the call must say the choice")


# 6. Gates.


def raw_gates(spec: dict[str, Any], noised: torch.Tensor, s: torch.Tensor, choice: list[list[int]]) -> list[torch.Tensor]:
    """h for each token's experts."""
    z = masked(spec.get("mask"), noised)
    gate = spec.get("gate") or {}
    of = gate.get("of", "score")
    rows = []
    for t, experts in enumerate(choice):
        if of == "score":
            h = s[t, experts]
        elif of == "softmax-over-chosen":
            h = torch.softmax(z[t, experts], -1)
        elif of == "sigmoid-of-logit":
            h = torch.sigmoid(z[t, experts])
        elif of == "one":
            h = torch.ones(len(experts), dtype=DTYPE)
        elif of == "sequential":
            steps, out = [], set()
            for i in experts:
                # The mask of a later draw is made anew, of what earlier draws have left.
                keep = torch.tensor(kept_by_mask(spec.get("mask"), noised[t].tolist(), out))
                steps.append(torch.softmax(torch.where(keep, noised[t], -math.inf), -1)[i])
                out.add(i)
            h = torch.stack(steps)
        elif of == "subset-marginal":
            odds = s[t] / (1 - s[t])
            subsets = list(itertools.combinations(range(s.shape[1]), len(experts)))
            weights = torch.stack([odds[list(subset)].prod() for subset in subsets])
            h = torch.stack([weights[[i in subset for subset in subsets]].sum() / weights.sum() for i in experts])
        else:
            raise ValueError(of)
        rows.append(h)
    return rows


def gates(spec: dict[str, Any], call: dict[str, Any], h: list[torch.Tensor], choice: list[list[int]],
          kept: list[list[bool]]) -> list[torch.Tensor]:
    """The multipliers of all that were chosen."""
    gate = spec.get("gate") or {}
    rows = []
    for t, row in enumerate(h):
        if gate.get("normalized"):
            total = row[kept[t]].sum() if gate.get("over") == "kept" else row.sum()
            total = total + gate.get("epsilon", 0.0)
            row = row / total.clamp(min=gate["floor"]) if gate.get("floor") else row / total
        row = row * gate.get("scale", 1.0)
        if gate.get("perExpertScale"):
            row = row * tensor(call["expertScales"])[choice[t]]
        factor = gate.get("factor", 1.0)
        if factor != 1.0:
            row = row.detach() + factor * (row - row.detach())
        rows.append(row)
    return rows


# 8. Capacity.


def room(capacity: dict[str, Any] | None, choice: list[list[int]], values: list[torch.Tensor]) -> list[list[bool]]:
    """Which of each token's choices are not turned away."""
    kept = [[capacity is None] * len(row) for row in choice]
    if capacity is None:
        return kept
    places = [(t, j) for t, row in enumerate(choice) for j in range(len(row))]
    priority = capacity.get("priority", "position")
    if priority == "rank":
        places.sort(key=lambda place: (place[1], place[0]))
    elif priority == "score":
        places.sort(key=lambda place: (-values[place[0]][place[1]].item(), place[0]))
    taken: dict[int, int] = {}
    for t, j in places:
        expert = choice[t][j]
        if taken.get(expert, 0) < capacity["limit"]:
            taken[expert] = taken.get(expert, 0) + 1
            kept[t][j] = True
    return kept


# 7. Application.


def output(spec: dict[str, Any], call: dict[str, Any], choice: list[list[int]], multipliers: list[torch.Tensor]) -> torch.Tensor:
    """y [T][w]."""
    null = spec.get("nullExperts")
    first_null = spec["experts"] - (null["count"] if null else 0)
    outputs = tensor(call["expertOutputs"]) if call.get("expertOutputs") is not None else None
    functions = call.get("functions")
    inputs = tensor(call["inputs"]) if call.get("inputs") is not None else None

    def apply(t: int, i: int, m: torch.Tensor) -> torch.Tensor:
        to_input = spec.get("applied", "output") == "input"
        if null and i >= first_null:
            if null["kind"] == "zero":
                return torch.zeros(len(call["upstream"][t]), dtype=DTYPE)
            return m * inputs[t]
        if functions is None:
            return m * outputs[t, i]
        f = functions[i]
        x = m * inputs[t] if to_input else inputs[t]
        y = tensor(f["outer"]) @ torch.tanh(tensor(f["inner"]) @ x) + tensor(f["offset"])
        return y if to_input else m * y

    rows = []
    for t, experts in enumerate(choice):
        row = torch.zeros(len(call["upstream"][t]), dtype=DTYPE)
        for j, i in enumerate(experts):
            row = row + apply(t, i, multipliers[t][j])
        rows.append(row)
    return torch.stack(rows)


# 9. Auxiliary losses.


def auxiliary(loss: dict[str, Any], call: dict[str, Any], z: torch.Tensor, s: torch.Tensor, choice: list[list[int]],
              multipliers: list[torch.Tensor]) -> torch.Tensor:
    """One loss."""
    tokens, n = z.shape
    scope, alpha = loss.get("scope", "batch"), loss.get("coefficient", 1.0)
    if scope == "sequence":
        numbers = call["sequences"]
        parts = []
        for number in sorted(set(numbers)):
            here = [t for t in range(tokens) if numbers[t] == number]
            parts.append(auxiliary({**loss, "scope": "batch"}, call, z[here], s[here], [choice[t] for t in here],
                                   [multipliers[t] for t in here]))
        return torch.stack(parts).mean()
    divisor = call["globalTokens"] if scope == "global" else tokens
    if loss["kind"] == "z":
        return alpha * (torch.logsumexp(z, -1) ** 2).sum() / divisor
    kind = loss.get("probabilities", "softmax")
    if kind == "softmax":
        p = torch.softmax(z, -1)
    elif kind == "normalized-score":
        p = s / s.sum(-1, keepdim=True)
    else:
        p = torch.stack([torch.zeros(n, dtype=DTYPE).index_add(0, torch.tensor(experts, dtype=torch.long), m)
                         for experts, m in zip(choice, multipliers)])
    if loss["kind"] == "cv-squared":
        importance = p.sum(0)
        return alpha * importance.var(unbiased=False) / importance.mean() ** 2
    if scope == "global":
        f = tensor(call["globalCounts"]) / divisor
    else:
        f = torch.zeros(n, dtype=DTYPE)
        for experts in choice:
            counted = experts[:1] if loss.get("counting") == "first" else experts
            for i in counted:
                f[i] += 1 / len(counted) if loss.get("counting") == "mean" else 1
        f = f / divisor
    return alpha * n * (f * (p.sum(0) / divisor)).sum()


# All of it.


def answer(spec: dict[str, Any], call: dict[str, Any]) -> dict[str, Any]:
    """What a router that is as specified answers."""
    logits = tensor(call["logits"]).requires_grad_()
    noise = spec.get("noise")
    learned = noise is not None and noise["kind"] == "learned-normal" and call["mode"] == "train"
    nu = tensor(call["noiseLogits"]).requires_grad_() if learned else None
    noised = noisy(noise, logits, nu, call)
    source = noised if noised.is_leaf else logits  # z itself, where the noise is on the input
    z = masked(spec.get("mask"), noised)
    s = scores(spec.get("score", "softmax"), z)
    # The mask is the softmax's: the logits as a key do not have it.
    keys = noised if spec.get("key", "score") == "logits" else torch.where(z > -math.inf, s, -math.inf)
    if spec.get("selectionBias"):
        keys = keys + tensor(call["bias"])
    everything = chosen(spec, call, s.detach(), keys.detach())

    gate_z, gate_s = noised, s
    if noise is not None and noise.get("reaches", "gates") == "choice":
        gate_z = logits
        gate_s = scores(spec.get("score", "softmax"), masked(spec.get("mask"), logits))
    # Without a gate the multipliers are not told; capacity and counts are.
    h = raw_gates(spec, gate_z, gate_s, everything)
    over_chosen = {**spec, "gate": {**(spec.get("gate") or {}), "over": "chosen"}}
    whole = gates(over_chosen, call, h, everything, [[True] * len(row) for row in everything])
    kept = room(spec.get("capacity"), everything, whole)
    multipliers = gates(spec, call, h, everything, kept)
    choice = [[i for i, keep in zip(row, k) if keep] for row, k in zip(everything, kept)]
    left = [row[k] for row, k in zip(multipliers, kept)]

    y = output(spec, call, choice, left)
    result: dict[str, Any] = {
        "choice": choice, "multipliers": [row.tolist() for row in left],
        "gradient": gradient((tensor(call["upstream"]) * y).sum(), source), "output": y.tolist(),
    }
    if learned:
        result["noiseGradient"] = gradient((tensor(call["upstream"]) * y).sum(), nu)
    if spec.get("auxiliaryLosses"):
        total = sum(auxiliary(loss, call, noised, s, everything, multipliers) for loss in spec["auxiliaryLosses"])
        result["auxiliaryLoss"] = total.item()
        result["auxiliaryGradient"] = gradient(total, source)
    if spec.get("biasUpdate"):
        update = spec["biasUpdate"]
        counts = torch.zeros(spec["experts"], dtype=DTYPE)
        for row in everything:
            counts[row] += 1
        missing = counts.mean() - counts
        result["biasAfter"] = (tensor(call["bias"]) + update["rate"] * (
            missing.sign() if update["rule"] == "sign" else missing)).tolist()
    return result


def gradient(value: torch.Tensor, source: torch.Tensor) -> list[list[float]]:
    """∂value/∂source, 0 where it does not depend on it."""
    if not value.requires_grad:
        return torch.zeros_like(source).tolist()
    found, = torch.autograd.grad(value, source, retain_graph=True, allow_unused=True)
    return (torch.zeros_like(source) if found is None else found).tolist()
