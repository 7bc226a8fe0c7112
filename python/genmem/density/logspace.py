"""Sums of exponentials that never leave log space, and sums that leave one term out."""

from __future__ import annotations

import numpy as np
from scipy.special import gammaln

from genmem.density.rows import Float64

LOG_2PI = float(np.log(2 * np.pi))


def softplus(t: Float64) -> Float64:
    """log(1 + exp(t)), elementwise: max(t, 0) + log1p(exp(-|t|))."""
    return np.asarray(np.maximum(t, 0.0) + np.log1p(np.exp(-np.abs(t))))


def logsumexp_rows(a: Float64) -> Float64:
    """log sum_j exp(a[i, j]) of each row; a row without a finite term gives -inf, never NaN."""
    top = a.max(axis=-1, initial=-np.inf)
    shift = np.where(np.isfinite(top), top, 0.0)
    with np.errstate(divide="ignore"):
        return np.asarray(shift + np.log(np.exp(a - shift[..., None]).sum(axis=-1)))


def sum_of_others(w: Float64) -> Float64:
    """sum_{j != i} w[j] along the first axis, for every i.

    Sums from both ends, because W - w[i] loses every digit when one term is nearly all of W.
    """
    before, after = np.zeros_like(w), np.zeros_like(w)
    before[1:] = np.cumsum(w, axis=0)[:-1]
    after[:-1] = np.cumsum(w[::-1], axis=0)[::-1][1:]
    return before + after


def log_share_of_others(w: Float64) -> Float64:
    """log((W - w[i]) / W) with W = sum w; exactly 0 where w[i] is 0."""
    total = w.sum()
    with np.errstate(divide="ignore"):
        answer = np.log1p(-w / total)
        large = 2 * w >= total
        answer[large] = np.log(sum_of_others(w)[large] / total)
    return np.asarray(answer, np.float64)


def log_unit_ball(d: int) -> float:
    """Log-volume of the unit ball in d dimensions: (d/2) log pi - lgamma(d/2 + 1)."""
    return float(0.5 * d * np.log(np.pi) - gammaln(0.5 * d + 1))
