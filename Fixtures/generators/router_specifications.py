"""Small router specifications of every kind, with what autograd says that they answer: routers/autograd.jsonl.

    python3 router_specifications.py [OUTPUT]        (default: ../routers/autograd.jsonl; needs torch)

One object on each line, {"spec", "call", "answer"}, two calls for each specification. The answers are those of
Tests/PythonTests/specification.py, which is written from docs/router-specifications.md and shares nothing with the library;
every gradient is compared here with central differences, the choice held.
"""

import json
import math
import os
import random
import sys

import torch

from fixture_json import FIXTURES, compact

sys.path.insert(0, os.path.join(os.path.dirname(FIXTURES), "Tests", "PythonTests"))
import specification  # noqa: E402


def top_k(count):
    return {"kind": "top-k", "count": count}


def normalized(**more):
    return {"of": "score", "normalized": True, **more}


FUNCTIONS = {"functions": True}
BALANCE = {"kind": "balance", "coefficient": 0.25}

# name, N, fields, what a call has besides. `tokens` (else 3), `sizes` of logits, `nulls` among them, `mode`s of the two calls.
CASES = [
    # The score, and gates made of it.
    ("softmax-top1", 4, {"selection": top_k(1)}, {}),
    ("softmax-top2-masked-by-caller", 5, {"selection": top_k(2)}, {"nulls": 2}),
    ("softmax-normalized", 8, {"selection": top_k(2), "gate": normalized()}, {}),
    ("softmax-normalized-epsilon-scale", 6, {"selection": top_k(3), "gate": normalized(epsilon=1e-2, scale=2.5)}, {}),
    ("softmax-normalized-floor", 12, {"selection": top_k(2), "gate": normalized(floor=0.4)}, {}),
    ("softmax-temperature", 6, {"score": {"kind": "softmax", "temperature": 2.5}, "selection": top_k(2)}, {}),
    ("softmax-far-apart", 6, {"selection": top_k(2), "gate": normalized()}, {"size": 12.0}),
    ("softmax-ties", 6, {"selection": top_k(3)}, {"ties": True}),
    ("sigmoid", 8, {"score": "sigmoid", "selection": top_k(3)}, {}),
    ("sigmoid-normalized", 8, {"score": "sigmoid", "selection": top_k(3), "gate": normalized(epsilon=1e-20, scale=1.5)}, {"nulls": 1}),
    ("sigmoid-temperature", 5, {"score": {"kind": "sigmoid", "temperature": 0.5}, "selection": top_k(2)}, {}),
    ("softplus-sqrt", 6, {"score": "softplus-sqrt", "selection": top_k(2), "gate": normalized()}, {"nulls": 1}),
    ("softplus-sqrt-temperature", 6, {"score": {"kind": "softplus-sqrt", "temperature": 2}, "selection": top_k(2)}, {}),
    ("relu", 6, {"score": "relu", "selection": {"kind": "threshold", "above": 0, "count": 6}}, {}),
    ("relu-temperature-at-most-two", 6,
     {"score": {"kind": "relu", "temperature": 2}, "selection": {"kind": "threshold", "above": 0.1, "count": 2}}, {}),
    ("exp", 5, {"score": "exp", "selection": top_k(2)}, {"nulls": 1}),
    ("exp-normalized-temperature", 5, {"score": {"kind": "exp", "temperature": 1.5}, "selection": top_k(2), "gate": normalized()}, {}),
    ("identity", 5, {"score": "identity", "selection": top_k(2)}, {"nulls": 1}),
    ("identity-temperature", 5, {"score": {"kind": "identity", "temperature": 4}, "selection": top_k(2)}, {}),
    # Noise.
    ("uniform-noise", 6, {"noise": {"kind": "uniform", "width": 0.5}, "selection": top_k(2)}, {"modes": ("train", "eval")}),
    ("uniform-noise-on-input", 6, {"noise": {"kind": "uniform-input", "width": 0.5}, "selection": top_k(2), "gate": normalized()}, {}),
    ("normal-noise", 6, {"noise": {"kind": "normal", "width": 0.7}, "selection": top_k(2)}, {"modes": ("train", "eval")}),
    ("normal-noise-chooses", 6, {"noise": {"kind": "normal", "width": 2, "reaches": "choice"}, "selection": top_k(2)}, {}),
    ("learned-noise", 6, {"noise": {"kind": "learned-normal"}, "selection": top_k(2), "gate": {"of": "softmax-over-chosen"}},
     {"modes": ("train", "eval")}),
    ("learned-noise-scores", 5, {"noise": {"kind": "learned-normal"}, "score": "sigmoid", "selection": top_k(2)}, {"nulls": 1}),
    ("gumbel-noise", 6, {"noise": {"kind": "gumbel"}, "selection": top_k(1)}, {"modes": ("train", "eval")}),
    ("gumbel-noise-chooses", 6, {"noise": {"kind": "gumbel", "width": 0.5, "reaches": "choice"}, "selection": top_k(2), "gate": normalized()}, {}),
    ("uniform-noise-chooses", 6, {"noise": {"kind": "uniform", "width": 0.9, "reaches": "choice"}, "score": "sigmoid", "selection": top_k(2)}, {}),
    # Keys, bias, groups, masks.
    ("key-logits", 6, {"score": "sigmoid", "key": "logits", "selectionBias": True, "selection": top_k(2)}, {"bias": 3.0}),
    ("bias", 8, {"score": "sigmoid", "selectionBias": True, "selection": top_k(3), "gate": normalized(scale=2.5)}, {"bias": 5.0}),
    ("bias-on-softmax", 6, {"selectionBias": True, "selection": top_k(2)}, {"bias": 1.0}),
    ("groups-max", 8, {"groups": {"count": 4, "kept": 2, "score": "max"}, "selection": top_k(3), "gate": {"of": "score", "scale": 16}}, {}),
    ("groups-sum-of-two", 12, {"score": "sigmoid", "selectionBias": True, "groups": {"count": 3, "kept": 2, "score": "sum-of-two"},
                               "selection": top_k(4), "gate": normalized(epsilon=1e-20, scale=2.5)}, {"bias": 1.0}),
    ("groups-of-negative-keys", 8, {"score": "sigmoid", "selectionBias": True, "groups": {"count": 4, "kept": 1, "score": "sum-of-two"},
                                    "selection": top_k(2)}, {"bias": -4.0}),
    ("mask-paper", 6, {"mask": {"rule": "paper", "threshold": 0.4}, "selection": {"kind": "sampled", "count": 1}, "gate": {"of": "score", "factor": 2}}, {"kept": 1}),
    ("mask-reference-code", 6, {"mask": {"rule": "reference-code", "threshold": 0.4}, "selection": {"kind": "sampled", "count": 1},
                                "gate": {"of": "score", "factor": 2}}, {"kept": 1}),
    # Selection.
    ("top-p", 8, {"selection": {"kind": "top-p", "mass": 0.6, "count": 8}}, {}),
    ("top-p-at-most-two", 8, {"selection": {"kind": "top-p", "mass": 0.8, "count": 2}, "gate": normalized()}, {}),
    ("threshold-on-logits", 6, {"score": "sigmoid", "key": "logits", "selection": {"kind": "threshold", "above": 0.5, "count": 3}}, {}),
    ("expert-choice", 4, {"selection": {"kind": "expert-choice", "count": 2}}, {"tokens": 5}),
    ("expert-choice-normalized", 4, {"score": "sigmoid", "selection": {"kind": "expert-choice", "count": 3}, "gate": normalized(epsilon=1e-6)}, {"tokens": 4}),
    ("sampled", 6, {"selection": {"kind": "sampled", "count": 2}, "gate": normalized()}, {"choose": 2}),
    ("forced", 6, {"selection": {"kind": "forced", "count": 2}}, {"choose": 2}),
    ("forced-sigmoid-of-logit", 6, {"score": "softplus-sqrt", "selection": {"kind": "forced", "count": 2}, "gate": normalized(of="sigmoid-of-logit")}, {"choose": 2}),
    ("unstated", 6, {"selection": {"kind": "unstated", "count": 1, "joint": True}, "gate": {"of": "sigmoid-of-logit"}, "replays": True}, {"choose": 1}),
    ("replay", 6, {"score": "sigmoid", "selectionBias": True, "selection": top_k(2), "gate": normalized(), "replays": True}, {"choose": 2, "bias": 1.0}),
    ("always", 8, {"score": "sigmoid", "selectionBias": True, "selection": {"kind": "top-k", "count": 2, "always": 2},
                   "gate": normalized(scale=8)}, {"bias": 3.0}),
    # Gates.
    ("softmax-over-chosen", 6, {"key": "logits", "selection": top_k(3), "gate": {"of": "softmax-over-chosen"}}, {}),
    ("softmax-over-chosen-scales", 6, {"key": "logits", "selection": top_k(2), "gate": {"of": "softmax-over-chosen", "scale": 0.5, "perExpertScale": True}}, {}),
    ("sigmoid-of-logit", 6, {"key": "logits", "selection": top_k(2), "gate": {"of": "sigmoid-of-logit"}}, {}),
    ("sequential", 6, {"mask": {"rule": "reference-code", "threshold": 0.4}, "selection": {"kind": "sampled", "count": 2},
                       "gate": {"of": "sequential", "factor": 2}}, {"kept": 2}),
    ("sequential-no-mask", 5, {"selection": {"kind": "sampled", "count": 2}, "gate": {"of": "sequential"}}, {"choose": 2}),
    ("subset-marginal", 6, {"score": "sigmoid", "selection": {"kind": "sampled", "count": 3}, "gate": {"of": "subset-marginal"}}, {"choose": 3}),
    ("subset-marginal-top2-of-softmax", 5, {"selection": top_k(2), "gate": {"of": "subset-marginal"}}, {}),
    ("gate-one", 5, {"selection": top_k(2), "gate": {"of": "one"}}, {}),
    ("per-expert-scale", 5, {"selection": top_k(2), "gate": normalized(perExpertScale=True)}, {}),
    ("factor", 5, {"selection": top_k(2), "gate": {"of": "score", "factor": 2}}, {}),
    # Application, null experts.
    ("functions", 5, {"selection": top_k(2), **FUNCTIONS}, {"functions": True}),
    ("applied-to-input", 5, {"score": "sigmoid", "key": "logits", "selection": top_k(1), "applied": "input"}, {"functions": True}),
    ("applied-to-input-normalized", 6, {"selection": top_k(2), "gate": normalized(scale=1.5), "applied": "input"}, {"functions": True}),
    ("null-identity", 6, {"selection": top_k(3), "selectionBias": True, "gate": {"of": "score", "scale": 6}, "nullExperts": {"count": 2, "kind": "identity"}},
     {"bias": 0.5, "inputs": True}),
    ("null-zero", 6, {"selection": top_k(3), "gate": normalized(), "nullExperts": {"count": 3, "kind": "zero"}}, {}),
    # Capacity.
    ("capacity-position", 4, {"selection": top_k(2), "capacity": {"limit": 2, "priority": "position"}}, {"tokens": 6}),
    ("capacity-rank", 4, {"selection": top_k(2), "gate": normalized(), "capacity": {"limit": 2, "priority": "rank"}}, {"tokens": 6}),
    ("capacity-rank-over-kept", 4, {"selection": top_k(2), "gate": normalized(over="kept", floor=1e-7), "capacity": {"limit": 2, "priority": "rank"}}, {"tokens": 6}),
    ("capacity-score", 4, {"selection": top_k(2), "capacity": {"limit": 2, "priority": "score"}}, {"tokens": 6}),
    # Auxiliary losses.
    ("balance", 5, {"selection": top_k(2), "auxiliaryLosses": [BALANCE]}, {"tokens": 6}),
    ("balance-first", 5, {"selection": top_k(2), "auxiliaryLosses": [{**BALANCE, "counting": "first"}]}, {"tokens": 6}),
    ("balance-mean-before-capacity", 5, {"selection": top_k(2), "capacity": {"limit": 2}, "auxiliaryLosses": [{**BALANCE, "counting": "mean"}]}, {"tokens": 6}),
    ("balance-of-normalized-sigmoids", 6, {"score": "sigmoid", "selectionBias": True, "selection": top_k(2), "gate": normalized(),
                                           "auxiliaryLosses": [{**BALANCE, "probabilities": "normalized-score", "scope": "sequence", "counting": "mean"}]},
     {"tokens": 7, "sequences": True, "bias": 1.0}),
    ("balance-of-gates", 5, {"selection": top_k(2), "gate": normalized(scale=2), "auxiliaryLosses": [{**BALANCE, "probabilities": "gate"}]}, {"tokens": 6}),
    ("balance-global", 5, {"selection": top_k(2), "auxiliaryLosses": [{**BALANCE, "scope": "global"}]}, {"tokens": 4, "global": 2}),
    ("z-loss", 5, {"selection": top_k(1), "auxiliaryLosses": [{"kind": "z", "coefficient": 0.001}]}, {"tokens": 4, "nulls": 1}),
    ("z-loss-sequence-and-balance", 5, {"selection": top_k(2), "auxiliaryLosses": [{"kind": "z", "coefficient": 0.01, "scope": "sequence"}, BALANCE]},
     {"tokens": 5, "sequences": True}),
    ("z-loss-global-with-noise", 5, {"noise": {"kind": "normal", "width": 0.5}, "selection": top_k(1),
                                     "auxiliaryLosses": [{"kind": "z", "coefficient": 0.01, "scope": "global"}]}, {"tokens": 4, "global": 1}),
    ("cv-squared", 5, {"selection": top_k(2), "auxiliaryLosses": [{"kind": "cv-squared", "coefficient": 0.1}]}, {"tokens": 4}),
    ("cv-squared-of-gates-learned-noise", 5, {"noise": {"kind": "learned-normal"}, "selection": top_k(2), "gate": {"of": "softmax-over-chosen"},
                                              "auxiliaryLosses": [{"kind": "cv-squared", "coefficient": 0.1, "probabilities": "gate"}]}, {"tokens": 4}),
    ("cv-squared-sequence-normalized-relu", 5, {"score": "relu", "selection": {"kind": "threshold", "above": 0, "count": 5},
                                                "auxiliaryLosses": [{"kind": "cv-squared", "probabilities": "normalized-score", "scope": "sequence"}]},
     {"tokens": 5, "sequences": True}),
    # The bias's update.
    ("bias-sign", 5, {"score": "sigmoid", "selectionBias": True, "selection": top_k(2), "biasUpdate": {"rule": "sign", "rate": 0.001}}, {"tokens": 5, "bias": 0.5}),
    ("bias-proportional-null", 6, {"selectionBias": True, "selection": top_k(2), "nullExperts": {"count": 2, "kind": "zero"},
                                   "biasUpdate": {"rule": "proportional", "rate": 0.01}}, {"tokens": 5, "bias": 0.2}),
]


