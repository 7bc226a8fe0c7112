"""Importance weights: golden values, float64 brute force, streams, degenerate weights."""

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy.special import logsumexp

from genmem.objectives import LogMarginal, LogWeights, jackknife

GOLDEN = np.array([[-100.0, -101.0, -103.0, -100.5]])
WEIGHTS = hnp.arrays(
    np.float64, st.tuples(st.integers(1, 4), st.integers(1, 12)), elements=st.floats(-900, 900)
)


def stream(log_weights: npt.NDArray[np.float64], block: int) -> LogMarginal:
    weights = LogWeights(len(log_weights))
    for start in range(0, log_weights.shape[1], block):
        weights.add(log_weights[:, start : start + block])
    return weights.result()


@pytest.mark.parametrize("block", [1, 2, 3, 4])
def test_golden_values(block: int) -> None:
    found = stream(GOLDEN, block)
    assert len(found) == 1
    assert abs(found.log_p[0] - -100.681121198801) <= 1e-11
    assert abs(found.ess[0] - 2.721253856596) <= 1e-11
    assert abs(found.se[0] - 0.395773774082) <= 1e-11
    assert abs(found.corrected[0] - -100.602802758675) <= 1e-11


def test_jackknife_golden_value() -> None:
    got = jackknife(GOLDEN)
    assert got.shape == (1,)
    assert abs(got[0] - -100.596988813649) <= 1e-11


@given(WEIGHTS, st.integers(1, 12))
def test_stream_against_the_formulas(lw: npt.NDArray[np.float64], block: int) -> None:
    found = stream(lw, block)
    draws = lw.shape[1]
    log_p = logsumexp(lw, axis=1) - np.log(draws)
    ess = np.exp(2 * logsumexp(lw, axis=1) - logsumexp(2 * lw, axis=1))
    assert (np.abs(found.log_p - log_p) <= 1e-11).all()
    assert (np.abs(found.ess / ess - 1) <= 1e-9).all()
    assert ((found.ess >= 1 - 1e-12) & (found.ess <= draws + 1e-9)).all()
    if draws == 1:
        assert np.isnan(found.se).all()
        assert (found.ess == 1).all()
    else:
        v = draws / (draws - 1) * (1 / ess - 1 / draws)
        assert (np.abs(found.se**2 - v) <= 1e-8).all()


@given(WEIGHTS.filter(lambda lw: lw.shape[1] > 1))
def test_jackknife_against_leaving_each_draw_out(lw: npt.NDArray[np.float64]) -> None:
    draws = lw.shape[1]
    without = [logsumexp(np.delete(lw, s, 1), axis=1) - np.log(draws - 1) for s in range(draws)]
    whole = logsumexp(lw, axis=1) - np.log(draws)
    want = draws * whole - (draws - 1) * np.mean(without, axis=0)
    assert (np.abs(jackknife(lw) - want) <= 1e-9).all()


def test_a_shift_of_the_weights_shifts_log_p_alone() -> None:
    found, far = stream(GOLDEN, 2), stream(GOLDEN - 1e5, 2)
    assert (np.abs(far.log_p + 1e5 - found.log_p) <= 1e-10).all()
    assert (np.abs(far.ess - found.ess) <= 1e-9).all()


def test_equal_weights() -> None:
    found = stream(np.full((2, 7), -3.3), 3)
    assert (np.abs(found.log_p - -3.3) <= 1e-14).all()
    assert (np.abs(found.ess - 7) <= 1e-12).all()
    assert ((found.se >= 0) & (found.se <= 1e-7)).all()


def test_one_weight_carries_the_sum() -> None:
    found = stream(np.array([[-2000.0, 0.0, -2000.0]]), 1)
    assert found.log_p[0] == -np.log(3)
    assert found.ess[0] == 1
    assert abs(found.se[0] - 1) <= 1e-12  # v = 3/2 (1 - 1/3) = 1


def test_weights_of_zero() -> None:
    """A draw of density 0 is legal; a sample of nothing else has log p = -inf, and no ESS."""
    lw = np.array([[-np.inf, -1.0, -np.inf], [-np.inf, -np.inf, -np.inf]])
    for block in (1, 3):
        found = stream(lw, block)
        assert abs(found.log_p[0] - (-1 - np.log(3))) <= 1e-14
        assert found.ess[0] == 1
        assert found.log_p[1] == -np.inf
        assert np.isnan(found.ess[1])
        assert np.isnan(found.se[1])


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_faulty_weights_name_the_sample(bad: float) -> None:
    weights = LogWeights(3, first=10)
    lw = np.zeros((3, 2))
    lw[1, 1] = bad
    with pytest.raises(FloatingPointError, match="sample 11 has a log-weight of NaN or"):
        weights.add(lw)


def test_refusals() -> None:
    with pytest.raises(ValueError, match="no draw to average"):
        LogWeights(2).result()
    with pytest.raises(ValueError, match=r"shape \(3, 1\); \(B, S >= 2\)"):
        jackknife(np.zeros((3, 1)))


def test_join() -> None:
    parts = [stream(GOLDEN, 2), stream(GOLDEN - 1, 2)]
    joined = LogMarginal.join(parts)
    assert len(joined) == 2
    assert joined.log_p[1] == parts[1].log_p[0]
    assert LogMarginal.join([]).log_p.shape == (0,)


def test_coverage_of_the_standard_error() -> None:
    """log p^ lies within two standard errors of the truth about as often as it should."""
    rng = np.random.default_rng(0)
    lw = rng.normal(-0.125, 0.5, size=(4000, 200))  # E exp(lw) = 1
    found = stream(lw, 50)
    inside = np.abs(found.corrected) <= 2 * found.se
    assert 0.93 <= inside.mean() <= 0.97
