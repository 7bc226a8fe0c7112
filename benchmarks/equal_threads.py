"""The same number of threads for everybody: imported before numpy, torch or faiss are.

GENMEM_BENCH_THREADS lists the counts that are measured (default "1,2"). OPENBLAS_CORETYPE is unset:
it slows a current numpy.
"""

import contextlib
import os
import sys
from collections.abc import Iterator

THREADS = tuple(int(t) for t in os.environ.get("GENMEM_BENCH_THREADS", "1,2").split(","))
for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[name] = str(max(THREADS))
for name in ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE"):
    os.environ.pop(name, None)


@contextlib.contextmanager
def equal(threads: int) -> Iterator[None]:
    """Every OpenMP and BLAS loaded so far, torch and faiss run this many threads.

    genmem and usearch are told by argument. What a contender used is measured too: processor time
    over wall time stands in the notes where it is more than `threads`.
    """
    import threadpoolctl

    with threadpoolctl.threadpool_limits(threads):
        if "torch" in sys.modules:
            sys.modules["torch"].set_num_threads(threads)
        if "faiss" in sys.modules:
            sys.modules["faiss"].omp_set_num_threads(threads)
        yield
