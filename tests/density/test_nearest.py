"""NearestNeighborDensity against golden values and deletion and recomputation."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.special import gammaln

from genmem.density import NearestNeighborDensity

TOL = 1e-11


def column(*values):
    return np.array(values, float)[:, None]


def close(got, want, tol=TOL):
    """Equal within tol, in nats; infinities must be the same."""
    got, want = np.asarray(got, float), np.asarray(want, float)
    assert got.shape == want.shape
    assert got.size
    same = (got == want) | (np.abs(got - np.where(np.isfinite(want), want, 0)) <= tol)
    assert same.all(), (got, want)


def log_p(X, k, Z):
    """log k - log N - log V_d - d log R_k, the k-th smallest distance by sorting all."""
    n, d = X.shape
    sq = np.sort([[((z - x) ** 2).sum() for x in X] for z in Z], axis=1)[:, k - 1]
    log_ball = d / 2 * np.log(np.pi) - gammaln(d / 2 + 1)
    with np.errstate(divide="ignore"):
        return np.log(k) - np.log(n) - log_ball - d / 2 * np.log(sq)


def influence_by_refit(X, k, Z):
    """Only for queries with k+1 distinct radii, where infinities cannot meet."""
    full = log_p(X, k, Z)
    return np.stack([full - log_p(np.delete(X, i, 0), k, Z) for i in range(len(X))], axis=1)


# Golden values


def test_golden_line():
    X = column(0, 1, 3, 7)
    density = NearestNeighborDensity(2).fit(X)
    close(density.score_samples(column(0.4)), [-0.875468737354])
    far = -0.287682072452
    close(density.influence(column(0.4)), [[1.178654996342, 1.178654996342, far, far]])
    close(
        density.score_samples(X),
        [-1.386294361120, -1.386294361120, -2.079441541680, -2.772588722240],
    )
    close(
        density.self_influence(),
        [0.810930216216, 0.405465108108, 0.117783035656, 0.117783035656],
    )


def test_golden_plane():
    density = NearestNeighborDensity(2).fit([(0, 0), (1, 0), (0, 2), (3, 4)])
    z = [[0.5, 0.5]]
    close(density.score_samples(z), [-1.144729885849])
    close(
        density.influence(z), [[1.321755839982, 1.321755839982, -0.287682072452, -0.287682072452]]
    )
    close(
        density.self_influence(),
        [1.098612288668, 1.321755839982, -0.064538521138, 0.143100843641],
    )


def test_golden_duplicates_at_infinity():
    X = column(0, 0, 1, 4)
    density = NearestNeighborDensity(2).fit(X)
    close(density.score_samples(X), [np.inf, np.inf, -1.386294361120, -2.484906649788])
    close(density.self_influence(), [np.inf, np.inf, -0.287682072452, 0.0])
    assert density.multiplicities_.tolist() == [2, 2, 1, 1]
    influence = density.influence(column(0))
    close(influence, [[np.inf, np.inf, np.log(3 / 4), np.log(3 / 4)]])


def test_golden_distinct_rows():
    X = column(0, 0, 1, 4)
    density = NearestNeighborDensity(2, duplicates="distinct").fit(X)
    close(
        density.score_samples(column(0, 1, 4)), [-1.098612288668, -1.098612288668, -2.197224577336]
    )
    plain = NearestNeighborDensity(2).fit(column(0, 1, 4))
    stand_in = [0, 0, 1, 2]
    close(density.self_influence(), plain.self_influence()[stand_in])
    close(density.score_samples_loo(), plain.score_samples_loo()[stand_in])
    z = column(0.3, 5)
    close(density.influence(z), plain.influence(z)[:, stand_in])
    assert density.influence(z, 3).indices.tolist() == [[0, 1, 2], [2, 3, 0]]
    assert density.multiplicities_.tolist() == [2, 2, 1, 1]
    assert len(density.points_) == 3
    close(density.score_samples(X, exclude="self"), plain.score_samples_loo()[stand_in])


def test_golden_more_copies_than_k():
    close(NearestNeighborDensity(2).fit(column(0, 0, 0, 4)).self_influence(), [-0.287682072452] * 4)


def test_golden_tie_has_no_influence():
    density = NearestNeighborDensity(1).fit(column(-1, 1, 2))
    close(density.score_samples(column(0)), [-1.791759469228])
    close(density.influence(column(0)), [[-0.405465108108] * 3])


# Oracles


@pytest.mark.parametrize("k", [1, 2, 5, 28])
@pytest.mark.parametrize("d", [1, 3, 40])
def test_density_and_influence_equal_deletion(rng, k, d):
    X, Z = rng.standard_normal((30, d)), rng.standard_normal((7, d)) * 2
    density = NearestNeighborDensity(k).fit(X)
    close(density.score_samples(Z), log_p(X, k, Z), 1e-9)
    close(density.influence(Z), influence_by_refit(X, k, Z), 1e-9)


@pytest.mark.parametrize("k", [2, 3, 7])
def test_self_influence_equals_deletion(rng, k):
    X = rng.standard_normal((20, 4))
    density = NearestNeighborDensity(k).fit(X)
    want = np.diagonal(influence_by_refit(X, k, X))
    close(density.self_influence(), want, 1e-10)
    close(np.diagonal(density.influence(X)), want, 1e-10)
    close(density.score_samples(X) - density.score_samples_loo(), want, 1e-10)
    one_out = [log_p(np.delete(X, i, 0), k, X[[i]])[0] for i in range(20)]
    close(density.score_samples_loo(), one_out, 1e-10)
    close(density.score_samples(X, exclude="self"), one_out, 1e-10)


def test_distinct_equals_deletion_of_all_equal_rows(rng):
    X = rng.standard_normal((12, 2))
    copies = np.vstack([X, X[[3, 3, 5]]])
    density = NearestNeighborDensity(3, duplicates="distinct").fit(copies)
    close(density.self_influence()[:12], np.diagonal(influence_by_refit(X, 3, X)), 1e-10)
    close(density.self_influence()[12:], density.self_influence()[[3, 3, 5]])


def test_first_neighbor_at_a_training_row_is_the_row(rng):
    X = column(0, 1, 3)
    density = NearestNeighborDensity(1).fit(X)
    assert np.isposinf(density.score_samples(X)).all()
    assert np.isposinf(density.self_influence()).all()
    close(density.score_samples_loo(), log_p(X, 2, X) - np.log(2) + np.log(3) - np.log(2))
    copies = NearestNeighborDensity(1).fit(column(0, 0, 3))
    close(copies.self_influence(), [np.log(2 / 3), np.log(2 / 3), np.inf])


def test_exclude_by_index(rng):
    X, Z = rng.standard_normal((15, 2)), rng.standard_normal((4, 2))
    skip = np.array([-1, 2, 14, -1])
    got = NearestNeighborDensity(3).fit(X).score_samples(Z, exclude=skip)
    want = [
        log_p(X if s < 0 else np.delete(X, s, 0), 3, z[None])[0]
        for z, s in zip(Z, skip, strict=True)
    ]
    close(got, want, 1e-10)


def test_top_k_is_the_stable_head_of_the_dense_matrix(rng):
    X, Z = rng.standard_normal((25, 2)), rng.standard_normal((6, 2))
    density = NearestNeighborDensity(4).fit(X)
    dense = density.influence(Z)
    for proponents, sign in ((True, -1), (False, 1)):
        top = density.influence(Z, 9, proponents=proponents)
        want = np.argsort(sign * dense, axis=1, kind="stable")[:, :9]
        assert (top.indices == want).all()
        assert (top.scores == np.take_along_axis(dense, want, axis=1)).all()
        assert top.rest_log_mass is None


def test_answers_do_not_depend_on_memory_or_batch(rng):
    X, Z = rng.standard_normal((25, 5)), rng.standard_normal((6, 5))
    density = NearestNeighborDensity(4).fit(X)
    small = NearestNeighborDensity(4, memory=1, threads=1).fit(X)
    assert (density.influence(Z) == small.influence(Z)).all()
    assert (density.score_samples(Z)[3:4] == small.score_samples(Z[3:4])).all()


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_narrow_types_give_the_float64_answer(rng, dtype):
    X = rng.integers(0, 200, (20, 5)).astype(dtype)
    got = NearestNeighborDensity(3).fit(X)
    want = NearestNeighborDensity(3).fit(X.astype(float))
    close(got.self_influence(), want.self_influence())
    close(got.score_samples(X[:3] + dtype(1)), want.score_samples(X[:3] + 1.0))


def test_copies_far_from_the_origin_are_at_zero():
    X = np.full((4, 7), 1e6)
    X[2:] += np.arange(2)[:, None] + 1e-3
    density = NearestNeighborDensity(2).fit(X)
    assert np.isposinf(density.score_samples(X)).tolist() == [True, True, False, False]


# Edges and hostile input


def test_too_few_rows():
    with pytest.raises(ValueError, match=r"fit: X has 3 samples; at least k = 4 are wanted, and"):
        NearestNeighborDensity(4).fit(column(0, 1, 2))
    with pytest.raises(ValueError, match=r"X has 2 distinct samples; at least k = 3"):
        NearestNeighborDensity(3, duplicates="distinct").fit(column(0, 0, 1))
    with pytest.raises(ValueError, match="X has 1 sample; at least"):
        NearestNeighborDensity(2).fit([[0.0]])


@pytest.mark.parametrize(
    ("X", "duplicates", "seen"),
    [
        (column(0, 2, 5), "inf", "3 rows"),
        (column(0, 2, 5, 5), "distinct", "3 distinct rows"),
    ],
)
def test_k_rows_have_a_density_of_which_none_is_left_out(X, duplicates, seen):
    density, Z = NearestNeighborDensity(3, duplicates=duplicates).fit(X), column(1, 9)
    # V_1 = 2, and R_3 of 1 and 9 is the distance to 5 and to 0.
    close(density.score_samples(Z), -np.log([8.0, 18.0]))
    close(density.score_samples(Z, exclude=[-1, -1]), -np.log([8.0, 18.0]))
    calls = {
        "score_samples": lambda: density.score_samples(Z, exclude=[-1, 0]),
        "score_samples_loo": density.score_samples_loo,
        "self_influence": density.self_influence,
        "influence": lambda: density.influence(Z),
    }
    for name, call in calls.items():
        with pytest.raises(ValueError, match=rf"{name}: fitted to {seen}, .* k \+ 1 = 4 are"):
            call()


def test_raise_names_rows_and_multiplicity():
    with pytest.raises(
        ValueError, match=r"rows 1, 2, 4 of X are equal \(multiplicity 3\), and 5 of 6"
    ):
        NearestNeighborDensity(2, duplicates="raise").fit(column(0, 5, 5, 0, 5, 7))
    with pytest.raises(ValueError, match=r"rows 0, 1, 2, 3, 4, \.\.\. of X"):
        NearestNeighborDensity(2, duplicates="raise").fit(np.zeros((9, 2)))
    fine = NearestNeighborDensity(2, duplicates="raise").fit(column(0, 5, 7))
    assert fine.multiplicities_.tolist() == [1, 1, 1]


def test_wrong_parameters_and_input(rng):
    X = rng.standard_normal((9, 2))
    for k in (0, 2.5, True, "3", None):
        with pytest.raises(ValueError, match=r"fit: k is .*a whole number >= 1"):
            NearestNeighborDensity(k).fit(X)
    with pytest.raises(ValueError, match=r'duplicates is .merge.; "inf" or "distinct" or "raise"'):
        NearestNeighborDensity(2, duplicates="merge").fit(X)
    density = NearestNeighborDensity(2).fit(X)
    with pytest.raises(ValueError, match=r"Z\[0, 1\] is NaN"):
        density.influence([[0.0, np.nan]])
    with pytest.raises(ValueError, match="X has 3 features"):
        density.score_samples(np.zeros((2, 3)))
    with pytest.raises(ValueError, match=r"influence: k is 10; 1\.\.9 is wanted"):
        density.influence(X, 10)
    with pytest.raises(ValueError, match="exclude='self' with 2 queries"):
        density.score_samples(X[:2], exclude="self")


@pytest.mark.parametrize("k", [1, 2, 5])
@pytest.mark.parametrize("duplicates", ["inf", "distinct"])
def test_answers_do_not_depend_on_memory(rng, k, duplicates):
    X = rng.integers(-2, 3, (40, 2)).astype(float)
    Z = np.vstack([X[:5], rng.standard_normal((5, 2))])
    wide = NearestNeighborDensity(k, duplicates=duplicates).fit(X)
    short = NearestNeighborDensity(k, duplicates=duplicates, memory=1, threads=1).fit(X)
    skip = np.arange(10) - 1
    for one, other in [
        (wide.score_samples(Z), short.score_samples(Z)),
        (wide.score_samples(Z, skip), short.score_samples(Z, skip)),
        (wide.score_samples_loo(), short.score_samples_loo()),
        (wide.self_influence(), short.self_influence()),
        (wide.influence(Z), short.influence(Z)),
        (wide.gradient(Z[5:]), short.gradient(Z[5:])),
    ]:
        assert (one == other).all()


# Gradients


def test_golden_gradient():
    density = NearestNeighborDensity(2).fit(column(0, 1, 4))
    # d (x - z) / R^2 with the second nearest row, of the two at 2 from z = 2 the lower index.
    close(density.gradient(column(0, -2, 2)), column(1, 1 / 3, -1 / 2))
    close(density.gradient(column(0, 5), exclude=[0, -1]), column(1 / 4, -1 / 4))


@pytest.mark.parametrize("duplicates", ["inf", "distinct"])
@pytest.mark.parametrize("k", [1, 4])
def test_gradient_is_the_slope_of_the_density(rng, k, duplicates):
    X, Z = rng.standard_normal((30, 5)), rng.standard_normal((8, 5))
    X[:2] = 40.0
    density = NearestNeighborDensity(k, duplicates=duplicates).fit(X)
    skip, steps = np.arange(8) - 1, 1e-6 * np.eye(5)
    for how in ({}, {"exclude": skip}):
        want = np.stack(
            [
                (density.score_samples(Z + e, **how) - density.score_samples(Z - e, **how)) / 2e-6
                for e in steps
            ],
            axis=1,
        )
        close(density.gradient(Z, **how), want, 1e-6)
    apart = NearestNeighborDensity(k, duplicates=duplicates).fit(X[1:])
    own = apart.gradient(X[1:], exclude="self")
    assert (own == apart.gradient(X[1:], exclude=np.arange(29))).all()


def test_where_k_rows_lie_there_is_no_gradient():
    density = NearestNeighborDensity(2).fit(column(0, 0, 1, 3))
    with pytest.raises(ValueError, match=r"gradient: k = 2 rows or more lie at Z\[1\]; log p is"):
        density.gradient(column(2, 0))


def test_score_is_the_sum(rng):
    X, Z = rng.standard_normal((9, 2)), rng.standard_normal((4, 2))
    density = NearestNeighborDensity(2).fit(X)
    close(density.score(Z), density.score_samples(Z).sum())
    assert density.influence_is_exact


# Properties


@st.composite
def grids(draw):
    n, d = draw(st.integers(3, 9)), draw(st.integers(1, 3))
    cells = st.integers(-3, 3).map(float)
    X = draw(arrays(float, (n, d), elements=cells))
    Z = draw(arrays(float, (3, d), elements=cells))
    return X, Z, draw(st.integers(1, n - 1))


@settings(deadline=None, max_examples=100)
@given(grids())
def test_deletion_also_with_ties_and_copies(case):
    X, Z, k = case
    density = NearestNeighborDensity(k).fit(X)
    n, d = X.shape
    got = density.influence(Z)
    floor = np.log((n - 1) / n)
    assert (got >= floor - 1e-12).all()
    sq = ((Z[:, None] - X) ** 2).sum(axis=2)
    for row, distances in zip(got, sq, strict=True):
        radius = np.sort(distances)[k - 1]
        for i in range(n):
            without = np.sort(np.delete(distances, i))[k - 1]
            if without == radius:
                want = floor
            elif radius == 0:
                want = np.inf
            else:
                want = floor + d / 2 * np.log(without / radius)
            close(row[i], want, 1e-10)


@settings(deadline=None, max_examples=60)
@given(grids(), st.integers(-1000, 1000), st.randoms(use_true_random=False))
def test_translation_and_order(case, shift, random):
    X, Z, k = case
    order = list(range(len(X)))
    random.shuffle(order)
    one = NearestNeighborDensity(k).fit(X)
    other = NearestNeighborDensity(k).fit((X + shift)[order])
    close(other.score_samples(Z + shift), one.score_samples(Z), 1e-9)
    close(other.influence(Z + shift), one.influence(Z)[:, order], 1e-9)
    close(other.self_influence(), one.self_influence()[order], 1e-9)
