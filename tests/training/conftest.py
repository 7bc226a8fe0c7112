"""A small data set with structure, and recipes that train on it in a fraction of a second."""

import numpy as np
import numpy.typing as npt
import pytest

from genmem.datasets import Dataset
from genmem.training import Recipe


def bars(count: int, seed: int = 0) -> npt.NDArray[np.uint8]:
    """Grey 8 x 8 images of one bright row or column each, with noise."""
    rng = np.random.default_rng(seed)
    x = rng.integers(0, 60, (count, 1, 8, 8), dtype=np.uint8)
    for i, (line, across) in enumerate(rng.integers(0, (8, 2), (count, 2))):
        view = x[i, 0] if across else x[i, 0].T
        view[line] += 190
    return x


@pytest.fixture
def data() -> Dataset:
    return Dataset("bars", bars(70))


@pytest.fixture
def recipe() -> Recipe:
    return Recipe(
        latent=2,
        hidden=(16,),
        binarize="threshold",
        epochs=6,
        batch=16,
        lr=1e-2,
        checkpoints=(2, 4),
        eval_draws=16,
        seed=3,
    )
