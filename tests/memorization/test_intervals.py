"""Jackknife, t and bootstrap over repeats against golden values, deletion and log-space sums."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import logsumexp
from scipy.stats import t as student

from genmem.memorization import estimate, intervals
from genmem.memorization.accumulate import logmeanexp
from genmem.memorization.matched import choose_folds, matched_log_in, take_choices


def test_golden_jackknife():
    """G23: corrected plain score 3.248965558009, standard error 0.421891812457."""
    values = np.array([[-5.0, -1.0, -1.2], [-0.8, -4.0, -1.1]])[:, :, None]
    sides = estimate.split(values, np.array([[0], [1]]))
    without = intervals.without_each(logmeanexp(sides.ins, axis=1)) - intervals.without_each(
        sides.outs
    )
    got = intervals.jackknife(estimate.plain_score(sides), without)
    assert abs(got.corrected[0] - 3.248965558009) <= 1e-11
    assert abs(got.se[0] - 0.421891812457) <= 1e-11


def test_without_each_is_deletion():
    values = np.random.default_rng(0).normal(0, 400, (5, 3, 4))
    got = intervals.without_each(values)
    assert got.shape == values.shape
    for left in range(5):
        want = logsumexp(np.delete(values, left, axis=0), axis=0) - np.log(4)
        assert (np.abs(got[left] - want) <= 1e-10).all()


def test_without_each_survives_a_dominating_repeat():
    """Subtracting the term of 0 nats from the whole would leave nothing of the others."""
    assert intervals.without_each(np.array([[0.0], [-800.0], [-800.0]]))[0, 0] == -800.0


def test_jackknife_of_a_mean_is_its_standard_error():
    values = np.random.default_rng(1).normal(size=(8, 5))
    without = np.stack([np.delete(values, left, axis=0).mean(axis=0) for left in range(8)])
    got = intervals.jackknife(values.mean(axis=0), without)
    assert (np.abs(got.corrected - values.mean(axis=0)) <= 1e-13).all()
    assert (np.abs(got.se - values.std(axis=0, ddof=1) / np.sqrt(8)) <= 1e-13).all()


def test_t_interval_has_one_degree_of_freedom_for_two_repeats():
    lower, upper = intervals.t_interval(np.array([3.0]), np.array([0.5]), 2, 0.95)
    reach = student.ppf(0.975, 1) * 0.5
    assert abs(lower[0] - (3 - reach)) <= 1e-12
    assert abs(upper[0] - (3 + reach)) <= 1e-12


def test_one_repeat_has_no_error():
    unknown = intervals.jackknife(np.zeros(2), np.zeros((1, 2)))
    assert np.isnan(unknown.se).all()
    assert np.isnan(intervals.t_interval(np.zeros(2), unknown.se, 1, 0.95)).all()
    with pytest.raises(ValueError, match="1 repeats; at least 2"):
        intervals.without_each(np.zeros((1, 2)))


def test_bootstrap_weights_are_multinomial_and_keyed_by_the_resample():
    weights = intervals.bootstrap_weights(10, 1000, seed=3)
    assert weights.shape == (1000, 10)
    assert (weights.sum(axis=1) == 10).all()
    assert (intervals.bootstrap_weights(10, 50, seed=3) == weights[:50]).all()
    # A count is binomial (10, 1/10): mean 1, variance 0.9; four standard errors of a mean of 1000.
    assert (np.abs(weights.mean(axis=0) - 1) <= 4 * np.sqrt(0.9 / 1000)).all()
    with pytest.raises(ValueError, match="repeats is 0"):
        intervals.bootstrap_weights(0, 10)


@pytest.mark.parametrize("scale", [1.0, 50.0, 500.0, 1e5])
def test_resampled_logmeanexp_equals_log_space_sums(scale):
    """At 500 nats and above, resamples without the largest value would underflow to log 0."""
    values = np.random.default_rng(2).normal(0, scale, (6, 7))
    weights = intervals.bootstrap_weights(6, 40)
    got = intervals.resampled_logmeanexp(values, weights)
    assert got.shape == (40, 7)
    for b, counts in enumerate(weights):
        taken = np.repeat(values, counts.astype(int), axis=0)
        assert (np.abs(got[b] - logmeanexp(taken, axis=0)) <= 1e-9).all()


@settings(deadline=None)
@given(
    st.lists(st.sampled_from([0.0, -574, -575, -575.5, -576, -1150, -1e4]), min_size=4, max_size=4)
)
def test_resampled_logmeanexp_around_the_gap_at_which_sums_underflow(column):
    values, weights = np.array(column)[:, None], intervals.bootstrap_weights(4, 60)
    got = intervals.resampled_logmeanexp(values, weights)
    for b, counts in enumerate(weights):
        want = logmeanexp(np.repeat(values, counts.astype(int), axis=0), axis=0)
        assert (np.abs(got[b] - want) <= 1e-11).all()


@pytest.mark.parametrize("repeats", [3, 6])
def test_bootstrap_matched_equals_resampling_by_hand(repeats):
    generator = np.random.default_rng(4)
    ins, outs = generator.normal(0, 5, (repeats, 9, 4)), generator.normal(-3, 5, (repeats, 4))
    chosen = take_choices(ins, choose_folds(np.arange(4), 10, repeats, choices=7))
    weights = intervals.bootstrap_weights(repeats, 30, seed=1)
    got = intervals.bootstrap_matched(chosen, outs, weights)
    assert got.shape == (30, 4)
    for b, counts in enumerate(weights.astype(int)):
        taken = np.repeat(np.arange(repeats), counts)
        want = matched_log_in(chosen[:, taken]) - logmeanexp(outs[taken], axis=0)
        assert (np.abs(got[b] - want) <= 1e-11).all()


def test_percentile_interval_is_central():
    lower, upper = intervals.percentile_interval(np.arange(101.0)[:, None], 0.9)
    assert abs(lower[0] - 5) <= 1e-12
    assert abs(upper[0] - 95) <= 1e-12


def test_bootstrap_covers_a_planted_score_about_as_often_as_it_says():
    """Log-normal densities, 10 repeats, true score log E p_in - log E p_out = 4 nats."""
    rows, s = 600, 0.5
    generator = np.random.default_rng(5)
    ins, outs = (
        s * generator.standard_normal((10, 9, rows)),
        s * generator.standard_normal((10, rows)) - 4,
    )
    chosen = take_choices(ins, choose_folds(np.arange(rows), 10, 10))
    weights = intervals.bootstrap_weights(10, 500)
    lower, upper = intervals.percentile_interval(
        intervals.bootstrap_matched(chosen, outs, weights), 0.95
    )
    covered = ((lower <= 4) & (upper >= 4)).mean()
    # Ten repeats: the percentile bootstrap is known to fall short of 95 %.
    assert 0.85 <= covered <= 0.97
