"""Quantiles of the score over the rows, epoch by epoch, with intervals; the generalization gap.

Two kinds of interval answer two questions. Order statistics: how would the quantile move with other
rows from the same source? Bootstrap over repeats: how would it move with other folds and seeds?
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from genmem.memorization import estimate, intervals
from genmem.memorization.accumulate import Float
from genmem.memorization.matched import Int, take_choices
from genmem.memorization.scores import MemorizationScores
from genmem.memorization.scoring import BLOCK_BYTES, Settings, blocks_of_rows, pick
from genmem.memorization.tables import LogTable

if TYPE_CHECKING:
    import pandas as pd

QUANTILES = (0.5, 0.95, 0.999)


@dataclass(frozen=True)
class QuantileInterval:
    """A quantile with linear interpolation, and the order statistics around it.

    lower_rank, upper_rank  1-based ranks of the bounds; None where the sample is too small for one,
                            and the interval is open: lower = -inf or upper = inf
    """

    q: float
    value: float
    lower: float
    upper: float
    lower_rank: int | None
    upper_rank: int | None


def order_ranks(count: int, q: float, confidence: float = 0.95) -> tuple[int | None, int | None]:
    """1-based ranks of the order statistics around the q-quantile of `count` independent rows.

    lower = F^-1(a/2),  upper = F^-1(1 - a/2) + 1,  F binomial (count, q), a = 1 - confidence; None
    = open
    """
    from scipy.stats import binom

    if count < 1 or not 0 < q < 1 or not 0 < confidence < 1:
        raise ValueError(
            f"order_ranks: count is {count}, q {q}, confidence {confidence};"
            " at least 1, and numbers between 0 and 1, are wanted"
        )
    tail = (1 - confidence) / 2
    lower = int(binom.ppf(tail, count, q))
    upper = int(binom.ppf(1 - tail, count, q)) + 1
    return (lower if lower >= 1 else None), (upper if upper <= count else None)


def quantile_interval(
    values: npt.ArrayLike, q: float, confidence: float = 0.95
) -> QuantileInterval:
    """The q-quantile of values (n,) and its distribution-free interval; NaN is refused."""
    given = np.asarray(values, np.float64)
    if given.ndim != 1 or np.isnan(given).any():
        raise ValueError(
            f"quantile_interval: values has shape {given.shape} and {int(np.isnan(given).sum())}"
            " NaN; a list of numbers is wanted"
        )
    lower, upper = order_ranks(len(given), q, confidence)
    ordered = np.sort(given)
    return QuantileInterval(
        q=q,
        value=float(np.quantile(given, q)),
        lower=-np.inf if lower is None else float(ordered[lower - 1]),
        upper=np.inf if upper is None else float(ordered[upper - 1]),
        lower_rank=lower,
        upper_rank=upper,
    )


def trajectory(
    scores: MemorizationScores,
    quantiles: Sequence[float] = QUANTILES,
    *,
    confidence: float | None = None,
) -> pd.DataFrame:
    """Quantiles of the score at every epoch, in nats: columns epoch, q, score, lower, upper.

    The interval is that of `quantile_interval` at the confidence of the scores unless another is
    given.
    """
    import pandas as pd

    level = scores.confidence if confidence is None else confidence
    lines = []
    for e, epoch in enumerate(scores.epochs.tolist()):
        for q in quantiles:
            found = quantile_interval(scores.by_epoch[:, e], q, level)
            lines.append((epoch, q, found.value, found.lower, found.upper))
    return pd.DataFrame(lines, columns=["epoch", "q", "score", "lower", "upper"])


def generalization_gap(scores: MemorizationScores) -> Float:
    """Cross-validated gap at each epoch, (E,), in nats: the mean over rows of in-sample less
    out-of-sample mean log p."""
    return np.asarray(scores.log_by_epoch.mean(axis=0))


def resampled_quantiles(
    table: LogTable,
    index: Int,
    quantiles: Sequence[float] = QUANTILES,
    *,
    settings: Settings | None = None,
) -> Float:
    """Bootstrap over repeats of the quantiles of the score by epoch: (E, q, 2) bounds, in nats.

    index  (N,) identities of the rows
    The same resamples serve all rows and epochs. A quantile needs all rows of a resample at once:
    64 MiB of resamples are worked on at a time, and the table is read again for each such part.
    Raises ValueError for fewer than three repeats, which have no spread worth a bootstrap.
    """
    chosen_settings = settings or Settings()
    repeats, count = table.held_out.shape
    if repeats < 3:
        raise ValueError(
            f"resampled_quantiles: the table has {repeats} repeats; at least 3 are wanted"
        )
    weights = intervals.bootstrap_weights(
        repeats, chosen_settings.resamples, seed=chosen_settings.seed
    )
    # Few repeats have few distinct resamples (10 for L = 3).
    distinct, which = np.unique(weights, axis=0, return_inverse=True)
    step = max(1, BLOCK_BYTES // (8 * count))
    out = np.empty((len(table.epochs), len(quantiles), 2))
    for e in range(len(table.epochs)):
        parts = [
            np.quantile(
                _replicates(table, e, index, distinct[at : at + step], chosen_settings),
                list(quantiles),
                axis=1,
            )
            for at in range(0, len(distinct), step)
        ]
        found = np.concatenate(parts, axis=1)[:, which.reshape(-1)]  # (q, B)
        lower, upper = intervals.percentile_interval(found.T, chosen_settings.confidence)
        out[e] = np.stack([lower, upper], axis=1)
    return out


def _replicates(table: LogTable, e: int, index: Int, weights: Float, settings: Settings) -> Float:
    """The score of each row at the epoch in place e under each resample: (B, N), in nats."""
    out = np.empty((len(weights), len(index)))
    for start, stop in blocks_of_rows(table, settings):
        sides = estimate.split(table.block(start, stop)[e], table.held_out[:, start:stop])
        chosen = take_choices(sides.ins, pick(table, index[start:stop], settings))
        out[:, start:stop] = intervals.bootstrap_matched(chosen, sides.outs, weights)
    return out
