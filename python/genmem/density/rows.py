"""Rows of data: which are accepted, and how a pass over them is cut to a memory budget."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from genmem.kernels.native import MEMORY as MEMORY

Float64 = npt.NDArray[np.float64]
Int64 = npt.NDArray[np.int64]
Rows = npt.NDArray[Any]  # (n, d), one of ACCEPTED
Skip: TypeAlias = Int64 | Literal["self"] | None  # the row left out of each query, -1 = none

# Kept as they are, because the kernels widen them without loss; all else becomes float64.
ACCEPTED = [np.float64, np.float32, np.uint8]
LARGEST = 1e150  # the square of anything larger leaves float64
_CHECKED_AT_ONCE = 1 << 20  # values; the check makes two temporaries of this size


def row_blocks(rows: int, bytes_per_row: int, memory: int) -> Iterator[slice]:
    """Slices that cover range(rows), each of at most memory / bytes_per_row rows, at least one."""
    step = max(1, memory // max(1, bytes_per_row))
    for start in range(0, rows, step):
        yield slice(start, min(start + step, rows))


def check_finite(rows: Rows, operation: str, name: str = "X") -> None:
    """Raise ValueError naming the first entry that is NaN, infinite or at least 1e150 in size."""
    if rows.dtype.kind != "f":
        return
    # Squares of float32 are taken in float64, which holds them all.
    limit = LARGEST if rows.dtype.itemsize > 4 else np.inf
    for block in row_blocks(len(rows), rows.shape[1], _CHECKED_AT_ONCE):
        # Written so that NaN counts as bad.
        bad = ~(np.abs(rows[block]) < limit)
        if bad.any():
            row, column = np.argwhere(bad)[0]
            value = rows[block][row, column]
            seen = "NaN" if np.isnan(value) else f"{value:g}"
            raise ValueError(
                f"{operation}: {name}[{block.start + row}, {column}] is {seen}; "
                f"finite values below {LARGEST:g} in size are wanted"
            )


def check_weights(weights: npt.ArrayLike, rows: int, operation: str) -> Float64:
    """The weights (rows,) in float64; finite, none negative, not all zero."""
    given = np.asarray(weights, dtype=np.float64)
    if given.shape != (rows,):
        raise ValueError(
            f"{operation}: sample_weight has shape {given.shape}; ({rows},) is wanted, one per row"
        )
    bad = np.flatnonzero(~((given >= 0) & np.isfinite(given)))
    if bad.size:
        raise ValueError(
            f"{operation}: sample_weight[{bad[0]}] is {given[bad[0]]}; "
            "finite and non-negative weights are wanted"
        )
    if not given.any():
        raise ValueError(f"{operation}: all {rows} weights are zero; one positive is wanted")
    return given


def check_scales(scales: npt.ArrayLike, rows: int, operation: str) -> Float64:
    """The factors (rows,) of the widths in float64; finite and positive."""
    given = np.asarray(scales, dtype=np.float64)
    if given.shape != (rows,):
        raise ValueError(
            f"{operation}: point_scales has shape {given.shape}; ({rows},) is wanted, one per row"
        )
    bad = np.flatnonzero(~((given > 0) & (given < np.inf)))
    if bad.size:
        raise ValueError(
            f"{operation}: point_scales[{bad[0]}] is {given[bad[0]]}; "
            "finite and positive factors are wanted"
        )
    return given
