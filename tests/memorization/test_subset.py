"""The subset estimator against golden values, brute force and values that underflow."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from genmem.memorization.accumulate import logmeanexp
from genmem.memorization.subset import (
    SubsetAccumulator,
    draw_subsets,
    subset_influence,
    subset_memorization,
)

# G26: four models on subsets of three rows, and one query.
MASK = np.array([[1, 1, 0], [1, 0, 1], [0, 1, 1], [1, 1, 1]], bool)
LOG_P = np.array([[-1, -2, -6], [-1.5, -4, -2], [-5, -2.2, -2.1], [-1.2, -2.1, -2.4]])
QUERY = np.array([[-3.0], [-2.5], [-4.0], [-3.2]])


def test_golden_memorization():
    log = subset_memorization(MASK, LOG_P)
    density = subset_memorization(MASK, LOG_P, "density")
    assert (np.abs(log.score - [3.766666666667, 1.9, 3.833333333333]) <= 1e-11).all()
    want = [3.787327029000, 1.903330559561, 3.847298394674]
    assert (np.abs(density.score - want) <= 1e-11).all()
    assert log.models_in.tolist() == [3, 3, 3]
    assert log.models_out.tolist() == [1, 1, 1]
    # One model on the outer side: its scatter is not known.
    assert np.isnan(log.se).all()
    assert log.undefined == 0


def test_golden_influence():
    got = subset_influence(MASK, QUERY)
    assert got.shape == (1, 3)
    assert (np.abs(got[0] - [1.1, -0.9, -0.233333333333]) <= 1e-11).all()


@pytest.mark.parametrize("form", ["log", "density"])
@pytest.mark.parametrize("scale", [1.0, 1e3])
def test_influence_of_rows_on_themselves_is_memorization(form, scale):
    mask = draw_subsets(9, 25, seed=4)
    log_p = np.random.default_rng(0).normal(0, scale, (25, 9))
    influence = subset_influence(mask, log_p, form)
    scores = subset_memorization(mask, log_p, form)
    assert (np.abs(np.diagonal(influence) - scores.score) <= 1e-9).all()


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 2**31), st.sampled_from([1.0, 40.0, 2000.0]))
def test_both_forms_equal_brute_force(seed, scale):
    generator = np.random.default_rng(seed)
    mask, log_p = generator.random((7, 4)) < 0.6, generator.normal(0, scale, (7, 3))
    for form, mean in (("log", np.mean), ("density", logmeanexp)):
        got = subset_influence(mask, log_p, form)
        assert got.shape == (3, 4)
        for query in range(3):
            for row in range(4):
                inside, outside = log_p[mask[:, row], query], log_p[~mask[:, row], query]
                if len(inside) and len(outside):
                    assert abs(got[query, row] - (mean(inside) - mean(outside))) <= 1e-9
                else:
                    assert np.isnan(got[query, row])


def test_standard_error_of_the_log_form_is_that_of_two_means():
    generator = np.random.default_rng(1)
    mask, log_p = draw_subsets(5, 40, ratio=0.6), generator.normal(size=(40, 5))
    got = subset_memorization(mask, log_p)
    for row in range(5):
        sides = log_p[mask[:, row], row], log_p[~mask[:, row], row]
        want = np.sqrt(sum(side.var(ddof=1) / len(side) for side in sides))
        assert abs(got.se[row] - want) <= 1e-12


def test_standard_error_of_the_density_form_matches_simulation():
    """Densities of relative deviation 0.2: the delta method holds to a few percent."""
    generator = np.random.default_rng(2)
    mask = draw_subsets(400, 60, ratio=0.5)
    got = subset_memorization(mask, np.log(generator.normal(1, 0.2, (60, 400))), "density")
    assert abs(got.se.mean() / got.score.std() - 1) <= 0.15


def test_equal_values_have_no_error():
    got = subset_memorization(draw_subsets(3, 12), np.full((12, 3), -1234.5), "density")
    assert (np.abs(got.score) <= 1e-11).all()
    assert (got.se <= 1e-7).all()


def test_a_row_that_was_never_left_out_is_undefined_and_counted():
    mask = MASK.copy()
    mask[:, 1] = True
    got = subset_memorization(mask, LOG_P)
    assert np.isnan(got.score).tolist() == [False, True, False]
    assert got.undefined == 1
    assert np.isnan(subset_influence(mask, QUERY))[0].tolist() == [False, True, False]


def test_streaming_takes_one_model_at_a_time():
    state = SubsetAccumulator(3, "density")
    for mask, log_p in zip(MASK, LOG_P, strict=True):
        state.add(mask, log_p)
    want = subset_memorization(MASK, LOG_P, "density").score
    assert (state.result().score == want).all()


def test_subsets_have_the_asked_size_and_are_keyed_by_the_model():
    mask = draw_subsets(50, 200, ratio=0.7, seed=3)
    assert (mask.sum(axis=1) == 35).all()
    assert (draw_subsets(50, 20, ratio=0.7, seed=3) == mask[:20]).all()
    # Every row is in 70 % of 200 models, within four standard errors.
    assert (np.abs(mask.mean(axis=0) - 0.7) <= 4 * np.sqrt(0.21 / 200)).all()


@given(arrays(np.bool_, (5, 3)))
@settings(deadline=None, max_examples=30)
def test_complement_of_the_mask_changes_the_sign(mask):
    log_p = np.random.default_rng(5).normal(size=(5, 3))
    first, second = subset_influence(mask, log_p), subset_influence(~mask, log_p)
    assert (np.isnan(first) == np.isnan(second)).all()
    defined = ~np.isnan(first)
    assert (np.abs(first + second)[defined] <= 1e-12).all()


@pytest.mark.parametrize(
    ("mask", "log_p", "match"),
    [
        (MASK, LOG_P[:3], r"mask has shape \(4, 3\) and log_p \(3, 3\)"),
        (MASK[0], LOG_P[0], r"mask has shape \(3,\)"),
        (np.full((4, 3), 2), LOG_P, "only 0 and 1"),
        (MASK, np.where(LOG_P == -6, np.nan, LOG_P), "log_p of row 2 under model 0 is nan"),
        (MASK[:0], LOG_P[:0], "not empty"),
        (MASK, LOG_P[:, :2], "they must agree"),
    ],
)
def test_hostile_models_are_refused(mask, log_p, match):
    with pytest.raises(ValueError, match=match):
        subset_memorization(mask, log_p)


def test_other_refusals():
    with pytest.raises(ValueError, match="form is 'exp'"):
        subset_memorization(MASK, LOG_P, "exp")
    with pytest.raises(ValueError, match="rows is 0"):
        SubsetAccumulator(0)
    with pytest.raises(ValueError, match=r"mask has shape \(2,\), log_p \(3,\)"):
        SubsetAccumulator(3).add([True, False], LOG_P[0])
    with pytest.raises(ValueError, match="log_p of row 1 is -inf"):
        SubsetAccumulator(3).add(MASK[0], [0.0, -np.inf, 0.0])
    for rows, models, ratio in ((1, 5, 0.7), (10, 0, 0.7), (10, 5, 1.0), (10, 5, 0.01)):
        with pytest.raises(ValueError, match=f"{models} models on {ratio} of {rows} rows"):
            draw_subsets(rows, models, ratio=ratio)
