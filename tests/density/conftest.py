"""Data that the tests of the densities share."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(7)


@pytest.fixture
def rows(rng: np.random.Generator) -> npt.NDArray[np.float64]:
    """Two clumps in three dimensions, with a copy (rows 3 and 17) and an outlier (row 29)."""
    X = rng.standard_normal((30, 3))
    X[:12] += 4.0
    X[17] = X[3]
    X[29] = 12.0
    return X


@pytest.fixture
def queries(rng: np.random.Generator, rows: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Fresh points, copies of rows, and one point far away."""
    return np.vstack([rng.standard_normal((6, 3)), rows[[0, 3, 29]], [[30.0, -20.0, 5.0]]])
