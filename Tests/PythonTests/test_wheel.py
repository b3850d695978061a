"""The installed wheel by itself: what it loads, what is in it, and that it works where neither Swift nor GSL nor a BLAS is."""

import importlib.metadata
import json
import os
import pathlib
import shutil
import subprocess
import sys

import pytest
import routegrad
from conftest import ROOT

LAYER = ROOT / "Fixtures" / "layers" / "switch-block.safetensors"

# A report, an audit and a lint; then what the process had mapped before routegrad was imported, and what it has now.
WORK = """
import ctypes, ctypes.util, json, pathlib, sys
import numpy as np
import numpy.random, pytest  # with all that they load

def mapped():
    return {line.split(None, 5)[5].strip() for line in open("/proc/self/maps") if ".so" in line}

before = mapped()
sys.path.append(sys.argv[1])
import routegrad
import test_layers

tensors, metadata = test_layers.load(test_layers.LAYER)
options = {"activation": metadata["activation"], "residual": metadata["residual"] == "add"}
audit = routegrad.audit_layer(tensors, **options, estimators="conventional,sparsemixer,exact", gradients=True)
report = routegrad.assess(routegrad.problems(test_layers.ROOT / "Fixtures" / "problems" / "mixtures-8.json")[0], "sparsemixer")
noisy = routegrad.moments(
    routegrad.categorical([0.3, -1.2, 0.8], {"type": "quadratic", "matrix": np.eye(3), "linear": [1, 0, -1]}),
    "gumbel-softmax-st:tau=0.5")  # an integral
router = lambda logits: (np.ones((len(logits), 1)), logits.argmax(-1)[:, None], lambda g: np.zeros_like(logits))
print(json.dumps({
    "biases": [entry["groups"]["router.weight"]["biasNorm"] for entry in audit.findings["estimators"]],
    "gradient": float(np.linalg.norm(audit.gradients["exact/experts.w1"])), "noisy": noisy.mean.tolist(), "report": report.relative_bias,
    "lint": routegrad.lint(router).verdict, "loaded": sorted(mapped() - before)}))
"""
OF_THE_SYSTEM = ("ld-linux", "libc.so", "libm.so", "libdl.so", "libpthread.so", "librt.so", "libgcc_s.so", "libstdc++.so")
HIDDEN = ("libopenblas*", "libdnnl*", "libblas*", "libblis*", "libgsl*", "libswift*", "lib_Foundation*", "libdispatch*")


def work(prefix=()):
    here = str(pathlib.Path(__file__).parent)
    environment = {key: value for key, value in os.environ.items() if key in ("HOME", "ROUTEGRAD_PROGRAM")}
    ran = subprocess.run(
        [*prefix, sys.executable, "-c", WORK, here], capture_output=True, text=True, env={"PATH": "/usr/bin:/bin", **environment}, timeout=120)
    assert ran.returncode == 0, ran.stderr
    return json.loads(ran.stdout)


def in_wheel():
    """The library's path, unless another one is under test."""
    if os.environ.get("ROUTEGRAD_LIBRARY"):
        pytest.skip("ROUTEGRAD_LIBRARY names another library than the wheel's")
    return str(pathlib.Path(routegrad.__file__).with_name("libCRouteGrad.so"))


def test_works_without_swift_and_gsl_and_a_blas():
    """In a mount namespace in which they are empty files: the numbers are the same but for rounding."""
    library = in_wheel()
    names = " -o ".join(f"-name '{name}.so*'" for name in HIDDEN)
    found = subprocess.run(f"find /usr /opt -xdev \\( {names} \\)", shell=True, capture_output=True, text=True).stdout.splitlines()
    script = "".join(f"mount --bind /dev/null '{path}' || exit 99; " for path in sorted({os.path.realpath(p) for p in found}))
    unshare = ["unshare", "--map-root-user", "--mount", "sh", "-c", script + 'exec "$@"', "sh"]
    if not shutil.which("unshare") or subprocess.run([*unshare, "true"], capture_output=True).returncode:
        pytest.skip("this machine lets nobody unshare mounts")
    alone = work(unshare)
    others = [path for path in alone.pop("loaded") if path != library and not os.path.basename(path).startswith(OF_THE_SYSTEM)]
    assert others == []
    usual = work()
    del usual["loaded"]
    assert alone["lint"] == usual["lint"] == "refuted"
    for key in ("biases", "gradient", "noisy", "report"):
        assert alone[key] == pytest.approx(usual[key], rel=1e-12, abs=1e-15)


def test_says_what_is_in_it():
    in_wheel()
    wheel = importlib.metadata.distribution("routegrad")
    assert wheel.version == routegrad.__version__
    tags = wheel.read_text("WHEEL")
    assert "Tag: py3-none-manylinux_2_34_" in tags
    names = {pathlib.PurePath(str(file)).name for file in wheel.files}
    assert {"py.typed", "libCRouteGrad.so", "_routegrad_pytest.py", "Apache-2.0.txt", "GPL-3.0.txt", "NOTICE.md"} <= names
    assert wheel.metadata["License-Expression"].endswith("AND GPL-3.0-or-later AND Zlib")
    assert [entry.value for entry in wheel.entry_points if entry.group == "pytest11"] == ["_routegrad_pytest"]
    assert all(line.startswith("numpy") or "extra ==" in line for line in wheel.requires)
