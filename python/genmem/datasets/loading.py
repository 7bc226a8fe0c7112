"""One door for every data set: a name, a folder of images, or an .npz file."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Protocol

from genmem.datasets import cifar10, digits, fashion_mnist, image_folder, mnist, npz, registry
from genmem.datasets.dataset import Dataset
from genmem.errors import DataError

SPLITS = ("train", "test")


class Reader(Protocol):
    """What the module of a named data set offers."""

    def load(self, split: str, limit: int | None) -> Dataset: ...

    def where(self, split: str) -> Path | None: ...


READERS: Mapping[str, Reader] = MappingProxyType(
    {"digits": digits, "mnist": mnist, "fashion_mnist": fashion_mnist, "cifar10": cifar10}
)


def load(name_or_path: str | Path, *, split: str = "train", limit: int | None = None) -> Dataset:
    """The samples of a named data set, a folder of images or an .npz file.

    name_or_path  digits, mnist, fashion_mnist, cifar10; or a path. A name wins over a file of that
                  name: write ./mnist for the folder
    split         "train" or "test"; an .npz file has no test split, a folder has one if it holds
                  the folders train and test
    limit         at most this many rows, the first in stored order

    Named sets are looked for in the folder GENMEM_DATA (sub-folders mnist, fashion-mnist, cifar10),
    then in the cache that `genmem data get` fills. Nothing is downloaded here.
    Raises DataError if a file is absent, truncated or not what it claims to be.
    """
    if split not in SPLITS:
        raise ValueError(f"load: split is {split!r}; 'train' or 'test' is wanted")
    if limit is not None and limit < 1:
        raise ValueError(f"load: limit is {limit}; at least 1 row is wanted")
    reader = (
        READERS.get(registry.canonical(name_or_path)) if isinstance(name_or_path, str) else None
    )
    if reader is not None:
        return reader.load(split, limit)
    path = Path(name_or_path)
    if path.is_dir():
        return image_folder.load(path, split=split, limit=limit)
    if path.is_file() and path.suffix.lower() == ".npz":
        if split != "train":
            raise DataError(f"{path}: an .npz file has no split {split!r}; load it as 'train'")
        return npz.load(path, limit=limit)
    raise DataError(
        f"load: {str(name_or_path)!r} is neither a known data set ({', '.join(READERS)}) "
        "nor a folder of images nor an .npz file that exists"
    )


def where(name: str, split: str) -> Path | None:
    """Where a named data set would be read from, or None if it is not on this machine."""
    return READERS[registry.source(name).name].where(split)
