"""p-values under one null: generated and held-out samples could change places."""

from __future__ import annotations

import numpy as np

from genmem.copying.sets import Float64

EXCHANGEABLE = "generated and held-out samples are draws of one law, independent of the training"


def share_pvalue(generated: Float64, heldout: Float64, *, high: bool) -> float:
    """Fisher's exact p-value that the share of hits among generated samples is only by chance so
    high, or so low.

    P(H >= h) or P(H <= h),  H ~ hypergeometric: hits among m of m + n samples, all hits given

    generated (m,), heldout (n,)  1 = hit, 0 = none
    """
    from scipy.stats import hypergeom

    m, n = len(generated), len(heldout)
    hits = int(generated.sum())
    null = hypergeom(m + n, hits + int(heldout.sum()), m)
    return float(null.sf(hits - 1) if high else null.cdf(hits))


def rank_of(quantile: float, heldout: int) -> int:
    """Rank of the held-out value that stands for a quantile: max(1, floor(quantile n)).

    The product may fall short of a whole number by rounding; 1e-9 is added before it is cut.
    """
    return max(1, int(quantile * heldout + 1e-9))


def by_construction(what: str, rank: int, heldout: int) -> str:
    """The note that the share below an order statistic of the same values is no finding."""
    return (
        f"{what}: the held-out share is {rank} / {heldout} by construction, not a measurement; the "
        "threshold is that order statistic of the held-out values"
    )


def precedence_pvalue(count: int, generated: int, heldout: int, rank: int) -> float:
    """P(K >= count), K = how many of m generated values lie below the rank-th lowest of n others.

    K >= k  <=>  among the k + r - 1 lowest of all, at most r - 1 are held-out values

    The threshold is an order statistic of the same held-out values, so its noise is in the null.
    Ties make it conservative where `count` counts values strictly below.
    """
    from scipy.stats import hypergeom

    if not 1 <= rank <= heldout:
        raise ValueError(f"precedence_pvalue: rank is {rank}; 1..{heldout} is wanted")
    if count == 0:
        return 1.0
    return float(hypergeom.cdf(rank - 1, generated + heldout, heldout, count + rank - 1))


def permutation_pvalue(statistic: float, null: Float64, *, high: bool) -> float:
    """(1 + #{as extreme}) / (1 + B) over B values under permuted labels; NaN if undefined."""
    defined = null[~np.isnan(null)]
    if np.isnan(statistic) or not len(defined):
        return np.nan
    # Sums in another order differ in their last bits: what is equal in exact numbers counts.
    slack = 1e-12 * max(1.0, abs(statistic)) if np.isfinite(statistic) else 0.0
    extreme = defined >= statistic - slack if high else defined <= statistic + slack
    return float((1 + extreme.sum()) / (1 + len(defined)))
