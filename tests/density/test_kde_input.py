"""What GaussianKDE takes and refuses, and what its answers do not depend on."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import multivariate_normal

from density_oracle import close, column, log_p
from genmem.density import GaussianKDE


def test_answers_do_not_depend_on_memory_batch_or_threads(rows, queries):
    kde = GaussianKDE(0.9).fit(rows)
    small = GaussianKDE(0.9, memory=1, threads=1).fit(rows)
    assert GaussianKDE(memory=1).fit(rows).bandwidth_ == GaussianKDE().fit(rows).bandwidth_
    assert (kde.self_influence() == small.self_influence()).all()
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
