"""Intervals over samples that come in clusters: those with the same nearest training row."""

from __future__ import annotations

import numpy as np

from genmem.copying.sets import Float64, Int64
from genmem.density.parameters import check_count


def check_level(operation: str, level: float, resamples: int) -> None:
    """Raise ValueError unless 0 < level < 1 and there is a resample to take."""
    check_count(resamples, "resamples", operation)
    if not 0 < level < 1:
        raise ValueError(f"{operation}: level is {level}; a coverage between 0 and 1 is wanted")


def cluster_totals(
    values: Float64, clusters: Int64, resamples: int, random: np.random.Generator
) -> Float64:
    """Column sums of resamples of whole clusters, (B, q).

    values    (n, q)
    clusters  (n,) label of each row; each resample draws as many clusters as there are, with
              replacement
    """
    _, member = np.unique(clusters, return_inverse=True)
    sums = np.stack([np.bincount(member, column) for column in values.T], axis=1)
    totals = np.empty((resamples, values.shape[1]))
    for one in totals:
        one[:] = sums[random.integers(0, len(sums), len(sums))].sum(axis=0)
    return totals


def percentile(replicates: Float64, level: float) -> tuple[float, float]:
    """The central interval of the replicates that are defined; NaN if none is."""
    defined = replicates[~np.isnan(replicates)]
    if not len(defined):
        return np.nan, np.nan
    tail = (1 - level) / 2
    lower, upper = np.quantile(defined, [tail, 1 - tail])
    return float(lower), float(upper)


def share_interval(
    hits: Float64, clusters: Int64, level: float, resamples: int, random: np.random.Generator
) -> tuple[float, float]:
    """Wilson's interval of a share, for as many rows as their clusters are worth.

    n_eff = p (1 - p) / var(p*)  over resamples of clusters, at most n; the number of clusters where
    p is 0 or 1 and resampling says nothing

    hits      (n,) 0 or 1;  clusters (n,)
    """
    n, share = len(hits), float(hits.mean())
    groups = len(np.unique(clusters))
    totals = cluster_totals(np.column_stack([hits, np.ones(n)]), clusters, resamples, random)
    variance = float((totals[:, 0] / totals[:, 1]).var())
    rows = min(n, share * (1 - share) / variance) if variance > 0 else groups
    return wilson(share, rows, level)


def wilson(share: float, rows: float, level: float) -> tuple[float, float]:
    """Wilson's interval of a share of so many independent rows; NaN if the share is.

    A percentile interval of a share of 0 is 0 to 0, however few rows there are; this one is not.
    Source: Wilson (1927), Probable inference, the law of succession, and statistical inference;
    Dean & Pagano (2015), for an effective number of rows in a clustered survey.
    """
    from scipy.stats import norm

    if np.isnan(share):
        return np.nan, np.nan
    reach = norm.ppf((1 + level) / 2) ** 2 / rows
    centre = (share + reach / 2) / (1 + reach)
    half = np.sqrt(reach * (share * (1 - share) + reach / 4)) / (1 + reach)
    return max(0.0, float(centre - half)), min(1.0, float(centre + half))
