"""How many of the highest-scored samples two scores share, against what chance would give."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

Int64 = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Overlap:
    """How many samples two top-k sets share, and what chance would give.

    count     samples in both; share = count / k
    expected  mean of the share under chance, k / n
    pvalue    P(a count as large under chance)
    ties      samples left out of a top k that score the same as its last
    """

    count: int
    share: float
    expected: float
    pvalue: float
    k: int
    n: int
    ties: int


class RankBiasedOverlap(NamedTuple):
    """Similarity of two rankings in 0..1: extrapolated beyond their depth, and at the least."""

    extrapolated: float
    lower: float


def overlap(a: npt.ArrayLike, b: npt.ArrayLike, k: int) -> Overlap:
    """Overlap of the k highest of two scores, with its hypergeometric null.

    Y = |top_k(a) & top_k(b)|;  under chance Y ~ hypergeometric(n, k, k), mean k^2 / n,
    p = P(Y' >= Y);  share = Y / k, expected = k / n

    a, b  (n,) scores of the same rows; ties go to the lower index, NaN raises
    k     1..n rows
    """
    from scipy.stats import hypergeom

    x, y = np.asarray(a, np.float64), np.asarray(b, np.float64)
    if x.ndim != 1 or x.shape != y.shape:
        raise ValueError(
            f"overlap: a has shape {x.shape}, b has shape {y.shape}; "
            "scores of the same rows are wanted"
        )
    first, second = top(x, k), top(y, k)
    count = len(np.intersect1d(first, second, assume_unique=True))
    n = len(x)
    pvalue = float(hypergeom.sf(count - 1, n, k, k))
    ties = sum(_ties_at(scores, chosen) for scores, chosen in ((x, first), (y, second)))
    return Overlap(count, count / k, k / n, pvalue, k, n, ties)


def top(scores: npt.ArrayLike, k: int) -> Int64:
    """Positions of the k highest scores, highest first; ties go to the lower index, NaN raises."""
    values = np.asarray(scores, np.float64)
    if not 1 <= k <= len(values):
        raise ValueError(f"overlap: k is {k}; 1..{len(values)} is wanted")
    if np.isnan(values).any():
        row = int(np.flatnonzero(np.isnan(values))[0])
        raise ValueError(f"overlap: score {row} is NaN; a NaN has no rank")
    return np.argsort(-values, kind="stable")[:k].astype(np.int64)


def rank_biased_overlap(
    a: npt.ArrayLike, b: npt.ArrayLike, persistence: float = 0.9
) -> RankBiasedOverlap:
    """Rank-biased overlap of two ranked lists of the same depth k, best first.

    RBO_ext = (X_k / k) p^k + ((1-p)/p) sum_{d<=k} (X_d / d) p^d
    RBO_min = ((1-p)/p) ( sum_{d<=k} (X_d - X_k) p^d / d - X_k ln(1-p) )

    a, b         (k,) items without repetition; X_d = items common to the first d of both
    persistence  p in (0, 1): 0.9 weighs the first ten places with about 86 %

    Source: Webber, Moffat & Zobel (2010), A similarity measure for indefinite rankings.
    """
    first, second = np.asarray(a), np.asarray(b)
    _check_lists(first, second, persistence)
    k, p = len(first), persistence
    depth = np.arange(1, k + 1)
    common = _common(first, second)
    decay = p**depth
    extrapolated = common[-1] / k * p**k + (1 - p) / p * (common / depth * decay).sum()
    short = ((common - common[-1]) * decay / depth).sum()
    lower = (1 - p) / p * (short - common[-1] * np.log1p(-p))
    return RankBiasedOverlap(float(extrapolated), float(lower))


def _common(first: npt.NDArray[Any], second: npt.NDArray[Any]) -> npt.NDArray[np.int64]:
    """(k,) X_d for d = 1..k: an item counts from the later of its two places on."""
    _, here, there = np.intersect1d(first, second, assume_unique=True, return_indices=True)
    return np.cumsum(np.bincount(np.maximum(here, there), minlength=len(first)))


def _check_lists(first: npt.NDArray[Any], second: npt.NDArray[Any], persistence: float) -> None:
    if first.ndim != 1 or first.shape != second.shape or not len(first):
        raise ValueError(
            f"rank_biased_overlap: lists of shapes {first.shape} and {second.shape}; "
            "one depth k >= 1 is wanted"
        )
    if not 0 < persistence < 1:
        raise ValueError(
            f"rank_biased_overlap: persistence is {persistence}; a value between 0 and 1 is wanted"
        )
    for name, items in (("a", first), ("b", second)):
        if len(np.unique(items)) < len(items):
            raise ValueError(
                f"rank_biased_overlap: {name} repeats an item; "
                "a ranking without repetition is wanted"
            )


def _ties_at(scores: npt.NDArray[np.float64], chosen: Int64) -> int:
    """Rows left out that score the same as the last row taken: their order was settled by index."""
    last = scores[chosen[-1]]
    return int((scores == last).sum() - (scores[chosen] == last).sum())
