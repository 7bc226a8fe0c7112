"""Rank correlation of two scores of the same samples, with its interval: plain and partial."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Float64 = npt.NDArray[np.float64]


class Correlation(NamedTuple):
    """A correlation in -1..1, its interval, its two-sided p-value against 0, and the rows used."""

    value: float
    lower: float
    upper: float
    pvalue: float
    n: int


def spearman(x: npt.ArrayLike, y: npt.ArrayLike, *, level: float = 0.95) -> Correlation:
    """Spearman's rank correlation: Pearson's of the average ranks.

    interval = tanh( atanh(r) +- z sqrt((1 + r^2/2) / (n - 3)) )
    p        = two-sided t of r sqrt((n - 2) / (1 - r^2)) with n - 2 degrees of freedom

    x, y   (n,) scores of the same rows; -inf and +inf are ranked, NaN raises
    level  coverage of the interval, for rows that are independent of each other

    Undefined (NaN) if one side is constant. So are the interval for n <= 3 and the p-value for
    n = 2, where r is 1 or -1 whatever the scores.
    Source: Bonett & Wright (2000), Sample size requirements for estimating Pearson, Kendall and
    Spearman correlations.
    """
    a, b = _paired("spearman", x, y)
    return _with_interval(pearson(ranks(a), ranks(b)), len(a), 0, level)


def partial_spearman(
    x: npt.ArrayLike, y: npt.ArrayLike, given: npt.ArrayLike, *, level: float = 0.95
) -> Correlation:
    """Rank correlation of x and y that is left once the columns of `given` are held fixed.

    Ranks of x and of y are regressed on [1, ranks of given]; the residuals are correlated. For one
    column it equals (r12 - r13 r23) / sqrt((1 - r13^2)(1 - r23^2)). Interval and p-value are as in
    `spearman`, with n less by the number q of independent columns: df = n - 2 - q, and the interval
    undefined for df = 1.

    x, y   (n,); given (n, q) or (n,), NaN raises

    Undefined (NaN) if the ranks of x or of y are a linear function of those of `given`, or df < 1,
    where the residuals of any x and y lie on a line.
    """
    a, b = _paired("partial_spearman", x, y)
    z = _columns("partial_spearman", given, len(a))
    design = np.column_stack([np.ones(len(a)), *(_standard(ranks(column)) for column in z.T)])
    both = np.column_stack([_standard(ranks(a)), _standard(ranks(b))])
    fit, _, rank, _ = np.linalg.lstsq(design, both, rcond=None)
    left = both - design @ fit
    # What rounding leaves of a perfect fit is no residual: ranks are standardised to variance 1.
    explained = (left**2).mean(axis=0) < 1e-20
    undefined = explained.any() or len(a) < 2 + rank
    value = np.nan if undefined else pearson(left[:, 0], left[:, 1])
    return _with_interval(value, len(a), int(rank) - 1, level)


def kendall(
    x: npt.ArrayLike, y: npt.ArrayLike, *, level: float = 0.95, resamples: int = 1000, seed: int = 0
) -> Correlation:
    """Kendall's tau-b, (C - D) / sqrt((n0 - n1)(n0 - n2)), with a bootstrap interval over rows.

    C, D       concordant and discordant pairs; n0 all pairs, n1 and n2 the pairs tied in x and in y
    resamples  bootstrap samples of the percentile interval; 0 leaves the interval out (NaN)

    Costs O(n log n) per resample. A resample in which one side is constant has no tau and is drawn
    again. Undefined (NaN) if one side is constant.
    """
    from scipy.stats import kendalltau

    a, b = _paired("kendall", x, y)
    if _constant(a) or _constant(b):
        return Correlation(np.nan, np.nan, np.nan, np.nan, len(a))
    value, pvalue = kendalltau(a, b, variant="b")
    random = np.random.default_rng(seed)
    drawn: list[float] = []
    while len(drawn) < resamples:
        row = random.integers(0, len(a), len(a))
        if not (_constant(a[row]) or _constant(b[row])):
            drawn.append(float(kendalltau(a[row], b[row], variant="b")[0]))
    tail = (1 - level) / 2
    lower, upper = np.quantile(drawn, [tail, 1 - tail]) if drawn else (np.nan, np.nan)
    return Correlation(float(value), float(lower), float(upper), float(pvalue), len(a))


def ranks(values: npt.ArrayLike) -> Float64:
    """Average ranks 1..n; rows that tie share the mean of their places."""
    from scipy.stats import rankdata

    return np.asarray(rankdata(np.asarray(values, np.float64), method="average"), np.float64)


def spearman_brown(r: float) -> float:
    """Reliability of the full length from the correlation r of two halves: 2 r / (1 + r)."""
    return 2 * r / (1 + r) if r > -1 else np.nan


def _with_interval(value: float, n: int, fixed: int, level: float) -> Correlation:
    from scipy.stats import norm, t

    if not 0 < level < 1:
        raise ValueError(f"spearman: level is {level}; a coverage between 0 and 1 is wanted")
    df = n - 2 - fixed
    if not np.isfinite(value) or df < 1:
        return Correlation(value, np.nan, np.nan, np.nan, n)
    perfect = 1 - abs(value) < 1e-14
    value = float(np.sign(value)) if perfect else value
    pvalue = 0.0 if perfect else 2 * float(t.sf(abs(value) * np.sqrt(df / (1 - value**2)), df))
    if df == 1:
        return Correlation(value, np.nan, np.nan, pvalue, n)
    if perfect:
        return Correlation(value, value, value, pvalue, n)
    half = norm.ppf((1 + level) / 2) * np.sqrt((1 + value * value / 2) / (df - 1))
    centre = np.arctanh(value)
    return Correlation(
        value, float(np.tanh(centre - half)), float(np.tanh(centre + half)), pvalue, n
    )


def pearson(a: Float64, b: Float64) -> float:
    """Pearson's correlation of (n,) and (n,); NaN if one side is constant."""
    a, b = a - a.mean(), b - b.mean()
    scale = np.sqrt((a @ a) * (b @ b))
    return float(np.clip((a @ b) / scale, -1, 1)) if scale > 0 else np.nan


