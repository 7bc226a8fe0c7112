"""What a data set must satisfy; each check names the set, the first offending row and its value."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TypeAlias, TypeVar

import numpy as np
import numpy.typing as npt

from genmem.errors import DataError

Values: TypeAlias = npt.NDArray[np.uint8 | np.float32 | np.float64]
Int64: TypeAlias = npt.NDArray[np.int64]

Scalar = TypeVar("Scalar", bound=np.generic)

_TYPES = (np.dtype(np.uint8), np.dtype(np.float32), np.dtype(np.float64))
# 16 MiB a block: the checks of a memory map need this much memory, not the size of the map.
_BLOCK_BYTES = 1 << 24


def samples(name: str, x: npt.ArrayLike) -> Values:
    """x as a C-contiguous, read-only view (a copy only if the rows are not contiguous)."""
    if isinstance(x, np.ma.MaskedArray):
        raise DataError(f"Dataset {name!r}: x is a masked array; plain values are wanted")
    held = np.asarray(x)
    if held.dtype not in _TYPES:
        raise DataError(
            f"Dataset {name!r}: x has type {held.dtype}; uint8, float32 or float64 is wanted"
        )
    if held.ndim not in (2, 4):
        raise DataError(
            f"Dataset {name!r}: x has shape {held.shape}; (N, d) or (N, C, H, W) is wanted"
        )
    if held.size == 0:
        raise DataError(f"Dataset {name!r}: x has shape {held.shape}: the set is empty")
    return _frozen(np.ascontiguousarray(held))


def bounds(name: str, x: Values, given: tuple[float, float]) -> tuple[float, float]:
    """The value range in the precision of x: as given, or 0..255 for uint8, min..max for floats."""
    try:
        low, high = (float(value) for value in given)
    except (TypeError, ValueError) as error:
        raise DataError(
            f"Dataset {name!r}: value_range is {given!r}; two numbers are wanted"
        ) from error
    integral = x.dtype == np.uint8
    if math.isnan(low) and math.isnan(high):
        if integral:
            return 0.0, 255.0
        within(name, x, (-math.inf, math.inf))
        low, high = float(x.min()), float(x.max())
    else:
        with np.errstate(over="ignore"):
            held = np.array([low, high], np.float64 if integral else x.dtype)
        low, high = (float(value) for value in held)
    # The width must be finite too: unit() divides by it.
    if not (low < high and math.isfinite(high - low)):
        raise DataError(
            f"Dataset {name!r}: value_range is ({low}, {high}) in {x.dtype}; lo < hi, both finite, "
            "is wanted (give it when the values do not show it)"
        )
    if integral and not (low >= 0 and high <= 255 and low.is_integer() and high.is_integer()):
        raise DataError(
            f"Dataset {name!r}: value_range is ({low}, {high}); "
            "integers in 0..255 are wanted for uint8"
        )
    return low, high


def within(name: str, x: Values, bounds: tuple[float, float]) -> None:
    """Raise DataError at the first value that is not finite or lies outside the bounds."""
    low, high = bounds
    if x.dtype == np.uint8 and low <= 0 and high >= 255:
        return
    rows = x.reshape(len(x), -1)
    step = max(1, _BLOCK_BYTES // max(1, rows[:1].nbytes))
    for start in range(0, len(rows), step):
        block = rows[start : start + step]
        # Written so that NaN, which compares false with everything, counts as outside.
        bad = ~((block >= low) & (block <= high) & np.isfinite(block))
        if bad.any():
            row, column = np.unravel_index(int(bad.argmax()), bad.shape)
            value = float(block[row, column])
            wanted = f"{low:g}..{high:g} is wanted" if math.isfinite(value) else "finite is wanted"
            raise DataError(
                f"Dataset {name!r}: row {start + int(row)} has the value {value} "
                f"(at {int(column)} of its {rows.shape[1]} values); {wanted}"
            )


def labels(
    name: str, y: npt.ArrayLike | None, count: int, classes: tuple[str, ...] | None
) -> Int64 | None:
    """Class numbers as read-only int64, one a row, each with a name when there are names."""
    if y is None:
        return None
    held = _integers(f"Dataset {name!r}: y", y, (count,))
    top = np.iinfo(np.int64).max if classes is None else len(classes) - 1
    bad = (held < 0) | (held > top)
    if bad.any():
        row = int(bad.argmax())
        wanted = "a class number >= 0" if classes is None else f"0..{top} ({len(classes)} classes)"
        raise DataError(f"Dataset {name!r}: y of row {row} is {held[row]}; {wanted} is wanted")
    return held


def identities(name: str, index: npt.ArrayLike, count: int) -> Int64:
    """Identities as read-only int64; an empty array stands for 0..count-1."""
    if np.size(index) == 0:
        return _frozen(np.arange(count, dtype=np.int64))
    held = _integers(f"Dataset {name!r}: index", index, (count,))
    bad = (held < 0) | (held >= 1 << 32)
    if bad.any():
        row = int(bad.argmax())
        raise DataError(
            f"Dataset {name!r}: index of row {row} is {held[row]}; 0 <= index < 2^32 is wanted"
        )
    order = np.argsort(held, kind="stable")
    same = held[order[1:]] == held[order[:-1]]
    if same.any():
        at = int(same.argmax())
        first, second = int(order[at]), int(order[at + 1])
        raise DataError(
            f"Dataset {name!r}: rows {first} and {second} both have index {held[first]}; "
            "distinct identities are wanted"
        )
    return held


def planted(name: str, given: Mapping[str, npt.ArrayLike], count: int) -> Mapping[str, Int64]:
    """Planted positions as read-only int64, (P,) or (P, 2), each within the set."""
    held: dict[str, Int64] = {}
    for key, value in given.items():
        rows = np.asarray(value)
        shape = rows.shape if rows.ndim == 1 else (len(rows) if rows.ndim else 0, 2)
        rows = _integers(f"Dataset {name!r}: planted[{key!r}]", rows, shape)
        if rows.size and (rows.min() < 0 or rows.max() >= count):
            raise DataError(
                f"Dataset {name!r}: planted[{key!r}] names rows {rows.min()}..{rows.max()}; "
                f"0..{count - 1} is wanted"
            )
        held[key] = rows
    return held


def positions(operation: str, given: npt.ArrayLike, count: int) -> Int64:
    """Row positions as int64, each in 0..count-1: negative ones and masks are refused."""
    held = np.asarray(given)
    if held.ndim != 1 or (held.dtype.kind not in "iu" and held.size):
        raise ValueError(
            f"{operation}: positions have shape {held.shape} and type {held.dtype}; "
            "a list of integers is wanted (np.flatnonzero turns a mask into one)"
        )
    held = held.astype(np.int64)
    bad = (held < 0) | (held >= count)
    if bad.any():
        raise ValueError(f"{operation}: position {held[bad][0]} is not in 0..{count - 1}")
    return held


def _integers(what: str, given: npt.ArrayLike, shape: tuple[int, ...]) -> Int64:
    held = np.asarray(given)
    if held.shape != shape:
        raise DataError(f"{what} has shape {held.shape}; {shape} is wanted")
    if held.dtype.kind not in "iu" and held.size:
        raise DataError(f"{what} has type {held.dtype}; integers are wanted")
    if held.dtype == np.uint64 and held.size and held.max() > np.iinfo(np.int64).max:
        raise DataError(f"{what} has the value {held.max()}; at most 2^63-1 is wanted")
    return _frozen(held.astype(np.int64))


def _frozen(array: npt.NDArray[Scalar]) -> npt.NDArray[Scalar]:
    view = array.view()
    view.flags.writeable = False
    return view
