"""Widths that follow the k-th neighbour: the density under them, and rows left out."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.integrate import quad

from budget import assert_within
from density_oracle import close, column, influence_by_refit, log_p
from genmem.density import GaussianKDE, KernelDensity


def scales_by_definition(X, k, w=None):
    """Distance to the k-th distinct other row, over the weighted geometric mean."""
    X = np.asarray(X, float)
    w = np.ones(len(X)) if w is None else np.asarray(w, float)
    distinct = np.unique(X[w > 0], axis=0)
    radius = [np.sort(np.sqrt(((distinct - x) ** 2).sum(axis=1)))[k] for x in X]
    mean = np.exp(np.average(np.log(radius), weights=w))
    return np.where(w > 0, radius / mean, 1.0)


@pytest.mark.parametrize("k", [1, 4, 28])
@pytest.mark.parametrize("weighted", [False, True])
def test_scales_equal_the_definition(rng, rows, k, weighted):
    w = rng.integers(0, 4, len(rows)).astype(float) if weighted else None
    k = min(k, 15) if weighted else k
    density = GaussianKDE(1.0, adaptive=k).fit(rows, sample_weight=w)
    close(density.scales_, scales_by_definition(rows, k, w), 1e-12)
    assert abs(np.average(np.log(density.scales_), weights=w)) <= 1e-12


def test_scales_by_hand():
    density = GaussianKDE(1.0, adaptive=1).fit(column(0, 1, 5))
    close(density.scales_, np.array([1, 1, 4]) / 4 ** (1 / 3))
    assert GaussianKDE(1.0).fit(column(0, 1, 5)).scales_ is None
    # A copy is no neighbour: the widths of the others stay as they were but for the mean.
    copied = GaussianKDE(1.0, adaptive=1).fit(column(0, 1, 5, 5))
    close(copied.scales_, np.array([1, 1, 4, 4]) / 16 ** (1 / 4))


def test_scales_do_not_depend_on_the_unit_of_data_or_weights(rng, rows):
    w = rng.uniform(0.1, 2, len(rows))
    one = GaussianKDE(1.0, adaptive=3).fit(rows, sample_weight=w).scales_
    close(GaussianKDE(1.0, adaptive=3).fit(rows * 8, sample_weight=w * 4).scales_, one, 1e-12)


@pytest.mark.parametrize("kernel", ["gaussian", "exponential", "linear", "tophat"])
@pytest.mark.parametrize("weighted", [False, True])
def test_density_and_influence_equal_deletion_and_refit(rng, rows, queries, kernel, weighted):
    """The refit keeps h and the widths of the rows that stay."""
    w = rng.integers(1, 4, len(rows)).astype(float) if weighted else None
    h = 60.0 if kernel in ("linear", "tophat") else 1.5
    density = KernelDensity(h, kernel=kernel, adaptive=4).fit(rows, sample_weight=w)
    given = {"kernel": kernel, "scales": density.scales_}
    assert density.scales_.max() / density.scales_.min() > 3
    close(density.score_samples(queries), log_p(rows, h, queries, w, **given), 1e-10)
    close(density.influence(queries), influence_by_refit(rows, h, queries, w, **given), 1e-9)
    own = np.diagonal(influence_by_refit(rows, h, rows, w, **given))
    close(density.self_influence(), own, 1e-9)
    close(np.diagonal(density.influence(rows)), own, 1e-9)
    close(density.score_samples_loo(), density.score_samples(rows) - own, 1e-9)
    close(density.score_samples(rows, exclude="self"), density.score_samples_loo(), 0)
    assert not density.influence_is_exact
    assert KernelDensity(h, kernel=kernel).influence_is_exact


@pytest.mark.parametrize("left_out", [False, True])
def test_gradient_equals_central_differences(rng, rows, queries, left_out):
    density = GaussianKDE(1.3, adaptive=3).fit(rows)
    skip = rng.integers(-1, len(rows), len(queries)) if left_out else None
    steps = 1e-5 * np.eye(3)
    want = [
        density.score_samples(queries + e, skip) - density.score_samples(queries - e, skip)
        for e in steps
    ]
    close(density.gradient(queries, skip), np.stack(want, axis=1) / 2e-5, 1e-6)


def test_gradient_of_a_wide_row_under_a_narrow_one():
    # At 0 the narrow row has r = 1 - 1e-4 and no slope; the wide one pulls 1e-8 times as hard.
    density = GaussianKDE(1.0, adaptive=1).fit(column(0, 1e-3, 10, 20))
    z = column(0.0, 5e-4, 3.0)
    step = 1e-7
    want = (density.score_samples(z + step) - density.score_samples(z - step)) / (2 * step)
    assert_within(density.gradient(z)[:, 0], want, 1e-5 * np.maximum(1, np.abs(want)))


def test_it_is_a_density():
    density = GaussianKDE(0.8, adaptive=2).fit(
        column(0, 0.1, 0.3, 2, 9), sample_weight=[1, 2, 1, 1, 3]
    )
    total, _ = quad(
        lambda z: np.exp(density.score_samples([[z]])[0]), -60, 70, points=[0, 0.2, 2, 9], limit=400
    )
    assert abs(total - 1) <= 1e-7


def test_samples_have_the_moments_of_the_mixture():
    X, w = column(-2.0, 1.0, 1.5, 7.0), np.array([1.0, 0.0, 3.0, 2.0])
    density = GaussianKDE(0.5, adaptive=1).fit(X, sample_weight=w)
    drawn = density.sample(60_000, random_state=1)[:, 0]
    share = w / w.sum()
    mean = share @ X[:, 0]
    variance = share @ ((X[:, 0] - mean) ** 2 + (0.5 * density.scales_) ** 2)
    assert abs(drawn.mean() - mean) <= 5 * np.sqrt(variance / 60_000)
    assert abs(drawn.var() / variance - 1) <= 0.05
    near = np.abs(drawn + 2) < 4 * 0.5 * density.scales_[0]
    assert abs(drawn[near].std() / (0.5 * density.scales_[0]) - 1) <= 0.05


def test_a_query_in_the_tail_is_reached_by_the_wide_rows(rng):
    """Widths that follow the density beat one width on data of two scales."""
    train, test = (
        np.vstack([rng.standard_normal((100, 2)) * 0.05, rng.standard_normal((100, 2)) * 3 + 5])
        for _ in range(2)
    )
    adaptive, plain = GaussianKDE(adaptive=5).fit(train), GaussianKDE().fit(train)
    assert adaptive.score(test) > plain.score(test) + 50


coordinates = st.integers(-16, 16).map(lambda i: i / 4)


@given(st.data())
def test_a_whole_weight_is_a_repetition(data):
    n, d = data.draw(st.integers(3, 8)), data.draw(st.integers(1, 3))
    X = data.draw(arrays(float, (n, d), elements=coordinates))
    w = data.draw(arrays(int, n, elements=st.integers(0, 3)))
    k = data.draw(st.integers(1, 2))
    Z = data.draw(arrays(float, (2, d), elements=coordinates))
    if len(np.unique(X[w > 0], axis=0)) <= k:
        with pytest.raises(ValueError, match=rf"adaptive is {k} and X has|weights are zero"):
            GaussianKDE(1.0, adaptive=k).fit(X, sample_weight=w)
        return
    weighted = GaussianKDE(1.0, adaptive=k).fit(X, sample_weight=w)
    repeated = GaussianKDE(1.0, adaptive=k).fit(np.repeat(X, w, axis=0))
    close(np.repeat(weighted.scales_, w), repeated.scales_, 1e-12)
    close(weighted.score_samples(Z), repeated.score_samples(Z), 1e-9)


def test_wrong_arguments_are_refused(rows):
    with pytest.raises(ValueError, match=r"fit: adaptive is 29 and X has 29 samples .*at least 30"):
        GaussianKDE(1.0, adaptive=29).fit(rows)  # two of the thirty are equal
    with pytest.raises(ValueError, match=r"adaptive is 1 and X has 1 sample of positive weight"):
        GaussianKDE(1.0, adaptive=1).fit(np.ones((4, 2)))
    for bad in (0, -1, 1.5, True, "knn"):
        with pytest.raises(ValueError, match=r"fit: adaptive is .*whole number >= 1"):
            GaussianKDE(1.0, adaptive=bad).fit(rows)
