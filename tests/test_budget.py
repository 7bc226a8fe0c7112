"""The checker itself must fail where it should."""

import numpy as np
import pytest

from budget import assert_within


@pytest.mark.parametrize(
    ("got", "truth"),
    [
        ([np.nan], [0.0]),
        ([0.0], [np.nan]),
        ([np.inf], [1.0]),
        ([1.0], [np.inf]),
        ([-np.inf], [np.inf]),
        ([0.0, 1.0], [0.0]),
        ([], []),
        ([1.1], [1.0]),
    ],
)
def test_fails(got: list[float], truth: list[float]) -> None:
    with pytest.raises(AssertionError):
        assert_within(got, truth, 0.05)


def test_passes() -> None:
    assert_within([1.04, np.inf, -np.inf], [1.0, np.inf, -np.inf], 0.05)
