"""Threads, and what a million calls leave behind."""

import copy
import pickle
import resource
import subprocess
import sys
import threading

import numpy as np
import pytest
import routegrad

ESTIMATORS = ("sparsemixer", "reinforce:baseline=optimal", "gumbel-softmax-st", "midpoint")


def test_eight_threads_agree_with_serial(mixture, callable_mixture):
    own = callable_mixture(lambda y: (0.5 * y @ y, y))
    serial = {(k, e): routegrad.moments(p, e).mean for k, p in enumerate((mixture, own)) for e in ESTIMATORS}
    wrong = []

    def work(thread):
        def raising(y):
            raise ValueError(thread)

        broken = callable_mixture(raising)
        for turn in range(40):
            for (k, estimator), mean in serial.items():
                if not np.array_equal(routegrad.moments((mixture, own)[k], estimator).mean, mean):
                    wrong.append((thread, estimator))
            try:
                routegrad.moments(broken, "midpoint")
                wrong.append(thread)
            except routegrad.RouteGradError as error:
                if error.__cause__.args != (thread,):
                    wrong.append((thread, error))

    threads = [threading.Thread(target=work, args=(k,)) for k in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_calls_leak_nothing():
    import leak_check

    # Less than 20 bytes a call; a single lost array of three numbers would be 24.
    assert leak_check.growth(20_000) < 400_000


def test_nothing_keeps_memory_alive(callable_mixture):
    import gc
    import weakref

    def loss(y):
        return 0.5 * y @ y, y

    watch = weakref.ref(loss)
    problem = callable_mixture(loss).masked(("paper", 0.1))
    routegrad.moments(problem, "midpoint").covariance
    del loss, problem
    gc.collect()
    assert watch() is None
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss > 0


# Every function on estimators and masks that are new to all threads at once, and more of them than are remembered. What is
# handed to the library must outlive the call, whichever thread it is that forgets it. In a process of its own, as it would crash.
NEW_TO_ALL = """
import gc, sys, threading
import numpy as np
import routegrad

sys.setswitchinterval(1e-6)
arrays = ([0.3, -1.2, 0.8], [[0.1, 0.2], [1.0, -0.4], [0.0, 0.3]])
loss = {"type": "log-cosh", "scales": [1.0, 2.0], "targets": [0.5, -0.5]}
problem, own = routegrad.mixture(*arrays, loss), routegrad.mixture(*arrays, lambda y: (0.5 * y @ y, y))
gradient = np.zeros((3, 3))
calls = (
    lambda p, e, m: routegrad.sample(p, e, 20, mask=m), lambda p, e, m: routegrad.outcomes(p, e, mask=m),
    lambda p, e, m: routegrad.assess(p, e, mask=m), lambda p, e, m: routegrad.moments(p, e, mask=m).covariance,
    lambda p, e, m: routegrad.verify(gradient, p, e, mask=m), lambda p, e, m: routegrad.target(p, mask=m),
    lambda p, e, m: routegrad.expected_loss(p, mask=m), lambda p, e, m: p.masked(m).probabilities,
    lambda p, e, m: routegrad.moments(routegrad.mixture(*arrays, loss), e, mask=m),
)
count, turns = 8, 1500
barrier, failures = threading.Barrier(count), []

def work(thread):
    try:
        for turn in range(turns):
            if turn % 10 == 0:
                barrier.wait()
            for k in (turn, turn + thread):
                calls[k % len(calls)](
                    own if turn % 7 == 0 else problem, f"reinmax:tau={1 + turn / 1000}", ("paper", turn / 100))
    except BaseException as error:
        failures.append(error)
        barrier.abort()

threads = [threading.Thread(target=work, args=(k,)) for k in range(count)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
del problem, own
gc.collect()
sys.exit(repr(failures) if failures else 0)
"""


def test_eight_threads_ask_for_what_is_new_to_all():
    ran = subprocess.run([sys.executable, "-c", NEW_TO_ALL], capture_output=True, text=True)
    assert ran.returncode == 0 and ran.stderr == "", (ran.returncode, ran.stderr)


# The end of a process in the midst of calls, references that go round in circles, and children of processes with threads.
ENDS = {
    "daemon threads": """
for k in range(3):
    threading.Thread(target=lambda: [compute(2) for _ in range(10**6)], daemon=True).start()
time.sleep(0.2)
""",
    "daemon threads within a callable": """
for k in range(3):
    threading.Thread(target=lambda: [routegrad.target(own) for _ in range(10**6)], daemon=True).start()
time.sleep(0.2)
""",
    "handles at the end": """
class Last:
    def __init__(self):
        self.kept = [problem, own, problem.masked(("paper", 0.5)), self]
    def __del__(self):
        self.kept.clear()
sys.modules["kept"] = Last()
atexit.register(compute, 1)
""",
    "circles": """
for _ in range(300):
    def loss(y, me=[]):
        return 0.5 * y @ y, y
    ring = routegrad.mixture(*arrays, loss)
    loss.__defaults__[0].append((ring, ring.masked(("paper", 0.3))))
    routegrad.target(ring)
    del ring, loss
gc.collect()
""",
    "fork": """
compute(4)
busy = [threading.Thread(target=lambda: [compute(1) for _ in range(200)]) for _ in range(2)]
for thread in busy:
    thread.start()
for _ in range(20):
    child = os.fork()
    if child == 0:
        signal.alarm(60)
        compute(4), routegrad.target(own), routegrad.mixture(*arrays, loss)
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
for thread in busy:
    thread.join()
""",
}
BEFORE_THE_END = """
import atexit, gc, os, signal, sys, threading, time
import routegrad
arrays = ([0.3, -1.2, 0.8], [[0.1, 0.2], [1.0, -0.4], [0.0, 0.3]])
loss = {"type": "log-cosh", "scales": [1.0, 2.0], "targets": [0.5, -0.5]}
problem, own = routegrad.mixture(*arrays, loss), routegrad.mixture(*arrays, lambda y: (0.5 * y @ y, y))
def compute(threads):
    return routegrad.moments(problem, "gumbel-softmax", method="monte-carlo", samples=5000, threads=threads)
"""


@pytest.mark.parametrize("end", ENDS)
def test_processes_end_well(end):
    ran = subprocess.run(
        [sys.executable, "-W", "ignore::DeprecationWarning", "-c", BEFORE_THE_END + ENDS[end]], capture_output=True,
        text=True)
    assert ran.returncode == 0 and ran.stderr == "", (ran.returncode, ran.stderr)


def test_copies_share_and_pickles_hold_numbers(mixture):
    assert copy.copy(mixture) is mixture and copy.deepcopy([mixture])[0] is mixture
    with pytest.raises(routegrad.RouteGradError, match="cannot be pickled"):
        pickle.dumps(mixture)
    moments = routegrad.moments(mixture, "sparsemixer")
    for same in (copy.copy(moments), copy.deepcopy(moments)):
        assert np.array_equal(same.covariance, routegrad.moments(mixture, "sparsemixer").covariance)
    kept = pickle.loads(pickle.dumps(routegrad.moments(mixture, "sparsemixer")))
    assert np.array_equal(kept.mean, moments.mean) and kept.method == "enumeration"
    with pytest.raises(routegrad.RouteGradError, match="covariance"):
        kept.covariance
    whole = routegrad.moments(mixture, "sparsemixer", covariance=True)
    assert np.array_equal(pickle.loads(pickle.dumps(whole)).covariance, whole.covariance)
