"""A machine without AVX-512, played by this one: MKL, OpenBLAS and torch held to AVX2 by their own
variables. Run as a child, since they are read at the start; prints [our seconds, the rival's]."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

LIMITS = {
    "MKL_ENABLE_INSTRUCTIONS": "AVX2",
    "OPENBLAS_CORETYPE": "Haswell",
    "ATEN_CPU_CAPABILITY": "avx2",
    "GENMEM_BENCH_THREADS": "1",
}
THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
ROUNDS = 4
QUERIES = 1000


def measured(op: str, cpu_clock: bool) -> tuple[float, float]:
    """Least times of ours with backend "avx2" and of the rival, one thread, QUERIES images."""
    env = os.environ | LIMITS | dict.fromkeys(THREADS, "1")
    clock = "process_time" if cpu_clock else "perf_counter"
    child = [sys.executable, str(Path(__file__).resolve()), op, clock]
    done = subprocess.run(child, check=True, capture_output=True, text=True, env=env)
    ours, its = json.loads(done.stdout.splitlines()[-1])
    return ours, its


def main(op: str, clock_name: str) -> None:
    import genmem
    import rivals_knn
    import rivals_log_kde
    from problems import images

    problem, clock = images(), getattr(time, clock_name)
    q, x = problem.floats(QUERIES)
    if op == "knn":
        rival = rivals_knn.faiss_knn(q, x, 10, 1)

        def ours() -> object:
            return genmem.knn(q, x, 10, backend="avx2", threads=1)
    else:
        h = problem.bandwidth
        rival = rivals_log_kde.torch_mm(q, x, h)

        def ours() -> object:
            return genmem.log_kde(q, x, h, backend="avx2", threads=1)

    least = [float("inf")] * 2
    for _ in range(ROUNDS):
        for place, run in enumerate((ours, rival)):
            started = clock()
            run()
            least[place] = min(least[place], clock() - started)
    print(json.dumps(least))


if __name__ == "__main__":
    main(*sys.argv[1:])
