"""KernelDensity of every kernel against golden values, the definition, and deletion and refit."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

from budget import assert_within
from density_oracle import PROFILES, close, column, influence_by_refit, log_p
from genmem.density import GaussianKDE, KernelDensity

COMPACT = ["tophat", "linear", "epanechnikov", "biweight", "cosine"]


def matrix(density, Z):
    """The influence matrix, with the warning about undefined queries taken as said."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".*beyond the reach of every row", RuntimeWarning)
        return density.influence(Z)


def same(got, want, tol):
    """As `close`, and NaN where NaN is wanted."""
    undefined = np.isnan(want)
    assert (np.isnan(got) == undefined).all()
    close(got[~undefined], want[~undefined], tol)


# Golden values


def test_golden_epanechnikov():
    density = KernelDensity(1.5, kernel="epanechnikov").fit(column(0, 1, 3))
    z = column(0.5, 4, 6)
    close(density.score_samples(z), [-1.216395324324, -2.379546134130, -np.inf])
    influence = matrix(density, z)
    close(influence[0], [0.287682072452, 0.287682072452, -0.405465108108])
    assert influence[1, 2] == np.inf
    assert np.isnan(influence[2]).all()


# Oracles


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("kernel", PROFILES)
def test_density_equals_the_definition(rng, rows, queries, kernel, weighted):
    w = rng.integers(0, 4, len(rows)).astype(float) if weighted else None
    density = KernelDensity(2.5, kernel=kernel).fit(rows, sample_weight=w)
    close(density.score_samples(queries), log_p(rows, 2.5, queries, w, kernel=kernel), 1e-10)


@pytest.mark.parametrize("d", [1, 2, 16, 64, 784])
@pytest.mark.parametrize("kernel", PROFILES)
def test_density_at_every_dimension(rng, kernel, d):
    X, Z, h = rng.standard_normal((30, d)), rng.standard_normal((5, d)), 1.6 * np.sqrt(d)
    close(
        KernelDensity(h, kernel=kernel).fit(X).score_samples(Z), log_p(X, h, Z, kernel=kernel), 1e-9
    )


@pytest.mark.parametrize("kernel", PROFILES)
def test_density_integrates_to_one(rng, kernel):
    X = rng.standard_normal((6, 2))
    density = KernelDensity(0.8, kernel=kernel, adaptive=2).fit(X, sample_weight=[1, 2, 0, 3, 1, 1])
    side = np.linspace(-14, 14, 1401)
    grid = np.stack(np.meshgrid(side, side), axis=-1).reshape(-1, 2)
    total = np.exp(density.score_samples(grid)).sum() * (side[1] - side[0]) ** 2
    assert abs(total - 1) <= 2e-3


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("h", [0.9, 2.5, 40.0])
@pytest.mark.parametrize("kernel", PROFILES)
def test_influence_equals_deletion_and_refit(rng, rows, queries, kernel, h, weighted):
    w = rng.integers(0, 4, len(rows)).astype(float) if weighted else None
    density = KernelDensity(h, kernel=kernel).fit(rows, sample_weight=w)
    want = influence_by_refit(rows, h, queries, w, kernel=kernel)
    if w is not None:
        want[:, w == 0] = 0.0  # also where log p is -inf on both sides
    same(matrix(density, queries), want, 1e-8)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("h", [0.9, 2.5, 40.0])
@pytest.mark.parametrize("kernel", PROFILES)
def test_self_influence_and_loo_equal_deletion_and_refit(rng, rows, kernel, h, weighted):
    w = rng.integers(0, 4, len(rows)).astype(float) if weighted else np.ones(len(rows))
    density = KernelDensity(h, kernel=kernel).fit(rows, sample_weight=w)
    others = [np.delete(np.arange(len(rows)), i) for i in range(len(rows))]
    loo = [log_p(rows[o], h, rows[[i]], w[o], kernel=kernel)[0] for i, o in enumerate(others)]
    close(density.score_samples_loo(), loo, 1e-9)
    close(density.score_samples(rows, exclude="self"), loo, 1e-9)
    with np.errstate(invalid="ignore"):
        want = np.where(w > 0, log_p(rows, h, rows, w, kernel=kernel) - np.array(loo), 0.0)
    close(density.self_influence(), want, 1e-9)
    diagonal = np.diagonal(matrix(density, rows)).copy()
    close(diagonal, want, 1e-9)


