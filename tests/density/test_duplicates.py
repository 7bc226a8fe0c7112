"""Equal rows, against numpy.unique."""

from __future__ import annotations

import numpy as np
import pytest

from genmem.density.duplicates import equal_rows


@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.uint8])
def test_groups_equal_numpy_unique(rng, dtype):
    X = rng.integers(0, 3, (60, 3)).astype(dtype)
    got = equal_rows(X)
    _, first, group, counts = np.unique(
        X, axis=0, return_index=True, return_inverse=True, return_counts=True
    )
    assert (got.first == np.sort(first)).all()
    assert (got.multiplicity == counts[group.ravel()]).all()
    assert (X[got.first[got.group]] == X).all()
    assert (np.unique(got.group) == np.arange(len(first))).all()


def test_zeros_of_either_sign_are_equal_and_near_rows_are_not():
    X = np.array([[0.0, 1.0], [-0.0, 1.0], [0.0, np.nextafter(1.0, 2.0)]])
    assert equal_rows(X).multiplicity.tolist() == [2, 2, 1]
    assert equal_rows(X).first.tolist() == [0, 2]
    assert X[1, 0] == 0
    assert np.signbit(X[1, 0])


def test_strided_rows(rng):
    wide = np.repeat(rng.standard_normal((5, 4)), 2, axis=0)
    assert equal_rows(wide[:, ::2]).group.tolist() == [0, 0, 1, 1, 2, 2, 3, 3, 4, 4]
