"""The rank correlation of a caption equals that of the studies."""

import numpy as np
import pytest

from genmem.reports.association import associate
from genmem.studies.correlation import spearman


@pytest.mark.parametrize("n", [4, 5, 50, 1797])
def test_equals_the_correlation_of_the_studies(n: int, rng: np.random.Generator) -> None:
    x = rng.integers(0, max(2, n // 3), n).astype(float)
    y = 0.5 * x + rng.normal(size=n) * x.std()
    got, want = associate(x, y), spearman(x, y)
    found = np.array([got.value, got.lower, got.upper])
    assert (np.abs(found - [want.value, want.lower, want.upper]) <= 1e-12).all()
    assert got.n == n


def test_rows_that_are_not_finite_are_left_out(rng: np.random.Generator) -> None:
    x, y = rng.normal(size=(2, 60))
    holed = x.copy()
    holed[[3, 9]] = np.nan, np.inf
    kept = np.delete(np.arange(60), [3, 9])
    assert associate(holed, y) == associate(x[kept], y[kept])


@pytest.mark.parametrize(("sign", "value"), [(1, 1.0), (-1, -1.0)])
def test_a_perfect_order_has_no_width(sign: int, value: float) -> None:
    found = associate(np.arange(9.0), sign * np.arange(9.0) ** 3)
    assert (found.value, found.lower, found.upper, found.sign) == (value, value, value, sign)


@pytest.mark.parametrize("x", [np.zeros(9), np.array([1.0, 2.0, 3.0] + [np.nan] * 6)])
def test_undefined_says_so(x: np.ndarray) -> None:
    found = associate(x, np.arange(9.0))
    assert np.isnan(found.value)
    assert found.sign == 0
    assert found.text.startswith("undefined")
