"""Rows that are equal, value for value."""

from __future__ import annotations

from hashlib import blake2b
from typing import NamedTuple

import numpy as np

from genmem.density.rows import Int64, Rows


class EqualRows(NamedTuple):
    """The groups of equal rows, numbered by first occurrence.

    first         (g,) index of the first row of each group, ascending
    group         (n,) group of each row
    multiplicity  (n,) how many rows equal this one, itself counted
    """

    first: Int64
    group: Int64
    multiplicity: Int64


def equal_rows(rows: Rows) -> EqualRows:
    """Group the rows (n, d) that are equal; -0.0 equals 0.0.

    Rows are told apart by 128-bit digests: one pass, no sort and no copy of the data, and two
    different rows are taken for equal with probability below n^2 / 2^129.
    """
    seen: dict[bytes, int] = {}
    first: list[int] = []
    group = np.empty(len(rows), np.int64)
    for i, row in enumerate(rows):
        # Adding zero turns -0.0 into 0.0, whose bytes differ.
        key = blake2b((row + row.dtype.type(0)).tobytes(), digest_size=16).digest()
        if key not in seen:
            seen[key] = len(first)
            first.append(i)
        group[i] = seen[key]
    return EqualRows(np.asarray(first, np.int64), group, np.bincount(group)[group].astype(np.int64))
