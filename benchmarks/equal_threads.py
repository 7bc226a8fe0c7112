"""The same number of threads for everybody: imported before numpy, torch or faiss are.

GENMEM_BENCH_THREADS sets it (default 1). OPENBLAS_CORETYPE is unset: it slows a current numpy.
"""

import os

THREADS = int(os.environ.get("GENMEM_BENCH_THREADS", "1"))
for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[name] = str(THREADS)
for name in ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE"):
    os.environ.pop(name, None)
