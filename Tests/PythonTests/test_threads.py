"""Threads, and what a million calls leave behind."""

import resource
import threading

import numpy as np
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
