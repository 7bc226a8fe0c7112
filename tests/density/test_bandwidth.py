"""Widths against golden values, direct minimisation and the stationarity equation."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import minimize_scalar
from scipy.special import logsumexp

from genmem.density import GaussianKDE
from genmem.density import bandwidth as rules
from genmem.density.bandwidth import leave_one_out, scott, silverman
from genmem.density.kernel_terms import KernelTerms
from genmem.density.width_search import log_likelihoods


def column(*values):
    return np.array(values, float)[:, None]


def likelihood(X, h, w=None, rows=None):
    """Sum over rows of w_i log p_{-i}(x_i; h) by its definition."""
    n, d = X.shape
    w = np.ones(n) if w is None else np.asarray(w, float)
    rows = np.arange(n) if rows is None else rows
    total = 0.0
    for i in rows:
        keep = (np.arange(n) != i) & (w > 0)
        sq = ((X[keep] - X[i]) ** 2).sum(axis=1)
        mass = logsumexp(-sq / (2 * h * h), b=w[keep]) - np.log(w[keep].sum())
        total += w[i] * (mass - d * np.log(h * np.sqrt(2 * np.pi)))
    return total


def best_by_search(X, w=None, rows=None):
    """The best width on a fine grid, refined by golden section: no derivative involved."""
    grid = np.geomspace(1e-3, 1e3, 200)
    values = [likelihood(X, h, w, rows) for h in grid]
    i = int(np.argmax(values))
    found = minimize_scalar(
        lambda t: -likelihood(X, np.exp(t), w, rows),
        bounds=(np.log(grid[i - 1]), np.log(grid[i + 1])),
        method="bounded",
        options={"xatol": 1e-10},
    )
    return float(np.exp(found.x)), -float(found.fun)


# Golden values


@pytest.mark.parametrize(
    ("rows", "h", "value"),
    [
        ((0, 1, 3), 1.901877304251, -6.395013655207),
        ((0, 0, 1, 3), 1.592652991508, -8.045321882324),
    ],
)
def test_golden_leave_one_out(rows, h, value):
    found = leave_one_out(column(*rows))
    assert abs(found.bandwidth - h) <= 1e-11
    assert abs(found.log_likelihood - value) <= 1e-11
    assert found.rows.tolist() == list(range(len(rows)))


def test_golden_pairs_of_equal_rows_are_unbounded():
    X = column(0, 0, 1, 1)
    with pytest.raises(
        ValueError, match=r"each of the 4 rows left out has an equal row.*unbounded"
    ):
        leave_one_out(X)
    with pytest.raises(ValueError, match="unbounded as h -> 0"):
        GaussianKDE(duplicates="raise").fit(X)
    # By default pairs are left out as pairs: as of 0 and 1, h = 1.
    assert abs(GaussianKDE().fit(X).bandwidth_ - 1) <= 1e-9


def test_golden_rules_of_thumb():
    X = np.array([(0, 0), (2, 0), (0, 4), (2, 4)])
    assert abs(scott(X) - 1.449092273284) <= 1e-11
    assert abs(silverman(X) - 1.449092273284) <= 1e-11
    assert abs(scott(X) * 4 ** (1 / 6) - 1.825741858351) <= 1e-11


# Oracles


@pytest.mark.parametrize("d", [1, 2, 5])
def test_leave_one_out_equals_direct_search(rng, d):
    X = rng.standard_normal((25, d))
    h, value = best_by_search(X)
    found = leave_one_out(X)
    assert abs(found.bandwidth / h - 1) <= 1e-6
    assert abs(found.log_likelihood - value) <= 1e-9


def test_leave_one_out_is_stationary(rng):
    X = rng.standard_normal((40, 3)) * [1.0, 5.0, 0.2] + 100
    h = leave_one_out(X).bandwidth
    sq = ((X[:, None] - X) ** 2).sum(axis=2)
    a = -sq / (2 * h * h)
    np.fill_diagonal(a, -np.inf)
    r = np.exp(a - logsumexp(a, axis=1, keepdims=True))
    assert abs((r * sq).sum() / sq.shape[0] / 3 / h**2 - 1) <= 1e-11


def test_the_best_of_several_maxima_wins():
    # Eight pairs a hundred apart: one maximum at the width of a pair, one at that of the set.
    starts = np.arange(8) * 100.0
    X = np.concatenate([starts, starts + 0.1])[:, None]
    rises = [likelihood(X, 1.01 * at) > likelihood(X, at) for at in (0.05, 5.0, 80.0, 800.0)]
    assert rises == [True, False, True, False]
    h, value = best_by_search(X)
    found = leave_one_out(X)
    assert abs(found.bandwidth / h - 1) <= 1e-6
    assert abs(found.log_likelihood - value) <= 1e-9
    assert found.bandwidth < 1


def test_weights_enter_objective_and_density(rng):
    X, w = rng.standard_normal((20, 2)), rng.uniform(0, 3, 20)
    w[[2, 7]] = 0
    h, value = best_by_search(X, w)
    found = leave_one_out(X, w)
    assert abs(found.bandwidth / h - 1) <= 1e-6
    assert abs(found.log_likelihood - value) <= 1e-8
    assert not np.isin([2, 7], found.rows).any()
    assert abs(leave_one_out(X[w > 0], w[w > 0] * 8).bandwidth - found.bandwidth) <= 1e-12


def test_group_leaves_all_equal_rows_out(rng):
    X = rng.standard_normal((15, 2))
    doubled = np.vstack([X, X, X[:3]])
    found = leave_one_out(doubled, duplicates="group")
    weights = np.array([3] * 3 + [2] * 12)
    h, value = best_by_search(X, weights)
    assert abs(found.bandwidth / h - 1) <= 1e-6
    assert abs(found.log_likelihood - value) <= 1e-8
    assert found.rows.tolist() == list(range(15))
    kde = GaussianKDE(duplicates="group").fit(doubled)
    assert kde.bandwidth_ == found.bandwidth


def test_group_without_equal_rows_changes_nothing(rng):
    X = rng.standard_normal((15, 2))
    assert leave_one_out(X, duplicates="group").bandwidth == leave_one_out(X).bandwidth


def test_a_few_copies_keep_it_finite_and_pull_it_down(rng):
    X = rng.standard_normal((20, 2))
    with_copies = leave_one_out(np.vstack([X, X[:5]])).bandwidth
    assert 0 < with_copies < leave_one_out(X).bandwidth


def test_subsample_of_rows_against_all_points(rng):
    X = rng.standard_normal((60, 3))
    found = leave_one_out(X, rows=20, seed=5)
    assert len(found.rows) == 20
    assert (np.diff(found.rows) > 0).all()
    h, value = best_by_search(X, rows=found.rows)
    assert abs(found.bandwidth / h - 1) <= 1e-6
    assert abs(found.log_likelihood - value) <= 1e-9
    assert (leave_one_out(X, rows=20, seed=5).rows == found.rows).all()
    assert (leave_one_out(X, rows=20, seed=6).rows != found.rows).any()
    assert leave_one_out(X, rows=60).bandwidth == leave_one_out(X).bandwidth
    kde = GaussianKDE(bandwidth_rows=20, seed=5).fit(X)
    assert kde.bandwidth_ == found.bandwidth
    assert kde.bandwidth_search_ is not None
    assert (kde.bandwidth_search_.rows == found.rows).all()


@pytest.mark.parametrize("d", [1, 40])
def test_threads_do_not_change_the_answer(rng, d):
    X = rng.standard_normal((150, d))
    found, other = leave_one_out(X), leave_one_out(X, threads=1)
    assert other.bandwidth == found.bandwidth
    assert other.log_likelihood == found.log_likelihood


def test_likelihoods_of_a_list_equal_the_definition(rng):
    X, w = rng.standard_normal((15, 2)), rng.uniform(0.5, 2, 15)
    rows, widths = np.array([0, 3, 4, 11]), np.array([0.1, 0.5, 2.0])
    got = log_likelihoods(KernelTerms(X, weights=w), rows, widths)
    assert (np.abs(got - [likelihood(X, h, w, rows) for h in widths]) <= 1e-9).all()


def test_large_scans_take_part_of_the_rows(rng, monkeypatch):
    X = np.vstack([rng.standard_normal((80, 2)), rng.standard_normal((80, 2)) * 3])
    h = leave_one_out(X).bandwidth
    monkeypatch.setattr(rules, "_SCAN_PAIRS", 160 * 20)
    assert abs(leave_one_out(X).bandwidth / h - 1) <= 1e-11
    copies = X.copy()
    copies[1::2] = copies[::2]
    copies[1] += 0.1
    assert leave_one_out(copies).bandwidth > 0


def test_scott_and_silverman_follow_the_scale(rng):
    X = rng.standard_normal((50, 3)) * 7 + 1e4
    sigma = np.sqrt(X.var(axis=0, ddof=1).mean())
    assert abs(scott(X) - sigma * 50 ** (-1 / 7)) <= 1e-9
    assert abs(silverman(X) - sigma * (50 * 5 / 4) ** (-1 / 7)) <= 1e-9
    assert GaussianKDE("scott").fit(X).bandwidth_ == scott(X)
    assert GaussianKDE("silverman").fit(X).bandwidth_ == silverman(X)
    assert GaussianKDE("scott").fit(X).bandwidth_search_ is None


def test_weights_in_the_rules_of_thumb(rng):
    X, w = rng.standard_normal((20, 2)), np.repeat([0.0, 2.5], 10)
    for rule in (scott, silverman):
        assert abs(rule(X, w) - rule(X[10:])) <= 1e-12
        assert abs(rule(X, np.ones(20)) - rule(X)) <= 1e-12


def test_uint8_and_float64_agree(rng):
    X = rng.integers(0, 255, (40, 6)).astype(np.uint8)
    for rule in (scott, silverman):
        assert rule(X) == rule(X.astype(float))
    assert leave_one_out(X).bandwidth == leave_one_out(X.astype(float)).bandwidth


# Edges and hostile input


@pytest.mark.parametrize("rule", [scott, silverman])
def test_no_scale_to_take(rule):
    with pytest.raises(ValueError, match=f"{rule.__name__}: the variance of X is 0"):
        rule(np.full((5, 2), 0.1))
    with pytest.raises(ValueError, match=f"{rule.__name__}: X has 1 sample"):
        rule([[1.0, 2.0]])
    with pytest.raises(ValueError, match=f"{rule.__name__}: X has 1 sample of positive weight"):
        rule([[1.0], [2.0]], [0, 1])
    with pytest.raises(ValueError, match=rf"{rule.__name__}: X\[1, 0\] is NaN"):
        rule([[1.0], [np.nan]])


def test_leave_one_out_needs_two_rows_that_differ():
    with pytest.raises(ValueError, match="leave_one_out: X has 1 sample of positive weight"):
        leave_one_out([[1.0]])
    with pytest.raises(ValueError, match="leave_one_out: X has 1 sample of positive weight"):
        leave_one_out(column(0, 1), [0, 1])
    with pytest.raises(ValueError, match="unbounded"):
        leave_one_out(np.full((4, 2), 0.1))
    with pytest.raises(ValueError, match=r"X has 1 sample of positive weight \(equal ones counted"):
        leave_one_out(np.full((4, 2), 0.1), duplicates="group")


def test_leave_one_out_refuses_unknown_arguments():
    X = column(0, 1, 3)
    with pytest.raises(ValueError, match=r'duplicates is .inf.; "raise" or "group" is wanted'):
        leave_one_out(X, duplicates="inf")
    with pytest.raises(ValueError, match="rows is 0; a whole number >= 1"):
        leave_one_out(X, rows=0)
    with pytest.raises(ValueError, match=r"X\[0, 0\] is inf"):
        leave_one_out(column(np.inf, 1, 2))


def test_two_rows_are_enough():
    assert abs(leave_one_out(column(0, 3)).bandwidth - 3.0) <= 1e-11
