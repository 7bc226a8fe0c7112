"""What scores of influence should show, if they measure anything: each check with its interval.

A training sample should be the strongest proponent of itself; proponents should be of the class of
the sample that they help; samples that do not belong should influence themselves the most.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.stats import norm, rankdata

from genmem.copying.resampling import wilson
from genmem.influence import Detection, detection
from genmem.studies.correlation import Correlation, Float64, spearman

Int64 = npt.NDArray[np.int64]


class Share(NamedTuple):
    """A share in 0..1, its interval, what chance alone gives, and of how many."""

    value: float
    lower: float
    upper: float
    chance: float
    n: int


class OwnTop(NamedTuple):
    """rate: of queries whose strongest proponent is themselves; ranks (Q,) of the query itself,
    1 is the strongest, samples that tie share their places; reciprocal_rank: mean of 1 / rank."""

    rate: Share
    reciprocal_rank: float
    ranks: Float64


class ClassAgreement(NamedTuple):
    """Shares of the strongest proponents and opponents that have the label of their query."""

    proponents: Share
    opponents: Share


class SelfInfluenceAndLoss(NamedTuple):
    """R^2 of the line of self-influence on loss, with its interval, and the rank correlation."""

    r2: float
    lower: float
    upper: float
    ranks: Correlation


class Cleaning(NamedTuple):
    """How well self-influence finds foreign samples, and 95 % intervals of the two areas."""

    found: Detection
    auc_interval: tuple[float, float]
    area_interval: tuple[float, float]


def own_top(scores: npt.ArrayLike, own: npt.ArrayLike, *, level: float = 0.95) -> OwnTop:
    """Whether training samples are their own strongest proponents.

    scores  (Q, N) influence of N training samples on queries that are among them
    own     (Q,) position of each query among the N

    Interval: Wilson's, over queries. By chance 1 / N.
    Source: Kong & Chaudhuri (2021), section 4; Hanawa et al. (2021), the identical instance test.
    """
    values = _matrix("own_top", scores)
    at = np.asarray(own, np.int64)
    count, total = values.shape
    if at.shape != (count,) or not ((at >= 0) & (at < total)).all():
        raise ValueError(f"own_top: own wants {count} positions in 0..{total - 1}")
    mine = values[np.arange(count), at][:, None]
    ranks = 1 + (values > mine).sum(axis=1) + ((values == mine).sum(axis=1) - 1) / 2
    return OwnTop(top_rate(ranks, total, level), float((1 / ranks).mean()), ranks)


def top_rate(ranks: Float64, total: int, level: float = 0.95) -> Share:
    """How many of the ranks, each among `total`, are 1."""
    rate = float((ranks == 1).mean())
    return Share(rate, *wilson(rate, len(ranks), level), 1 / total, len(ranks))


def class_agreement(
    scores: npt.ArrayLike,
    query_labels: npt.ArrayLike,
    train_labels: npt.ArrayLike,
    k: int = 1,
    *,
    level: float = 0.95,
    resamples: int = 2000,
    seed: int = 0,
) -> ClassAgreement:
    """Whether the k strongest proponents and opponents have the label of their query.

    scores  (Q, N); labels (Q,) and (N,) int

    Interval: Wilson's over queries for k = 1, else percentiles of resampled queries, whose k
    strongest belong together. By chance the share of each query's class among the N.
    Source: Kong & Chaudhuri (2021), section 5.
    """
    values = _matrix("class_agreement", scores)
    wanted, labels = np.asarray(query_labels), np.asarray(train_labels)
    count, total = values.shape
    if wanted.shape != (count,) or labels.shape != (total,):
        raise ValueError(
            f"class_agreement: labels have shapes {wanted.shape} and {labels.shape}; ({count},) "
            f"and ({total},) are wanted"
        )
    if not 1 <= k <= total:
        raise ValueError(f"class_agreement: k is {k}; 1..{total} is wanted")
    chance = float((labels == wanted[:, None]).mean())
    random = np.random.default_rng(seed)
    sides = []
    for signed in (-values, values):
        strongest = np.argsort(signed, axis=1, kind="stable")[:, :k]
        shares = (labels[strongest] == wanted[:, None]).mean(axis=1)
        share = float(shares.mean())
        if k == 1:
            ends = wilson(share, count, level)
        else:
            drawn = shares[random.integers(0, count, (resamples, count))].mean(axis=1)
            lower, upper = np.quantile(drawn, [(1 - level) / 2, (1 + level) / 2])
            ends = float(lower), float(upper)
        sides.append(Share(share, *ends, chance, count))
    return ClassAgreement(*sides)


def self_influence_and_loss(
    own: npt.ArrayLike,
    losses: npt.ArrayLike,
    *,
    level: float = 0.95,
    resamples: int = 500,
    seed: int = 0,
) -> SelfInfluenceAndLoss:
    """How much of self-influence the loss tells: R^2 of a line, and Spearman's correlation.

    own, losses  (N,)

    Interval of R^2: percentiles of resampled rows. Source: Kong & Chaudhuri (2021), figure 3.
    """
    x, y = np.asarray(losses, np.float64), np.asarray(own, np.float64)
    ranks = spearman(y, x, level=level)
    random = np.random.default_rng(seed)
    n = len(x)
    centred = np.stack([x - x.mean(), y - y.mean()])
    moments = np.stack([*centred, *(centred**2), centred[0] * centred[1]])
    drawn = [_r2(moments @ np.bincount(random.integers(0, n, n), minlength=n) / n)
             for _ in range(resamples)]  # fmt: skip
    lower, upper = np.quantile(drawn, [(1 - level) / 2, (1 + level) / 2])
    return SelfInfluenceAndLoss(_r2(moments.mean(axis=1)), float(lower), float(upper), ranks)


def cleaning(own: npt.ArrayLike, foreign: npt.ArrayLike, *, level: float = 0.95) -> Cleaning:
    """How well self-influence finds samples that do not belong.

    own      (N,) self-influence; foreign (N,) bool or positions

    Interval of the AUC: normal, with the variance of DeLong et al. (1988), cut at 1; the area of
    Kong & Chaudhuri (2021) is a linear function of the AUC (`genmem.influence.mislabel`).
    """
    values = np.asarray(own, np.float64)
    found = detection(values, foreign)
    marks = np.zeros(len(values), bool)
    marks[np.asarray(foreign)] = True
    n, rest = int(marks.sum()), int((~marks).sum())
    ranks = rankdata(values)
    # Shares of the other kind that a sample stands above, ties for a half.
    above = (ranks[marks] - rankdata(values[marks])) / rest
    below = 1 - (ranks[~marks] - rankdata(values[~marks])) / n
    variance = sum(side.var(ddof=1) / len(side) for side in (above, below) if len(side) > 1)
    half = float(norm.ppf((1 + level) / 2) * np.sqrt(variance))
    ends = max(0.0, found.auc - half), min(1.0, found.auc + half)
    total = len(values)
    areas = [1 - ((total - n) * (1 - auc) + (n - 1) / 2) / total for auc in ends]
    return Cleaning(found, ends, (areas[0], areas[1]))


def _matrix(operation: str, scores: npt.ArrayLike) -> Float64:
    values = np.asarray(scores, np.float64)
    if values.ndim != 2 or not values.size or not np.isfinite(values).all():
        raise ValueError(
            f"{operation}: scores have shape {values.shape}; a (Q, N) matrix of finite numbers is "
            "wanted"
        )
    return values


def _r2(moments: Float64) -> float:
    """From means of x, y, x^2, y^2, x y."""
    mx, my, xx, yy, xy = moments
    return float((xy - mx * my) ** 2 / ((xx - mx**2) * (yy - my**2)))
