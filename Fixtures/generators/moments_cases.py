"""The problems, masks and estimators of reference/moments-mpmath.json: seeded, values rounded to four decimals."""

import random

REINFORCE = ["reinforce:baseline=none", "reinforce:baseline=constant,value=0.7", "reinforce:baseline=uniform-mean",
             "reinforce:baseline=optimal", "reinforce:baseline=leave-one-out,samples=2",
             "reinforce:baseline=leave-one-out,samples=4"]
RELAXED = [f"straight-through:tau={tau}" for tau in ("0.05", "1", "10")] + \
          [f"reinmax:tau={tau}" for tau in ("0.05", "1", "1.3", "10")] + ["darn", "zgr"]
DECOUPLED = [f"straight-through:tau={tau},draw-tau={draw}" for tau, draw in (("1", "0.5"), ("0.7", "2"))]
RULES = ["euler", "midpoint", "heun3", "simpson", "rkf4", "rkf5", "gauss-legendre,points=3"]
SPARSE = ["conventional", "first-order", "midpoint", "sparsemixer", "sparsemixer-v2:reference-constants=false",
          "sparsemixer-v2:reference-constants=true", "sparsemixer-v2-top2:reference-constants=false"] + \
         [f"quadrature:rule={rule},evaluation={way}" for rule in RULES for way in ("all-nodes", "one-node")]
DENSE = ["dense-backward", "default-moe:k=1", "default-moe:k=2"]

CATEGORICAL = REINFORCE + RELAXED + DECOUPLED + ["exact"]
MIXTURE = REINFORCE + RELAXED + SPARSE + DENSE + ["exact"]
SOME = {"categorical": ["reinforce:baseline=none", "reinforce:baseline=optimal",
                        "reinforce:baseline=leave-one-out,samples=4", "straight-through:tau=1", "reinmax:tau=1.3", "darn", "zgr", "exact"]}
SOME["mixture"] = SOME["categorical"][:-1] + [
    "conventional", "midpoint", "sparsemixer", "sparsemixer-v2:reference-constants=false",
    "sparsemixer-v2-top2:reference-constants=false", "quadrature:rule=heun3,evaluation=one-node",
    "quadrature:rule=rkf5,evaluation=all-nodes", "quadrature:rule=gauss-legendre,points=3,evaluation=one-node",
    "dense-backward", "default-moe:k=2", "exact"]
FEW = {"categorical": ["reinforce:baseline=optimal", "straight-through:tau=1", "reinmax:tau=1", "darn", "zgr",
                       "straight-through:tau=0.7,draw-tau=2", "exact"]}
FEW["mixture"] = ["reinforce:baseline=uniform-mean", "reinmax:tau=1.3", "darn", "zgr", "sparsemixer",
                  "sparsemixer-v2:reference-constants=false", "quadrature:rule=simpson,evaluation=one-node",
                  "dense-backward", "default-moe:k=1", "exact"]

LOSSES = ["linear", "quadratic", "separable-power", "log-cosh", "softmax-cross-entropy", "polynomial"]


class Maker:
    """Random parts of problems, a stream of its own for each problem's name."""

    def __init__(self, name):
        self.random = random.Random("routegrad " + name)

    def numbers(self, n, spread=1.0, centre=0.0):
        return [round(self.random.gauss(centre, spread), 4) + 0.0 for _ in range(n)]

    def objective(self, kind, width):
        r = self.random
        if kind == "linear":
            return {"type": kind, "coefficients": self.numbers(width)}
        if kind == "quadratic":
            m = [self.numbers(width) for _ in range(width)]
            return {"type": kind, "matrix": [[m[min(i, j)][max(i, j)] for j in range(width)] for i in range(width)],
                    "linear": self.numbers(width)}
        if kind == "separable-power":
            spec = {"type": kind, "exponent": r.choice([1.5, 2.0, 2.5, 3.0, 4.0]), "targets": self.numbers(width, 0.5)}
            if r.random() < 0.5:
                spec["weights"] = [round(r.uniform(0.2, 2.0), 4) for _ in range(width)]
            return spec
        if kind == "log-cosh":
            return {"type": kind, "scales": self.numbers(width, 1.5), "targets": self.numbers(width)}
        if kind == "softmax-cross-entropy":
            classes = r.randint(2, 5)
            return {"type": kind, "weights": [self.numbers(width) for _ in range(classes)],
                    "biases": self.numbers(classes, 0.5), "label": r.randrange(classes)}
        if kind == "polynomial":
            return {"type": kind, "coefficients": self.numbers(r.randint(3, 7)), "direction": self.numbers(width, 0.7)}
        raise ValueError(kind)

    def problem(self, name, kind, loss, logits, width=None, coefficients=None):
        problem = {"schema": "routegrad.problem/1", "name": name, "kind": kind, "logits": logits}
        n = len(logits)
        if kind == "mixture":
            problem["expertOutputs"] = [self.numbers(width) for _ in range(n)]
            if self.random.random() < 0.6:
                problem["scale"] = self.numbers(width, 0.5, 0.8)
            problem["defaultOutputs"] = [[round(0.7 * x + self.random.gauss(0, 0.3), 4) + 0.0 for x in row]
                                         for row in problem["expertOutputs"]]
        spec = self.objective(loss, n if kind == "categorical" else width)
        if coefficients:
            spec["coefficients"] = coefficients
        problem["objective" if kind == "categorical" else "loss"] = spec
        return problem


