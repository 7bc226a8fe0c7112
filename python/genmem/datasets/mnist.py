"""MNIST: 60,000 + 10,000 handwritten digits, 28 x 28, unsigned bytes.

Source: LeCun, Bottou, Bengio & Haffner (1998), Gradient-based learning applied to document
recognition.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from genmem.datasets import places, registry
from genmem.datasets.dataset import Dataset
from genmem.datasets.idx import idx_shape, read_idx
from genmem.errors import DataError

CLASSES = tuple("0123456789")

_PREFIX = {"train": "train", "test": "t10k"}


def load(split: str = "train", limit: int | None = None) -> Dataset:
    """The first `limit` (default: all) digits of "train" or "test", uint8, (1, 28, 28)."""
    return load_idx("mnist", CLASSES, split, limit)


def where(split: str) -> Path | None:
    """The folder that holds the images of this split with their labels, or None."""
    return where_idx("mnist", split)


def load_idx(name: str, classes: tuple[str, ...], split: str, limit: int | None) -> Dataset:
    """A set of the four IDX files of MNIST, each plain or compressed.

    Identities count on from train to test, so that noise keyed by them is never shared between a
    training row and a test row.
    """
    images, labels = (_file(name, split, kind) for kind in ("images-idx3", "labels-idx1"))
    counts = idx_shape(images, 3)[0], idx_shape(labels, 1)[0]
    if counts[0] != counts[1]:
        raise DataError(
            f"{name}: {images} holds {counts[0]} images but {labels} holds {counts[1]} labels"
        )
    x = read_idx(images, 3, limit=limit)
    start = 0 if split == "train" else registry.source(name).rows["train"]
    return Dataset(
        name=name if split == "train" else f"{name}-test",
        x=x[:, None],
        y=read_idx(labels, 1, limit=limit).astype(np.int64),
        index=np.arange(start, start + len(x), dtype=np.int64),
        value_range=(0.0, 255.0),
        classes=classes,
    )


def where_idx(name: str, split: str) -> Path | None:
    """The folder of the images if the labels are to be found too, else None."""
    folder = registry.source(name).folder
    found = [places.locate(folder, _names(split, kind)) for kind in ("images-idx3", "labels-idx1")]
    return found[0].parent if found[0] and found[1] else None


def _names(split: str, kind: str) -> tuple[str, str]:
    stem = f"{_PREFIX[split]}-{kind}-ubyte"
    return f"{stem}.gz", stem


def _file(name: str, split: str, kind: str) -> Path:
    folder, names = registry.source(name).folder, _names(split, kind)
    found = places.locate(folder, names)
    if found is None:
        raise places.absent(name, folder, " or ".join(names))
    return found
