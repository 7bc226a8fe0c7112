"""The rank sum of one cell: are the values of generated rows lower than those of held-out rows?"""

from __future__ import annotations

from itertools import combinations
from math import comb
from typing import NamedTuple

import numpy as np

from genmem.copying.sets import Float64

# Fewer rows of either kind than this, and the normal law is not trusted: labels are permuted.
SMALL = 20
# Up to so many ways to label the rows of a cell, each is taken once.
ENUMERATED = 20_000
_AT_ONCE = 1 << 22


class RankSum(NamedTuple):
    """U = #{L(q) > L(p)} + #{=}/2 over generated q and held-out p; its standardised value z, with
    continuity correction for the lower tail; mean and standard deviation under the null."""

    u: float
    z: float
    mean: float
    sd: float


class Null(NamedTuple):
    """Values of z under the null: each labelling once if `enumerated`, else random draws."""

    z: Float64
    enumerated: bool


def rank_sum(generated: Float64, heldout: Float64) -> RankSum:
    """The rank-sum test of two samples, corrected for ties.

    z = (U - n m / 2 + 1/2) / sd;  sd^2 = (n m / 12) (n + m + 1 - sum (t^3 - t) / ((n+m)(n+m-1)))

    generated (m,), heldout (n,); t = sizes of the groups of equal values; z = 0 if all are equal
    Source: Mann & Whitney (1947), On a test of whether one of two random variables is
    stochastically larger than the other.
    """
    ranked, m, n = _ranked(generated, heldout)
    u = float(ranked[:m].sum() - m * (m + 1) / 2)
    mean, sd = n * m / 2, _sd(ranked, m, n)
    return RankSum(u, standardised(u, mean, sd), mean, sd)


def standardised(u: float, mean: float, sd: float) -> float:
    """z of U; 0 where all values are equal."""
    return (u - mean + 0.5) / sd if sd > 0 else 0.0


def null_z(generated: Float64, heldout: Float64, draws: int, random: np.random.Generator) -> Null:
    """z under permuted labels: every labelling once if there are few, else `draws` random ones.

    Large cells draw from the normal law instead, which holds for them.
    """
    ranked, m, n = _ranked(generated, heldout)
    if min(m, n) >= SMALL:
        return Null(random.standard_normal(draws), False)
    mean, sd = n * m / 2, _sd(ranked, m, n)
    if sd == 0:
        return Null(np.zeros(1), True)
    few = comb(n + m, m) <= ENUMERATED
    if few:
        sums = np.array([sum(chosen) for chosen in combinations(ranked.tolist(), m)])
    else:
        sums = _random_sums(ranked, m, draws, random)
    return Null((sums - m * (m + 1) / 2 - mean + 0.5) / sd, few)


def _random_sums(ranked: Float64, m: int, draws: int, random: np.random.Generator) -> Float64:
    sums = np.empty(draws)
    step = max(1, _AT_ONCE // len(ranked))
    for start in range(0, draws, step):
        block = np.tile(ranked, (min(step, draws - start), 1))
        sums[start : start + step] = random.permuted(block, axis=1)[:, :m].sum(axis=1)
    return sums


def _ranked(generated: Float64, heldout: Float64) -> tuple[Float64, int, int]:
    from scipy.stats import rankdata

    ranked = rankdata(np.concatenate([generated, heldout]), method="average")
    return np.asarray(ranked, np.float64), len(generated), len(heldout)


def _sd(ranked: Float64, m: int, n: int) -> float:
    _, tied = np.unique(ranked, return_counts=True)
    total = n + m
    loss = float((tied.astype(np.float64) ** 3 - tied).sum()) / (total * (total - 1))
    return float(np.sqrt(max(n * m / 12 * (total + 1 - loss), 0.0)))
