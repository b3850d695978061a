"""What the library does to the process that it is loaded into: nothing but compute."""

import os
import subprocess
import sys

import pytest

# Prints what a process is before and after the library was loaded, integrated, refused an integral, and
# multiplied matrices.
SCRIPT = """
import ctypes, ctypes.util, os, sys
import numpy

def state():
    fields = dict(line.split(":", 1) for line in open("/proc/self/status"))
    return {name: fields[name].strip() for name in ("Threads", "SigBlk", "SigIgn", "SigCgt")}

path = ctypes.util.find_library("gsl")
gsl = ctypes.CDLL(path, mode=ctypes.RTLD_GLOBAL) if path else None
handler = ctypes.CFUNCTYPE(None, ctypes.c_char_p, ctypes.c_char_p, ctypes.c_int, ctypes.c_int)(lambda *_: None)
if gsl:
    gsl.gsl_set_error_handler.restype = ctypes.c_void_p
    gsl.gsl_set_error_handler(handler)
path = ctypes.util.find_library("openblas")
blas = ctypes.CDLL(path) if path else None
if blas:
    blas.openblas_set_num_threads(2)
before = state()
import routegrad
problem = routegrad.mixture([0.3, -1.2, 0.8], numpy.eye(3), {"type": "log-cosh", "scales": [1, 2, 3], "targets": [0, 1, 2]})
routegrad.moments(problem, "gumbel-softmax-st")
try:
    routegrad.moments(problem, "gumbel-softmax-st", tolerance=1e-30)
except routegrad.RouteGradError as error:
    assert error.status == "tolerance-not-reached"
random = numpy.random.default_rng(0)
layer = {name: random.normal(size=shape) for name, shape in {
    "input": (64, 32), "router.weight": (4, 32), "experts.w1": (4, 64, 32), "experts.w2": (4, 32, 64), "target": (64, 32)}.items()}
routegrad.audit_layer(layer, activation="relu", estimators="conventional")
assert state() == before, (before, state())
if gsl:
    assert gsl.gsl_set_error_handler(None) == ctypes.cast(handler, ctypes.c_void_p).value
if blas:
    assert blas.openblas_get_num_threads() == 2
print("untouched", "with" if gsl and blas else "without")
"""


def test_signals_threads_and_the_hosts_own_libraries_are_left_alone():
    ran = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, env=dict(os.environ))
    assert ran.returncode == 0, ran.stderr
    assert ran.stderr == ""
    if "without" in ran.stdout:
        pytest.skip("no GSL or no OpenBLAS of the host's")
    assert ran.stdout == "untouched with\n"
