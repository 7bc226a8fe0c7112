"""Where each sample stands among the others: neighbours, local density, and what both say of M."""

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


class LocalDensity(NamedTuple):
    """Leave-one-out log-density (N,) of features scaled to [0, 1]; self-influence (N,); nats."""

    log_density: Float64
    self_influence: Float64


def neighbours(data: Dataset, k: int, *, threads: int | None = None) -> Neighbours:
    """The k nearest other samples of each, exactly: left out by index, ties to the lower one."""
    if not 1 <= k < len(data):
        raise ValueError(f"attributes: k is {k}, the data have {len(data)} rows; 1..N-1 is wanted")
    squared, positions = nearest_sq(data.rows, data.rows, k, exclude="self", threads=threads)
    return Neighbours(np.sqrt(squared) / width(data), positions)


def local_density(data: Dataset, *, seed: int = 0, threads: int | None = None) -> LocalDensity:
    """Gaussian KDE whose bandwidth h has the largest leave-one-out likelihood, equal rows as one.

    M_i = log((N-1)/N) + softplus(-s_i),  s_i = log p_{-i}(x_i) + log(N-1) + d log(h sqrt(2 pi))

    Both numbers come from one pass over all pairs; `seed` draws the rows of the bandwidth search.
    """
    from genmem.density import GaussianKDE

    kde = GaussianKDE("loo", duplicates="group", seed=seed, threads=threads).fit(data.rows)
    left_out = kde.score_samples_loo()
    count, dim = data.rows.shape
    others = left_out + np.log(count - 1) + dim * np.log(kde.bandwidth_ * np.sqrt(2 * np.pi))
    own = np.log1p(-1 / count) + np.logaddexp(0, -others)
    return LocalDensity(left_out + dim * np.log(width(data)), own)


def knn_self_influence(distances: Float64, dim: int) -> Float64:
    """M_i = log((N-1)/N) + d log(r_k / r_{k-1}) of the k-NN density, (N,) nats.

    distances  (N, k >= 2) to the nearest other samples, ascending;  dim  d, features of a sample

    Equal radii give the first term alone; r_{k-1} = 0 < r_k, k copies of one sample, gives +inf.
    """
    count, k = distances.shape
    if k < 2:
        raise ValueError(f"knn_self_influence: {k} neighbour; at least 2 are wanted")
    inner, outer = distances[:, -2], distances[:, -1]
    growth = np.zeros(count)
    apart = outer > inner
    with np.errstate(divide="ignore"):
        growth[apart] = dim * (np.log(outer[apart]) - np.log(inner[apart]))
    own: Float64 = np.log1p(-1 / count) + growth
    return own


def width(data: Dataset) -> float:
    """Length of the value range: what distances are divided by."""
    low, high = data.value_range
    return float(high) - float(low)
