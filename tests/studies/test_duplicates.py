import numpy as np
import pytest

from genmem.datasets import Dataset, load, plant
from genmem.studies.duplicates import duplicates
from genmem.studies.neighbourhood import neighbours


def named(data: Dataset, k: int = 10) -> set[tuple[int, int]]:
    found = duplicates(*neighbours(data, k))
    return {(int(a), int(b)) for a, b in found.pairs}


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_planted_copies_are_named_and_few_others(seed: int) -> None:
    data = plant(load("digits"), duplicates=0.01, near_duplicates=0.01, seed=seed)
    pairs = {(int(b), int(a)) for kind in data.planted for a, b in data.planted[kind]}
    found = named(data)
    assert len(pairs & found) >= 0.95 * len(pairs)
    # Digits have two natural pairs below the limit; a copy of a copied pair's twin may add a third.
    assert len(found - pairs) <= 5


def test_exact_copies_come_first_at_distance_zero() -> None:
    data = plant(load("digits", limit=300), duplicates=0.02, near_duplicates=0.02)
    found = duplicates(*neighbours(data, 10))
    exact = {(int(b), int(a)) for a, b in data.planted["duplicates"]}
    assert {(int(a), int(b)) for a, b in found.pairs[:6]} == exact
    assert (found.distances[:6] == 0).all()
    assert (np.diff(found.distances) >= 0).all()
    assert (found.distances[6:] > 0).all()
    assert (found.pairs[:, 0] < found.pairs[:, 1]).all()
    assert "distance 0" in found.rule
    assert "0.4" in found.rule


def test_clusters_of_different_scale_are_judged_by_their_own() -> None:
    random = np.random.default_rng(0)
    tight, wide = 1e-3 * random.normal(size=(60, 8)), 100 + 10 * random.normal(size=(60, 8))
    data = Dataset("two scales", np.concatenate([tight, wide, wide[:1] + 0.01]))
    assert named(data) == {(60, 120)}


def test_a_row_with_more_than_k_copies() -> None:
    x = np.concatenate([np.zeros((5, 2)), np.random.default_rng(0).normal(size=(20, 2))])
    found = named(Dataset("many", x), k=3)
    assert all(a < 5 and b < 5 for a, b in found)
    assert {a for pair in found for a in pair} == set(range(5))


def test_no_duplicates() -> None:
    grid = np.stack(np.meshgrid(np.arange(6.0), np.arange(6.0)), axis=-1).reshape(-1, 2)
    found = duplicates(*neighbours(Dataset("grid", grid), 4))
    assert found.pairs.shape == (0, 2)
    assert found.distances.shape == (0,)
