"""Three sets for a copying test, a column of numbers as rows, and all distances by brute force."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from genmem import copying

Floats = npt.NDArray[np.float64]
Maker = Callable[..., "Draws"]


class Draws(NamedTuple):
    """Training (N, d), held-out (n, d) and generated (m, d) rows."""

    train: Floats
    test: Floats
    generated: Floats


def column(*values: float) -> Floats:
    """Numbers as rows of one feature."""
    return np.array(values, np.float64)[:, None]


def brute_force(queries: Floats, points: Floats) -> Floats:
    """All distances (M, N) in float64, differences first."""
    gap = np.asarray(queries, np.float64)[:, None, :] - np.asarray(points, np.float64)[None, :, :]
    return np.sqrt((gap**2).sum(axis=2))


TESTS: dict[str, Callable[..., Any]] = {
    name: getattr(copying, name)
    for name in (
        "nearest_ratio",
        "data_copying",
        "authenticity",
        "calibrated_distance",
        "third_ratio",
        "near_duplicate_rate",
        "likelihood_divergence",
    )
}