def spec_of(name, experts, fields):
    return {"schema": "routegrad.router-spec/1", "name": name, "experts": experts, **fields}


def call_of(spec, given, number):
    dice = random.Random(f"{spec['name']} {number}")
    tokens, n, width = given.get("tokens", 3), spec["experts"], 2
    size = given.get("size", 1.5)

    def numbers(*shape, scale=1.0):
        if len(shape) > 1:
            return [numbers(*shape[1:], scale=scale) for _ in range(shape[0])]
        return [round(dice.gauss(0, scale), 3) for _ in range(shape[0])]

    def draws(*shape):
        return [[round(dice.uniform(0.001, 0.999), 4) for _ in range(shape[1])] for _ in range(shape[0])]

    call = {"mode": given.get("modes", ("train", "train"))[number - 1]}
    logits = numbers(tokens, n, scale=size)
    for row in logits:
        if given.get("ties"):
            row[:] = [0.5, -1.0, 0.5, 2.0, -1.0, 0.5]
            dice.shuffle(row)
        for i in dice.sample(range(n), given.get("nulls", 0)):
            row[i] = None
        if spec.get("score") in ("relu",) and max(row) <= 0:
            row[0] = 0.75
    call["logits"] = logits
    call["expertOutputs"] = numbers(tokens, n, width)
    call["upstream"] = numbers(tokens, width)
    noise = (spec.get("noise") or {}).get("kind")
    if noise in ("uniform", "uniform-input", "gumbel"):
        call["uniforms"] = draws(tokens, n)
    if noise in ("normal", "learned-normal"):
        call["normals"] = numbers(tokens, n)
    if noise == "learned-normal":
        call["noiseLogits"] = numbers(tokens, n)
    if spec.get("selectionBias"):
        bias = numbers(n, scale=abs(given["bias"]))
        call["bias"] = [-abs(x) - 1.5 for x in bias] if given["bias"] < 0 else bias
    if "choose" in given:
        there = [[i for i in range(n) if row[i] is not None] for row in logits]
        call["choice"] = [dice.sample(left, given["choose"]) for left in there]
    if "kept" in given:
        call["choice"] = []
        for row in logits:
            drawn = []
            for _ in range(given["kept"]):
                keep = specification.kept_by_mask(spec["mask"], row, set(drawn))
                drawn.append(dice.choice([i for i in range(n) if keep[i]]))
            call["choice"].append(drawn)
    if (spec.get("gate") or {}).get("perExpertScale"):
        call["expertScales"] = [round(dice.uniform(0.5, 2), 3) for _ in range(n)]
    if given.get("functions"):
        call["inputs"] = numbers(tokens, 3)
        call["functions"] = [{"inner": numbers(4, 3), "outer": numbers(width, 4), "offset": numbers(width)} for _ in range(n)]
        call["expertOutputs"] = [[apply(f, x) for f in call["functions"]] for x in call["inputs"]]
    if given.get("inputs"):
        call["inputs"] = numbers(tokens, width)
    null = spec.get("nullExperts")
    for t in range(tokens if null else 0):
        for i in range(n - null["count"], n):
            call["expertOutputs"][t][i] = list(call["inputs"][t]) if null["kind"] == "identity" else [0.0] * width
    if given.get("sequences"):
        call["sequences"] = [0 if t < 2 else 1 if t < 3 else 7 for t in range(tokens)]
        dice.shuffle(call["sequences"])
    if "global" in given:
        # A larger batch, of which this call is a part: its counts are at least the call's own.
        own = specification.answer({**spec, "auxiliaryLosses": []}, call)["choice"]
        call["globalTokens"] = 3 * tokens
        counts = [sum(i in row for row in own) for i in range(n)]
        for _ in range(2 * tokens):
            for i in dice.sample(range(n), given["global"]):
                counts[i] += 1
        call["globalCounts"] = counts
    return call


