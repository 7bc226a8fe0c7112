"""How time grows over a doubling series."""

import math
import time
from collections.abc import Callable, Sequence

import numpy as np

from problems import gaussian, images

ROUNDS = 3
# Linear is 1. What does not grow lowers it: packing the points while M grows, the test of each pair
# while d grows, most where the products are cheapest. A shared machine moves it both ways.
LEAST, MOST = 0.5, 1.2


SIZES = {
    "N": (7500, 15_000, 30_000, 60_000),
    "M": (1000, 2000, 4000, 8000),
    "d": (384, 768, 1536, 3072),
}


def series(axis: str) -> list[tuple[np.ndarray, np.ndarray]]:
    """Queries and points by size: 500 queries; 8,192 points for M; 1,000 x 8,192 normal for d."""
    if axis == "d":
        wide = gaussian(SIZES["d"][-1], n=8192)
        sides = (wide.queries[:1000], wide.points)
        return [
            (np.ascontiguousarray(sides[0][:, :d]), np.ascontiguousarray(sides[1][:, :d]))
            for d in SIZES["d"]
        ]
    whole = images()
    if axis == "N":
        return [(whole.queries[:500], whole.points[:n]) for n in SIZES["N"]]
    many = np.resize(whole.queries, (SIZES["M"][-1], whole.d))
    return [(many[:m], whole.points[:8192]) for m in SIZES["M"]]


def exponent(
    sizes: Sequence[int], runs: Sequence[Callable[[], object]], cpu_clock: bool = False
) -> tuple[float, list[float]]:
    """The slope of log time over log size, and the least time of each size; sizes run in turn.

    Runs are single-threaded, so that processor time can stand for wall time.
    """
    clock = time.process_time if cpu_clock else time.perf_counter
    least = [math.inf] * len(runs)
    for number in range(ROUNDS + 1):
        for place, run in enumerate(runs):
            started = clock()
            run()
            if number:
                least[place] = min(least[place], clock() - started)
    x = [math.log(size) for size in sizes]
    y = [math.log(seconds) for seconds in least]
    mean_x, mean_y = sum(x) / len(x), sum(y) / len(y)
    slope = sum((a - mean_x) * (b - mean_y) for a, b in zip(x, y, strict=True))
    return slope / sum((a - mean_x) ** 2 for a in x), least
