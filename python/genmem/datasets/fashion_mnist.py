"""Fashion-MNIST: 60,000 + 10,000 pictures of clothes in the files and the form of MNIST.

Source: Xiao, Rasul & Vollgraf (2017), Fashion-MNIST: a novel image dataset for benchmarking machine
learning algorithms.
"""

from __future__ import annotations

from pathlib import Path

from genmem.datasets.dataset import Dataset
from genmem.datasets.mnist import load_idx, where_idx

CLASSES = (
    "T-shirt/top",
    "Trouser",
    "Pullover",
    "Dress",
    "Coat",
    "Sandal",
    "Shirt",
    "Sneaker",
    "Bag",
    "Ankle boot",
)


def load(split: str = "train", limit: int | None = None) -> Dataset:
    """The first `limit` (default: all) pictures of "train" or "test", uint8, (1, 28, 28)."""
    return load_idx("fashion_mnist", CLASSES, split, limit)


def where(split: str) -> Path | None:
    """The folder that holds the images of this split with their labels, or None."""
    return where_idx("fashion_mnist", split)
