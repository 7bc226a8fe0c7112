import numpy as np
import pytest
from scipy import stats

from genmem.studies.concordance import concordance
from genmem.studies.correlation import spearman


def test_golden_values() -> None:
    got = concordance([(1, 2, 3, 4, 5), (2, 1, 3, 5, 4), (1, 3, 2, 4, 5)])
    want = (0.844444444444, 10.133333333333, 0.038240605327, 0.766666666667)
    assert (np.abs(np.array(got) - want) <= 1e-11).all()
    tied = concordance([(1.5, 1.5, 3, 4), (1, 2, 3.5, 3.5), (1, 2, 3, 4)])
    assert abs(tied.value - 0.952380952381) <= 1e-11


def test_chi_square_equals_scipys_friedman_with_ties() -> None:
    scores = np.random.default_rng(0).integers(0, 6, (4, 25))
    want = stats.friedmanchisquare(*scores.T)
    got = concordance(scores)
    assert abs(got.statistic - want.statistic) <= 1e-10
    assert abs(got.pvalue - want.pvalue) <= 1e-12


def test_without_ties_it_is_the_mean_spearman_rescaled() -> None:
    scores = np.random.default_rng(1).normal(size=(5, 30))
    got = concordance(scores)
    pairs = [spearman(scores[i], scores[j]).value for i in range(5) for j in range(i)]
    assert abs(got.mean_spearman - np.mean(pairs)) <= 1e-12
    assert abs((5 * got.value - 1) / 4 - got.mean_spearman) <= 1e-12


def test_hostile_input() -> None:
    with pytest.raises(ValueError, match=r"scores has shape \(3,\)"):
        concordance([1, 2, 3])
    with pytest.raises(ValueError, match=r"NaN at \[1, 0\]"):
        concordance([[1, 2], [np.nan, 1]])
    assert np.isnan(concordance(np.ones((2, 3))).value)