def _standard(ranked: Float64) -> Float64:
    spread = ranked.std()
    return (ranked - ranked.mean()) / spread if spread > 0 else np.zeros_like(ranked)


def _constant(values: Float64) -> bool:
    return bool((values == values[0]).all())


def _paired(operation: str, x: npt.ArrayLike, y: npt.ArrayLike) -> tuple[Float64, Float64]:
    a, b = np.asarray(x, np.float64), np.asarray(y, np.float64)
    if a.ndim != 1 or a.shape != b.shape or len(a) < 2:
        raise ValueError(
            f"{operation}: x has shape {a.shape} and y has shape {b.shape}; "
            "two scores of the same rows, at least 2, are wanted"
        )
    refuse_nan(operation, "x", a)
    refuse_nan(operation, "y", b)
    return a, b


def _columns(operation: str, given: npt.ArrayLike, n: int) -> Float64:
    z = np.asarray(given, np.float64)
    z = z[:, None] if z.ndim == 1 else z
    if z.ndim != 2 or len(z) != n:
        raise ValueError(f"{operation}: given has shape {z.shape}; ({n}, q) is wanted")
    refuse_nan(operation, "given", z)
    return z


def refuse_nan(operation: str, name: str, values: Float64) -> None:
    """Raise ValueError, naming the place, if `values` holds a NaN."""
    if np.isnan(values).any():
        where = np.argwhere(np.isnan(values))[0].tolist()
        raise ValueError(
            f"{operation}: {name} is NaN at {where}; a NaN has no rank, leave its row out"
        )