def test_gaussian_is_the_gaussian_density(rows, queries):
    one, other = KernelDensity(1.5).fit(rows), GaussianKDE(1.5).fit(rows)
    assert (one.score_samples(queries) == other.score_samples(queries)).all()
    assert (one.self_influence() == other.self_influence()).all()
    assert (one.influence(queries) == other.influence(queries)).all()
    assert (one.sample(5, 0) == other.sample(5, 0)).all()
    assert (one.gradient(queries) == other.gradient(queries)).all()


# Gradients


def by_differences(density, Z, step=1e-5, **given):
    """Central differences of log p, (M, d)."""
    return np.stack(
        [
            (density.score_samples(Z + e, **given) - density.score_samples(Z - e, **given))
            / (2 * step)
            for e in step * np.eye(Z.shape[1])
        ],
        axis=1,
    )


@pytest.mark.parametrize("adaptive", [None, 4])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("kernel", PROFILES)
def test_gradient_is_the_slope_of_the_density(rng, rows, kernel, weighted, adaptive):
    w = rng.integers(0, 4, len(rows)).astype(float) if weighted else None
    h = 2.5 if kernel in ("gaussian", "exponential") else 9.0
    density = KernelDensity(h, kernel=kernel, adaptive=adaptive).fit(rows, sample_weight=w)
    Z = rng.standard_normal((8, 3)) * 2
    close(density.gradient(Z), by_differences(density, Z), 1e-6)
    skip = np.arange(8) - 1
    close(density.gradient(Z, exclude=skip), by_differences(density, Z, exclude=skip), 1e-6)


@pytest.mark.parametrize("kernel", PROFILES)
def test_gradient_far_from_the_origin_and_on_a_row_alone(rng, kernel):
    X = np.round(rng.standard_normal((20, 4)) * 64) / 64
    Z = np.round(rng.standard_normal((5, 4)) * 64) / 64
    near, far = (KernelDensity(6.0, kernel=kernel).fit(X + shift) for shift in (0, 2.0**20))
    assert (near.gradient(Z) == far.gradient(Z + 2.0**20)).all()
    alone = KernelDensity(0.5, kernel=kernel).fit(column(0, 1000))
    assert (alone.gradient(column(0, 1000)) == 0).all()


def test_golden_gradients():
    """Rows 0 and 3, h = 2, z = 1: u = 1/2 and 1, the second on the rim."""
    X, z = column(0, 3), column(1)
    wanted = {"epanechnikov": -2 * 0.5 / 0.75, "biweight": -4 * 0.5 / 0.75, "linear": -1 / 0.5,
              "cosine": -np.pi / 2 * np.tan(np.pi / 4), "tophat": 0.0}  # fmt: skip
    for kernel, slope in wanted.items():
        close(KernelDensity(2.0, kernel=kernel).fit(X).gradient(z), [[slope / 2]])
    closer = np.tanh(0.25)  # exp(-1/2) and exp(-1), pulling with 1/2 each
    close(KernelDensity(2.0, kernel="exponential").fit(X).gradient(z), [[-closer / 2]])


