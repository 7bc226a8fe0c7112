"""Is the nearest training row less than a third as far as the second nearest?"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from genmem.arrays import Readable
from genmem.copying.chance import generator
from genmem.copying.distances import CopyingDistances, Side, gathered
from genmem.copying.exchange import EXCHANGEABLE, share_pvalue
from genmem.copying.resampling import check_level, share_interval
from genmem.copying.results import CopyingResult, policy
from genmem.copying.sets import Features, Float64


@dataclass(frozen=True, kw_only=True, eq=False)
class ThirdRatio(CopyingResult):
    """d1 / d2 of every generated sample: `per_sample` (m,), below 1/3 = memorized.

    statistic  share of generated samples that are memorized
    zeros      samples with d1 = d2 = 0, a copy of a row that occurs twice: ratio 0 by definition
    """

    name = "third_ratio"
    copying_is = "high"

    zeros: int


def third_ratio(
    train: Readable,
    test: Readable,
    generated: Readable,
    *,
    features: Features = None,
    seed: int = 0,
    duplicates: str = "distinct",
    distances: CopyingDistances | None = None,
    resamples: int = 1000,
    level: float = 0.95,
    threads: int | None = None,
) -> ThirdRatio:
    """Share of generated samples with d(q, x_(1)) / d(q, x_(2)) < 1/3.

    train, test, generated  (N >= 2, ...), (n, ...), (m, ...); x_(j) = j-th nearest training row
    features    "pixels" (default), "pca", a function of one set, or three arrays
    duplicates  "distinct": x_(2) differs from x_(1); "keep": near-copies of a row that occurs twice
                have ratio 1, so the rows that are memorized most are missed; "raise": an error
                that names equal rows
    distances   the neighbours of these three sets, computed before and shared between tests

    p-value: Fisher's exact test of generated against held-out samples. Interval: Wilson's, for the
    number of samples that the clusters of equal nearest training row are worth.

    Raises ValueError for wrong shapes, values that are not finite, or fewer than two training rows.
    Source: Yoon et al. (2023), Diffusion probabilistic models generalize when they fail to
    memorize; Gu et al. (2023), On memorization in diffusion models.
    """
    operation = "third_ratio"
    check_level(operation, level, resamples)
    held = gathered(operation, (train, test, generated), features, seed, threads, distances)
    treated = policy(operation, held, duplicates)
    made, zeros = _ratio(held, "generated", duplicates)
    others, _ = _ratio(held, "test", duplicates)
    hits, base = ((side < 1 / 3).astype(np.float64) for side in (made, others))
    near = held.to_train("generated", 1)
    random = generator(held.seed, "resamples of third ratio")
    return ThirdRatio(
        statistic=float(hits.mean()),
        reference=float(base.mean()),
        pvalue=share_pvalue(hits, base, high=True),
        ci=share_interval(hits, near.positions[:, 0], level, resamples, random),
        level=level,
        per_sample=made,
        null=f"{EXCHANGEABLE}; Fisher's exact test",
        copies=int((near.distances[:, 0] == 0).sum()),
        duplicates=treated,
        zeros=zeros,
    )


def _ratio(held: CopyingDistances, side: Side, duplicates: str) -> tuple[Float64, int]:
    near = held.to_train(side, 2, duplicates).distances
    apart = near[:, 1] > 0
    found = np.zeros(len(near))
    found[apart] = near[apart, 0] / near[apart, 1]
    return found, int((~apart).sum())
