"""Groups of equal rows, and how many rows each holds."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from genmem.density.rows import Int64, Rows
from genmem.equal_rows import first_equal


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
    """Group the rows (n, d) that are equal; -0.0 equals 0.0."""
    first, group, count = np.unique(first_equal(rows), return_inverse=True, return_counts=True)
    return EqualRows(first, group.astype(np.int64), count[group].astype(np.int64))
