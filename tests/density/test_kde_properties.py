"""What holds for any rows, queries and bandwidth of a GaussianKDE."""

from __future__ import annotations

import itertools

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from density_oracle import close, column
from genmem.density import GaussianKDE

coordinates = st.integers(-16, 16).map(lambda i: i / 4)


@st.composite
def fitted_rows(draw):
    n, d = draw(st.integers(2, 8)), draw(st.integers(1, 3))
    X = draw(arrays(float, (n, d), elements=coordinates))
    Z = draw(arrays(float, (draw(st.integers(1, 4)), d), elements=coordinates))
    return X, Z, draw(st.sampled_from([0.05, 0.3, 1.0, 4.0]))


@settings(deadline=None, max_examples=60)
@given(fitted_rows())
def test_influence_is_bounded_below_and_shares_add_up(case):
    X, Z, h = case
    influence = GaussianKDE(h).fit(X).influence(Z)
    floor = np.log((len(X) - 1) / len(X))
    assert (influence >= floor - 1e-12).all()
    close((1 - np.exp(floor - influence)).sum(axis=1), np.ones(len(Z)), 1e-9)


@settings(deadline=None, max_examples=60)
@given(fitted_rows(), st.randoms(use_true_random=False))
def test_order_of_rows_does_not_matter(case, random):
    X, Z, h = case
    order = list(range(len(X)))
    random.shuffle(order)
    one, other = GaussianKDE(h).fit(X), GaussianKDE(h).fit(X[order])
    close(other.influence(Z), one.influence(Z)[:, order], 1e-9)
    close(other.self_influence(), one.self_influence()[order], 1e-9)


@settings(deadline=None, max_examples=60)
@given(fitted_rows(), st.integers(-4096, 4096), st.sampled_from([0.25, 2.0, 64.0]))
def test_translation_and_scale(case, shift, scale):
    X, Z, h = case
    kde, moved = GaussianKDE(h).fit(X), GaussianKDE(h).fit(X + shift)
    close(moved.score_samples(Z + shift), kde.score_samples(Z), 1e-9)
    close(moved.influence(Z + shift), kde.influence(Z), 1e-9)
    scaled = GaussianKDE(h * scale).fit(X * scale)
    want = kde.score_samples(Z) - X.shape[1] * np.log(scale)
    close(scaled.score_samples(Z * scale), want, 1e-9)
    close(scaled.self_influence(), kde.self_influence(), 1e-9)


@settings(deadline=None, max_examples=40)
@given(fitted_rows(), st.lists(st.integers(0, 3), min_size=8, max_size=8))
def test_whole_weights_are_repetitions_in_the_density(case, weights):
    X, Z, h = case
    w = np.array(weights[: len(X)])
    if not w.any():
        w[0] = 1
    weighted = GaussianKDE(h).fit(X, sample_weight=w).score_samples(Z)
    close(weighted, GaussianKDE(h).fit(np.repeat(X, w, axis=0)).score_samples(Z), 1e-9)


@settings(deadline=None, max_examples=40)
@given(fitted_rows())
def test_self_influence_bound_of_a_copy(case):
    X, _, h = case
    X = np.vstack([X, X[:1]])
    n = len(X)
    assert GaussianKDE(h).fit(X).self_influence()[0] <= np.log((n - 1) / n) + np.log(2) + 1e-12


def test_two_rows_by_hand():
    for gap, h in itertools.product((0.0, 0.5, 3.0, 50.0), (0.2, 1.0)):
        want = np.log(0.5) + np.logaddexp(0, gap**2 / (2 * h * h))
        close(GaussianKDE(h).fit(column(0, gap)).self_influence(), [want, want], 1e-9)
