"""The primitives in log space, where the naive forms lose their digits."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.special import logsumexp

from genmem.density.logspace import (
    log_share_of_others,
    log_unit_ball,
    logsumexp_rows,
    softplus,
    sum_of_others,
)


def test_softplus():
    t = np.array([-800.0, -40.0, -1.0, 0.0, 1.0, 40.0, 800.0])
    want = [0.0, math.log1p(math.exp(-40)), math.log1p(math.exp(-1)), math.log(2)]
    want += [1 + math.log1p(math.exp(-1)), 40 + math.exp(-40), 800.0]
    assert (np.abs(softplus(t) - want) <= 1e-15 * np.maximum(1, np.abs(t))).all()
    assert softplus(np.array([-40.0]))[0] > 0
    assert softplus(np.array([-np.inf]))[0] == 0


def test_logsumexp_of_rows_that_hold_infinities():
    a = np.array([[0.0, -np.inf], [-1e5, -1e5], [-np.inf, -np.inf]])
    got = logsumexp_rows(a)
    assert got[0] == 0.0
    assert abs(got[1] - (-1e5 + math.log(2))) <= 1e-10
    assert np.isneginf(got[2])
    assert np.isneginf(logsumexp_rows(np.empty((1, 0)))[0])
    random = np.random.default_rng(0).standard_normal((5, 7)) * 50
    assert (np.abs(logsumexp_rows(random) - logsumexp(random, axis=1)) <= 1e-13).all()


def test_sum_of_others_does_not_subtract():
    w = np.array([1e20, 1.0, 2.0])
    assert sum_of_others(w).tolist() == [3.0, 1e20, 1e20]
    assert sum_of_others(np.ones(4)).tolist() == [3.0] * 4
    table = np.arange(6.0).reshape(3, 2)
    assert sum_of_others(table).tolist() == [[6, 8], [4, 6], [2, 4]]
    assert sum_of_others(np.array([5.0])).tolist() == [0.0]


def test_log_share_of_others():
    w = np.array([1e20, 0.0, 2.0, 1.0])
    got = log_share_of_others(w)
    assert abs(got[0] - math.log(3e-20)) <= 1e-13
    assert got[1] == 0.0
    assert abs(got[2] + 2e-20) <= 1e-30
    assert np.isneginf(log_share_of_others(np.array([0.0, 2.0]))[1])
    assert (np.abs(log_share_of_others(np.ones(5)) - math.log(0.8)) <= 1e-15).all()


@pytest.mark.parametrize(
    ("d", "want"), [(3, 1.4324119583), (64, -44.9266031089), (784, -1503.90530798)]
)
def test_golden_volume_of_the_ball(d, want):
    assert abs(log_unit_ball(d) - want) <= 1e-8
    assert abs(log_unit_ball(1) - math.log(2)) <= 1e-15
