import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import stats

from genmem.studies.correlation import kendall, partial_spearman, ranks, spearman, spearman_brown

TIED = ((1, 2, 2, 3, 5, 5, 5), (1, 3, 2, 2, 4, 6, 5))
SIX = (range(1, 7), (2, 1, 4, 3, 6, 5))


def test_spearman_golden_values() -> None:
    got = spearman(*map(list, SIX))
    assert abs(got.value - 0.828571428571) <= 1e-11
    assert abs(got.lower - -0.127244895724) <= 1e-11
    assert abs(got.upper - 0.986482344250) <= 1e-11
    assert got.n == 6
    assert abs(spearman(*TIED).value - 0.877983835257) <= 1e-11


def test_kendall_golden_values() -> None:
    assert abs(kendall(*map(list, SIX), resamples=0).value - 0.6) <= 1e-11
    assert abs(kendall(*TIED, resamples=0).value - 0.759256602365) <= 1e-11


@pytest.mark.parametrize("n", [5, 6, 40, 501])
@pytest.mark.parametrize("levels", [3, 1000])
def test_spearman_equals_scipy(n: int, levels: int) -> None:
    random = np.random.default_rng(n)
    x = random.integers(0, levels, n)
    y = random.integers(0, levels, n) + x
    got, want = spearman(x, y), stats.spearmanr(x, y)
    assert abs(got.value - want.statistic) <= 1e-12
    assert abs(got.pvalue - want.pvalue) <= 1e-12


@settings(deadline=None)
@given(arrays(np.float64, 30, elements=st.floats(-1e3, 1e3)), st.integers(0, 2**31))
def test_spearman_sees_ranks_only(x: np.ndarray, seed: int) -> None:
    if np.ptp(x) == 0:
        x[0] += 1
    y = np.random.default_rng(seed).normal(size=30)
    got = spearman(x, y)
    assert -1 <= got.value <= 1
    assert abs(got.value - spearman(ranks(x) ** 3, y).value) <= 1e-12
    assert abs(got.value + spearman(-x, y).value) <= 1e-12
    assert abs(got.value - spearman(y, x).value) <= 1e-15
    assert got.lower <= got.value <= got.upper


def test_interval_covers_at_its_level() -> None:
    rho, n, trials = 0.6, 60, 600
    random = np.random.default_rng(0)
    truth = 6 / np.pi * np.arcsin(rho / 2)
    hits = 0
    for _ in range(trials):
        x = random.normal(size=n)
        y = rho * x + np.sqrt(1 - rho**2) * random.normal(size=n)
        got = spearman(x, y)
        hits += got.lower <= truth <= got.upper
    # Binomial standard error of 600 trials at 95 % is 0.9 points.
    assert 0.92 <= hits / trials <= 0.98


def test_perfect_constant_short_and_infinite() -> None:
    up = np.arange(9.0)
    assert spearman(up, np.exp(up))[:4] == (1, 1, 1, 0)
    assert spearman(up, -up).value == -1
    assert spearman(np.append(up, np.inf), np.append(up, 1e300)).value == 1
    for constant in (spearman(up, np.ones(9)), kendall(up, np.ones(9))):
        assert np.isnan(constant[:4]).all()
        assert constant.n == 9


@pytest.mark.parametrize("sign", [1, -1])
def test_two_or_three_rows_leave_the_interval_undefined(sign: int) -> None:
    three = spearman([1, 3, 2], [1 * sign, 2 * sign, 3 * sign])
    assert three.value == sign * 0.5
    assert np.isnan([three.lower, three.upper]).all()
    # One degree of freedom: the t of Student is Cauchy's.
    assert abs(three.pvalue - (1 - 2 * np.arctan(0.5 / np.sqrt(0.75)) / np.pi)) <= 1e-12
    two = spearman([1, 3], [2 * sign, 4 * sign])
    assert two.value == sign
    assert np.isnan(two[1:4]).all()
    perfect = spearman([1, 2, 3], [1 * sign, 2 * sign, 3 * sign])
    assert (perfect.value, perfect.pvalue) == (sign, 0)
    assert np.isnan([perfect.lower, perfect.upper]).all()


