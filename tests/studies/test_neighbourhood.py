import numpy as np
import pytest

from genmem.datasets import Dataset, load
from genmem.density import GaussianKDE
from genmem.studies.neighbourhood import local_density, neighbours


@pytest.fixture(scope="module")
def digits() -> Dataset:
    return load("digits", limit=200)


def test_neighbours_equal_brute_force(digits: Dataset) -> None:
    unit = digits.rows.astype(np.float64) / 16
    gaps = np.sqrt(((unit[:, None] - unit[None]) ** 2).sum(axis=2))
    np.fill_diagonal(gaps, np.inf)
    got = neighbours(digits, 4)
    order = np.argsort(gaps, axis=1, kind="stable")[:, :4]
    assert got.distances.shape == (200, 4)
    assert (np.abs(got.distances - np.take_along_axis(gaps, order, axis=1)) <= 1e-12).all()
    assert (got.positions == order).all()


def test_density_equals_the_estimator_on_scaled_features(digits: Dataset) -> None:
    kde = GaussianKDE("loo", duplicates="group").fit(digits.rows)
    in_unit = GaussianKDE(kde.bandwidth_ / 16).fit(digits.rows.astype(np.float64) / 16)
    assert (np.abs(local_density(digits) - in_unit.score_samples_loo()) <= 1e-8).all()


def test_density_does_not_depend_on_the_unit() -> None:
    x = np.random.default_rng(0).normal(size=(60, 3))
    plain = local_density(Dataset("x", x, value_range=(-10, 10)))
    large = local_density(Dataset("x", 100 * x, value_range=(-1000, 1000)))
    assert plain.shape == (60,)
    assert (np.abs(plain - large) <= 1e-6).all()


def test_hostile_input(digits: Dataset) -> None:
    with pytest.raises(ValueError, match=r"k is 200, the data have 200 rows; 1\.\.N-1"):
        neighbours(digits, 200)
    with pytest.raises(ValueError, match="k is 0"):
        neighbours(digits, 0)
    with pytest.raises(ValueError, match="k is 1, the data have 1 rows"):
        neighbours(digits.take([0]), 1)
