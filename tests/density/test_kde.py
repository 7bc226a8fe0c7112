"""GaussianKDE against golden values, deletion and refit, and finite differences."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import logsumexp
from sklearn.neighbors import KernelDensity

from density_oracle import close, column, influence_by_refit, log_p
from genmem.density import GaussianKDE

# Golden values


def test_golden_density_influence_and_gradient_at_a_query():
    kde = GaussianKDE(1.0).fit(column(0, 1, 3))
    z = column(0.5)
    close(kde.score_samples(z), [-1.424814903206])
    close(kde.influence(z), [[0.263683458985, 0.263683458985, -0.380876370001]])
    close(kde.gradient(z), [[0.060722244198]])
    top = kde.influence(z, 3)
    r = np.array([0.487855551160, 0.487855551160, 0.024288897679])
    close(1 - np.exp(np.log(2 / 3) - top.scores[0]), r)
    slope = (1 - np.exp(np.log(2 / 3) - kde.influence(z)[0])) @ (column(0, 1, 3) - z)[:, 0] ** 2 - 1
    close(slope, -0.604266613924)


def test_golden_weights_with_a_zero_first():
    kde = GaussianKDE(1.0).fit(column(0, 1, 3), sample_weight=[0, 1, 3])
    close(kde.score_samples(column(0.5)), [-2.291026580105])
    influence = kde.influence(column(0.5))
    close(influence, [[0, 1.752911953100, -1.247088046900]])
    assert influence[0, 0] == 0
    assert kde.self_influence()[0] == 0


def test_golden_training_rows():
    X = column(0, 1, 3)
    kde = GaussianKDE(1.0).fit(X)
    close(kde.score_samples(X), [-1.536582737403, -1.462593902231, -1.880885600022])
    loo = [-2.093935785847, -1.910672435782, -3.533195979472]
    close(kde.score_samples_loo(), loo)
    close(kde.score_samples(X, exclude="self"), loo)
    close(kde.self_influence(), [0.557353048444, 0.448078533551, 1.652310379450])
    gradient = column(1.035972419924, -0.452723428581, -2.075858180021)
    close(kde.gradient(X, exclude="self"), gradient)


@pytest.mark.parametrize(
    ("gap", "m", "loo", "own"),
    [
        (20, 19.306852821501, -20.918938533205, -1.612085711703),
        (40, 39.306852819440, -40.918938533205, -1.612085713765),
        (800, 799.306852819440, -800.918938533205, -1.612085713765),
    ],
)
def test_golden_gaps_survive_where_one_minus_r_underflows(gap, m, loo, own):
    X = column(0, np.sqrt(2 * gap))
    kde = GaussianKDE(1.0).fit(X)
    close(kde.self_influence(), [m, m])
    close(kde.score_samples_loo(), [loo, loo])
    close(kde.score_samples(X), [own, own])
    close(np.diagonal(kde.influence(X)), [m, m])
    close(kde.influence(X, 1).scores, [[m], [m]])


def test_golden_duplicates_by_index():
    kde = GaussianKDE(1.0).fit(column(0, 0, 2))
    close(kde.score_samples(column(0, 0, 2)), [-1.258927146193, -1.258927146193, -1.778006055651])
    close(kde.score_samples_loo(), [-1.485157702722, -1.485157702722, -2.918938533205])
    close(kde.self_influence(), [0.226230556528, 0.226230556528, 1.140932477554])


def test_golden_mass_of_a_skipped_term():
    X, z = column(0, 1, 3), column(0.5)
    whole = GaussianKDE(1.0).fit(X)
    part = GaussianKDE(1.0).fit(X, sample_weight=[1, 1, 0])
    # Densities are normalised by the weight that takes part: 3 against 2.
    gain = whole.score_samples(z) + np.log(3) - part.score_samples(z) - np.log(2)
    close(gain, [0.024588738107])
    rest = whole.influence(z, 2).rest_log_mass
    assert rest is not None
    close(-np.log1p(-np.exp(rest)), gain)


@pytest.mark.parametrize(
    ("d", "log_c"), [(3, 2.75681559961), (64, 58.8120661251), (784, 720.447810032)]
)
def test_golden_normaliser_of_one_kernel(d, log_c):
    kde = GaussianKDE(1.0).fit(np.zeros((1, d)))
    close(kde.score_samples(np.zeros((1, d))), [-log_c], tol=5e-10)


# Oracles


def test_density_equals_the_definition(rows, queries):
    close(GaussianKDE(0.7).fit(rows).score_samples(queries), log_p(rows, 0.7, queries), 1e-10)


@pytest.mark.parametrize("d", [1, 3, 64, 784])
def test_density_equals_scikit_learn_in_one_leaf(rng, d):
    X = rng.standard_normal((60, d)) * 2 + 5
    Z = np.vstack([rng.standard_normal((20, d)) * 2 + 5, X[:5]])
    peer = KernelDensity(bandwidth=1.3, leaf_size=61).fit(X)
    close(GaussianKDE(1.3).fit(X).score_samples(Z), peer.score_samples(Z), 1e-9)


def test_scikit_learn_default_is_wrong_where_we_are_right(rng):
    X, Z = rng.standard_normal((400, 64)), rng.standard_normal((20, 64))
    peer = KernelDensity(bandwidth=0.5).fit(X).score_samples(Z)
    got = GaussianKDE(0.5).fit(X).score_samples(Z)
    close(got, log_p(X, 0.5, Z), 1e-9)
    assert np.abs(peer - got).max() > 1.0


@pytest.mark.parametrize("weighted", [False, True])
def test_influence_equals_deletion_and_refit(rng, rows, queries, weighted):
    w = rng.integers(0, 4, len(rows)).astype(float) if weighted else None
    kde = GaussianKDE(1.5).fit(rows, sample_weight=w)
    close(kde.influence(queries), influence_by_refit(rows, 1.5, queries, w), 1e-9)


@pytest.mark.parametrize("weighted", [False, True])
def test_self_influence_and_loo_equal_deletion_and_refit(rng, rows, weighted):
    w = rng.uniform(0.1, 5, len(rows)) if weighted else None
    if w is not None:
        w[5] = 0.0
    kde = GaussianKDE(1.5).fit(rows, sample_weight=w)
    want = np.diagonal(influence_by_refit(rows, 1.5, rows, w))
    close(kde.self_influence(), want, 1e-10)
    close(kde.score_samples(rows) - kde.score_samples_loo(), want, 1e-10)
    close(np.diagonal(kde.influence(rows)), want, 1e-10)


def test_dominating_weight_keeps_its_digits():
    # W - w_i by subtraction would leave 2 of the 3 units to rounding.
    w = np.array([1e16, 1.0, 2.0])
    kde = GaussianKDE(1.0).fit(column(0, 30, 31), sample_weight=w)
    loo = log_p(column(30, 31), 1.0, column(0), w[1:])
    close(kde.score_samples_loo()[:1], loo, 1e-9)
    close(kde.self_influence()[0], kde.score_samples(column(0))[0] - loo[0], 1e-9)


def test_gap_by_an_independent_long_way():
    # d = 784 and h small: the top responsibility is 1 to 1e-300, its influence the whole gap.
    X = np.zeros((3, 784))
    X[1] += 1.0
    X[2] += 2.0
    kde = GaussianKDE(0.5).fit(X)
    sq = np.array([[784.0, 4 * 784], [784, 784], [784, 4 * 784]])
    want = np.log(2 / 3) - logsumexp(-sq / 0.5, axis=1)
    close(kde.self_influence(), want, 1e-9)


@pytest.mark.parametrize("exclude", [None, "some"])
def test_gradient_equals_central_differences(rng, rows, queries, exclude):
    kde = GaussianKDE(1.1).fit(rows)
    skip = None if exclude is None else rng.integers(-1, len(rows), len(queries))
    got = kde.gradient(queries, exclude=skip)
    step = 1e-5
    want = np.empty_like(queries)
    for f in range(queries.shape[1]):
        e = np.zeros(queries.shape[1])
        e[f] = step
        up, down = (kde.score_samples(queries + s * e, exclude=skip) for s in (1, -1))
        want[:, f] = (up - down) / (2 * step)
    close(got, want, 1e-6)


def test_gradient_at_an_isolated_row_is_zero_and_exact_far_from_the_origin():
    X = column(1e6, 1e6 + 1e-3, -1e6)
    got = GaussianKDE(1e-3).fit(X).gradient(column(-1e6, 1e6 + 5e-4))
    assert got[0, 0] == 0.0
    # At the middle of two rows the pulls cancel; mean - z would leave 1e-10 / h^2 = 1e-4.
    middle = 1e6 + 5e-4
    a, b = 1e6 - middle, (1e6 + 1e-3) - middle
    r = np.exp(-(np.array([a, b]) ** 2) / 2e-6)
    close(got[1, 0], r @ [a, b] / r.sum() / 1e-6, 1e-7)


def test_samples_have_the_moments_of_the_mixture(rng):
    X, w, h = column(-2.0, 1.0, 4.0), np.array([1.0, 0.0, 3.0]), 0.5
    kde = GaussianKDE(h).fit(np.hstack([X, -X]), sample_weight=w)
    drawn = kde.sample(40_000, random_state=3)
    assert drawn.shape == (40_000, 2)
    mean = 2.5
    variance = 0.25 * 4.5**2 + 0.75 * 1.5**2 + h**2  # h is a standard deviation, not its square
    se = np.sqrt(variance / 40_000)
    close(drawn.mean(axis=0), [mean, -mean], 5 * se)
    close(drawn.var(axis=0), [variance, variance], 0.1)
    assert (drawn == kde.sample(40_000, random_state=3)).all()
    narrow = GaussianKDE(0.1).fit(np.zeros((2, 1))).sample(20_000, random_state=0)
    close(narrow.std(), 0.1, 0.005)
