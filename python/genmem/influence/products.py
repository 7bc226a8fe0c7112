"""Sums over checkpoints of products of two sides, tile by tile, and the strongest of each row."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

from genmem.influence.protocols import Progress
from genmem.influence.side import Side
from genmem.kernels import TopInfluences, grad_products, top_k

Float64 = npt.NDArray[np.float64]

# Scores that are searched for their largest at a time: 16 MiB.
_SEARCHED_DOUBLES = 1 << 21


def influence_scores(
    queries: Side,
    points: Side,
    visits: Iterable[tuple[int, float]],
    count: int,
    k: int | None,
    proponents: bool,
    memory: int,
    threads: int | None,
    progress: Progress | None,
) -> Float64 | TopInfluences:
    """(Q, N) sums of gradient products over the `count` visits (c, w_c), or the k strongest of each
    row. Without k the scores are the answer, so `memory` bounds them only with it."""
    check_k(k, len(points))
    limit = None if k is None else memory
    scores = summed_products(queries, points, visits, count, limit, threads, progress)
    return scores if k is None else strongest(scores, k, proponents)


def check_k(k: int | None, n: int) -> None:
    """ValueError unless k is None or 1..n."""
    if k is not None and not 1 <= k <= n:
        raise ValueError(f"influence: k is {k}; 1..{n} is wanted, the number of training samples")


def summed_products(
    queries: Side,
    points: Side,
    visits: Iterable[tuple[int, float]],
    count: int,
    memory: int | None,
    threads: int | None,
    progress: Progress | None,
) -> Float64:
    """(Q, N) sums of gradient products over the `count` visits (c, w_c).

    Beyond `memory` bytes (None: no limit) they lie in a temporary file.
    """
    scores = _zeros((len(queries), len(points)), memory)
    _add_products(scores, visits, count, queries, points, threads, progress)
    return scores


def _zeros(shape: tuple[int, int], memory: int | None) -> Float64:
    """Zeros (Q, N); beyond `memory` bytes (None: no limit) they lie in a temporary file."""
    if memory is None or 8 * shape[0] * shape[1] <= memory:
        return np.zeros(shape)
    # The mapping keeps the unnamed file alive, and the file goes with it.
    with tempfile.TemporaryFile() as file:
        return np.memmap(file, np.float64, "w+", shape=shape)


def _add_products(
    scores: Float64,
    visits: Iterable[tuple[int, float]],
    count: int,
    queries: Side,
    points: Side,
    threads: int | None,
    progress: Progress | None,
) -> None:
    # The checkpoints are in the outer loop, so each is loaded once; the points are streamed once
    # per checkpoint and block of queries.
    done, total = 0, count * scores.size
    for checkpoint, weight in visits:
        for rows, left in queries.blocks(checkpoint, weight):
            for columns, right in points.blocks(checkpoint, weight):
                scores[rows, columns] += grad_products(left, right, threads=threads)
                done += len(left) * len(right)
                if progress is not None:
                    progress("influence", done, total)


def strongest(scores: Float64, k: int, proponents: bool) -> TopInfluences:
    """The k largest of each row, or the k smallest, strongest first; ties to the lower index."""
    sign = 1.0 if proponents else -1.0
    step = max(1, _SEARCHED_DOUBLES // scores.shape[1])
    parts = [
        top_k(sign * np.asarray(scores[at : at + step]), k) for at in range(0, len(scores), step)
    ]
    found = np.concatenate([part.scores for part in parts])
    return TopInfluences(np.concatenate([part.indices for part in parts]), sign * found)
