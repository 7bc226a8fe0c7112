"""How many generated samples lie nearer to a training row than training rows lie to each other?"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from genmem.arrays import Readable
from genmem.copying.chance import generator
from genmem.copying.distances import CopyingDistances, gathered
from genmem.copying.exchange import (
    EXCHANGEABLE,
    by_construction,
    precedence_pvalue,
    rank_of,
    share_pvalue,
)
from genmem.copying.resampling import check_level, share_interval
from genmem.copying.results import CopyingResult, policy
from genmem.copying.sets import Features, Float64


@dataclass(frozen=True, kw_only=True, eq=False)
class NearDuplicateRate(CopyingResult):
    """Distance of every generated sample to the nearest training row: `per_sample` (m,).

    statistic  share of generated samples with a distance below threshold
    reference  the same of held-out samples; with quantile r / n, the rank of the threshold over
               their number: by construction, not a measurement
    quantile   of held-out distances that set the threshold; None: the median distance between a
               training row and its nearest other one
    """

    name = "near_duplicate_rate"
    copying_is = "high"

    threshold: float
    quantile: float | None


def near_duplicate_rate(
    train: Readable,
    test: Readable,
    generated: Readable,
    *,
    features: Features = None,
    seed: int = 0,
    duplicates: str = "distinct",
    distances: CopyingDistances | None = None,
    quantile: float | None = None,
    resamples: int = 1000,
    level: float = 0.95,
    threads: int | None = None,
) -> NearDuplicateRate:
    """Share of generated samples with d(q, train) < t.

    t = median_i d(x_i, train without x_i), or the r-th lowest of n held-out distances to train,
    r = max(1, floor(quantile n))

    train, test, generated  (N >= 2, ...), (n, ...), (m, ...)
    features    "pixels" (default), "pca", a function of one set, or three arrays
    duplicates  "distinct": the median is over distinct rows, of the distance to a row that differs;
                "keep": with more than half of the rows equal to another, t = 0 and the rate is 0
                even for copies; "raise": an error that names equal rows
    distances   the neighbours of these three sets, computed before and shared between tests

    p-value: Fisher's exact test against held-out samples; with `quantile`, the exact law of the
    count below a held-out order statistic. Interval: Wilson's at this threshold, for the number of
    samples that the clusters of equal nearest training row are worth. Exact copies are counted
    apart, in `copies`.

    Raises ValueError for wrong shapes, values that are not finite, or a single training row.
    """
    operation = "near_duplicate_rate"
    check_level(operation, level, resamples)
    if quantile is not None and not 0 < quantile < 1:
        raise ValueError(
            f"{operation}: quantile is {quantile}; None or a number between 0 and 1 is wanted"
        )
    held = gathered(operation, (train, test, generated), features, seed, threads, distances)
    treated = policy(operation, held, duplicates)
    near = held.to_train("generated", 1)
    made, others = near.distances[:, 0], held.to_train("test", 1).distances[:, 0]
    if quantile is None:
        threshold = _spacing(held, duplicates)
        hits, base = ((side < threshold).astype(np.float64) for side in (made, others))
        reference, pvalue = float(base.mean()), share_pvalue(hits, base, high=True)
        notes: tuple[str, ...] = ()
    else:
        rank = rank_of(quantile, len(others))
        threshold = float(np.sort(others)[rank - 1])
        hits = (made < threshold).astype(np.float64)
        reference = rank / len(others)
        pvalue = precedence_pvalue(int(hits.sum()), len(made), len(others), rank)
        notes = (by_construction("near duplicates", rank, len(others)),)
    random = generator(held.seed, "resamples of near-duplicate rate")
    return NearDuplicateRate(
        statistic=float(hits.mean()),
        reference=reference,
        pvalue=pvalue,
        ci=share_interval(hits, near.positions[:, 0], level, resamples, random),
        level=level,
        per_sample=made,
        null=f"{EXCHANGEABLE}; exact law of the counts",
        copies=int((made == 0).sum()),
        duplicates=treated,
        notes=notes,
        threshold=threshold,
        quantile=quantile,
    )


def _spacing(held: CopyingDistances, duplicates: str) -> float:
    """Median distance of a training row to the nearest other one; distinct rows count once."""
    apart: Float64 = held.spacing(duplicates)
    return float(np.median(apart if duplicates == "keep" else apart[held.equal.first]))
