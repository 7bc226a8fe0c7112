"""Scores of what was captured before: two stores, without the model."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from genmem.influence.products import Settings, influence_scores
from genmem.influence.protocols import Progress
from genmem.influence.self_influence import add_self_products
from genmem.influence.stores.store import FactorStore
from genmem.kernels import TopInfluences
from genmem.kernels.native import MEMORY


def score(
    queries: FactorStore,
    points: FactorStore,
    k: int | None = None,
    proponents: bool = True,
    *,
    cosine: bool = False,
    tol: float | None = None,
    memory: int = MEMORY,
    threads: int | None = None,
    progress: Progress | None = None,
) -> npt.NDArray[np.float64] | TopInfluences:
    """`TracIn.influence` of what `TracIn.capture` kept of both sides; the model is not needed.

    queries hold the side "test", points the side "train": one side's draws on both would bias the
    product of a sample with itself.
    Raises RunMismatchError for the wrong sides, or stores of other models, checkpoints, weights,
    objectives, draws or seeds.
    """
    require_pair(queries, points)
    visits = zip(queries.checkpoints, queries.weights, strict=True)
    count = len(queries.checkpoints)
    settings = Settings(cosine, memory, threads, progress, tol)
    return influence_scores(queries, points, visits, count, k, proponents, settings)


def require_pair(queries: FactorStore, points: FactorStore) -> None:
    """RunMismatchError unless the stores hold the sides "test" and "train" of one tracing."""
    queries.require(side="test")
    points.require(
        side="train",
        objective=queries.identity.get("objective"),
        test_objective=queries.identity.get("test_objective"),
        draws=queries.identity.get("draws"),
        latent=queries.identity.get("latent"),
        seed=queries.identity.get("seed"),
        checkpoints=list(queries.checkpoints),
        weights=list(queries.weights),
    )
    for c in queries.checkpoints:
        points.require_model(c, queries.model(c))


def self_score(
    points: FactorStore,
    *,
    cosine: bool = False,
    threads: int | None = None,
    progress: Progress | None = None,
) -> npt.NDArray[np.float64]:
    """`TracIn.self_influence`, the plain form, of what `TracIn.capture` kept; (N,) float64."""
    scores = np.zeros(len(points))
    visits = zip(points.checkpoints, points.weights, strict=True)
    settings = Settings(cosine, 0, threads, progress)
    add_self_products(scores, visits, len(points.checkpoints), [points], settings)
    return scores


def rounding_bound(queries: FactorStore, points: FactorStore) -> npt.NDArray[np.float64]:
    """(Q, N): by how much scores of rounded stores may differ from those of unrounded ones.

    |K^_ij - K_ij| <= sum over checkpoints and layers of ((1 + u)^2 (1 + v)^2 - 1) nu_i nu_j

    with u, v the round-off of either store and nu as in `block_files`. All zero if neither was
    rounded. It holds for every input; signs that cancel leave errors of a hundredth of it.
    Raises as `score` does.
    """
    require_pair(queries, points)
    slack = (1 + queries.roundoff) ** 2 * (1 + points.roundoff) ** 2 - 1
    total = np.zeros((len(queries), len(points)))
    if slack > 0:
        for c in queries.checkpoints:
            total += queries.magnitudes(c) @ points.magnitudes(c).T
    return slack * total
