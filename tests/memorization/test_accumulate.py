"""Streaming log-mean-exp and moments against closed forms and the whole array at once."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.special import logsumexp

from genmem.memorization.accumulate import LogMeanExp, Moments, logmeanexp

finite = st.floats(-1e6, 1e6)


def test_logmeanexp_of_one_value_is_the_value():
    assert logmeanexp([-1234.5]) == -1234.5


def test_logmeanexp_of_equal_values_is_that_value_at_any_size():
    for value in (-1e5, 0.0, 1e5):
        assert logmeanexp(np.full(7, value)) == pytest.approx(value, abs=1e-9)


def test_logmeanexp_of_two_values_is_closed():
    assert logmeanexp([np.log(1.0), np.log(3.0)]) == pytest.approx(np.log(2.0), abs=1e-15)


@pytest.mark.parametrize(
    ("values", "want"),
    [([-np.inf, -np.inf], -np.inf), ([np.inf, 0.0], np.inf), ([-np.inf, 0.0], -np.log(2.0))],
)
def test_logmeanexp_takes_infinite_values(values, want):
    got = logmeanexp(values)
    assert got == want if np.isinf(want) else abs(got - want) <= 1e-15
    streamed = LogMeanExp(())
    for value in values:
        streamed.add(value)
    assert streamed.result() == want if np.isinf(want) else abs(streamed.result() - want) <= 1e-15


def test_logmeanexp_passes_nan_on():
    assert np.isnan(logmeanexp([0.0, np.nan]))


def test_logmeanexp_over_axes_equals_scipy():
    values = np.random.default_rng(0).normal(0, 300, (4, 5, 6))
    for axis, count in ((0, 4), ((0, 1), 20), (-1, 6), (None, 120)):
        want = logsumexp(values, axis=axis) - np.log(count)
        got = logmeanexp(values, axis=axis)
        assert got.shape == np.shape(want)
        assert (np.abs(got - want) <= 1e-11).all()


def test_logmeanexp_of_nothing_is_refused():
    with pytest.raises(ValueError, match=r"shape \(0, 3\); at least one entry along axis 0"):
        logmeanexp(np.empty((0, 3)), axis=0)


@settings(deadline=None, max_examples=60)
@given(arrays(np.float64, (9, 3), elements=finite), st.integers(0, 9), st.permutations(range(9)))
def test_streaming_equals_whole_in_any_order_and_any_grouping(values, cut, order):
    first, second = LogMeanExp(3), LogMeanExp(3)
    for row in order[:cut]:
        first.add(values[row])
    for row in order[cut:]:
        second.add(values[row])
    got, want = first.merge(second).result(), logmeanexp(values, axis=0)
    assert got.shape == want.shape
    # Nats: a few roundings at the size of the values.
    assert (np.abs(got - want) <= 1e-9).all()


def test_masked_entries_are_not_counted_and_do_not_overflow():
    state = LogMeanExp(3)
    state.add([1.0, 900.0, -900.0], [True, False, True])
    state.add([900.0, 2.0, -900.0], [False, True, False])
    state.add([3.0, 2.0, 0.0], [True, False, False])
    got = state.result()
    want = np.array([logmeanexp([1.0, 3.0]), 2.0, -900.0])
    assert state.count.tolist() == [2, 1, 1]
    assert (np.abs(got - want) <= 1e-13).all()


def test_an_entry_without_values_is_nan():
    assert np.isnan(LogMeanExp(2).add([1.0, 1.0], [True, False]).result()).tolist() == [False, True]


def test_merge_refuses_another_shape():
    with pytest.raises(ValueError, match=r"other has shape \(2,\), this state \(3,\)"):
        LogMeanExp(3).merge(LogMeanExp(2))


@settings(deadline=None, max_examples=60)
@given(arrays(np.float64, (8, 2), elements=st.floats(-1e3, 1e3)), arrays(np.bool_, (8, 2)))
def test_moments_equal_numpy_on_the_masked_values(values, mask):
    state = Moments(2)
    for value, where in zip(values, mask, strict=True):
        state.add(value, where)
    for column in range(2):
        kept = values[mask[:, column], column]
        assert state.count[column] == len(kept)
        if len(kept):
            assert abs(state.mean()[column] - kept.mean()) <= 1e-10
        else:
            assert np.isnan(state.mean()[column])
        if len(kept) > 1:
            assert abs(state.variance()[column] - kept.var(ddof=1)) <= 1e-8
        else:
            assert np.isnan(state.variance()[column])


def test_moments_keep_digits_far_from_zero():
    state = Moments(())
    for value in (1e9 + 1, 1e9 + 2, 1e9 + 3):
        state.add(value)
    assert state.variance() == pytest.approx(1.0, abs=1e-9)
