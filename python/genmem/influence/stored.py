"""Scores of what was captured before: two stores, without the model."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from genmem.influence.products import Settings, influence_scores
from genmem.influence.protocols import Progress
from genmem.influence.store import FactorStore
from genmem.kernels import TopInfluences


def score(
    queries: FactorStore,
    points: FactorStore,
    k: int | None = None,
    proponents: bool = True,
    *,
    cosine: bool = False,
    memory: int = 1 << 30,
    threads: int | None = None,
    progress: Progress | None = None,
) -> npt.NDArray[np.float64] | TopInfluences:
    """`TracIn.influence` of what `TracIn.capture` kept of both sides; the model is not needed.

    queries hold the side "test", points the side "train": one side's draws on both would bias the
    product of a sample with itself.
    Raises RunMismatchError for the wrong sides, or stores of other checkpoints, weights,
    objectives, draws or seeds.
    """
    queries.require(side="test")
    points.require(
        side="train",
        objective=queries.identity["objective"],
        test_objective=queries.identity.get("test_objective"),
        draws=queries.identity["draws"],
        latent=queries.identity["latent"],
        seed=queries.identity["seed"],
        checkpoints=list(queries.checkpoints),
        weights=list(queries.weights),
    )
    visits = zip(queries.checkpoints, queries.weights, strict=True)
    count = len(queries.checkpoints)
    settings = Settings(cosine, memory, threads, progress)
    return influence_scores(queries, points, visits, count, k, proponents, settings)
