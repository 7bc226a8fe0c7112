"""Standard errors and intervals of a score over the repeats, which are its independent units.

The folds of one repeat share training rows, so they are never resampled as if they were
independent.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from genmem import noise
from genmem.memorization.accumulate import Float, logmeanexp

# A sum above 1e-250 has all its digits. One below it, with counts of 1 or more, holds no term
# within 575 nats of the one it was scaled by.
_TINY, _GAP = 1e-250, 575.0


class Jackknife(NamedTuple):
    """corrected (n,): L theta - (L-1) mean theta_(-l);  se (n,): its standard error; in nats."""

    corrected: Float
    se: Float


def without_each(values: Float) -> Float:
    """logmeanexp over the repeats, each left out in turn: (L, ..., n) -> (L, ..., n), in nats.

    Each is summed directly: subtracting one term from the whole would cancel when it dominates.
    """
    repeats = len(values)
    if repeats < 2:
        raise ValueError(f"without_each: values has {repeats} repeats; at least 2 are wanted")
    kept = (np.delete(np.arange(repeats), left) for left in range(repeats))
    return np.stack([logmeanexp(values[others], axis=0) for others in kept])


def jackknife(estimate: Float, without: Float) -> Jackknife:
    """Jackknife over repeats of an estimate (n,), from its values without each repeat, (L, n).

    se^2 = (L-1)/L sum_l (theta_(-l) - mean)^2.  The corrected value removes a bias of order 1/L;
    that of log-mean-exp has this form only while log p scatters by less than about one nat between
    repeats. Under noise of 1 to 10 nats with K = L = 10 the se of the plain score is 8 to 13 % too
    small.
    """
    repeats = len(without)
    if repeats < 2:
        unknown = np.full(estimate.shape, np.nan)
        return Jackknife(unknown, unknown.copy())
    mean = without.mean(axis=0)
    squares = np.square(without - mean).sum(axis=0)
    return Jackknife(
        corrected=np.asarray(repeats * estimate - (repeats - 1) * mean),
        se=np.asarray(np.sqrt((repeats - 1) / repeats * squares)),
    )


def t_interval(estimate: Float, se: Float, repeats: int, confidence: float) -> tuple[Float, Float]:
    """estimate +- t se, L - 1 degrees of freedom, in the unit of estimate; NaN for one repeat."""
    from scipy.stats import t

    if repeats < 2:
        unknown = np.full(estimate.shape, np.nan)
        return unknown, unknown.copy()
    reach = float(t.ppf(0.5 + confidence / 2, repeats - 1)) * se
    return estimate - reach, estimate + reach


def bootstrap_weights(repeats: int, resamples: int, *, seed: int = 0) -> Float:
    """How often each resample, drawn with replacement, takes each repeat: (B, L) counts.

    Keyed by (seed, resample): the same resamples serve every row, so scores stay comparable.
    """
    if repeats < 1 or resamples < 1:
        raise ValueError(
            f"bootstrap_weights: repeats is {repeats}, resamples {resamples}; at least 1 is wanted"
        )
    unit = noise.uniforms(seed, np.arange(resamples), [0], repeats, stream="bootstrap")[:, 0]
    taken = (unit * repeats).astype(np.int64)  # (B, L)
    counts = np.zeros((resamples, repeats))
    np.add.at(counts, (np.arange(resamples)[:, None], taken), 1.0)
    return counts


def resampled_logmeanexp(values: Float, weights: Float) -> Float:
    """logmeanexp over repeats of each row under each resample: (B, n), in nats.

    log( sum_l w_bl exp(v_l) / L )

    values   (L, n) nats, finite
    weights  (B, L) counts, each row of them summing to L
    One sum of exp(v - max v) in the order of the repeats: a matrix product would round as many
    ways as its library has threads. A resample without the largest values may leave a sum that
    underflows; such sums are formed again from the largest value at least 575 nats further down.
    """
    top = values.max(axis=0)
    total = _weighted_sum(weights, np.exp(values - top))
    with np.errstate(divide="ignore"):
        out = np.log(total) + top
        lost = total < _TINY
        rows = np.flatnonzero(lost.any(axis=0))
        while len(rows):
            # Terms above the ceiling have weight 0 in every sum that is lost.
            below = values[:, rows] <= top[rows] - _GAP
            top[rows] = values[:, rows].max(axis=0, initial=-np.inf, where=below)
            terms = np.exp(np.where(below, values[:, rows], -np.inf) - top[rows])
            total = _weighted_sum(weights, terms)
            out[:, rows] = np.where(lost[:, rows], np.log(total) + top[rows], out[:, rows])
            lost[:, rows] &= total < _TINY
            rows = rows[lost[:, rows].any(axis=0)]
    return np.asarray(out - np.log(len(values)))


def _weighted_sum(weights: Float, terms: Float) -> Float:
    """sum_l weights[b, l] terms[l, n], in the order of l: (B, n)."""
    total = np.zeros((len(weights), terms.shape[1]))
    for repeat, row in enumerate(terms):
        total += weights[:, repeat, None] * row
    return total


def bootstrap_matched(chosen: Float, outs: Float, weights: Float) -> Float:
    """The matched score of each row under each resample of the repeats: (B, n), in nats.

    chosen   (C, L, n) in-sample values of each choice;  outs (L, n) out-of-sample values
    weights  (B, L) counts of `bootstrap_weights`
    Both sides are resampled together: a repeat that is taken twice counts twice with the same two
    values, so the sides stay matched and the replicates have no bias either.
    """
    # Few repeats have few distinct resamples (10 for L = 3): each is worked out once.
    distinct, which = np.unique(weights, axis=0, return_inverse=True)
    total = np.zeros((len(distinct), outs.shape[1]))
    for one in chosen:
        total += resampled_logmeanexp(one, distinct)
    score = total / len(chosen) - resampled_logmeanexp(outs, distinct)
    return np.asarray(score[which.reshape(-1)])


def percentile_interval(replicates: npt.ArrayLike, confidence: float) -> tuple[Float, Float]:
    """The central interval of (B, n) bootstrap replicates, per row; ten repeats are few for it."""
    tail = (1 - confidence) / 2
    lower, upper = np.quantile(np.asarray(replicates, np.float64), [tail, 1 - tail], axis=0)
    return lower, upper
