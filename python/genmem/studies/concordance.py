"""Agreement of many raters on one ranking."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from genmem.studies.correlation import Float64, pearson, ranks, refuse_nan


class Concordance(NamedTuple):
    """Kendall's W in 0..1, its chi-square statistic and p-value, and the mean pairwise Spearman."""

    value: float
    statistic: float
    pvalue: float
    mean_spearman: float


def concordance(scores: npt.ArrayLike) -> Concordance:
    """Kendall's W: how far m raters agree on the ranking of n rows, from 0 (not at all) to 1.

    W = 12 S / ( m^2 (n^3 - n) - m sum_raters sum_ties (t^3 - t) ),  S = sum_i (R_i - mean R)^2
    chi^2 = m (n - 1) W with n - 1 degrees of freedom

    scores  (m, n), m >= 2 raters, n >= 2 rows; NaN raises

    Undefined (NaN) if every rater is constant.
    """
    from scipy.stats import chi2

    table = np.asarray(scores, np.float64)
    if table.ndim != 2 or min(table.shape) < 2:
        raise ValueError(
            f"concordance: scores has shape {table.shape}; (raters >= 2, rows >= 2) is wanted"
        )
    refuse_nan("concordance", "scores", table)
    ranked = np.stack([ranks(row) for row in table])
    m, n = ranked.shape
    total = ranked.sum(axis=0)
    spread = ((total - total.mean()) ** 2).sum()
    scale = m * m * (n**3 - n) - m * sum(_tied(row) for row in ranked)
    value = float(12 * spread / scale) if scale > 0 else np.nan
    statistic = m * (n - 1) * value
    pairs = [pearson(ranked[i], ranked[j]) for i in range(m) for j in range(i)]
    return Concordance(value, statistic, float(chi2.sf(statistic, n - 1)), float(np.mean(pairs)))


def _tied(ranked: Float64) -> int:
    counts = np.unique(ranked, return_counts=True)[1].astype(np.int64)
    return int((counts**3 - counts).sum())
