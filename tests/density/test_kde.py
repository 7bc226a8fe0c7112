"""GaussianKDE against golden values, deletion and refit, and finite differences."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.special import logsumexp
from scipy.stats import multivariate_normal
from sklearn.neighbors import KernelDensity

from genmem.density import GaussianKDE, TopInfluence

TOL = 1e-11  # nats, for the golden values


def log_p(X, h, Z, w=None):
    """Log-density by its definition, one pair at a time in float64."""
    X, Z = np.asarray(X, float), np.asarray(Z, float)
    w = np.ones(len(X)) if w is None else np.asarray(w, float)
    sq = np.array([[((z - x) ** 2).sum() for x in X] for z in Z])
    norm = X.shape[1] * np.log(h * np.sqrt(2 * np.pi))
    return logsumexp(-sq / (2 * h * h), b=w, axis=1) - np.log(w.sum()) - norm


def influence_by_refit(X, h, Z, w=None):
    w = np.ones(len(X)) if w is None else np.asarray(w, float)
    full = log_p(X, h, Z, w)
    columns = [full - log_p(np.delete(X, i, axis=0), h, Z, np.delete(w, i)) for i in range(len(X))]
    return np.stack(columns, axis=1)


def column(*values):
    return np.array(values, float)[:, None]


def close(got, want, tol=TOL):
    got, want = np.asarray(got), np.asarray(want)
    assert got.shape == want.shape
    assert got.size
    assert (np.abs(got - want) <= tol).all(), np.abs(got - want).max()


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


# Ranking


def test_top_k_is_the_head_of_the_dense_matrix(rows, queries):
    kde = GaussianKDE(1.5).fit(rows)
    dense = kde.influence(queries)
    top = kde.influence(queries, 7)
    assert isinstance(top, TopInfluence)
    assert top.indices.dtype == np.int64
    close(top.scores, -np.sort(-dense, axis=1)[:, :7])
    close(np.take_along_axis(dense, top.indices, axis=1), top.scores)
    bottom = kde.influence(queries, 7, proponents=False)
    close(bottom.scores, np.sort(dense, axis=1)[:, :7])


def test_top_k_ranks_by_distance_where_the_scores_underflow():
    # Beyond 40 nats every score is log(3/4) to the last bit, and beyond 745 every share is 0.
    kde = GaussianKDE(1.0).fit(column(0, 60, 40, 50))
    top = kde.influence(column(0), 4)
    assert top.indices.tolist() == [[0, 2, 3, 1]]
    assert kde.influence(column(0), 4, proponents=False).indices.tolist() == [[1, 3, 2, 0]]


def test_ties_go_to_the_lower_index():
    kde = GaussianKDE(1.0).fit(column(1, -1, 1, -1))
    assert kde.influence(column(0), 3).indices.tolist() == [[0, 1, 2]]


def test_rest_log_mass_is_the_share_of_the_rows_not_listed(rows, queries):
    kde = GaussianKDE(1.5).fit(rows)
    top = kde.influence(queries, 4)
    sq = ((queries[:, None] - rows) ** 2).sum(axis=2)
    share = -sq / 4.5 - logsumexp(-sq / 4.5, axis=1, keepdims=True)
    want = [logsumexp(np.delete(s, i)) for s, i in zip(share, top.indices, strict=True)]
    close(top.rest_log_mass, np.array(want), 1e-9)
    everything = kde.influence(queries, len(rows)).rest_log_mass
    assert np.isneginf(everything).all()


def test_rest_log_mass_of_a_gap_does_not_round_to_nothing():
    rest = GaussianKDE(1.0).fit(column(0, np.sqrt(1600))).influence(column(0), 1).rest_log_mass
    close(rest, [-800.0])


# Independence of batches, memory, threads and kind of input


def test_answers_do_not_depend_on_memory_batch_or_threads(rows, queries):
    kde = GaussianKDE(0.9).fit(rows)
    small = GaussianKDE(0.9, memory=1, threads=1).fit(rows)
    for method in ("score_samples", "influence", "gradient"):
        whole = getattr(kde, method)(queries)
        assert (whole == getattr(small, method)(queries)).all()
        one_by_one = [getattr(kde, method)(q[None])[0] for q in queries]
        assert (whole == np.array(one_by_one)).all()
    top, other = kde.influence(queries, 5), small.influence(queries, 5)
    assert (top.indices == other.indices).all()
    assert (top.scores == other.scores).all()


def test_blocks_cover_the_matrix_in_order(rows, queries):
    kde = GaussianKDE(0.9, memory=40 * len(rows) * 3).fit(rows)
    blocks = list(kde.influence_blocks(queries))
    assert [b.queries for b in blocks] == [slice(0, 3), slice(3, 6), slice(6, 9), slice(9, 10)]
    dense = np.concatenate([b.scores for b in blocks])
    assert (dense == kde.influence(queries)).all()
    shares = np.concatenate([b.log_share for b in blocks])
    close(np.exp(shares).sum(axis=1), np.ones(len(queries)), 1e-12)


@pytest.mark.parametrize("dtype", [np.uint8, np.float32, np.int64, np.float16, bool])
def test_narrow_types_give_the_float64_answer(rng, dtype):
    X = rng.integers(0, 2 if dtype is bool else 200, (20, 5)).astype(dtype)
    got, want = GaussianKDE(3.0).fit(X), GaussianKDE(3.0).fit(X.astype(np.float64))
    close(got.score_samples(X), want.score_samples(X.astype(np.float64)), 1e-12)
    close(got.self_influence(), want.self_influence(), 1e-12)
    close(got.influence(X[:4] + (X[:4] > 1000)), want.influence(X[:4].astype(float)), 1e-12)
    close(got.score_samples(X[:4].astype(np.float64) + 0.5).shape, (4,), 0)


def test_strided_rows_and_lists(rng):
    wide = rng.standard_normal((24, 8))
    close(
        GaussianKDE(1.0).fit(wide[::2, ::2]).self_influence(),
        GaussianKDE(1.0).fit(wide[::2, ::2].tolist()).self_influence(),
    )


def test_exclude_by_index_array(rows, queries):
    kde = GaussianKDE(1.5).fit(rows)
    skip = np.array([-1, 4, 0, 29, -1, 17, 3, 3, 29, 0])
    got = kde.score_samples(queries, exclude=skip)
    for z, s, value in zip(queries, skip, got, strict=True):
        left = rows if s < 0 else np.delete(rows, s, axis=0)
        close(value, log_p(left, 1.5, z[None])[0], 1e-10)


# Edges and hostile input


def test_one_row_has_a_density_but_no_leave_one_out():
    kde = GaussianKDE(2.0).fit([[1.0, 2.0]])
    want = multivariate_normal([1, 2], 4).logpdf([0, 0])
    close(kde.score_samples([[0.0, 0.0]]), [want])
    close(kde.gradient([[0.0, 0.0]]), [[0.25, 0.5]])
    for call in (
        kde.score_samples_loo,
        kde.self_influence,
        lambda: kde.influence([[0.0, 0.0]]),
        lambda: kde.score_samples([[0.0, 0.0]], exclude="self"),
        lambda: kde.gradient([[0.0, 0.0]], exclude=[0]),
    ):
        with pytest.raises(ValueError, match="fitted to 1 row of positive weight"):
            call()


def test_one_positive_weight_is_one_row():
    kde = GaussianKDE(1.0).fit(column(0, 1, 2), sample_weight=[0, 2, 0])
    close(kde.score_samples(column(1)), [-0.5 * np.log(2 * np.pi)])
    with pytest.raises(ValueError, match="fitted to 1 row of positive weight"):
        kde.self_influence()


def test_far_queries_are_finite_and_lost_ones_are_named():
    kde = GaussianKDE(1e-3).fit(column(0, 1))
    close(kde.score_samples(column(1e6)) / -5e17, [1.0], 1e-5)
    assert np.isfinite(kde.influence(column(1e6))).all()
    distant = column(0.5, 1e149)
    lost = GaussianKDE(1e-10).fit(column(0, 1))
    with pytest.raises(ValueError, match=r"influence: Z\[1\] is so far from every row"):
        lost.influence(distant)
    with pytest.raises(ValueError, match=r"gradient: Z\[1\] is so far from every row"):
        lost.gradient(distant)


@pytest.mark.parametrize(
    ("value", "seen"), [(np.nan, "NaN"), (np.inf, "inf"), (-np.inf, "-inf"), (1e160, "1e\\+160")]
)
def test_unusable_values_are_named(rows, value, seen):
    bad = rows.copy()
    bad[4, 2] = value
    with pytest.raises(ValueError, match=rf"GaussianKDE.fit: X\[4, 2\] is {seen}"):
        GaussianKDE(1.0).fit(bad)
    kde = GaussianKDE(1.0).fit(rows)
    for call in (kde.score_samples, kde.influence, kde.gradient):
        with pytest.raises(ValueError, match=rf"Z\[4, 2\] is {seen}"):
            call(bad)


@pytest.mark.parametrize(
    "bandwidth", [0, -1.0, np.nan, np.inf, "wide", None, True, [1.0]], ids=repr
)
def test_bandwidth_must_be_positive_or_a_rule(rows, bandwidth):
    with pytest.raises(ValueError, match=r"GaussianKDE.fit: bandwidth is .*positive number"):
        GaussianKDE(bandwidth).fit(rows)


@pytest.mark.parametrize(
    ("weight", "message"),
    [
        ([1.0, 2.0], r"sample_weight has shape \(2,\); \(3,\) is wanted"),
        ([1.0, -2.0, 1.0], r"sample_weight\[1\] is -2.0"),
        ([1.0, 2.0, np.nan], r"sample_weight\[2\] is nan"),
        ([np.inf, 2.0, 1.0], r"sample_weight\[0\] is inf"),
        ([0.0, 0.0, 0.0], "all 3 weights are zero"),
    ],
)
def test_bad_weights_are_named(weight, message):
    with pytest.raises(ValueError, match=message):
        GaussianKDE(1.0).fit(column(0, 1, 2), sample_weight=weight)


def test_wrong_arguments_are_refused(rows, queries):
    kde = GaussianKDE(1.0).fit(rows)
    with pytest.raises(ValueError, match="X has 2 features, but GaussianKDE is expecting 3"):
        kde.score_samples(queries[:, :2])
    with pytest.raises(ValueError, match="Expected 2D array"):
        kde.score_samples(queries[0])
    with pytest.raises(ValueError, match=r"influence: k is 31; 1..30 is wanted"):
        kde.influence(queries, 31)
    with pytest.raises(ValueError, match="influence: k is 0"):
        kde.influence(queries, 0)
    with pytest.raises(ValueError, match="score_samples: exclude='self' with 10 queries"):
        kde.score_samples(queries, exclude="self")
    with pytest.raises(ValueError, match="score_samples: exclude is 'own'"):
        kde.score_samples(queries, exclude="own")
    with pytest.raises(ValueError, match="exclude has shape"):
        kde.score_samples(queries, exclude=[0])
    with pytest.raises(ValueError, match=r"exclude lies in 30\.\.30"):
        kde.score_samples(queries, exclude=np.full(10, 30))
    with pytest.raises(ValueError, match="sample: n_samples is 0"):
        kde.sample(0)
    with pytest.raises(ValueError, match="fit: memory is 0"):
        GaussianKDE(1.0, memory=0).fit(rows)
    with pytest.raises(ValueError, match="backend"):
        GaussianKDE(1.0, backend="gpu").fit(rows).score_samples(rows)


def test_score_is_the_sum(rows):
    kde = GaussianKDE(1.0).fit(rows)
    close(kde.score(rows), kde.score_samples(rows).sum())
    assert kde.influence_is_exact


# Properties

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
