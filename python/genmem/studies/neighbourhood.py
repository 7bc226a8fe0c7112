"""Where each sample stands among the others: its neighbours, and the density around it."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import numpy.typing as npt

from genmem.kernels import nearest_sq
from genmem.studies.correlation import Float64

if TYPE_CHECKING:
    from genmem.datasets import Dataset

Int64 = npt.NDArray[np.int64]


class Neighbours(NamedTuple):
    """Distances (N, k), ascending, features scaled to [0, 1]; positions (N, k) of them."""

    distances: Float64
    positions: Int64


def neighbours(data: Dataset, k: int, *, threads: int | None = None) -> Neighbours:
    """The k nearest other samples of each, exactly: left out by index, ties to the lower one."""
    if not 1 <= k < len(data):
        raise ValueError(f"attributes: k is {k}, the data have {len(data)} rows; 1..N-1 is wanted")
    squared, positions = nearest_sq(data.rows, data.rows, k, exclude="self", threads=threads)
    return Neighbours(np.sqrt(squared) / width(data), positions)


def local_density(data: Dataset, *, seed: int = 0, threads: int | None = None) -> Float64:
    """Leave-one-out log-density (N,) of features scaled to [0, 1], in nats.

    Of a Gaussian KDE whose bandwidth has the largest leave-one-out likelihood, equal rows as one;
    `seed` draws the rows of the search.
    """
    from genmem.density import GaussianKDE

    kde = GaussianKDE("loo", duplicates="group", seed=seed, threads=threads).fit(data.rows)
    # A density per unit of the features: their volume shrinks by width^d.
    scaled: Float64 = kde.score_samples_loo() + data.rows.shape[1] * np.log(width(data))
    return scaled


def width(data: Dataset) -> float:
    """Length of the value range: what distances are divided by."""
    low, high = data.value_range
    return float(high) - float(low)
