"""Both sides of a row, and the scores made of them, against golden values and brute force."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from genmem.memorization import estimate
from genmem.memorization.accumulate import logmeanexp

# G23: one row, K = 3 folds, L = 2 repeats; out of sample in fold 0, then in fold 1.
VALUES = np.array([[-5.0, -1.0, -1.2], [-0.8, -4.0, -1.1]])[:, :, None]
HELD_OUT = np.array([[0], [1]])


def test_golden_two_repeats_of_three_folds():
    sides = estimate.split(VALUES, HELD_OUT)
    assert sides.ins[:, :, 0].tolist() == [[-1.0, -1.2], [-0.8, -1.1]]
    assert sides.outs[:, 0].tolist() == [-5.0, -4.0]
    assert abs(estimate.log_in(sides)[0] - -1.013852775854) <= 1e-11
    assert abs(estimate.log_out(sides)[0] - -4.379885493042) <= 1e-11
    assert abs(estimate.plain_score(sides)[0] - 3.366032717187) <= 1e-11
    assert abs(estimate.log_differences(sides).mean() - 3.475) <= 1e-11


def test_golden_jensen_bias_exact():
    """G38: log p is 0 or -a with probability 1/2; E logmeanexp of 90 less that of 10."""
    from scipy.stats import binom

    for a, want in ((1, 0.009827977846), (5, 0.054514223447), (10, 0.061141710777)):
        expected = []
        for count in (90, 10):
            zeros = np.arange(count + 1)
            means = [logmeanexp(np.r_[np.zeros(z), np.full(count - z, -float(a))]) for z in zeros]
            expected.append((binom.pmf(zeros, count, 0.5) * means).sum())
        assert abs(expected[0] - expected[1] - want) <= 1e-11


def test_golden_jensen_bias_simulated():
    """G39: the plain score of rows that are not memorized at all."""
    noise = np.random.default_rng(0).standard_normal((20000, 10, 10))
    values = np.ascontiguousarray(noise.transpose(1, 2, 0))
    held_out = np.zeros((10, 20000), np.int64)
    golden = {
        1: 0.064616716309,
        2: 0.402571401611,
        3: 1.038030112213,
        5: 2.677463750219,
        10: 7.201911352908,
    }
    for s, want in golden.items():
        got = estimate.plain_score(estimate.split(s * values, held_out)).mean()
        assert abs(got - want) <= 1e-11


@settings(deadline=None, max_examples=60)
@given(st.data())
def test_split_parts_each_row_by_its_own_fold(data):
    repeats, folds, rows = data.draw(
        st.tuples(st.integers(1, 4), st.integers(2, 5), st.integers(1, 6))
    )
    held_out = data.draw(arrays(np.int64, (repeats, rows), elements=st.integers(0, folds - 1)))
    values = np.random.default_rng(1).normal(0, 50, (repeats, folds, rows))
    sides = estimate.split(values, held_out)
    assert sides.ins.shape == (repeats, folds - 1, rows)
    for row in range(rows):
        seen = [np.delete(values[r, :, row], held_out[r, row]) for r in range(repeats)]
        unseen = [values[r, held_out[r, row], row] for r in range(repeats)]
        assert sides.ins[:, :, row].tolist() == [one.tolist() for one in seen]
        assert sides.outs[:, row].tolist() == unseen
        assert abs(estimate.log_in(sides)[row] - logmeanexp(np.concatenate(seen))) <= 1e-11
        assert abs(estimate.log_out(sides)[row] - logmeanexp(unseen)) <= 1e-11


def test_a_shift_of_all_values_changes_no_score():
    generator = np.random.default_rng(2)
    values = generator.normal(0, 3, (3, 4, 20))
    held_out = generator.integers(0, 4, (3, 20))
    near, far = (estimate.split(values + shift, held_out) for shift in (0.0, -1e5))
    assert (np.abs(estimate.plain_score(near) - estimate.plain_score(far)) <= 1e-9).all()
    assert (np.abs(estimate.log_differences(near) - estimate.log_differences(far)) <= 1e-9).all()


def test_spread_is_the_deviation_of_the_in_sample_values():
    sides = estimate.split(VALUES, HELD_OUT)
    assert abs(estimate.spread(sides)[0] - np.std([-1, -1.2, -0.8, -1.1], ddof=1)) <= 1e-14
    single = estimate.split(VALUES[:1, :2], HELD_OUT[:1])
    assert np.isnan(estimate.spread(single)).tolist() == [True]


@pytest.mark.parametrize(
    ("values", "held_out", "match"),
    [
        (np.zeros((2, 3)), np.zeros((2, 1), int), r"values has shape \(2, 3\)"),
        (np.zeros((2, 3, 4)), np.zeros((2, 3), int), r"held_out \(2, 3\)"),
        (np.zeros((2, 1, 4)), np.zeros((2, 4), int), "at least 1 repeat and 2 folds"),
        (np.zeros((2, 3, 4)), np.full((2, 4), 3), r"fold numbers 0\.\.2"),
        (np.zeros((2, 3, 4)), np.full((2, 4), -1), r"fold numbers 0\.\.2"),
        (np.zeros((2, 3, 4)), np.zeros((2, 4)), r"fold numbers 0\.\.2"),
    ],
)
def test_split_refuses_shapes_and_folds_that_disagree(values, held_out, match):
    with pytest.raises(ValueError, match=match):
        estimate.split(values, held_out)
