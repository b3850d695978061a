"""Audits of layers in memory are the program's, of the same layer in a file."""

import json
import struct

import numpy as np
import pytest
import routegrad
from conftest import ROOT, program

LAYER = ROOT / "Fixtures" / "layers" / "switch-block.safetensors"


def load(path):
    """The tensors and the metadata of a file; the format is eight bytes of length, JSON, and the numbers."""
    content = path.read_bytes()
    (length,) = struct.unpack("<Q", content[:8])
    header = json.loads(content[8:8 + length])
    metadata = header.pop("__metadata__")
    types = {"F32": "<f4", "F64": "<f8", "I64": "<i8"}
    tensors = {}
    for name, entry in header.items():
        start, end = entry["data_offsets"]
        data = content[8 + length + start:8 + length + end]
        tensors[name] = np.frombuffer(data, types[entry["dtype"]]).reshape(entry["shape"])
    return tensors, metadata


@pytest.fixture(scope="module")
def layer():
    tensors, metadata = load(LAYER)
    return tensors, {"activation": metadata["activation"], "residual": metadata["residual"] == "add"}


def test_is_what_the_program_says(layer):
    tensors, options = layer
    which = "conventional,sparsemixer,sparsemixer-v2-top2,reinmax,default-moe,exact"
    for mask, arguments in [(None, []), (("paper", 0.5), ["--mask", "paper", "--threshold", "0.5"])]:
        audit = routegrad.audit_layer(tensors, **options, estimators=which, mask=mask, threads=2)
        printed = json.loads(program("audit-layer", str(LAYER), "--estimators", which, "--format", "json", *arguments))
        assert audit.findings == printed
    assert "sparsemixer" in str(audit) and repr(audit) == "<LayerAudit of 64 tokens, 8 experts>"


@pytest.mark.parametrize("threads", [1, 3])
def test_gradients_are_the_files(layer, tmp_path, threads):
    tensors, options = layer
    which = "conventional,sparsemixer,sparsemixer-v2-top2,reinmax,dense-backward,exact"
    path = tmp_path / "means.safetensors"
    program("audit-layer", str(LAYER), "--estimators", which, "--gradients", str(path), "--quiet")
    wanted, metadata = load(path)
    audit = routegrad.audit_layer(tensors, **options, estimators=which, threads=threads, gradients=True)
    assert metadata["schema"] == "routegrad.gradients/1" and set(audit.gradients) == set(wanted) and len(wanted) == 6 * 4
    for name, values in wanted.items():
        assert audit.gradients[name].shape == values.shape and np.array_equal(audit.gradients[name], values), name
    alone = routegrad.audit_layer(tensors, **options, estimators=which)
    assert alone.gradients is None and alone.findings == audit.findings


def test_gradients_are_those_of_the_mean_loss():
    """Of `exact`, against differences of the expected loss, for a squared error and no residual."""
    tensors = small()

    def expected_loss(changed):
        x, w1, w2 = changed["input"], changed["experts.w1"], changed["experts.w2"]
        p = np.exp(x @ changed["router.weight"].T)
        p /= p.sum(1, keepdims=True)
        outputs = np.einsum("neh,tnh->tne", w2, np.maximum(np.einsum("nhd,td->tnh", w1, x), 0))
        losses = 0.5 * ((p[:, :, None] * outputs - changed["target"][:, None]) ** 2).sum(-1)
        return (p * losses).sum(1).mean()

    audit = routegrad.audit_layer(tensors, activation="relu", estimators="exact", gradients=True)
    assert audit.findings["expectedLoss"] == pytest.approx(expected_loss(tensors), rel=1e-12)
    for name in ("input", "router.weight", "experts.w1", "experts.w2"):
        wanted = np.empty_like(tensors[name])
        for i in np.ndindex(wanted.shape):
            sides = []
            for step in (1e-6, -1e-6):
                moved = tensors[name].copy()
                moved[i] += step
                sides.append(expected_loss({**tensors, name: moved}))
            wanted[i] = (sides[0] - sides[1]) / 2e-6
        assert np.allclose(audit.gradients[f"exact/{name}"], wanted, rtol=1e-6, atol=1e-8), name


def test_arrays_that_do_not_fit_are_said(monkeypatch):
    def no_room(shape):
        raise MemoryError("no room")

    tensors = small()
    routegrad.sample(routegrad.categorical([0.0, 1.0], {"type": "linear", "coefficients": [1, 2]}), "reinforce", 10)  # asked whether to go on
    monkeypatch.setattr(routegrad._layers.np, "empty", no_room)
    with pytest.raises(routegrad.RouteGradError, match="the buffer function raised MemoryError: no room") as caught:
        routegrad.audit_layer(tensors, activation="relu", estimators="exact", gradients=True)
    assert isinstance(caught.value.__cause__, MemoryError)


def small(**changes):
    random = np.random.default_rng(0)
    tensors = {name: random.normal(size=shape) for name, shape in {
        "input": (4, 3), "router.weight": (2, 3), "experts.w1": (2, 5, 3), "experts.w2": (2, 3, 5), "target": (4, 3)}.items()}
    tensors.update(changes)
    return {name: values for name, values in tensors.items() if values is not None}


def test_both_losses():
    classes = small(target=None, unembedding=np.eye(3), labels=[0, 1, 2, 0])
    for tensors in (small(), classes):
        entry = routegrad.audit_layer(tensors, activation="gelu", residual=True, estimators="exact").findings["estimators"][0]
        assert entry["groups"]["experts"]["relativeBias"] < 1e-12


@pytest.mark.parametrize(("changes", "options", "message"), [
    ({"input": None}, {}, "input: expected an array, it is missing"),
    ({"weight": np.ones(3)}, {}, "got weight"),
    ({"router.weight": np.ones((2, 4))}, {}, r"router.weight: expected shape \[2, 3\]"),
    ({"experts.w1": np.full((2, 5, 3), np.nan)}, {}, "experts.w1.*expected a finite number"),
    ({"target": None}, {}, "classes"),
    ({"target": None, "unembedding": np.eye(3)}, {}, "labels: expected a pointer"),
    ({"target": None, "unembedding": np.eye(3), "labels": [0, 1, 2, 3]}, {}, r"labels\[3\]: expected a class from 0 to 2"),
    ({"target": None, "unembedding": np.eye(3), "labels": [0.5] * 4}, {}, "whole numbers"),
    ({"labels": [0] * 4}, {}, "got both"),
    ({}, {"activation": "tanh"}, "expected relu, gelu, silu"),
    ({}, {"estimators": "midpont"}, "did you mean 'midpoint'"),
    ({}, {"target": "nothing"}, "expected-loss"),
    ({}, {"mask": ("papier", 0.1)}, "reference-code"),
    ({}, {"threads": 0}, "threads"),
    ({}, {"gradients": 1}, "gradients: expected True or False"),
    ({"input": np.full((4, 3), 1e200)}, {}, "overflow"),
])
def test_refusals(changes, options, message):
    with pytest.raises(routegrad.RouteGradError, match=message):
        routegrad.audit_layer(small(**changes), **{"activation": "relu", **options})
