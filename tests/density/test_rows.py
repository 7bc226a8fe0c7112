"""Blocks of rows, checks of values, and moments that keep their digits."""

from __future__ import annotations

import numpy as np
import pytest

from genmem.density.moments import mean_and_squares
from genmem.density.rows import check_finite, row_blocks


@pytest.mark.parametrize(("rows", "memory"), [(0, 10), (1, 1), (7, 30), (7, 10), (7, 1000)])
def test_blocks_cover_every_row_once_within_the_budget(rows, memory):
    blocks = list(row_blocks(rows, 10, memory))
    covered = [i for block in blocks for i in range(rows)[block]]
    assert covered == list(range(rows))
    assert all(block.stop - block.start <= max(1, memory // 10) for block in blocks)


def test_the_first_bad_value_is_named_also_behind_the_first_block():
    X = np.zeros((3, 1 << 19))
    X[2, 5] = np.nan
    with pytest.raises(ValueError, match=r"op: Z\[2, 5\] is NaN"):
        check_finite(X, "op", "Z")
    check_finite(np.full((2, 2), np.finfo(np.float32).max, np.float32), "op")
    check_finite(np.full((2, 2), 255, np.uint8), "op")
    with pytest.raises(ValueError, match=r"X\[1, 0\] is inf"):
        check_finite(np.array([[1.0], [np.inf]], np.float32), "op")


def test_moments_of_equal_rows_are_exact_and_of_shifted_rows_keep_their_digits(rng):
    mean, squares = mean_and_squares(np.full((3, 2), 0.1), np.ones(3))
    assert (mean == 0.1).all()
    assert (squares == 0).all()
    X, w = rng.integers(-50, 50, (3000, 4)) / 8, rng.uniform(0, 2, 3000)
    mean, squares = mean_and_squares(X + 2.0**30, w)
    want = np.average(X, axis=0, weights=w)
    assert (np.abs(mean - 2.0**30 - want) <= 1e-6).all()
    assert (np.abs(squares / (w @ (X - want) ** 2) - 1) <= 1e-9).all()
