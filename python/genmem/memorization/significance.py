"""Is a row's out-of-sample log-density lower than chance, and how many rows are discoveries?

If leaving a row out does not change the law of its log p, the place of the out-of-sample value
among the K values of a repeat is uniform on 1..K, independently over repeats.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from genmem.memorization.accumulate import Float
from genmem.memorization.estimate import InOut

Int = npt.NDArray[np.int64]


def ranks(sides: InOut) -> Int:
    """Place of the out-of-sample value among the K values of each repeat: (L, n), 1 = lowest.

    It counts as the highest of its ties, which makes the test conservative.
    """
    return np.asarray(1 + (sides.ins <= sides.outs[:, None, :]).sum(axis=1), np.int64)


def rank_sum_null(folds: int, repeats: int) -> Float:
    """P(R <= r) for r = L..KL, R the sum of L independent uniforms on 1..K; shape (L(K-1) + 1,).

    By convolution: all terms are positive, so the smallest, K^-L, keeps its digits.
    """
    if folds < 2 or repeats < 1:
        raise ValueError(
            f"rank_sum_null: folds is {folds}, repeats {repeats}; at least 2 and 1 are wanted"
        )
    mass = np.ones(1)
    for _ in range(repeats):
        mass = np.convolve(mass, np.full(folds, 1.0 / folds))
    return np.minimum(np.cumsum(mass), 1.0)


def rank_sum_pvalues(rank_sums: npt.ArrayLike, folds: int, repeats: int) -> Float:
    """Exact one-sided p-value P(R <= R_i) of each rank sum; a low sum is evidence.

    rank_sums  (n,) integers in L..KL
    """
    given = np.asarray(rank_sums)
    if given.dtype.kind not in "iu" or (
        given.size and not (repeats <= given.min() and given.max() <= folds * repeats)
    ):
        raise ValueError(
            f"rank_sum_pvalues: rank_sums must be integers in {repeats}..{folds * repeats}"
        )
    return np.asarray(rank_sum_null(folds, repeats)[given - repeats])


def benjamini_hochberg(pvalues: npt.ArrayLike) -> Float:
    """q-value of each p-value: the smallest false-discovery rate at which it is a discovery.

    q_(j) = min over t >= j of p_(t) n / t

    Valid if the p-values are independent or positively dependent.
    Source: Benjamini & Hochberg (1995), Controlling the false discovery rate.
    """
    return _step_up(pvalues, 1.0, "benjamini_hochberg")


def benjamini_yekutieli(pvalues: npt.ArrayLike) -> Float:
    """q-values under any dependence: `benjamini_hochberg` times sum_{t <= n} 1/t, at most 1.

    Source: Benjamini & Yekutieli (2001), The control of the false discovery rate under dependency.
    """
    count = np.size(pvalues)
    return _step_up(pvalues, float((1.0 / np.arange(1, count + 1)).sum()), "benjamini_yekutieli")


def _step_up(pvalues: npt.ArrayLike, factor: float, operation: str) -> Float:
    p = np.asarray(pvalues, np.float64)
    if p.ndim != 1 or not ((p >= 0) & (p <= 1)).all():
        raise ValueError(
            f"{operation}: pvalues must be a list of numbers in 0..1, without NaN; shape {p.shape}"
        )
    order = np.argsort(p, kind="stable")
    scaled = p[order] * (factor * len(p) / np.arange(1, len(p) + 1))
    q = np.empty_like(p)
    q[order] = np.minimum.accumulate(scaled[::-1])[::-1]
    return np.minimum(q, 1.0)