def estimators(kind, experts):
    if experts >= 32:
        return (SOME if experts == 32 else FEW)[kind]
    chosen = CATEGORICAL if kind == "categorical" else MIXTURE
    return [e for e in chosen if experts >= 2 or ("top2" not in e and e != "default-moe:k=2")]


def case(name, kind, loss, logits=None, experts=None, width=None, mask=("none", None), covariance=False, spread=1.0,
         centre=0.0, coefficients=None):
    maker = Maker(name)
    logits = [float(x) for x in logits] if logits else maker.numbers(experts, spread, centre)
    problem = maker.problem(name, kind, loss, logits, width, coefficients)
    return {"problem": problem, "mask": mask, "covariance": covariance, "estimators": estimators(kind, len(logits))}


def cases():
    paper, code = (lambda r: ("paper", r)), (lambda r: ("reference-code", r))
    result = []
    add = lambda *a, **k: result.append(case(*a, **k))

    # moderate logits: every objective in both kinds, each with its own mask
    masks = dict(zip(LOSSES, [paper(0.3), code(0.3), paper(0.4), code(0.1), paper(0.5), code(0.4)]))
    sizes = ((3, (1, 2, 3, 4, 5, 6)), (2, (2, 1, 3, 2, 4, 1)), (8, (8, 5, 8, 3, 6, 7)), (1, (2, 1, 3, 1, 2, 1)))
    for experts, widths in sizes:
        for loss, width in zip(LOSSES, widths):
            if experts == 1 and loss not in ("quadratic", "log-cosh", "softmax-cross-entropy"):
                continue
            add(f"categorical-{experts}-{loss}", "categorical", loss, experts=experts, covariance=experts == 3)
            add(f"mixture-{experts}-{loss}", "mixture", loss, experts=experts, width=width,
                covariance=experts == 3 and loss in ("log-cosh", "polynomial") or experts == 2 and loss == "quadratic")
            if experts in (3, 8):
                mask = code(0.02) if (experts, loss) == (3, "log-cosh") else masks[loss]
                add(f"mixture-{experts}-{loss}-masked", "mixture", loss, experts=experts, width=width, mask=mask,
                    centre=-1.5 if loss in ("log-cosh", "polynomial") else 1.5,
                    covariance=experts == 3 and loss == "softmax-cross-entropy")
    add("mixture-1-masked", "mixture", "log-cosh", experts=1, width=2, mask=paper(0.1))

    # the same problem under both rules, whose supports differ
    for rule in (paper(0.1), code(0.1), paper(0.3), code(0.3), paper(1.0), code(1.0)):
        name = "mixture-8-spread-" + rule[0] + f"-{rule[1]}"
        result.append(case("mixture-8-spread", "mixture", "log-cosh", width=4, mask=rule,
                           logits=[2.0, 1.7, 1.2, 0.9, 0.1, -0.4, -1.9, 1.5]))
        result[-1]["problem"]["name"] = name

    # extreme logits
    add("categorical-2-minus-40", "categorical", "log-cosh", [0, -40])
    add("mixture-2-minus-40", "mixture", "log-cosh", [0, -40], width=2, covariance=True)
    add("mixture-2-minus-40-power", "mixture", "separable-power", [0, -40], width=3, mask=code(0.3))
    add("mixture-4-minus-40", "mixture", "log-cosh", [-40, 0, -41.5, -40.25], width=3)
    add("mixture-4-minus-80", "mixture", "separable-power", [0, -80, -79.5, -81], width=2)
    add("categorical-4-minus-80", "categorical", "quadratic", [-80, -79.5, 0, -81])
    add("mixture-4-minus-400", "mixture", "softmax-cross-entropy", [0, -400, -400.75, -30], width=2)
    add("mixture-4-subnormal", "mixture", "polynomial", [0, -712, -713.5, -730], width=2)
    add("categorical-3-to-30", "categorical", "separable-power", [30, -30, 11.5])
    add("mixture-3-to-30", "mixture", "polynomial", [-30, 30, 29], width=3)
    add("categorical-8-to-30", "categorical", "softmax-cross-entropy", [-30, 4.25, 30, 29.5, 12, -7.5, 0, 28.75])
    add("mixture-8-to-30", "mixture", "softmax-cross-entropy", [30, -30, 28.5, 29.25, 3, -17, 0, 11], width=4)
    add("mixture-8-to-30-masked", "mixture", "quadratic", [30, -30, 28.5, 29.25, 3, -17, 0, 11], width=4, mask=paper(0.3))
    add("categorical-3-to-700", "categorical", "quadratic", [700, 699, -700])
    add("mixture-3-to-700", "mixture", "log-cosh", [700, 698.5, -700], width=3)
    add("mixture-3-to-700-tiny", "mixture", "softmax-cross-entropy", [700, 0, -700], width=2)
    add("mixture-3-to-minus-700", "mixture", "separable-power", [-700, -700.5, -699.25], width=2, mask=paper(0.1))
    add("categorical-2-underflow", "categorical", "softmax-cross-entropy", [-700, 700])
    add("mixture-2-underflow", "mixture", "polynomial", [700, -700], width=2)
    add("mixture-8-to-700", "mixture", "polynomial", [-700, 700, 699, 350, 0, -350, 698.5, 699], width=3)

    # ties, zeros, all negative
    add("categorical-3-zeros", "categorical", "separable-power", [0, 0, 0])
    add("mixture-3-zeros", "mixture", "quadratic", [0, 0, 0], width=2, covariance=True)
    add("mixture-3-zeros-reference-code", "mixture", "log-cosh", [0, 0, 0], width=2, mask=code(0.1))
    add("mixture-3-zero-maximum", "mixture", "log-cosh", [-1.5, 0, -0.25], width=2, mask=code(0.6))
    add("mixture-3-zero-maximum-paper", "mixture", "polynomial", [-1.5, 0, -0.25], width=2, mask=paper(0.6))
    add("categorical-8-ties", "categorical", "polynomial", [0.5, 1.25, 1.25, -0.75, 1.25, 0.5, 0.5, -2])
    add("mixture-8-ties", "mixture", "log-cosh", [0.5, 1.25, 1.25, -0.75, 1.25, 0.5, 0.5, -2], width=3)
    add("mixture-2-ties", "mixture", "polynomial", [-0.75, -0.75], width=2, mask=paper(0.1))
    add("categorical-3-negative", "categorical", "quadratic", [-1.5, -0.75, -4.25])
    add("mixture-3-negative-paper", "mixture", "softmax-cross-entropy", [-1.5, -0.75, -4.25], width=4, mask=paper(0.4))
    add("mixture-3-negative-code", "mixture", "separable-power", [-1.5, -0.75, -4.25], width=4, mask=code(0.3))
    add("mixture-8-negative-paper", "mixture", "separable-power", [-1.1, -0.6, -2, -0.7, -3, -0.9, -1.5, -5], width=4,
        mask=paper(0.1))
    add("mixture-8-negative-code", "mixture", "softmax-cross-entropy", [-1.1, -0.6, -2, -0.7, -3, -0.9, -1.5, -5], width=4,
        mask=code(0.1))
    add("mixture-3-one-left", "mixture", "log-cosh", [3, 1, 0.5], width=2, mask=paper(0.1))

    # a large constant in the loss, which cancels
    add("mixture-3-offset", "mixture", "polynomial", experts=3, width=3, coefficients=[1000.0, -0.7, 0.4, 0.3])

    # many experts
    for loss, width in zip(LOSSES, (8, 4, 2, 3, 4, 5)):
        add(f"mixture-32-{loss}", "mixture", loss, experts=32, width=width, spread=1.5,
            mask={"separable-power": paper(0.3), "softmax-cross-entropy": code(0.3)}.get(loss, ("none", None)))
    for loss in ("log-cosh", "softmax-cross-entropy"):
        add(f"categorical-32-{loss}", "categorical", loss, experts=32, spread=2.0)
    add("categorical-128-log-cosh", "categorical", "log-cosh", experts=128, spread=2.0)
    add("mixture-128-log-cosh", "mixture", "log-cosh", experts=128, width=3, spread=1.5)
    add("mixture-128-polynomial", "mixture", "polynomial", experts=128, width=2, spread=1.5, mask=paper(0.3))

    names = [c["problem"]["name"] for c in result]
    assert len(set(names)) == len(names)
    return result
