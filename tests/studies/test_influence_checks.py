"""The checks of influence against counts by hand, and their intervals against their coverage."""

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from budget import assert_within
from genmem.studies.influence_checks import (
    class_agreement,
    cleaning,
    own_top,
    self_influence_and_loss,
)


def test_own_top_counts_ranks_and_ties() -> None:
    scores = [[3.0, 1.0, 2.0], [5.0, 4.0, 1.0], [1.0, 1.0, 1.0]]
    found = own_top(scores, [0, 1, 2])
    assert found.ranks.tolist() == [1, 2, 2]
    assert_within(found.rate.value, 1 / 3, 1e-15)
    assert_within(found.reciprocal_rank, 2 / 3, 1e-15)
    assert found.rate.lower < 1 / 3 < found.rate.upper
    assert_within(found.rate.chance, 1 / 3, 1e-15)


def test_own_top_of_all_has_an_interval_below_one() -> None:
    found = own_top(np.eye(128, 500), np.arange(128))
    assert found.rate.value == 1
    assert 0.95 < found.rate.lower < 1


def test_class_agreement_by_hand() -> None:
    scores = np.array([[9.0, 1.0, -5.0, -1.0], [-3.0, 2.0, 4.0, 0.0]])
    found = class_agreement(scores, [0, 1], [0, 1, 1, 0])
    assert (found.proponents.value, found.opponents.value) == (1.0, 0.0)
    assert found.proponents.chance == 0.5
    two = class_agreement(scores, [0, 1], [0, 1, 1, 0], k=2)
    assert (two.proponents.value, two.opponents.value) == (0.75, 0.25)
    assert two.proponents.lower <= 0.75 <= two.proponents.upper


@pytest.mark.parametrize("k", [1, 5])
def test_class_agreement_without_agreement_covers_chance(k: int) -> None:
    rng = np.random.default_rng(0)
    covered = 0
    for trial in range(100):
        scores = rng.standard_normal((60, 200))
        labels, queries = rng.integers(0, 4, 200), rng.integers(0, 4, 60)
        found = class_agreement(scores, queries, labels, k, seed=trial).proponents
        covered += found.lower <= found.chance <= found.upper
    assert covered >= 88


def test_loss_explains_what_it_explains() -> None:
    rng = np.random.default_rng(1)
    losses = rng.exponential(size=4000)
    found = self_influence_and_loss(2 * losses + rng.standard_normal(4000) * 2, losses)
    assert_within(found.r2, np.corrcoef(2 * losses, losses)[0, 1] ** 2 * 0.5, 0.05)
    assert found.lower < found.r2 < found.upper
    exact = self_influence_and_loss(3 * losses + 1, losses)
    assert_within([exact.r2, exact.ranks.value], [1, 1], 1e-12)


def test_cleaning_areas_and_their_interval() -> None:
    rng = np.random.default_rng(2)
    covered, truth = 0, 0.760249938906523  # P(X + 1 > Y) of standard normals
    for _ in range(200):
        own = np.r_[rng.standard_normal(400), rng.standard_normal(40) + 1]
        marks = np.arange(440) >= 400
        found = cleaning(own, marks)
        assert_within(found.found.auc, roc_auc_score(marks, own), 1e-12)
        covered += found.auc_interval[0] <= truth <= found.auc_interval[1]
    assert 180 <= covered <= 199
    same = cleaning(own, np.flatnonzero(marks))
    assert same.auc_interval == found.auc_interval
    lower, upper = found.area_interval
    assert lower < found.found.area < upper


def test_refusals() -> None:
    with pytest.raises(ValueError, match=r"positions in 0\.\.2"):
        own_top(np.zeros((2, 3)), [0, 3])
    with pytest.raises(ValueError, match="finite numbers"):
        own_top([[np.nan]], [0])
    with pytest.raises(ValueError, match="labels have shapes"):
        class_agreement(np.zeros((2, 3)), [0], [0, 0, 0])
    with pytest.raises(ValueError, match=r"k is 4; 1\.\.3"):
        class_agreement(np.zeros((2, 3)), [0, 1], [0, 0, 0], k=4)
