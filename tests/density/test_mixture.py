"""GaussianMixtureDensity against golden values, naive M-steps, refits and scipy."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import logsumexp
from scipy.stats import multivariate_normal
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning
from sklearn.mixture import GaussianMixture

from genmem.density import GaussianMixtureDensity

KINDS = ["full", "tied", "diag", "spherical"]
LINE = np.array([-2, -1.5, -1, -0.2, 0.4, 1, 1.4, 2.2])[:, None]


def close(got, want, tol):
    got, want = np.asarray(got, float), np.asarray(want, float)
    assert got.shape == want.shape
    assert got.size
    assert (np.abs(got - want) <= tol).all(), np.abs(got - want).max()


def matrices(kind, values, components, d):
    """Covariances of any kind as (K, d, d)."""
    if kind == "full":
        return values
    if kind == "tied":
        return np.stack([values] * components)
    if kind == "diag":
        return np.stack([np.diag(v) for v in values])
    return np.stack([v * np.eye(d) for v in values])


def log_joint(weights, means, S, Z):
    parts = zip(weights, means, S, strict=True)
    return np.stack(
        [np.log(p) + np.atleast_1d(multivariate_normal(m, c).logpdf(Z)) for p, m, c in parts],
        axis=1,
    )


def log_p(theta, Z):
    return logsumexp(log_joint(*theta, Z), axis=1)


def m_step(kind, X, r, reg):
    """Weights, means and full matrices, by the definition."""
    n, d = r.sum(axis=0), X.shape[1]
    means = (r.T @ X) / n[:, None]
    S = np.stack([(r[:, [k]] * (X - means[k])).T @ (X - means[k]) / n[k] for k in range(len(n))])
    if kind == "tied":
        S[:] = np.einsum("k,kij->ij", n, S) / n.sum()
    elif kind == "diag":
        S = np.stack([np.diag(np.diag(c)) for c in S])
    elif kind == "spherical":
        S = np.stack([np.trace(c) / d * np.eye(d) for c in S])
    return n / n.sum(), means, S + reg * np.eye(d)


def shares(theta, X):
    joint = log_joint(*theta, X)
    return np.exp(joint - logsumexp(joint, axis=1, keepdims=True))


def em(kind, X, theta, reg):
    moved = 1.0
    while moved > 1e-11:
        before, theta = theta, m_step(kind, X, shares(theta, X), reg)
        moved = max(np.abs(a - b).max() for a, b in zip(before, theta, strict=True))
    return theta


def theta_of(model, kind):
    d = model.means_.shape[1]
    S = matrices(kind, model.covariances_, len(model.weights_), d)
    return model.weights_, model.means_, S


@pytest.fixture
def clouds(rng):
    """Three clouds that overlap a little, 45 rows in 3 dimensions."""
    X = rng.standard_normal((45, 3)) @ np.diag([1.0, 0.5, 2.0])
    X[:15] += 4
    X[30:] -= [3, 0, 4]
    return X


def fitted(X, kind, method="one_step", reg=0.0, components=3, tol=1e-12):
    return GaussianMixtureDensity(
        components,
        covariance_type=kind,
        method=method,
        reg_covar=reg,
        tol=tol,
        random_state=0,
    ).fit(X)


# Golden values


@pytest.mark.parametrize("kind", ["full", "diag", "spherical"])
def test_golden_em_one_step_and_refit(kind):
    precisions = {"full": np.full((2, 1, 1), 2.0), "diag": np.full((2, 1), 2.0)}
    model = GaussianMixtureDensity(
        2,
        covariance_type=kind,
        reg_covar=0.0,
        tol=1e-12,
        means_init=[[-1], [1]],
        weights_init=[0.5, 0.5],
        precisions_init=precisions.get(kind, np.full(2, 2.0)),
    ).fit(LINE)
    close(model.weights_, [0.348408244225, 0.651591755775], 1e-11)
    close(model.means_[:, 0], [-1.525534658820, 0.873259747288], 1e-11)
    close(np.ravel(model.covariances_), [0.168792592164, 0.828300178883], 1e-11)
    close(model.self_influence()[0], 2.861024023616, 1e-11)
    assert not model.influence_is_exact
    refit = model.set_params(method="refit").fit(LINE)
    close(refit.self_influence()[0], 3.236428876547, 1e-11)
    close(refit.influence(LINE[:1])[0, 0], 3.236428876547, 1e-11)
    assert refit.influence_is_exact


# Oracles


@pytest.mark.parametrize("kind", KINDS)
def test_density_equals_scipy(clouds, kind):
    model = fitted(clouds, kind)
    Z = np.vstack([clouds[:5] + 0.3, [[20, -20, 9]]])
    close(model.score_samples(Z), log_p(theta_of(model, kind), Z), 1e-9)
    close(model.score(Z), model.score_samples(Z).mean(), 1e-12)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("reg", [0.0, 0.05])
def test_fit_is_a_fixed_point_of_em(clouds, kind, reg):
    model = fitted(clouds, kind, reg=reg)
    theta = theta_of(model, kind)
    for got, want in zip(theta, m_step(kind, clouds, shares(theta, clouds), reg), strict=True):
        close(got, want, 1e-10)
    close(model.counts_, model.weights_ * 45, 1e-9)
    assert model.converged_


def test_fit_continues_scikit_learn(clouds):
    peer = GaussianMixture(3, random_state=0, reg_covar=0.0, tol=1e-12, max_iter=5000).fit(clouds)
    model = fitted(clouds, "full")
    close(model.score_samples(clouds), peer.score_samples(clouds), 1e-4)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("reg", [0.0, 0.05])
def test_one_step_equals_the_m_step_without_the_row(clouds, kind, reg):
    model = fitted(clouds, kind, reg=reg)
    r = shares(theta_of(model, kind), clouds)
    Z = np.vstack([clouds[:4] + 0.5, clouds[20:22], [[9.0, -9, 5]]])
    full = model.score_samples(Z)
    influence, loo = np.empty((len(Z), 45)), np.empty(45)
    for i in range(45):
        theta = m_step(kind, np.delete(clouds, i, 0), np.delete(r, i, 0), reg)
        influence[:, i] = full - log_p(theta, Z)
        loo[i] = log_p(theta, clouds[[i]])[0]
    close(model.influence(Z), influence, 1e-8)
    close(model.score_samples_loo(), loo, 1e-8)
    close(model.self_influence(), model.score_samples(clouds) - loo, 1e-8)
    close(np.diagonal(model.influence(clouds)), model.self_influence(), 1e-9)


@pytest.mark.parametrize("kind", KINDS)
def test_rows_that_carry_a_component_are_stepped_directly(rng, kind):
    # Row 0 alone spreads its component along the third axis, by a factor of 5,000.
    X = np.vstack([rng.standard_normal((12, 3)), rng.standard_normal((12, 3)) + 40])
    X[:12, 2] *= 1e-3
    X[0, 2] = 5.0
    model = fitted(X, kind, components=2)
    r = shares(theta_of(model, kind), X)
    Z = X[1:4] + 1e-3
    theta = m_step(kind, X[1:], r[1:], 0.0)
    close(model.influence(Z)[:, 0], model.score_samples(Z) - log_p(theta, Z), 1e-5)


@pytest.mark.parametrize("kind", ["full", "diag"])
def test_one_component_is_exact(rng, kind):
    X, Z = rng.standard_normal((20, 3)) + 1e4, rng.standard_normal((5, 3)) + 1e4
    model = fitted(X, kind, components=1)
    assert model.influence_is_exact
    for i in (0, 7, 19):
        refit = fitted(np.delete(X, i, 0), kind, components=1)
        close(model.influence(Z)[:, i], model.score_samples(Z) - refit.score_samples(Z), 1e-9)
        close(model.score_samples_loo()[i], refit.score_samples(X[[i]])[0], 1e-9)


@pytest.mark.parametrize("kind", KINDS)
def test_refit_equals_em_without_the_row(clouds, kind):
    X = clouds[:30:3]
    model = fitted(X, kind, method="refit", reg=0.3, components=2)
    theta, Z = theta_of(model, kind), X[:3] + 0.2
    influence, own = model.influence(Z), model.self_influence()
    for i in (0, 7):
        without = em(kind, np.delete(X, i, 0), theta, 0.3)
        close(influence[:, i], model.score_samples(Z) - log_p(without, Z), 1e-7)
        close(own[i], model.score_samples(X[[i]])[0] - log_p(without, X[[i]])[0], 1e-7)
    top = model.influence(Z, 2)
    close(top.scores, -np.sort(-influence, axis=1)[:, :2], 1e-12)
    assert top.rest_log_mass is None


def test_opponents_can_be_listed(clouds):
    model = fitted(clouds, "full")
    dense = model.influence(clouds[:6])
    worst = model.influence(clouds[:6], 3, proponents=False)
    close(worst.scores, np.sort(dense, axis=1)[:, :3], 0)
    assert worst.scores.min() < np.log(44 / 45)


@pytest.mark.parametrize("kind", KINDS)
def test_gradient_equals_central_differences(clouds, kind):
    model = fitted(clouds, kind)
    Z = clouds[::6] + 0.4
    want = np.empty_like(Z)
    for f in range(3):
        e = np.zeros(3)
        e[f] = 1e-5
        want[:, f] = (model.score_samples(Z + e) - model.score_samples(Z - e)) / 2e-5
    close(model.gradient(Z), want, 1e-6)


@pytest.mark.parametrize("kind", KINDS)
def test_samples_have_the_moments_of_the_mixture(clouds, kind):
    model = fitted(clouds, kind)
    drawn = model.sample(60_000, random_state=1)
    weights, means, S = theta_of(model, kind)
    mean = weights @ means
    spread = means - mean
    covariance = np.einsum("k,kij->ij", weights, S) + (weights[:, None] * spread).T @ spread
    close(drawn.mean(axis=0), mean, 6 * np.sqrt(covariance.max() / 60_000))
    close(np.cov(drawn.T), covariance, 0.3)
    assert (drawn == model.sample(60_000, random_state=1)).all()


def test_translation_scale_and_memory(clouds):
    clouds = clouds[::2]
    model = fitted(clouds, "full")
    shifted = fitted(clouds + 2.0**14, "full")
    close(shifted.score_samples(clouds + 2.0**14), model.score_samples(clouds), 1e-8)
    close(shifted.self_influence(), model.self_influence(), 1e-8)
    scaled = fitted(clouds * 4, "full")
    close(scaled.score_samples(clouds * 4), model.score_samples(clouds) - 3 * np.log(4), 1e-8)
    small = clone(model).set_params(memory=1).fit(clouds)
    close(small.influence(clouds[:5]), model.influence(clouds[:5]), 1e-11)
    close(small.self_influence(), model.self_influence(), 1e-11)
    close(small.gradient(clouds[:5]), model.gradient(clouds[:5]), 1e-11)


def test_integer_rows(rng):
    X = rng.integers(0, 255, (40, 2)).astype(np.uint8)
    got, want = fitted(X, "diag", components=2), fitted(X.astype(float), "diag", components=2)
    close(got.self_influence(), want.self_influence(), 1e-12)
    close(got.score_samples(X[:3]), want.score_samples(X[:3].astype(float)), 1e-12)


# Edges and hostile input


def test_every_row_spans_a_direction():
    # Three rows in the plane: without any of them the other two lie on a line.
    X = np.array([[0.0, 0.0], [2.0, 0.3], [0.4, 1.7]])
    model = fitted(X, "full", components=1)
    assert np.isposinf(model.self_influence()).all()
    influence = model.influence(X)
    assert np.isposinf(np.diagonal(influence)).all()
    assert np.isneginf(influence[~np.eye(3, dtype=bool)]).all()
    assert np.isfinite(fitted(X, "full", components=1, reg=1e-3).influence(X)).all()


@pytest.mark.parametrize("kind", ["diag", "spherical", "tied"])
def test_two_rows_are_one_point_without_the_other(kind):
    X = np.array([[0.0], [0.3]])
    influence = fitted(X, kind, components=1).influence(X)
    assert np.isposinf(np.diagonal(influence)).all()
    assert np.isneginf(influence[~np.eye(2, dtype=bool)]).all()


def test_component_of_one_row(rng):
    X = np.vstack([rng.standard_normal((10, 2)), [[100.0, 100.0]]])
    with pytest.raises(ValueError, match=r"singular|ill-defined|left with"):
        fitted(X, "full", components=2)
    model = fitted(X, "full", components=2, reg=0.1)
    # Without its only row the component is gone, and the others give the row nothing.
    alone = model.self_influence()[10]
    rest = fitted(X[:10], "full", components=1, reg=0.1)
    close(alone, model.score_samples(X[[10]])[0] - rest.score_samples(X[[10]])[0], 1e-6 * alone)


def test_tied_component_of_one_row(rng):
    X = np.vstack([rng.standard_normal((10, 2)), [[100.0, 100.0]]])
    model = fitted(X, "tied", components=2, reg=0.1)
    rest = fitted(X[:10], "tied", components=1, reg=0.1)
    gone = model.score_samples(X[[10]])[0] - rest.score_samples(X[[10]])[0]
    close(model.self_influence()[10] / gone, 1.0, 1e-6)


def test_too_few_rows_or_no_variance():
    with pytest.raises(ValueError, match="fit: X has 1 sample; at least 2 are wanted"):
        GaussianMixtureDensity().fit([[0.0]])
    with pytest.raises(ValueError, match="fit: X has 2 samples; at least 3 are wanted"):
        GaussianMixtureDensity(3).fit([[0.0], [1.0]])
    with pytest.raises(ValueError, match="the variance of X is 0 and so is reg_covar"):
        GaussianMixtureDensity(reg_covar=0.0).fit(np.full((4, 2), 0.1))


def test_em_that_is_stopped_early_says_so(clouds):
    with pytest.warns(ConvergenceWarning, match="a parameter still moved by .* after 1 EM steps"):
        model = GaussianMixtureDensity(3, max_iter=1, tol=1e-14, random_state=0).fit(clouds)
    assert not model.converged_
    assert model.n_iter_ == 1
    with pytest.warns(ConvergenceWarning, match="45 of 45 refits still moved"):
        model.set_params(method="refit").self_influence()


def test_wrong_parameters_and_input(clouds):
    for parameters, message in (
        ({"n_components": 0}, "n_components is 0"),
        ({"max_iter": 0}, "max_iter is 0"),
        ({"covariance_type": "round"}, r'covariance_type is .round.; "full" or "tied"'),
        ({"method": "two_step"}, r'method is .two_step.; "one_step" or "refit"'),
        ({"reg_covar": -1.0}, r"reg_covar is -1\.0"),
        ({"tol": 0}, "tol is 0; None or a positive number"),
        ({"memory": 0}, "memory is 0"),
    ):
        with pytest.raises(ValueError, match="GaussianMixtureDensity.fit: " + message):
            GaussianMixtureDensity(**parameters).fit(clouds)
    model = fitted(clouds, "full")
    with pytest.raises(ValueError, match=r"Z\[0, 1\] is inf"):
        model.score_samples([[0.0, np.inf, 1.0]])
    with pytest.raises(ValueError, match="X has 2 features"):
        model.gradient(clouds[:, :2])
    with pytest.raises(ValueError, match="sample: n_samples is 0"):
        model.sample(0)
    with pytest.raises(ValueError, match=r"influence: k is 46; 1\.\.45"):
        model.influence(clouds, 46)


def test_refit_names_the_row_it_fails_without():
    X = np.array([[0.0, 0.0], [2.0, 0.3], [0.4, 1.7]])
    with pytest.raises(ValueError, match=r"singular.*\(refit without row 0\)"):
        fitted(X, "full", method="refit", components=1).self_influence()