def test_gradient_where_no_row_reaches(rows):
    density = KernelDensity(2.0, kernel="linear").fit(rows)
    Z = np.vstack([np.full(3, 500.0), rows[0] + 0.1])
    with pytest.warns(RuntimeWarning, match=r"gradient: 1 of 2 queries are beyond the reach"):
        got = density.gradient(Z)
    assert np.isnan(got[0]).all()
    assert np.isfinite(got[1]).all()
    with pytest.raises(ValueError, match=r"gradient: Z\[0\] is so far from every row"):
        KernelDensity(1e-100, kernel="gaussian").fit(rows).gradient([[1e100, 0, 0]])


@pytest.mark.parametrize("kernel", PROFILES)
def test_gradient_does_not_depend_on_memory_batch_or_type(rng, rows, kernel, monkeypatch):
    rows, Z = rows.astype(np.float32), rng.standard_normal((6, 3)).astype(np.float32)
    wide = KernelDensity(30.0, kernel=kernel).fit(rows)
    short = KernelDensity(30.0, kernel=kernel, memory=1, threads=1).fit(rows.astype(np.float64))
    assert wide.gradient(Z).dtype == np.float64
    assert (wide.gradient(Z) == short.gradient(Z.astype(np.float64))).all()
    assert (wide.gradient(Z) == [wide.gradient(z[None])[0] for z in Z]).all()
    monkeypatch.setattr("genmem.density.kernel_gradient._AT_ONCE", 7)
    close(wide.gradient(Z), short.gradient(Z), 1e-12)


@pytest.mark.parametrize("kernel", PROFILES)
def test_samples_have_the_density_of_the_mixture(kernel):
    """Draws lie in the cells of a grid as often as the density says."""
    X, w = column(-2.0, 1.0, 4.0), np.array([1.0, 0.0, 3.0])
    density = KernelDensity(0.7, kernel=kernel).fit(X, sample_weight=w)
    drawn = density.sample(20_000, random_state=3)
    assert drawn.shape == (20_000, 1)
    assert (drawn == density.sample(20_000, random_state=3)).all()
    edges = np.linspace(-6, 8, 141)
    fine = (edges[:-1, None] + (np.arange(20) + 0.5) / 20 * 0.1).ravel()[:, None]
    share = np.exp(density.score_samples(fine)).reshape(140, 20).mean(axis=1) * 0.1
    count = np.histogram(drawn[:, 0], edges)[0]
    assert (np.abs(count - 20_000 * share) <= 5 * np.sqrt(20_000 * share + 4)).all()


def test_memory_and_threads_do_not_change_the_answer(rows, queries):
    for kernel in PROFILES:
        given = {"kernel": kernel, "adaptive": 3}
        whole = KernelDensity(2.0, **given).fit(rows)
        small = KernelDensity(2.0, memory=1, threads=1, **given).fit(rows)
        assert (whole.scales_ == small.scales_).all()
        assert (whole.score_samples(queries) == small.score_samples(queries)).all()
        assert (whole.self_influence() == small.self_influence()).all()
        np.testing.assert_array_equal(matrix(whole, queries), matrix(small, queries))


# Edges of compact support


def test_the_boundary_counts_for_tophat_alone():
    X, z = column(0, 5), np.array([[2.0]])
    for kernel in COMPACT:
        at_edge = KernelDensity(2.0, kernel=kernel).fit(X).score_samples(z)
        assert np.isfinite(at_edge).all() == (kernel == "tophat")


@pytest.mark.parametrize("kernel", COMPACT)
def test_scores_and_influences_agree_on_who_is_within_reach(rng, kernel):
    """On a lattice, with roots of whole numbers for widths, many u are 1 but for a rounding."""
    X = rng.integers(0, 3, (40, 3)).astype(float)
    Z = rng.integers(-2, 5, (40, 3)).astype(float)
    for square in range(1, 12):
        density = KernelDensity(np.sqrt(square), kernel=kernel).fit(X)
        influence = matrix(density, Z)
        assert (np.isneginf(density.score_samples(Z)) == np.isnan(influence[:, 0])).all()
        close(np.diagonal(matrix(density, X)), density.self_influence(), 1e-12)


