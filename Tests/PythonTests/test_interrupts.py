"""Signals end calls that would take days, and what their handlers raise comes up where the call was made."""

import subprocess
import sys

import pytest

SCRIPT = """
import os, signal, sys, threading, time
import routegrad

arrays = ([0.3, -1.2, 0.8], [[0.1, 0.2], [1.0, -0.4], [0.0, 0.3]])
problem = routegrad.mixture(*arrays, {"type": "log-cosh", "scales": [1.0, 2.0], "targets": [0.5, -0.5]})
own = routegrad.mixture(*arrays, lambda y: (0.5 * y @ y, y))
endless = {"method": "monte-carlo", "samples": 10**12}

class Alarm(Exception):
    pass

def ring(*_):
    raise Alarm

signal.signal(signal.SIGALRM, ring)
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell that runs this in the background has it ignored

def samples():
    while True:
        yield routegrad.sample(problem, "reinforce", 1000)

calls = {
    "moments": lambda: routegrad.moments(problem, "sparsemixer", **endless),
    "moments on two threads": lambda: routegrad.moments(problem, "gumbel-softmax", threads=2, **endless),
    "assess": lambda: routegrad.assess(problem, "gumbel-softmax-st", **endless),
    "a callable": lambda: routegrad.moments(own, "gumbel-softmax", **endless),
    "a stream": lambda: routegrad.verify(samples(), problem, target="routing-term", bounds=(-1e6, 1e6), detectable_bias=1e-9, tolerance=0.0),
}
for which, expected in ((signal.SIGINT, KeyboardInterrupt), (signal.SIGALRM, Alarm)):
    for delay in (0.0, 0.001, 0.02, 0.1):
        sender = threading.Timer(delay, os.kill, (os.getpid(), which))
        try:
            sender.start()
            calls[sys.argv[1]]()
        except (expected, KeyboardInterrupt):
            pass
        except routegrad.RouteGradError as error:  # raised within the callable, or what it returned being read, as if by it
            cause = error.__cause__
            while isinstance(cause, routegrad.RouteGradError):
                cause = cause.__cause__
            assert sys.argv[1] == "a callable" and isinstance(cause, Alarm), (repr(error), repr(error.__cause__))
        sender.join()
        assert routegrad.moments(problem, "sparsemixer").method == "enumeration"  # and all is as it was
print("interrupted")
"""


@pytest.mark.parametrize("call", ["moments", "moments on two threads", "assess", "a callable", "a stream"])
def test_signals_end_what_would_take_days(call):
    ran = subprocess.run([sys.executable, "-c", SCRIPT, call], capture_output=True, text=True, timeout=300)
    assert (ran.returncode, ran.stdout) == (0, "interrupted\n"), ran.stderr
    # ctypes prints what comes up as a callable is entered.
    assert call == "a callable" or ran.stderr == ""
