import numpy as np
import pytest

from genmem.datasets import Dataset, load
from genmem.density import GaussianKDE, NearestNeighborDensity
from genmem.studies.neighbourhood import knn_self_influence, local_density, neighbours


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


def test_density_and_self_influence_equal_the_estimator(digits: Dataset) -> None:
    kde = GaussianKDE("loo", duplicates="group").fit(digits.rows)
    got = local_density(digits)
    in_unit = GaussianKDE(kde.bandwidth_ / 16).fit(digits.rows.astype(np.float64) / 16)
    assert (np.abs(got.log_density - in_unit.score_samples_loo()) <= 1e-8).all()
    assert (np.abs(got.self_influence - kde.self_influence()) <= 1e-9).all()
    assert (got.self_influence > np.log(199 / 200)).all()


def test_self_influence_does_not_depend_on_the_unit() -> None:
    x = np.random.default_rng(0).normal(size=(60, 3))
    plain = local_density(Dataset("x", x, value_range=(-10, 10)))
    large = local_density(Dataset("x", 100 * x, value_range=(-1000, 1000)))
    assert (np.abs(plain.self_influence - large.self_influence) <= 1e-6).all()
    assert (np.abs(plain.log_density - large.log_density) <= 1e-6).all()


@pytest.mark.parametrize("k", [2, 7])
def test_knn_self_influence_equals_the_estimator(digits: Dataset, k: int) -> None:
    got = knn_self_influence(neighbours(digits, k).distances, 64)
    want = NearestNeighborDensity(k).fit(digits.rows).self_influence()
    assert np.isfinite(want).all()
    assert (np.abs(got - want) <= 1e-10).all()


def test_knn_self_influence_golden_values_ties_and_copies() -> None:
    def score(values: list[float], k: int) -> np.ndarray:
        data = Dataset("x", np.array(values, np.float64)[:, None], value_range=(-10, 10))
        return knn_self_influence(neighbours(data, k).distances, 1)

    want = [0.810930216216, 0.405465108108, 0.117783035656, 0.117783035656]
    assert (np.abs(score([0, 1, 3, 7], 2) - want) <= 1e-11).all()
    copies = score([0, 0, 1, 4], 2)
    assert np.isposinf(copies[:2]).all()
    assert (np.abs(copies[2:] - [-0.287682072452, 0]) <= 1e-11).all()
    assert (np.abs(score([0, 0, 0, 4], 2)[:3] - -0.287682072452) <= 1e-11).all()


def test_hostile_input(digits: Dataset) -> None:
    with pytest.raises(ValueError, match=r"k is 200, the data have 200 rows; 1\.\.N-1"):
        neighbours(digits, 200)
    with pytest.raises(ValueError, match="k is 0"):
        neighbours(digits, 0)
    with pytest.raises(ValueError, match="1 neighbour; at least 2"):
        knn_self_influence(np.ones((3, 1)), 2)
    with pytest.raises(ValueError, match="k is 1, the data have 1 rows"):
        neighbours(digits.take([0]), 1)
