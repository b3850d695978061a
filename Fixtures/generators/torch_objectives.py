"""The objectives of problem files as torch functions, for the generators that drive published code under autograd."""

import torch


def tensor(values):
    return torch.tensor(values, dtype=torch.float64)


def objective(spec):
    kind = spec["type"]
    if kind == "linear":
        return lambda z: tensor(spec["coefficients"]) @ z
    if kind == "quadratic":
        return lambda z: 0.5 * z @ tensor(spec["matrix"]) @ z + tensor(spec["linear"]) @ z
    if kind == "separable-power":
        weights = tensor(spec.get("weights", [1.0] * len(spec["targets"])))
        return lambda z: (weights * (z - tensor(spec["targets"])).abs() ** spec["exponent"]).sum()
    if kind == "log-cosh":
        return lambda z: torch.cosh(tensor(spec["scales"]) * z - tensor(spec["targets"])).log().sum()
    if kind == "softmax-cross-entropy":
        return lambda z: -torch.log_softmax(tensor(spec["weights"]) @ z + tensor(spec["biases"]), -1)[spec["label"]]
    if kind == "polynomial":
        return lambda z: sum(k * (tensor(spec["direction"]) @ z) ** q for q, k in enumerate(spec["coefficients"]))
    raise ValueError(kind)


def write_records(path, records, write, compact):
    """One record after another, one outcome on each line."""
    blocks = []
    for record in records:
        head = ", ".join(f'"{key}": {compact(value)}' for key, value in record.items() if key != "outcomes")
        outcomes = ",\n".join("  " + compact(outcome) for outcome in record["outcomes"])
        blocks.append("{" + head + ', "outcomes": [\n' + outcomes + "]}")
    write(path, "[\n" + ",\n".join(blocks) + "\n]")
