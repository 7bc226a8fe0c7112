"""Mosaics: many square tiles in one lossless picture, row by row; their labels in labels.npz."""

from __future__ import annotations

import re
import zipfile
from pathlib import Path

import numpy as np
import numpy.typing as npt

from genmem.errors import DataError

Bytes = npt.NDArray[np.uint8]


def files(folder: Path, split: str) -> list[Path]:
    """The mosaics SPLIT_NN.webp of a folder, in the order of their numbers."""
    pattern = re.compile(rf"{re.escape(split)}_(\d+)\.webp")
    found = [
        (int(match[1]), path)
        for path in folder.iterdir()
        if (match := pattern.fullmatch(path.name))
    ]
    numbers = sorted(number for number, _ in found)
    if numbers != list(range(len(numbers))):
        raise DataError(
            f"{folder}: the {split} mosaics are numbered {numbers}; 0, 1, 2, ... is wanted"
        )
    return [path for _, path in sorted(found)]


def read(
    folder: Path, split: str, side: int, classes: tuple[str, ...], limit: int | None = None
) -> tuple[Bytes, Bytes]:
    """Tiles (N, 3, side, side) and labels (N,) uint8 of one split.

    The counts are compared by the headers of all mosaics before any is decoded; with `limit`, only
    the mosaics that hold the first `limit` tiles are decoded. Raises DataError if a picture is not
    RGB or does not split into tiles, or if tiles, labels and classes do not agree.
    """
    paths = files(folder, split)
    labels = _labels(folder / "labels.npz", split, classes)
    grids = [_grid(path, side) for path in paths]
    tiles = sum(rows * columns for rows, columns in grids)
    if tiles != len(labels):
        raise DataError(
            f"{folder}: the {split} mosaics hold {tiles} tiles, labels.npz {len(labels)} labels"
        )
    count = tiles if limit is None else min(limit, tiles)
    out = np.empty((count, 3, side, side), np.uint8)
    done = 0
    for path, grid in zip(paths, grids, strict=True):
        if done == count:
            break
        some = _tiles(path, grid, side)[: count - done]
        out[done : done + len(some)] = some
        done += len(some)
    return out, labels[:count]


def _grid(path: Path, side: int) -> tuple[int, int]:
    from PIL import Image

    try:
        with Image.open(path) as picture:
            width, height, mode = *picture.size, picture.mode
    except OSError as error:
        raise DataError(f"{path} cannot be read as a picture: {error}") from error
    if width % side or height % side or mode != "RGB":
        raise DataError(
            f"{path} is {width} x {height} {mode}; RGB of multiples of {side} x {side} is wanted"
        )
    return height // side, width // side


def _tiles(path: Path, grid: tuple[int, int], side: int) -> Bytes:
    from PIL import Image

    try:
        with Image.open(path) as picture:
            pixels = np.asarray(picture, np.uint8)
    except OSError as error:
        raise DataError(f"{path} is truncated or corrupted: {error}") from error
    rows, columns = grid
    split = pixels.reshape(rows, side, columns, side, 3)
    return split.transpose(0, 2, 4, 1, 3).reshape(rows * columns, 3, side, side)


def _labels(path: Path, split: str, classes: tuple[str, ...]) -> Bytes:
    try:
        with np.load(path, allow_pickle=False) as stored:
            labels, names = stored[split], tuple(str(name) for name in stored["classes"])
    except FileNotFoundError as error:
        raise DataError(f"{path} is not there; the mosaics beside it have no labels") from error
    except KeyError as error:
        raise DataError(
            f"{path}: it has no array {error}; {split} and classes are wanted"
        ) from error
    except (OSError, EOFError, ValueError, zipfile.BadZipFile) as error:
        raise DataError(f"{path} is not a whole .npz file: {error}") from error
    if names != classes or labels.dtype != np.uint8 or labels.ndim != 1:
        raise DataError(
            f"{path}: {split} is {labels.dtype} of shape {labels.shape} with classes {names}; "
            f"uint8 of shape (N,) with classes {classes} is wanted"
        )
    return np.asarray(labels, np.uint8)
