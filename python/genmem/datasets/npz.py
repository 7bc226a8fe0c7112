"""Data sets in one .npz file: x, and optionally y, index, value_range, classes, planted rows."""

from __future__ import annotations

import math
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from genmem import ledger
from genmem.datasets.dataset import Dataset
from genmem.errors import DataError

_KEYS = ("x", "y", "index", "value_range", "classes")
_PLANTED = "planted."

Arrays = dict[str, npt.NDArray[Any]]


def load(path: str | Path, *, limit: int | None = None) -> Dataset:
    """The data set in an .npz file; pickled objects are refused.

    x            (N, d), (N, H, W) or (N, C, H, W)  uint8, float32 or float64
    y, index     (N,)  integers; absent: no labels; identities 0..N-1
    value_range  (2,)  absent: 0..255 for uint8, the least and the greatest value of x for floats
    classes      (K,)  names
    planted.KEY  (P,) or (P, 2)  rows, as `save` writes them

    With limit, the first rows are kept (the whole file is read: it is one compressed stream).
    Raises DataError for a missing x, an unknown key, or a file that is not a whole .npz.
    """
    path = Path(path)
    arrays = _read(path)
    unknown = sorted(key for key in arrays if key not in _KEYS and not key.startswith(_PLANTED))
    if "x" not in arrays or unknown:
        raise DataError(
            f"{path} holds the arrays {', '.join(sorted(arrays)) or '(none)'}; "
            f"x is wanted, and of others only {', '.join(_KEYS[1:])} and {_PLANTED}*"
        )
    value_range, classes = arrays.get("value_range"), arrays.get("classes")
    data = Dataset(
        name=path.stem,
        x=_images(path, arrays["x"], saved={"index", "value_range"} <= arrays.keys()),
        y=arrays.get("y"),
        index=arrays.get("index", np.empty(0, np.int64)),
        value_range=(math.nan, math.nan) if value_range is None else _entries(value_range),
        classes=None if classes is None else _entries(classes),
        planted={
            key.removeprefix(_PLANTED): rows
            for key, rows in arrays.items()
            if key.startswith(_PLANTED)
        },
    )
    return data if limit is None else data.take(np.arange(min(limit, len(data))))


def save(path: str | Path, data: Dataset) -> None:
    """Write a data set so that `load` gives it back, planted rows included."""
    arrays: Arrays = {
        "x": data.x,
        "index": data.index,
        "value_range": np.array(data.value_range, np.float64),
        **{_PLANTED + key: rows for key, rows in data.planted.items()},
    }
    if data.y is not None:
        arrays["y"] = data.y
    if data.classes is not None:
        arrays["classes"] = np.array(data.classes, np.str_)
    ledger.write_atomic(path, lambda file: np.savez_compressed(file, **arrays))  # type: ignore[arg-type]  # no array is called allow_pickle


def _read(path: Path) -> Arrays:
    try:
        # Opened here: np.load takes a file that is no .npz for a pickle, and says so.
        with zipfile.ZipFile(path), np.load(path, allow_pickle=False) as stored:
            return {key: stored[key] for key in stored.files}
    except (OSError, EOFError, ValueError, zipfile.BadZipFile) as error:
        raise DataError(f"{path} is not a whole .npz file of plain arrays: {error}") from error


def _entries(array: npt.NDArray[Any]) -> tuple[Any, ...]:
    return tuple(np.atleast_1d(array).tolist())


def _images(path: Path, x: npt.NDArray[Any], saved: bool) -> npt.NDArray[Any]:
    # What `save` wrote is (N, C, H, W) whatever it looks like.
    if x.ndim == 3:
        return x[:, None]
    if not saved and x.ndim == 4 and x.shape[3] in (1, 3) and x.shape[1] not in (1, 3):
        raise DataError(
            f"{path}: x has shape {x.shape}, which looks like (N, H, W, C); (N, C, H, W) is wanted "
            "(x.transpose(0, 3, 1, 2))"
        )
    return x
