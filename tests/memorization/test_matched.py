"""Matched counts against enumeration; no bias under the null."""

from itertools import product

import numpy as np
import pytest

from genmem.memorization import estimate
from genmem.memorization.accumulate import logmeanexp
from genmem.memorization.matched import choose_folds, enumerates, matched_log_in, take_choices


def test_golden_all_four_choices():
    """G23: matched score 3.361725172964."""
    values = np.array([[-5.0, -1.0, -1.2], [-0.8, -4.0, -1.1]])[:, :, None]
    sides = estimate.split(values, np.array([[0], [1]]))
    picks = choose_folds([0], 3, 2)
    assert picks[:, :, 0].tolist() == [[0, 0], [0, 1], [1, 0], [1, 1]]
    got = matched_log_in(take_choices(sides.ins, picks)) - estimate.log_out(sides)
    assert got.shape == (1,)
    assert abs(got[0] - 3.361725172964) <= 1e-11


@pytest.mark.parametrize(("folds", "repeats"), [(2, 1), (2, 9), (3, 4), (10, 3), (7, 1), (1200, 1)])
def test_small_cases_enumerate_every_choice(folds, repeats):
    assert enumerates(folds, repeats)
    picks = choose_folds(np.arange(5), folds, repeats)
    assert picks.shape == ((folds - 1) ** repeats, repeats, 1)
    want = list(product(range(folds - 1), repeat=repeats))
    assert [tuple(one) for one in picks[:, :, 0].tolist()] == want


def test_random_choices_are_keyed_by_the_row_alone():
    index = np.array([7, 3, 900])
    picks = choose_folds(index, 10, 10, choices=20, seed=5)
    assert picks.shape == (20, 10, 3)
    assert picks.min() == 0
    assert picks.max() == 8
    again = choose_folds(index[::-1], 10, 10, choices=20, seed=5)
    assert (again[:, :, ::-1] == picks).all()
    fewer = choose_folds(index, 10, 10, choices=3, seed=5)
    assert (fewer == picks[:3]).all()
    longer = choose_folds(index, 10, 12, choices=20, seed=5)
    assert (longer[:, :10] == picks).all()
    assert (choose_folds(index, 10, 10, choices=20, seed=6) != picks).any()


def test_random_choices_are_uniform_over_the_folds():
    counts = np.bincount(choose_folds(np.arange(500), 10, 10).ravel(), minlength=9)
    expected = counts.sum() / 9
    # Chi-square with 8 degrees of freedom: 26.1 is its 0.999 quantile.
    assert ((counts - expected) ** 2 / expected).sum() <= 26.1


def test_matched_mean_equals_brute_force():
    generator = np.random.default_rng(3)
    ins = generator.normal(0, 20, (4, 9, 6))
    picks = choose_folds(np.arange(6), 10, 4, choices=20)
    got = matched_log_in(take_choices(ins, picks))
    for row in range(6):
        parts = [logmeanexp([ins[r, picks[c, r, row], row] for r in range(4)]) for c in range(20)]
        assert abs(got[row] - np.mean(parts)) <= 1e-11


def test_one_repeat_averages_the_in_sample_values():
    ins = np.random.default_rng(4).normal(0, 5, (1, 6, 8))
    got = matched_log_in(take_choices(ins, choose_folds(np.arange(8), 7, 1)))
    assert (np.abs(got - ins[0].mean(axis=0)) <= 1e-12).all()


def test_null_mean_is_zero_where_the_plain_score_is_biased():
    """Rows whose log p is noise of 3 nats: plain scores average 1.04 nats, matched ones 0."""
    rows = 20000
    values = 3 * np.random.default_rng(0).standard_normal((rows, 10, 10)).transpose(1, 2, 0)
    sides = estimate.split(values, np.zeros((10, rows), np.int64))
    picks = choose_folds(np.arange(rows), 10, 10, choices=20)
    matched = matched_log_in(take_choices(sides.ins, picks)) - estimate.log_out(sides)
    # Four standard errors of a mean of 20,000 rows with a deviation of 1.68 nats.
    assert abs(matched.mean()) <= 4 * 1.68 / np.sqrt(rows)
    assert abs(matched.std() - 1.68) <= 0.05
    assert estimate.plain_score(sides).mean() >= 1.0


@pytest.mark.parametrize("bad", [(1, 2, 3), (3, 0, 3), (3, 2, 0)])
def test_counts_that_leave_no_choice_are_refused(bad):
    folds, repeats, choices = bad
    with pytest.raises(ValueError, match=f"folds is {folds}, repeats {repeats}, choices {choices}"):
        choose_folds([0], folds, repeats, choices=choices)


def test_two_folds_and_many_repeats_have_one_choice() -> None:
    """K = 2 leaves one in-sample fold per repeat, however many repeats there are."""
    assert (choose_folds([0], 2, 100) == np.zeros((1, 100, 1))).all()


def test_enumeration_is_lexicographic() -> None:
    got = choose_folds([0], 4, 2)[:, :, 0].tolist()
    assert got == [[a, b] for a in range(3) for b in range(3)]
