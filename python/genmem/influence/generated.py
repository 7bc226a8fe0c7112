"""Influence on what the model draws: which training samples raise the likelihood of its samples."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from genmem.influence.samples import Data
from genmem.kernels import TopInfluences

Float64 = npt.NDArray[np.float64]

_ROWS_AT_ONCE = 64


@dataclass(frozen=True)
class GeneratedInfluence:
    """Influence of N training samples on Q generated ones, in nats under the named weights.

    samples  the generated samples, as they were traced: a Dataset, or the data that were given
    scores   (Q, N) float64, or TopInfluences of (Q, k) for a k
    overall  (N,) mean of a training sample's influence over the generated samples: what training on
             it adds to the mean log-likelihood of what the model draws, to first order
    error    (N,) standard error of `overall` over the draws of Q samples; NaN for Q = 1
    """

    samples: Data
    scores: Float64 | TopInfluences
    overall: Float64
    error: Float64


def generated_samples(run: Any, count: int, seed: int) -> Data:
    """`count` draws of the last model of a run, as the data set its recipe feeds to the model.

    Raises ValueError without a run: models of other trainings draw for themselves.
    """
    if run is None or not hasattr(run, "sample"):
        raise ValueError(
            f"influence_on_generated: generated is {count}, but checkpoints without a Run cannot "
            "draw; pass the generated samples"
        )
    from genmem.datasets import Dataset

    # Pictures in [0, 1] as they are: the values that happen to occur are not their range.
    return Dataset(
        name="generated",
        x=run.sample(count, seed),
        y=run.sample_labels(count, seed) if run.recipe.conditional else None,
        value_range=(0.0, 1.0),
    )


def over_samples(scores: Float64) -> tuple[Float64, Float64]:
    """Mean and standard error of the columns of (Q, N), which may be a memory map."""
    count = len(scores)
    blocks = [slice(at, at + _ROWS_AT_ONCE) for at in range(0, count, _ROWS_AT_ONCE)]
    mean = np.asarray(sum(scores[rows].sum(0) for rows in blocks)) / count
    squares = np.asarray(sum(np.square(scores[rows] - mean).sum(0) for rows in blocks))
    if count == 1:
        return mean, np.full_like(mean, np.nan)
    return mean, np.sqrt(squares / (count - 1) / count)