@pytest.mark.parametrize("kernel", COMPACT)
def test_an_isolated_row_is_all_of_its_density(kernel):
    density = KernelDensity(1.0, kernel=kernel).fit(column(0, 0.5, 9))
    assert density.self_influence()[2] == np.inf
    assert density.score_samples_loo()[2] == -np.inf
    assert np.isfinite(density.self_influence()[:2]).all()
    top = density.influence(column(9), 2)
    assert top.indices.tolist() == [[2, 0]]
    assert_within(top.scores, [[np.inf, np.log(2 / 3)]], 1e-12)
    assert top.rest_log_mass.tolist() == [-np.inf]


@pytest.mark.parametrize("kernel", COMPACT)
def test_undefined_influences_are_nan_and_counted(kernel):
    density = KernelDensity(1.0, kernel=kernel).fit(column(0, 0.5, 1), sample_weight=[1, 0, 1])
    z = column(0.2, 8, 0.4, 9)
    said = r"KernelDensity.influence: 2 of 4 queries are beyond the reach of every row"
    with pytest.warns(RuntimeWarning, match=said):
        dense = density.influence(z)
    assert np.isnan(dense).tolist() == [[False] * 3, [True, False, True]] * 2
    assert (dense[:, 1] == 0).all()
    with pytest.warns(RuntimeWarning, match=said):
        top = density.influence(z, 2)
    assert top.indices[1].tolist() == [-1, -1]
    assert np.isnan(top.scores[[1, 3]]).all()
    assert np.isnan(top.rest_log_mass[[1, 3]]).all()
    assert np.isfinite(top.scores[[0, 2]]).all()
    blocks = list(density.influence_blocks(z))
    assert np.isnan(np.concatenate([b.scores for b in blocks])[:, 0]).sum() == 2
    assert (density.score_samples(z) == -np.inf).tolist() == [False, True, False, True]
    assert density.score(z) == -np.inf


def test_tophat_ties_go_to_the_lower_index():
    density = KernelDensity(3.0, kernel="tophat").fit(column(1, -1, 2, 50))
    top = density.influence(column(0), 4)
    assert top.indices.tolist() == [[0, 1, 2, 3]]
    close(top.scores, [[np.log(3 / 4) - np.log(2 / 3)] * 3 + [np.log(3 / 4)]])


def test_one_positive_weight_has_no_leave_one_out():
    density = KernelDensity(1.0, kernel="linear").fit(column(0, 1), sample_weight=[0, 2])
    close(density.score_samples(column(1)), [0.0])
    for call in (density.self_influence, lambda: density.influence(column(0))):
        with pytest.raises(ValueError, match="fitted to 1 row of positive weight"):
            call()


def test_exponential_tails_never_end_but_may_leave_float64():
    density = KernelDensity(1e-3, kernel="exponential").fit(column(0, 1))
    close(density.score_samples(column(1e6)) / -999999000.0, [1.0], 1e-6)
    assert np.isfinite(density.influence(column(1e6))).all()


def test_wrong_arguments_are_refused(rows):
    with pytest.raises(ValueError, match=r"fit: kernel is 'epa'; \"gaussian\" or .* is wanted"):
        KernelDensity(1.0, kernel="epa").fit(rows)
    for rule in ("scott", "silverman"):
        with pytest.raises(ValueError, match=rf"bandwidth is '{rule}', a rule for Gaussian"):
            KernelDensity(rule, kernel="linear").fit(rows)
        assert KernelDensity(rule).fit(rows).bandwidth_ == GaussianKDE(rule).fit(rows).bandwidth_
    for h in (1e-200, 1e200):
        with pytest.raises(ValueError, match=r"bandwidth is 1e.*finite 1 / h\^2 is wanted"):
            GaussianKDE(h).fit(rows)
    with pytest.raises(ValueError, match="bandwidth is -1"):
        KernelDensity(-1, kernel="cosine").fit(rows)
