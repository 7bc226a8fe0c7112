"""The one form in which samples travel through genmem."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import numpy.typing as npt

from genmem import ledger
from genmem.datasets import validation
from genmem.datasets.validation import Int64, Values


def _no_index() -> Int64:
    return np.empty(0, np.int64)


@dataclass(frozen=True, eq=False, repr=False)
class Dataset:
    """Samples with the identity, the label and the value range of each.

    name         what tables and reports call the set
    x            (N, d) or (N, C, H, W)  uint8, float32 or float64; finite; N >= 1
    y            (N,)  int64 class numbers >= 0, or None
    index        (N,)  int64 identities, distinct, 0 <= index < 2^32; default 0..N-1
    value_range  (lo, hi)  the values x can take, lo < hi, held in the precision of x; default
                 0..255 for uint8, the least and the greatest value for floats
    classes      names of classes 0, 1, ..., or None
    planted      positions of planted rows: "duplicates" and "near_duplicates" are (P, 2) of
                 [copy, original], "outliers" (P,)

    The arrays are read-only views, because the fingerprint is computed once. The identity follows
    a row through `take`; noise and scores are keyed by it: one identity, one sample, everywhere.

    Raises DataError for an empty set, a wrong shape or type, a value that is not finite or lies
    outside value_range (first row and value named), labels of another length or class, and an
    identity given twice.
    """

    name: str
    x: Values
    y: Int64 | None = None
    index: Int64 = field(default_factory=_no_index)
    value_range: tuple[float, float] = (math.nan, math.nan)
    classes: tuple[str, ...] | None = None
    planted: Mapping[str, Int64] = field(default_factory=dict)

    def __post_init__(self) -> None:
        name = self.name
        x = validation.samples(name, self.x)
        bounds = validation.bounds(name, x, self.value_range)
        validation.within(name, x, bounds)
        classes = None if self.classes is None else tuple(str(label) for label in self.classes)
        held = {
            "x": x,
            "y": validation.labels(name, self.y, len(x), classes),
            "index": validation.identities(name, self.index, len(x)),
            "value_range": bounds,
            "classes": classes,
            "planted": validation.planted(name, self.planted, len(x)),
        }
        for entry, value in held.items():
            object.__setattr__(self, entry, value)

    def __len__(self) -> int:
        return len(self.x)

    def __repr__(self) -> str:
        labels = "no labels" if self.y is None else f"{len(np.unique(self.y))} classes"
        return f"Dataset({self.name!r}, {len(self)} x {self.shape} {self.x.dtype}, {labels})"

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of one sample: (d,) or (C, H, W)."""
        return self.x.shape[1:]

    @property
    def rows(self) -> Values:
        """x as (N, d), a view."""
        return self.x.reshape(len(self), -1)

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 of values, identities, value range and labels; the name is not part of it."""
        arrays = [self.x, self.index, np.array(self.value_range, np.float64)]
        return ledger.fingerprint(*arrays, *([] if self.y is None else [self.y]))

    def unit(self, positions: npt.ArrayLike | None = None) -> npt.NDArray[np.float32]:
        """The samples at `positions` (default: all) in [0, 1]: (x - lo) / (hi - lo).

        positions  (B,)  integers, 0 <= position < N; repeats are allowed
        returns    (B, *shape)  float32, rounded once from float64
        """
        low, high = self.value_range
        x = self.x if positions is None else self.x[self._positions("unit", positions)]
        if x.dtype != np.uint8:
            return ((x.astype(np.float64) - low) / (high - low)).astype(np.float32)
        # 256 divisions instead of one a pixel, and no float64 copy of the images.
        levels = ((np.arange(256) - low) / (high - low)).astype(np.float32)
        scaled: npt.NDArray[np.float32] = levels[x]
        return scaled

    def take(self, positions: npt.ArrayLike) -> Dataset:
        """The samples at `positions`, in that order, with their identities.

        positions  (B,)  integers, distinct, 0 <= position < N
        Planted entries stay where every row they name stays, renumbered to the new positions.
        """
        kept = self._positions("take", positions)
        place = np.full(len(self), -1, np.int64)
        place[kept] = np.arange(len(kept))
        moved = {name: place[rows] for name, rows in self.planted.items()}
        return Dataset(
            name=self.name,
            x=self.x[kept],
            y=None if self.y is None else self.y[kept],
            index=self.index[kept],
            value_range=self.value_range,
            classes=self.classes,
            planted={
                name: rows[(rows.reshape(len(rows), -1) >= 0).all(axis=1)]
                for name, rows in moved.items()
            },
        )

    def _positions(self, operation: str, positions: npt.ArrayLike) -> Int64:
        return validation.positions(f"Dataset.{operation}", positions, len(self))
