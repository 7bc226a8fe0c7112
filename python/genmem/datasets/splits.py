"""Folds by counter-based noise, and rows that are exactly equal."""

from __future__ import annotations

import heapq

import numpy as np
import numpy.typing as npt

from genmem import noise
from genmem.datasets.validation import Int64
from genmem.equal_rows import first_equal


def folds(
    n: int,
    k: int,
    seed: int,
    repeat: int,
    *,
    groups: npt.ArrayLike | None = None,
    index: npt.ArrayLike | None = None,
) -> Int64:
    """The fold, 0..k-1, of each of n rows, shape (n,).

    Rows are ordered by u(seed, index, repeat), uniform noise keyed by identity, and dealt to the
    folds in turn, so sizes differ by at most 1 and depend on nothing but the arguments.

    repeat  number of the partition, >= 0
    groups  (n,)  integers; rows of equal group share a fold. Groups are dealt largest first (equal
            sizes in the order of their noise), each to the fold with the fewest rows; sizes then
            differ by at most the largest group
    index   (n,)  identities that key the noise; default 0..n-1

    Raises ValueError if k is not in 2..n, repeat < 0, or there are fewer groups than folds.
    """
    if not 2 <= k <= n:
        raise ValueError(f"folds: k is {k} and n is {n}; 2 <= k <= n is wanted")
    if repeat < 0:
        raise ValueError(f"folds: repeat is {repeat}; a number >= 0 is wanted")
    identity = np.arange(n) if index is None else _per_row("index", index, n)
    u = noise.uniforms(seed, identity, [repeat], 1, stream="folds")[:, 0, 0]
    order = np.lexsort((identity, u))
    if groups is None:
        fold = np.empty(n, np.int64)
        fold[order] = np.arange(n) % k
        return fold
    return _grouped(_per_row("groups", groups, n), k, order)


def duplicate_groups(rows: npt.ArrayLike) -> Int64:
    """For each row, the position of the first row equal to it, shape (N,).

    rows  (N, ...)  any numeric array; a memory map is read row by row
    Equal means equal values: -0.0 equals 0.0, NaN equals nothing. Usable as `groups` of `folds`.
    """
    held = np.asarray(rows)
    if held.ndim < 1 or held.dtype.kind not in "biuf":
        raise ValueError(
            f"duplicate_groups: rows have shape {held.shape} and type {held.dtype}; "
            "numbers of shape (N, ...) are wanted"
        )
    return first_equal(held)


def _per_row(name: str, values: npt.ArrayLike, n: int) -> Int64:
    held = np.asarray(values)
    if held.shape != (n,) or held.dtype.kind not in "iu":
        raise ValueError(
            f"folds: {name} has shape {held.shape} and type {held.dtype}; "
            f"integers of shape ({n},) are wanted"
        )
    return held.astype(np.int64)


def _grouped(groups: Int64, k: int, order: Int64) -> Int64:
    _, member, size = np.unique(groups, return_inverse=True, return_counts=True)
    if len(size) < k:
        raise ValueError(f"folds: k is {k} but there are {len(size)} groups; k <= groups is wanted")
    rank = np.empty(len(order), np.int64)
    rank[order] = np.arange(len(order))
    # The rank of a group is that of its first row in the shuffled order.
    group_rank = np.full(len(size), len(order), np.int64)
    np.minimum.at(group_rank, member, rank)
    filled = [(0, fold) for fold in range(k)]
    fold_of = np.empty(len(size), np.int64)
    for group in np.lexsort((group_rank, -size)):
        rows, fold = heapq.heappop(filled)
        fold_of[group] = fold
        heapq.heappush(filled, (rows + int(size[group]), fold))
    return fold_of[member]
