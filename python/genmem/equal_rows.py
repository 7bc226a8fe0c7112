"""Rows that are equal, value for value."""

from __future__ import annotations

from hashlib import blake2b
from typing import Any

import numpy as np
import numpy.typing as npt


def first_equal(rows: npt.NDArray[Any]) -> npt.NDArray[np.int64]:
    """For each row, the position of the first row equal to it, shape (N,).

    rows  (N, ...)  numbers; a memory map is read row by row
    Equal means equal values: -0.0 equals 0.0, NaN equals nothing. Rows are looked up by a digest
    and then compared, so the answer is exact: one pass, no sort and no copy of the data.
    """
    first = np.arange(len(rows), dtype=np.int64)
    seen: dict[bytes, list[int]] = {}
    for position in range(len(rows)):
        # Adding zero turns -0.0 into 0.0, whose bytes would differ.
        row = np.ascontiguousarray(rows[position] + rows.dtype.type(0))
        candidates = seen.setdefault(blake2b(row.data, digest_size=16).digest(), [])
        for candidate in candidates:
            if np.array_equal(rows[candidate], rows[position]):
                first[position] = candidate
                break
        else:
            candidates.append(position)
    return first
