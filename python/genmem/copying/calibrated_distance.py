"""Distance to the nearest training row, measured by the distances to the next ones."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from genmem.arrays import Readable
from genmem.copying.chance import generator
from genmem.copying.distances import CopyingDistances, Side, gathered
from genmem.copying.exchange import EXCHANGEABLE, by_construction, precedence_pvalue, rank_of
from genmem.copying.resampling import check_level, share_interval
from genmem.copying.results import CopyingResult, policy
from genmem.copying.sets import Features, Float64
from genmem.density.parameters import check_count, check_number


@dataclass(frozen=True, kw_only=True, eq=False)
class CalibratedDistance(CopyingResult):
    """l of every generated sample: `per_sample` (m,), small = memorized, 0 = a copy.

    statistic  share of generated samples with l < threshold, an order statistic of held-out l
    reference  r / n, the rank of the threshold over the number of held-out samples: by
               construction, not a measurement
    zeros      samples whose every neighbour is at 0: l is 0 by definition
    """

    name = "calibrated_distance"
    copying_is = "high"

    threshold: float
    quantile: float
    neighbours: int
    zeros: int


def calibrated_distance(
    train: Readable,
    test: Readable,
    generated: Readable,
    *,
    features: Features = None,
    seed: int = 0,
    duplicates: str = "distinct",
    distances: CopyingDistances | None = None,
    neighbours: int = 50,
    alpha: float = 0.5,
    quantile: float = 0.01,
    resamples: int = 1000,
    level: float = 0.95,
    threads: int | None = None,
) -> CalibratedDistance:
    """Share of generated samples much nearer to one training row than to the next ones.

    l(q) = d(q, x_(1)) / ( alpha mean_{j <= k} d(q, x_(j)) ),  x_(j) = j-th nearest training row

    train, test, generated  (N >= k, ...), (n, ...), (m, ...)
    features    "pixels" (default), "pca", a function of one set, or three arrays
    duplicates  "distinct": equal training rows are one neighbour; "keep": a row that occurs twice
                fills two places and shrinks the mean; "raise": an error that names equal rows
    distances   the neighbours of these three sets, computed before and shared between tests
    neighbours  k;  alpha  scales l, and with it the threshold: shares do not depend on it
    quantile    of held-out l below which a sample counts as memorized: the threshold is the r-th
                lowest of n held-out values, r = max(1, floor(quantile n))

    p-value: exact, of that many generated values below the r-th lowest held-out one. Interval:
    Wilson's at this threshold, for the number of samples that the clusters of equal nearest
    training row are worth.

    Raises ValueError for wrong shapes, values that are not finite, or fewer than k rows of train.
    Source: Carlini et al. (2023), Extracting training data from diffusion models.
    """
    operation = "calibrated_distance"
    check_level(operation, level, resamples)
    k = check_count(neighbours, "neighbours", operation)
    check_number(alpha, "alpha", operation)
    if not 0 < quantile < 1:
        raise ValueError(f"{operation}: quantile is {quantile}; a number between 0 and 1 is wanted")
    held = gathered(operation, (train, test, generated), features, seed, threads, distances)
    treated = policy(operation, held, duplicates)
    made, zeros = _calibrated(held, "generated", k, duplicates, alpha)
    others, _ = _calibrated(held, "test", k, duplicates, alpha)
    rank = rank_of(quantile, len(others))
    threshold = float(np.sort(others)[rank - 1])
    hits = (made < threshold).astype(np.float64)
    near = held.to_train("generated", 1)
    random = generator(held.seed, "resamples of calibrated distance")
    return CalibratedDistance(
        statistic=float(hits.mean()),
        reference=rank / len(others),
        pvalue=precedence_pvalue(int(hits.sum()), len(made), len(others), rank),
        ci=share_interval(hits, near.positions[:, 0], level, resamples, random),
        level=level,
        per_sample=made,
        null=f"{EXCHANGEABLE}; exact law of the count below the held-out value of rank {rank}",
        copies=int((near.distances[:, 0] == 0).sum()),
        duplicates=treated,
        notes=(by_construction("calibrated distance", rank, len(others)),),
        threshold=threshold,
        quantile=quantile,
        neighbours=k,
        zeros=zeros,
    )


def _calibrated(
    held: CopyingDistances, side: Side, k: int, duplicates: str, alpha: float
) -> tuple[Float64, int]:
    """l of each row, and how many are 0 / 0: all neighbours at distance 0, which is a copy."""
    near = held.to_train(side, k, duplicates).distances
    scale = alpha * near.mean(axis=1)
    apart = scale > 0
    found = np.zeros(len(near))
    found[apart] = near[apart, 0] / scale[apart]
    return found, int((~apart).sum())
