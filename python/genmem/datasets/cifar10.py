"""CIFAR-10: 50,000 + 10,000 colour photographs of ten kinds, 32 x 32, unsigned bytes.

Two forms are read. The official binary version: records of 1 label byte and 3 x 32 x 32 bytes, in
data_batch_1..5.bin and test_batch.bin, in cifar-10-binary.tar.gz or in the folder it unpacks to.
And lossless mosaics: train_00.webp, ... and test_00.webp, ..., tiles of 32 x 32 in reading order,
with labels.npz (arrays train, test, classes); a mosaic set may hold only the first rows of the
official order. The official Python version is a pickle, which runs code when read: it is not read.
Source: Krizhevsky (2009), Learning multiple layers of features from tiny images.
"""

from __future__ import annotations

import tarfile
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt

from genmem.datasets import mosaic, places, registry
from genmem.datasets.dataset import Dataset
from genmem.errors import DataError

CLASSES = (
    "airplane",
    "automobile",
    "bird",
    "cat",
    "deer",
    "dog",
    "frog",
    "horse",
    "ship",
    "truck",
)
ARCHIVE = "cifar-10-binary.tar.gz"
UNPACKED = "cifar-10-batches-bin"
PICKLES = ("cifar-10-python.tar.gz", "cifar-10-batches-py")

Bytes = npt.NDArray[np.uint8]
Read = Callable[[Path, str, int | None], tuple[Bytes, Bytes]]

_BATCHES = {"train": tuple(f"data_batch_{i}.bin" for i in range(1, 6)), "test": ("test_batch.bin",)}
_RECORD = 1 + 3 * 32 * 32
_BATCH_ROWS = 10_000


def load(split: str = "train", limit: int | None = None) -> Dataset:
    """The first `limit` (default: all there are) photographs of a split, uint8, (3, 32, 32)."""
    found = _find(split)
    if found is None:
        raise _absent(split)
    path, read = found
    x, y = read(path, split, limit)
    start = 0 if split == "train" else registry.source("cifar10").rows["train"]
    return Dataset(
        name="cifar10" if split == "train" else "cifar10-test",
        x=x,
        y=y.astype(np.int64),
        index=np.arange(start, start + len(x), dtype=np.int64),
        value_range=(0.0, 255.0),
        classes=CLASSES,
    )


def where(split: str) -> Path | None:
    """The archive or folder this split is read from, or None."""
    found = _find(split)
    return None if found is None else found[0]


def read_archive(path: Path, split: str, limit: int | None = None) -> tuple[Bytes, Bytes]:
    """Images (N, 3, 32, 32) and labels (N,) from the official archive, read as a stream."""
    wanted = _BATCHES[split]
    parts: dict[str, Bytes] = {}
    try:
        with tarfile.open(path, "r:gz") as archive:
            for member in archive:
                name = member.name.rsplit("/", 1)[-1]
                file = archive.extractfile(member) if name in wanted and member.isreg() else None
                if file is not None:
                    _check_size(f"{path}: {member.name}", member.size)
                    parts[name] = np.frombuffer(file.read(), np.uint8).reshape(-1, _RECORD)
                if len(parts) == len(wanted):
                    break
    except (tarfile.TarError, EOFError, OSError, zlib.error) as error:
        raise DataError(f"{path}: the archive is truncated or corrupted: {error}") from error
    return _join(path, wanted, parts, limit)


def read_unpacked(path: Path, split: str, limit: int | None = None) -> tuple[Bytes, Bytes]:
    """Images (N, 3, 32, 32) and labels (N,) from the folder the official archive unpacks to."""
    parts: dict[str, Bytes] = {}
    for name in _BATCHES[split]:
        file = path / name
        if file.is_file():
            _check_size(str(file), file.stat().st_size)
            # A map, not a copy: only the rows that are kept are read.
            parts[name] = np.memmap(file, np.uint8, "r").reshape(-1, _RECORD)
    return _join(path, _BATCHES[split], parts, limit)


def _check_size(what: str, size: int) -> None:
    if size == 0 or size % _RECORD or size > _BATCH_ROWS * _RECORD:
        raise DataError(
            f"{what} has {size} bytes; a multiple of {_RECORD} (1 label + 3 x 32 x 32), "
            f"at most {_BATCH_ROWS * _RECORD}, is wanted"
        )


def _join(
    path: Path, wanted: tuple[str, ...], parts: dict[str, Bytes], limit: int | None
) -> tuple[Bytes, Bytes]:
    missing = [name for name in wanted if name not in parts]
    if missing:
        raise DataError(
            f"{path} has no {', '.join(missing)}; all of {', '.join(wanted)} are wanted"
        )
    count = sum(len(part) for part in parts.values())
    count = count if limit is None else min(limit, count)
    x, y = np.empty((count, 3, 32, 32), np.uint8), np.empty(count, np.uint8)
    done = 0
    for name in wanted:
        # Popped, so that a batch is freed as soon as it is copied.
        records = parts.pop(name)[: count - done]
        x[done : done + len(records)] = records[:, 1:].reshape(-1, 3, 32, 32)
        y[done : done + len(records)] = records[:, 0]
        done += len(records)
    return x, y


def _find(split: str) -> tuple[Path, Read] | None:
    for folder in places.folders(registry.source("cifar10").folder):
        if (folder / ARCHIVE).is_file():
            return folder / ARCHIVE, read_archive
        if (folder / UNPACKED).is_dir():
            return folder / UNPACKED, read_unpacked
        if mosaic.files(folder, split):
            return folder, _read_mosaics
    return None


def _read_mosaics(path: Path, split: str, limit: int | None) -> tuple[Bytes, Bytes]:
    return mosaic.read(path, split, 32, CLASSES, limit)


def _absent(split: str) -> DataError:
    folder = registry.source("cifar10").folder
    pickles = [
        place / name
        for place in places.folders(folder)
        for name in PICKLES
        if (place / name).exists()
    ]
    hint = f"\n({pickles[0]} is a pickle, which could run any code: not read)" if pickles else ""
    return places.absent(
        "cifar10", folder, f"{ARCHIVE}, {UNPACKED}/ or {split}_NN.webp with labels.npz", hint
    )
