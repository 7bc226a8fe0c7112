"""Peak memory of fits and scores from a memory map: `python tests/density/mapped_peak.py --help`.

One line of JSON per step: seconds; `anonymous`, MiB of memory beyond the map and what the process
held before the step, at its peak; `arrays`, MiB of Python's and NumPy's part of it; `resident`, MiB
of the whole process at its peak so far, the pages of the map that are in use included.
"""

from __future__ import annotations

import argparse
import json
import resource
import tempfile
import threading
import time
import tracemalloc
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np

from genmem.density import (
    GaussianKDE,
    GaussianMixtureDensity,
    KernelDensity,
    NearestNeighborDensity,
    mixture,
)

MIB = 2**20


def anonymous() -> float:
    """MiB of memory that no file stands behind."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("RssAnon"):
            return int(line.split()[1]) / 1024
    raise OSError("no RssAnon in /proc/self/status; Linux 4.5 or later is wanted")


def measure(who: str, step: str, call: Callable[[], object]) -> None:
    """Run one step and print its line; memory is looked at every millisecond."""
    before = top = anonymous()
    done = threading.Event()

    def watch() -> None:
        nonlocal top
        while not done.wait(0.001):
            top = max(top, anonymous())

    watcher = threading.Thread(target=watch)
    watcher.start()
    tracemalloc.start()
    start = time.perf_counter()
    call()
    seconds = time.perf_counter() - start
    arrays = tracemalloc.get_traced_memory()[1] / MIB
    tracemalloc.stop()
    done.set()
    watcher.join()
    resident = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    line = {"of": who, "step": step, "seconds": round(seconds, 2), "arrays": round(arrays, 1)}
    line |= {"anonymous": round(top - before, 1), "resident": round(resident, 1)}
    print(json.dumps(line), flush=True)


def write_map(path: Path, rows: int, features: int, dtype: str) -> None:
    """Four clusters, a hundred standard deviations apart in each of four features."""
    mapped = np.memmap(path, dtype, "w+", shape=(rows, features))
    rng = np.random.default_rng(0)
    for start in range(0, rows, 10_000):
        part = mapped[start : start + 10_000]
        part[:] = rng.standard_normal(part.shape)
        cluster = np.arange(start, start + len(part)) % 4
        part[np.arange(len(part)), cluster] += 100
    mapped.flush()


def run(given: argparse.Namespace, path: Path) -> None:
    X = np.memmap(path, given.dtype, "r", shape=(given.rows, given.features))
    h, memory = 0.5 * np.sqrt(given.features), given.memory * MIB
    estimators = {
        "scott": GaussianKDE("scott", memory=memory),
        "loo": GaussianKDE(bandwidth_rows=given.bandwidth_rows, memory=memory),
        "epanechnikov": KernelDensity(4 * h, kernel="epanechnikov", memory=memory),
        "nearest": NearestNeighborDensity(5, memory=memory),
        "distinct": NearestNeighborDensity(5, duplicates="distinct", memory=memory),
        "mixture": GaussianMixtureDensity(
            4, covariance_type=given.covariance_type, random_state=0, memory=memory
        ),
    }
    queries = np.array(X[: given.queries]) + np.float32(0.25)
    # What the libraries set up on first use is not a step's.
    for estimator in estimators.values():
        estimator.fit(np.array(X[:400])).score_samples(queries[:4])
    # The yardstick of the yardstick: a copy of the map must show.
    if given.copy:
        measure("copy", "float64", lambda: X.astype(np.float64))
    for name, estimator in estimators.items():
        if given.only and name not in given.only:
            continue
        steps = {
            "fit": partial(estimator.fit, X),
            "score_samples": partial(estimator.score_samples, queries),
            "influence": partial(estimator.influence, queries[:4], 3),
        }
        if hasattr(estimator, "gradient"):
            steps["gradient"] = partial(estimator.gradient, queries[:4])
        if given.leave_one_out:
            steps["score_samples_loo"] = estimator.score_samples_loo
        for step, call in steps.items():
            measure(name, step, call)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--features", type=int, default=64)
    parser.add_argument("--dtype", default="float32", choices=["float32", "float64", "uint8"])
    parser.add_argument("--memory", type=int, default=256, help="of each estimator, MiB")
    parser.add_argument("--queries", type=int, default=100)
    parser.add_argument("--bandwidth-rows", type=int, default=2000)
    parser.add_argument("--covariance-type", default="full")
    parser.add_argument("--leave-one-out", action="store_true", help="over all pairs of rows")
    parser.add_argument("--searched", type=int, help="values among which a mixture is searched")
    parser.add_argument("--copy", action="store_true", help="also a step that copies the map")
    parser.add_argument("--only", nargs="*", help="names of estimators")
    given = parser.parse_args()
    if given.searched:
        mixture._SEARCHED = given.searched
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "rows"
        write_map(path, given.rows, given.features, given.dtype)
        run(given, path)
