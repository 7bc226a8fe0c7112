"""Digits: 1,797 handwritten digits, 8 x 8, grey levels 0..16; comes with scikit-learn.

Source: Alpaydin & Kaynak (1998), Optical recognition of handwritten digits, UCI Machine Learning
Repository (its test part).
"""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import numpy as np

from genmem.datasets.dataset import Dataset
from genmem.errors import DataError

CLASSES = tuple("0123456789")


def load(split: str = "train", limit: int | None = None) -> Dataset:
    """The first `limit` (default: all) digits, uint8 in 0..16, (1, 8, 8); no test split."""
    if split != "train":
        raise DataError(f"digits: there is no split {split!r}; all 1,797 rows are in 'train'")
    from sklearn.datasets import load_digits

    images, labels = load_digits(return_X_y=True)
    return Dataset(
        name="digits",
        x=images[:limit].reshape(-1, 1, 8, 8).astype(np.uint8),
        y=labels[:limit].astype(np.int64),
        value_range=(0.0, 16.0),
        classes=CLASSES,
    )


def where(split: str) -> Path | None:
    """The folder of scikit-learn for "train"; None for another split, or without scikit-learn."""
    found = find_spec("sklearn") if split == "train" else None
    return Path(found.origin).parent if found is not None and found.origin else None
