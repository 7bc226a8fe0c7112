import numpy as np
import pytest
from scipy import stats

from genmem import config
from genmem.datasets import load, plant
from genmem.memorization import score_values
from genmem.studies.duplicates import duplicates
from genmem.studies.neighbourhood import neighbours
from genmem.studies.summary import auc, blunt_test, machine, planted_found, versions


def test_auc_equals_the_counted_share_of_pairs() -> None:
    random = np.random.default_rng(0)
    score = random.integers(0, 9, 60).astype(float)
    score[7] = np.inf
    positive = np.array([3, 7, 20, 21])
    others = np.delete(score, positive)
    pairs = score[positive][:, None] - others
    want = np.where(np.isnan(pairs), 0.5, (pairs > 0) + 0.5 * (pairs == 0)).mean()
    assert abs(auc(score, positive) - want) <= 1e-12
    u = stats.mannwhitneyu(score[positive], others).statistic
    assert abs(auc(score, positive) - u / (4 * 56)) <= 1e-12


@pytest.mark.parametrize("sign", [1, -1])
def test_planted_truth_is_measured(sign: int) -> None:
    data = plant(load("digits", limit=200), duplicates=0.02, near_duplicates=0.02, outliers=0.03)
    score = np.zeros(len(data))
    score[data.planted["outliers"]] = sign
    found = planted_found(data, score, duplicates(*neighbours(data, 10)))
    assert found == {
        "duplicates_named": 1.0,
        "near_duplicates_named": 1.0,
        "outliers_auc": 1.0 if sign == 1 else 0.0,
    }
    assert planted_found(load("digits", limit=50), np.zeros(50), duplicates(*_few())) == {}


@pytest.mark.parametrize(("folds", "repeats", "blunt"), [(5, 2, True), (3, 3, True), (5, 5, False)])
def test_a_test_that_can_find_nothing_says_so(folds: int, repeats: int, blunt: bool) -> None:
    count = 60
    fold = np.stack([np.random.default_rng(r).permutation(count) % folds for r in range(repeats)])
    held = fold[:, None, :] == np.arange(folds)[None, :, None]
    # Two samples that every model memorizes perfectly, among others that none does.
    log_p = np.where(held & (np.arange(count) < 2), -50.0, 0.0)
    log_p += 1e-3 * np.random.default_rng(9).normal(size=log_p.shape)
    scores = score_values(log_p, fold)
    assert bool(blunt_test(scores)) == blunt
    assert (scores.qvalue[:2].max() <= 0.05) == (not blunt)


def test_machine_and_versions_are_named() -> None:
    here = machine(3)
    assert here["threads"] == 3
    assert here["isa"] == config()["auto"]
    assert here["cpu"]
    assert {"python", "genmem", "numpy", "torch"} <= set(versions())


def _few() -> tuple[np.ndarray, np.ndarray]:
    return neighbours(load("digits", limit=50), 3)