def apply(function, x):
    f = {key: specification.tensor(value) for key, value in function.items()}
    return (f["outer"] @ torch.tanh(f["inner"] @ specification.tensor(x)) + f["offset"]).tolist()


def assert_differences(spec, call, answer):
    """Gradients against central differences, the choice held; what a factor or noise on the input changes is taken off."""
    noise = (spec.get("noise") or {}).get("kind")
    held = {**call, "choice": specification.answer({**spec, "capacity": None}, call)["choice"]}
    if noise == "uniform-input":
        return  # the gradient is not that of the logits
    factor = (spec.get("gate") or {}).get("factor", 1.0)
    step = 1e-6

    def main(c):
        return sum(u * y for us, ys in zip(c["upstream"], specification.answer(spec, c)["output"]) for u, y in zip(us, ys))

    def loss(c):
        return specification.answer(spec, c).get("auxiliaryLoss", 0.0)

    wanted = [("logits", main, "gradient", factor)]
    if "noiseGradient" in answer:
        wanted.append(("noiseLogits", main, "noiseGradient", factor))
    # A balance loss counts choices, which are held; with capacity they are not the answer's.
    if "auxiliaryGradient" in answer:
        wanted.append(("logits", loss, "auxiliaryGradient", 1.0))
    for field, function, key, times in wanted:
        for t, row in enumerate(call[field]):
            for i, x in enumerate(row):
                if x is None:
                    continue
                sides = []
                for sign in (1, -1):
                    moved = json.loads(json.dumps(held))
                    moved[field][t][i] = x + sign * step
                    sides.append(function(moved))
                difference = times * (sides[0] - sides[1]) / (2 * step)
                found = answer[key][t][i]
                assert abs(difference - found) <= 1e-7 * max(1, abs(found)), (spec["name"], key, t, i, difference, found)


def main():
    path = sys.argv[1] if len(sys.argv) > 1 else os.path.join(FIXTURES, "routers", "autograd.jsonl")
    torch.set_num_threads(1)
    lines = []
    for name, experts, fields, given in CASES:
        spec = spec_of(name, experts, fields)
        for number in (1, 2):
            call = call_of(spec, given, number)
            answer = specification.answer(spec, call)
            flat = json.dumps(answer)
            assert "NaN" not in flat and "Infinity" not in flat, (name, answer)
            assert_differences(spec, call, answer)
            lines.append(compact({"spec": spec, "call": call, "answer": answer}))
    with open(path, "w", encoding="ascii", newline="\n") as file:
        file.write("\n".join(lines) + "\n")
    print(f"{len(CASES)} specifications, {len(lines)} calls", file=sys.stderr)


if __name__ == "__main__":
    main()
