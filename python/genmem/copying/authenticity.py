"""AuthPct: which generated samples are farther from a training row than its own neighbour is?"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from genmem.arrays import Readable
from genmem.copying.chance import generator
from genmem.copying.distances import CopyingDistances, Side, gathered
from genmem.copying.exchange import EXCHANGEABLE, share_pvalue
from genmem.copying.resampling import check_level, share_interval
from genmem.copying.results import CopyingResult, policy
from genmem.copying.sets import Features, Float64, Int64


@dataclass(frozen=True, kw_only=True, eq=False)
class Authenticity(CopyingResult):
    """Which generated samples are authentic: `per_sample` (m,), 1 or 0.

    statistic  AuthPct in per cent; without copying it is that of held-out data, not 50
    nearest    (m,) position of the training row nearest to each generated sample
    """

    name = "authenticity"
    copying_is = "low"

    nearest: Int64

    @property
    def offset(self) -> float:
        """AuthPct - 50, the form in which FLD's code reports it."""
        return self.statistic - 50.0


def authenticity(
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
) -> Authenticity:
    """Per cent of generated samples farther from their training row than its neighbour is.

    i = nearest training row of g;  g is authentic iff d(x_i, train without x_i) < d(x_i, g), strict

    train, test, generated  (N >= 2, ...), (n, ...), (m, ...)
    features    "pixels" (default), "pca", a function of one set, or three arrays
    duplicates  "distinct": the neighbour of x_i is the nearest row that differs from it; "keep": an
                equal row is a neighbour at 0, so that every near-copy of a row that occurs twice
                counts as authentic; "raise": an error that names equal rows
    distances   the neighbours of these three sets, computed before and shared between tests

    p-value: Fisher's exact test of generated against held-out samples. Interval: Wilson's, for the
    number of samples that the clusters of equal nearest training row are worth.

    Raises ValueError for wrong shapes, values that are not finite, or a single training row.
    Source: Alaa, van Breugel, Saveliev & van der Schaar (2022), How faithful is your synthetic
    data?
    """
    operation = "authenticity"
    check_level(operation, level, resamples)
    held = gathered(operation, (train, test, generated), features, seed, threads, distances)
    treated = policy(operation, held, duplicates)
    hits, nearest, apart = _authentic(held, "generated", duplicates)
    others, _, _ = _authentic(held, "test", duplicates)
    random = generator(held.seed, "resamples of authenticity")
    lower, upper = share_interval(hits, nearest, level, resamples, random)
    return Authenticity(
        statistic=100 * float(hits.mean()),
        reference=100 * float(others.mean()),
        pvalue=share_pvalue(hits, others, high=False),
        ci=(100 * lower, 100 * upper),
        level=level,
        per_sample=hits,
        null=f"{EXCHANGEABLE}; Fisher's exact test",
        copies=int((apart == 0).sum()),
        duplicates=treated,
        nearest=nearest,
    )


def _authentic(
    held: CopyingDistances, side: Side, duplicates: str
) -> tuple[Float64, Int64, Float64]:
    """Whether each row is authentic, its nearest training row, and the distance to it; (m,)."""
    near = held.to_train(side, 1)
    apart, nearest = near.distances[:, 0], near.positions[:, 0]
    # Real to real is indexed by training rows, as many as there are nearest ones to look up.
    spacing = held.spacing(duplicates)[nearest]
    return (spacing < apart).astype(np.float64), nearest, apart
