"""What holds for any rows, queries, kernel, width and weights of a KernelDensity."""

from __future__ import annotations

import warnings

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from density_oracle import PROFILES, influence_by_refit, log_p
from genmem.density import KernelDensity

ENDLESS = ("gaussian", "exponential")
coordinates = st.integers(-16, 16).map(lambda i: i / 4)


@st.composite
def cases(draw):
    n, d = draw(st.integers(3, 8)), draw(st.integers(1, 3))
    X = draw(arrays(float, (n, d), elements=coordinates))
    Z = draw(arrays(float, (draw(st.integers(1, 4)), d), elements=coordinates))
    w = draw(arrays(float, n, elements=st.sampled_from([0.0, 1.0, 1.0, 2.5])))
    w[:2] = np.maximum(w[:2], 1.0)
    # No distance of a quarter lattice equals these widths, where rounding would tell who is within
    # reach; adaptive widths do, so they go with the kernels that do not end.
    h = draw(st.sampled_from([0.31, 1.13, 4.7, 60.1]))
    kernel, adaptive = draw(st.sampled_from(list(PROFILES))), None
    if kernel in ENDLESS and len(np.unique(X[w > 0], axis=0)) > 2:
        adaptive = draw(st.sampled_from([None, 1, 2]))
    return X, Z, w, KernelDensity(h, kernel=kernel, adaptive=adaptive)


def matrix(density, Z):
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".*beyond the reach of every row", RuntimeWarning)
        return density.influence(Z)


def alike(got, want, tol):
    """Undefined together, infinite together, and else within tol."""
    assert got.shape == want.shape
    assert (np.isnan(got) == np.isnan(want)).all()
    finite = np.isfinite(want)
    assert (got[~finite & ~np.isnan(want)] == want[~finite & ~np.isnan(want)]).all()
    assert (np.abs(got[finite] - want[finite]) <= tol).all()


@given(cases())
def test_scores_and_influences_are_the_definition_and_the_refit(case):
    X, Z, w, density = case
    density.fit(X, sample_weight=w)
    shape = {"kernel": density.kernel, "scales": density.scales_}
    alike(density.score_samples(Z), log_p(X, density.bandwidth, Z, w, **shape), 1e-9)
    refit = influence_by_refit(X, density.bandwidth, Z, w, **shape)
    refit[:, w == 0] = 0.0
    alike(matrix(density, Z), refit, 1e-7)


@given(cases())
def test_influence_is_bounded_below_and_self_influence_is_its_diagonal(case):
    X, Z, w, density = case
    density.fit(X, sample_weight=w)
    influence = matrix(density, Z)
    assert ((influence >= np.log1p(-w / w.sum()) - 1e-12) | np.isnan(influence)).all()
    own = density.self_influence()
    assert not np.isnan(own).any()
    assert (own[w == 0] == 0).all()
    left = density.score_samples_loo()
    assert (own[(w > 0) & np.isneginf(left)] == np.inf).all()
    # At a row of weight 0 that no other reaches its own influence is 0, and the others' undefined.
    alike(np.diagonal(matrix(density, X)), own, 1e-9)
    # log p = log p without the row + M, where anything is left without it.
    some = np.isfinite(left)
    assert (np.abs(density.score_samples(X)[some] - left[some] - own[some]) <= 1e-9).all()


@given(cases(), st.sampled_from([0.25, 2.0, 64.0]), st.integers(-64, 64))
def test_scale_and_translation(case, scale, shift):
    X, Z, w, density = case
    density.fit(X, sample_weight=w)
    given_ = {"kernel": density.kernel, "adaptive": density.adaptive}
    moved = KernelDensity(density.bandwidth * scale, **given_)
    moved.fit(X * scale + shift, sample_weight=8 * w)
    want = density.score_samples(Z) - X.shape[1] * np.log(scale)
    alike(moved.score_samples(Z * scale + shift), want, 1e-9)
    alike(moved.self_influence(), density.self_influence(), 1e-9)


@given(cases(), st.randoms(use_true_random=False))
def test_order_of_rows_does_not_matter(case, random):
    X, Z, w, density = case
    order = list(range(len(X)))
    random.shuffle(order)
    one = matrix(density.fit(X, sample_weight=w), Z)
    other = matrix(density.fit(X[order], sample_weight=w[order]), Z)
    alike(other, one[:, order], 1e-9)
