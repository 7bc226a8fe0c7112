"""Rows near the origin, a block at a time, so that a memory map stays one."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from genmem.density.rows import Float64, Rows, row_blocks

# Values of a block: fixed, so that the order of sums does not depend on the memory budget.
_BLOCK = 1 << 20


class CenteredRows:
    """rows - offset in float64, (N, d), of which only the part that is asked for exists."""

    def __init__(self, rows: Rows, offset: Float64) -> None:
        self._rows, self._offset = rows, offset

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, part: slice | npt.NDArray[np.intp]) -> Float64:
        return np.asarray(self._rows[part] - self._offset)

    def blocks(self) -> Iterator[tuple[slice, Float64]]:
        """All rows in order: where they are, and themselves (B, d)."""
        for part in row_blocks(len(self._rows), len(self._offset), _BLOCK):
            yield part, self[part]
