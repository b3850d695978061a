"""What OpenBLAS's dgemm gives alone, on some threads with a product each: the peak that docs/benchmarks.md speaks of.

    OPENBLAS_CORETYPE=SKYLAKEX python3 docs/measurements/dgemm_peak.py [THREADS] [ROWS COLUMNS DEPTH]     (default: 2, 512 768 2048)

OPENBLAS_CORETYPE as `routegrad` sets it where a processor has AVX-512: this OpenBLAS does not know newer ones by name.
"""

import ctypes
import os
import sys
import threading
import time

os.environ["OPENBLAS_NUM_THREADS"] = "1"
BLAS = ctypes.CDLL("libopenblas.so.0")
BLAS.cblas_dgemm.argtypes = ([ctypes.c_int] * 6 + [ctypes.c_double, ctypes.c_void_p, ctypes.c_int, ctypes.c_void_p, ctypes.c_int,
                             ctypes.c_double, ctypes.c_void_p, ctypes.c_int])
REPEATS = 60


def work(m, n, k):
    a, b, c = ((ctypes.c_double * size)(*([1.0] * size)) for size in (m * k, n * k, m * n))
    ready.wait()
    for _ in range(REPEATS):
        BLAS.cblas_dgemm(101, 111, 112, m, n, k, 1.0, a, k, b, k, 0.0, c, n)


threads = int(sys.argv[1]) if len(sys.argv) > 1 else 2
sizes = [int(x) for x in sys.argv[2:5]] or [512, 768, 2048]
for _ in range(3):
    ready = threading.Barrier(threads + 1)
    workers = [threading.Thread(target=work, args=sizes) for _ in range(threads)]
    for worker in workers:
        worker.start()
    ready.wait()
    begun = time.perf_counter()
    for worker in workers:
        worker.join()
    seconds = time.perf_counter() - begun
    print(f"{2e-9 * threads * REPEATS * sizes[0] * sizes[1] * sizes[2] / seconds:.1f} GFLOP/s on {threads} threads")