def test_partial_without_degrees_of_freedom_is_undefined() -> None:
    x, y, z = [1, 3, 2, 4], [2, 1, 3, 4], [[1, 2], [2, 1], [4, 3], [3, 4]]
    assert np.isnan(partial_spearman(x, y, z)[:4]).all()
    one = partial_spearman(x, y, np.array(z)[:, 0])
    assert np.isfinite([one.value, one.pvalue]).all()
    assert np.isnan([one.lower, one.upper]).all()


def test_hostile_input() -> None:
    with pytest.raises(ValueError, match=r"spearman: y is NaN at \[1\]"):
        spearman([1, 2, 3], [1, np.nan, 3])
    with pytest.raises(ValueError, match=r"x has shape \(3,\) and y has shape \(2,\)"):
        spearman([1, 2, 3], [1, 2])
    with pytest.raises(ValueError, match="at least 2"):
        kendall([1], [1])
    with pytest.raises(ValueError, match="level is 95"):
        spearman([1, 2, 3, 4], [1, 2, 4, 3], level=95)
    with pytest.raises(ValueError, match=r"given has shape \(2, 1\); \(3, q\)"):
        partial_spearman([1, 2, 3], [1, 2, 3], [1, 2])


def test_kendall_interval_is_seeded_and_holds_the_value() -> None:
    random = np.random.default_rng(3)
    x = random.normal(size=80)
    y = x + random.normal(size=80)
    got = kendall(x, y, resamples=300)
    assert got == kendall(x, y, resamples=300)
    assert got != kendall(x, y, resamples=300, seed=1)
    assert got.lower < got.value < got.upper
    assert abs(got.value - stats.kendalltau(x, y).statistic) <= 1e-15


def test_partial_equals_the_formula_for_one_column() -> None:
    random = np.random.default_rng(5)
    z = random.normal(size=200)
    x, y = z + random.normal(size=200), z + random.normal(size=200)
    r12, r13, r23 = (spearman(*pair).value for pair in ((x, y), (x, z), (y, z)))
    want = (r12 - r13 * r23) / np.sqrt((1 - r13**2) * (1 - r23**2))
    assert abs(partial_spearman(x, y, z).value - want) <= 1e-12


def test_partial_equals_the_inverse_of_the_rank_correlation_matrix() -> None:
    random = np.random.default_rng(6)
    z = random.normal(size=(150, 3))
    x = z @ [1, 0.5, 0] + random.normal(size=150)
    y = z @ [0, 0.5, 1] + random.normal(size=150)
    precision = np.linalg.inv(stats.spearmanr(np.column_stack([x, y, z])).statistic)
    want = -precision[0, 1] / np.sqrt(precision[0, 0] * precision[1, 1])
    got = partial_spearman(x, y, z)
    assert abs(got.value - want) <= 1e-12
    t = got.value * np.sqrt((150 - 5) / (1 - got.value**2))
    assert abs(got.pvalue - 2 * stats.t.sf(abs(t), 145)) <= 1e-12


def test_partial_removes_a_common_cause_and_keeps_a_direct_link() -> None:
    random = np.random.default_rng(7)
    z = random.normal(size=3000)
    x, y = z + random.normal(size=3000), z + random.normal(size=3000)
    assert spearman(x, y).lower > 0.4
    explained = partial_spearman(x, y, z)
    assert explained.lower < 0.05
    assert abs(explained.value) <= 0.06
    assert partial_spearman(x, y + x, z).lower > 0.4


def test_partial_counts_independent_columns_only() -> None:
    random = np.random.default_rng(8)
    x, y, z = random.normal(size=(3, 50))
    alone = partial_spearman(x, y, z)
    padded = partial_spearman(x, y, np.column_stack([z, 2 * z, np.ones(50)]))
    assert (np.abs(np.array(alone) - np.array(padded)) <= 1e-12).all()
    assert abs(partial_spearman(x, y, np.ones(50)).value - spearman(x, y).value) <= 1e-12
    assert np.isnan(partial_spearman(x, y, x).value)


def test_spearman_brown() -> None:
    assert abs(spearman_brown(0.5) - 2 / 3) <= 1e-15
    assert spearman_brown(1) == 1
    assert np.isnan(spearman_brown(-1))
