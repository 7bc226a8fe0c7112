"""The shared neighbours: exact, computed once, the same for every test and every thread count."""

from typing import Any

import numpy as np
import pytest

from budget import assert_within
from draws import TESTS, Maker, brute_force
from genmem.copying import CopyingDistances


def test_lists_are_those_of_brute_force(draws: Maker) -> None:
    train, test, generated = draws(1, (40, 20, 30), copies=2)
    held = CopyingDistances(train, test, generated)
    for side, rows in (("test", test), ("generated", generated)):
        apart = brute_force(rows, train)
        order = np.argsort(apart, axis=1, kind="stable")[:, :7]
        near = held.to_train(side, 7)
        assert (near.positions == order).all()
        assert_within(near.distances, np.take_along_axis(apart, order, 1), 1e-12)
        back = held.from_train(side, 3)
        kept = rows[held.matched[side]]
        assert (back.positions == np.argsort(brute_force(train, kept), axis=1)[:, :3]).all()


def test_kept_rows_fill_as_many_places_as_they_occur(draws: Maker) -> None:
    train, test, generated = draws(2, (15, 10, 12))
    train = np.concatenate([train[:4], train, train[2:9]])
    held = CopyingDistances(train, test, generated)
    near = held.to_train("generated", 13, "keep")
    assert_within(near.distances, np.sort(brute_force(generated, train), 1)[:, :13], 1e-12)
    assert (near.positions[:, 0] == brute_force(generated, train).argmin(axis=1)).all()
    whole = held.to_train("test", 26, "keep")
    assert_within(whole.distances, np.sort(brute_force(test, train), axis=1), 1e-12)
    with pytest.raises(ValueError, match="train has 26 rows; at least 27 are wanted"):
        held.to_train("test", 27, "keep")
    with pytest.raises(ValueError, match="train has 15 distinct rows; at least 16 are wanted"):
        held.to_train("test", 16)


def test_spacing(draws: Maker) -> None:
    train = np.concatenate([draws(3).train, draws(3).train[:5]])
    held = CopyingDistances(train, train[:2], train[:2])
    own = brute_force(train, train)
    np.fill_diagonal(own, np.inf)
    assert_within(held.spacing("keep"), own.min(axis=1), 1e-12)
    own[own == 0] = np.inf
    assert_within(held.spacing(), own.min(axis=1), 1e-12)


def test_equal_sizes_are_seeded_subsets(draws: Maker) -> None:
    sets = draws(4, (10, 40, 25))
    found = [CopyingDistances(*sets, seed=seed).matched for seed in (0, 0, 1)]
    assert (found[0]["generated"] == np.arange(25)).all()
    assert len(np.unique(found[0]["test"])) == 25
    assert (found[0]["test"] == found[1]["test"]).all()
    assert (found[0]["test"] != found[2]["test"]).any()


@pytest.mark.parametrize("name", TESTS)
def test_shared_distances_change_nothing(name: str, draws: Maker) -> None:
    sets = draws(5, (70, 30, 35), copies=2)
    shared = CopyingDistances(*sets, features="pca", seed=3)
    shared.to_train("generated", 60)
    shared.to_train("test", 55)
    alone = TESTS[name](*sets, features="pca", seed=3, threads=1)
    together = TESTS[name](*sets, distances=shared)
    assert alone.summary() == together.summary()
    assert np.array_equal(alone.per_sample, together.per_sample, equal_nan=True)


def test_each_list_is_computed_once(draws: Maker, monkeypatch: pytest.MonkeyPatch) -> None:
    from genmem.copying import distances as module
    from genmem.copying import examine

    calls: list[tuple[int, int]] = []
    exact = module.nearest_sq

    def counted(queries: Any, points: Any, k: int, **options: Any) -> Any:
        calls.append((len(queries), len(points)))
        return exact(queries, points, k, **options)

    monkeypatch.setattr(module, "nearest_sq", counted)
    examine(*draws(6, (61, 40, 50)), resamples=10)
    # Both sides to train, train to both (40 matched rows each), train to itself; no more.
    assert sorted(calls) == [(40, 61), (50, 61), (61, 40), (61, 40), (61, 61)]


def test_distances_of_other_sets_are_refused(draws: Maker) -> None:
    sets = draws(7)
    shared = CopyingDistances(*sets)
    with pytest.raises(ValueError, match=r"computed for \(60, 40, 50\) rows .* \(60, 40, 49\)"):
        TESTS["third_ratio"](sets.train, sets.test, sets.generated[1:], distances=shared)
    with pytest.raises(ValueError, match="third_ratio: features is given twice"):
        TESTS["third_ratio"](*sets, distances=shared, features="pca")
    with pytest.raises(ValueError, match="third_ratio: seed is given twice"):
        TESTS["third_ratio"](*sets, distances=shared, seed=4)
