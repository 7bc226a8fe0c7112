"""Sums over checkpoints of products of two sides, tile by tile, and the strongest of each row."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from genmem.influence.protocols import Progress
from genmem.influence.side import Side
from genmem.kernels import Factors, TopInfluences, grad_dot_diagonal, grad_products, top_k

Float64 = npt.NDArray[np.float64]

# Scores that are searched for their largest at a time: 16 MiB.
_SEARCHED_DOUBLES = 1 << 21


@dataclass(frozen=True)
class Settings:
    """How products are summed.

    cosine    each product is divided by the norms of its two gradients, checkpoint by checkpoint
    memory    bytes to work in: scores that exceed a fifth of them move to a temporary file
    threads   of `grad_dot`
    progress  called with (stage, done, total)
    tol       of `grad_dot`: the error that products may have; self-products stay as they are
    """

    cosine: bool
    memory: int
    threads: int | None
    progress: Progress | None
    tol: float | None = None


def influence_scores(
    queries: Side,
    points: Side,
    visits: Iterable[tuple[int, float]],
    count: int,
    k: int | None,
    proponents: bool,
    settings: Settings,
) -> Float64 | TopInfluences:
    """(Q, N) sums of gradient products over the `count` visits (c, w_c), or the k strongest of each
    row. Without k the scores are the answer, so memory bounds them only with it."""
    check_k(k, len(points))
    bounded = k is not None
    scores = summed_products(queries, points, visits, count, settings, bounded=bounded)
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
    settings: Settings,
    *,
    bounded: bool,
) -> Float64:
    """(Q, N) sums of gradient products over the `count` visits (c, w_c).

    bounded  beyond the memory of the settings they lie in a temporary file
    """
    scores = _zeros((len(queries), len(points)), settings.memory // 5 if bounded else None)
    # The checkpoints are in the outer loop, so each is loaded once; the points are streamed once
    # per checkpoint and block of queries.
    done, total = 0, count * scores.size
    for checkpoint, weight in visits:
        for rows, left in queries.blocks(checkpoint, weight):
            for columns, right in points.blocks(checkpoint, weight):
                # A capture refuses what is not finite: nothing is looked at twice.
                products = grad_products(
                    left, right, tol=settings.tol, threads=settings.threads, assume_finite=True
                )
                if settings.cosine:
                    products *= weight * _inverse_norms(left, right, settings.threads)
                scores[rows, columns] += products
                done += len(left) * len(right)
                if settings.progress is not None:
                    settings.progress("influence", done, total)
    return scores


def _inverse_norms(left: Factors, right: Factors, threads: int | None) -> Float64:
    """1 / (|g_i| |g_j|), (m, n); 0 where a gradient is zero."""
    both = []
    for side in (left, right):
        squares = grad_dot_diagonal(side, side, threads=threads, assume_finite=True)
        both.append(np.where(squares > 0, 1 / np.sqrt(np.where(squares > 0, squares, 1)), 0))
    return np.asarray(np.outer(*both))


def _zeros(shape: tuple[int, int], memory: int | None) -> Float64:
    """Zeros (Q, N); beyond `memory` bytes (None: no limit) they lie in a temporary file."""
    if memory is None or 8 * shape[0] * shape[1] <= memory:
        return np.zeros(shape)
    # The mapping keeps the unnamed file alive, and the file goes with it.
    with tempfile.TemporaryFile() as file:
        return np.memmap(file, np.float64, "w+", shape=shape)


def strongest(scores: Float64, k: int, proponents: bool) -> TopInfluences:
    """The k largest of each row, or the k smallest, strongest first; ties to the lower index."""
    sign = 1.0 if proponents else -1.0
    step = max(1, _SEARCHED_DOUBLES // scores.shape[1])
    parts = [
        top_k(sign * np.asarray(scores[at : at + step]), k) for at in range(0, len(scores), step)
    ]
    found = np.concatenate([part.scores for part in parts])
    return TopInfluences(np.concatenate([part.indices for part in parts]), sign * found)
