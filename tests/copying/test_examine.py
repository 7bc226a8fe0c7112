"""All tests at once, and what a result says of itself."""

import dataclasses
import json

import numpy as np
import pytest

import genmem
from draws import TESTS, Maker
from genmem.copying import examine


def test_everything_is_answered_as_alone(draws: Maker) -> None:
    sets = draws(1, (70, 30, 40), copies=4)
    seen: list[tuple[str, int, int]] = []
    found = examine(*sets, seed=2, resamples=50, progress=lambda *step: seen.append(step))
    assert list(found) == list(TESTS)
    for name, result in found.items():
        alone = TESTS[name](*sets, seed=2, resamples=50)
        assert result.name == name
        assert result.summary() == alone.summary()
        assert result.copies == 4
    assert seen[0] == ("tests", 0, 7)
    assert seen[-1] == ("tests", 7, 7)


def test_options_reach_their_test(draws: Maker) -> None:
    found = examine(*draws(2), resamples=9, data_copying={"cells": 1}, third_ratio={"level": 0.5})
    assert len(found["data_copying"].cells) == 1
    assert found["third_ratio"].level == 0.5
    with pytest.raises(TypeError, match="examine: 'rho' is no test; one of nearest_ratio, data"):
        examine(*draws(2), rho={})


def test_a_small_training_set_has_fewer_neighbours(draws: Maker) -> None:
    found = examine(*draws(3, (20, 9, 9)), resamples=9)["calibrated_distance"]
    assert found.neighbours == 20
    assert found.notes[-1] == "20 neighbours in place of 50: train has 20 distinct rows"
    plenty = examine(*draws(3, (60, 9, 9)), resamples=9)
    assert not any("in place of" in note for one in plenty.values() for note in one.notes)


def test_a_training_set_of_two_rows_has_two_cells(draws: Maker) -> None:
    train, test, generated = draws(3, (2, 30, 30))
    train = np.concatenate([train, train[:1]])
    found = examine(train, test, generated, resamples=9)["data_copying"]
    assert len(found.cells) == 2
    assert found.notes[-1] == "2 cells in place of 3: train has 2 distinct rows"
    with pytest.raises(ValueError, match="data_copying: cells is 3; at most 2 is wanted"):
        examine(train, test, generated, resamples=9, data_copying={"cells": 3})


def test_a_share_that_is_no_measurement_is_said_to_be_none(draws: Maker) -> None:
    sets = draws(6, (60, 40, 50))
    said = "the held-out share is 4 / 40 by construction, not a measurement"
    for name in ("calibrated_distance", "near_duplicate_rate"):
        found = TESTS[name](*sets, quantile=0.1, resamples=9)
        assert found.reference == 0.1
        assert said in found.notes[0]
    assert TESTS["near_duplicate_rate"](*sets, resamples=9).notes == ()


@pytest.mark.parametrize("name", TESTS)
def test_a_result_is_frozen_and_says_what_it_is(name: str, draws: Maker) -> None:
    found = TESTS[name](*draws(4, (60, 30, 30)), resamples=20)
    with pytest.raises(dataclasses.FrozenInstanceError):
        found.statistic = 0.0
    assert found.copying_is in ("high", "low")
    assert len(found.null) > 20
    summary = found.summary()
    assert json.loads(json.dumps(summary, allow_nan=False)) == summary
    for field in ("statistic", "reference", "pvalue", "lower", "upper", "copies", "undefined"):
        assert field in summary
    assert not any(isinstance(value, np.ndarray) for value in summary.values())


def test_the_same_seed_gives_the_same_bits_and_another_does_not(draws: Maker) -> None:
    sets = draws(5, (60, 40, 50), copies=5)
    options = {"data_copying": {"threshold": 0.0}}
    found = [
        examine(*sets, seed=seed, threads=threads, **options)
        for seed, threads in ((0, 1), (0, 2), (1, 1))
    ]
    first, second, other = (
        {name: result.summary() for name, result in one.items()} for one in found
    )
    assert first == second
    # An interval that is capped at the number of rows does not depend on its resamples.
    assert sum(first[name] != other[name] for name in TESTS) >= 5


def test_the_room_is_a_public_name() -> None:
    assert genmem.copying.examine is examine
