"""The embedded default against scikit-learn itself."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.datasets import load_digits

from genmem.datasets import digits, load
from genmem.errors import DataError


def test_all_of_it() -> None:
    data = load("digits")
    truth = load_digits()
    assert (data.x.shape, data.x.dtype) == ((1797, 1, 8, 8), np.uint8)
    assert np.array_equal(data.x[:, 0].astype(np.float64), truth.images)
    assert np.array_equal(data.rows.astype(np.float64), truth.data)
    assert data.y is not None
    assert np.array_equal(data.y, truth.target)
    assert data.value_range == (0.0, 16.0)
    assert data.unit().max() == 1.0
    assert data.index.tolist() == list(range(1797))


def test_limit_and_split() -> None:
    assert len(load("digits", limit=10)) == 10
    with pytest.raises(DataError, match="there is no split 'test'; all 1,797 rows"):
        load("digits", split="test")
    assert digits.where("test") is None
    place = digits.where("train")
    assert place is not None
    assert place.name == "sklearn"
