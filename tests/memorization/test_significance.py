"""Rank-sum and false-discovery rates against golden values, enumeration and simulation."""

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.stats import false_discovery_control, kstest

from genmem.memorization import estimate
from genmem.memorization.significance import (
    benjamini_hochberg,
    benjamini_yekutieli,
    rank_sum_null,
    rank_sum_pvalues,
    ranks,
)


def test_golden_rank_sum():
    """G24, and the 1/9 of G23."""
    golden = {
        10: 1e-10,
        11: 1.1e-9,
        20: 1.84746e-05,
        30: 2.81975e-03,
        40: 5.55524278e-02,
        55: 0.521622882,
    }
    got = rank_sum_pvalues(list(golden), 10, 10)
    # Relative: the golden values are given to 6 to 9 digits.
    for value, want in zip(got, golden.values(), strict=True):
        assert abs(value / want - 1) <= 5e-6
    assert abs(got[0] / 1e-10 - 1) <= 1e-12
    assert abs(rank_sum_pvalues([6], 3, 4)[0] - 15 / 81) <= 1e-14
    assert abs(rank_sum_pvalues([2], 3, 2)[0] - 1 / 9) <= 1e-14


@pytest.mark.parametrize(("folds", "repeats"), [(2, 1), (2, 6), (5, 3), (7, 2)])
def test_rank_sum_null_equals_enumeration(folds, repeats):
    sums = np.array([sum(one) for one in product(range(1, folds + 1), repeat=repeats)])
    want = [(sums <= r).mean() for r in range(repeats, folds * repeats + 1)]
    got = rank_sum_null(folds, repeats)
    assert got.shape == (len(want),)
    assert (np.abs(got - want) <= 1e-14).all()
    assert got[-1] <= 1


def test_ranks_count_the_out_value_as_the_highest_of_its_ties():
    values = np.array([[[1.0, 1.0, 2.0], [1.0, 2.0, 1.0], [3.0, 3.0, 0.0]]])
    sides = estimate.split(values, np.array([[0, 0, 0]]))
    assert ranks(sides).tolist() == [[2, 1, 3]]


def test_pvalues_are_uniform_under_the_null():
    """Dependence between the values of a repeat does no harm, as long as they are exchangeable."""
    rows, generator = 4000, np.random.default_rng(6)
    values = generator.standard_normal((10, 10, rows)) + 5 * generator.standard_normal(
        (10, 1, rows)
    )
    sides = estimate.split(values, generator.integers(0, 10, (10, rows)))
    pvalues = rank_sum_pvalues(ranks(sides).sum(axis=0), 10, 10)
    # The statistic has 91 values: less a uniform share of its mass, the p-value is continuous.
    mass = np.diff(rank_sum_null(10, 10), prepend=0.0)[ranks(sides).sum(axis=0) - 10]
    smooth = pvalues - generator.uniform(size=rows) * mass
    # 1.95 / sqrt(n) is the 0.999 quantile of the Kolmogorov statistic.
    assert kstest(smooth, "uniform").statistic <= 1.95 / np.sqrt(rows)
    for alpha in (0.001, 0.01, 0.05, 0.2):
        slack = 4 * np.sqrt(alpha * (1 - alpha) / rows)
        assert (pvalues <= alpha).mean() <= alpha + slack


def test_planted_rows_are_found_and_others_are_not():
    rows, planted, generator = 2000, 200, np.random.default_rng(7)
    values, held_out = (
        generator.standard_normal((10, 10, rows)),
        generator.integers(0, 10, (10, rows)),
    )
    for repeat in range(10):
        values[repeat, held_out[repeat, :planted], np.arange(planted)] -= 2.0
    sums = ranks(estimate.split(values, held_out)).sum(axis=0)
    found = benjamini_hochberg(rank_sum_pvalues(sums, 10, 10)) <= 0.1
    assert found[:planted].mean() >= 0.95
    # Four standard errors above the nominal rate of false discoveries.
    assert found[planted:].sum() <= found.sum() * (0.1 + 4 * np.sqrt(0.1 * 0.9 / found.sum()))


def test_golden_benjamini_hochberg():
    """G25."""
    p = [0.001, 0.008, 0.039, 0.041, 0.042, 0.06, 0.074, 0.205]
    want = [0.008, 0.032, 0.0672, 0.0672, 0.0672, 0.08, 0.084571428571, 0.205]
    assert (np.abs(benjamini_hochberg(p) - want) <= 1e-11).all()
    assert (np.abs(benjamini_hochberg(p[::-1]) - want[::-1]) <= 1e-11).all()


@settings(deadline=None, max_examples=80)
@given(arrays(np.float64, st.integers(1, 40), elements=st.floats(0, 1)))
def test_false_discovery_rates_equal_scipy(p):
    for ours, method in ((benjamini_hochberg, "bh"), (benjamini_yekutieli, "by")):
        got, want = ours(p), false_discovery_control(p, method=method)
        assert got.shape == want.shape
        assert (np.abs(got - want) <= 1e-12).all()


@pytest.mark.parametrize("bad", [[0.5, np.nan], [-0.1], [1.1], [[0.1]]])
def test_pvalues_outside_the_unit_interval_are_refused(bad):
    with pytest.raises(ValueError, match=r"numbers in 0\.\.1, without NaN"):
        benjamini_hochberg(bad)


def test_no_rows_have_no_q_values():
    assert benjamini_hochberg([]).shape == (0,)
    assert benjamini_yekutieli([]).shape == (0,)


@pytest.mark.parametrize("bad", [[9], [101], [20.0]])
def test_rank_sums_out_of_range_are_refused(bad):
    with pytest.raises(ValueError, match=r"integers in 10\.\.100"):
        rank_sum_pvalues(bad, 10, 10)
    with pytest.raises(ValueError, match="folds is 1"):
        rank_sum_null(1, 10)
