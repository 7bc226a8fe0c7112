import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from genmem.studies.overlap import overlap, rank_biased_overlap, top


def test_overlap_golden_value() -> None:
    a, b = np.zeros(1000), np.zeros(1000)
    a[:50] = np.arange(50) + 1
    b[42:92] = np.arange(50) + 1
    got = overlap(a, b, 50)
    assert (got.count, got.k, got.n, got.ties) == (8, 50, 1000, 0)
    assert abs(got.pvalue - 2.358028888226e-03) <= 1e-14
    assert got.share == 0.16
    assert got.expected * got.k == 2.5


def test_rank_biased_overlap_golden_values() -> None:
    got = rank_biased_overlap(list("abcde"), list("bacfd"), 0.9)
    assert abs(got.extrapolated - 0.750555) <= 1e-12
    assert abs(got.lower - 0.488146152442) <= 1e-11


def test_pvalue_equals_the_counted_probability() -> None:
    n, k = 9, 4
    random = np.random.default_rng(0)
    a, b = random.permutation(n), random.permutation(n)
    got = overlap(a, b, k)
    ways = [math.comb(k, y) * math.comb(n - k, k - y) / math.comb(n, k) for y in range(k + 1)]
    assert abs(got.pvalue - sum(ways[got.count :])) <= 1e-12
    assert abs(sum(y * p for y, p in enumerate(ways)) - k * got.expected) <= 1e-12


def test_ties_go_to_the_lower_index_and_are_counted() -> None:
    assert top([1, 3, 3, 3, 0], 2).tolist() == [1, 2]
    assert top([1, np.inf, -np.inf], 3).tolist() == [1, 0, 2]
    assert overlap([1, 3, 3, 3, 0], [5, 4, 3, 2, 1], 2).ties == 1
    assert overlap([0, 0, 0], [0, 0, 0], 3).ties == 0


@settings(deadline=None)
@given(st.integers(0, 2**31), st.integers(1, 40), st.floats(0.05, 0.98))
def test_bounds_and_identity(seed: int, k: int, p: float) -> None:
    random = np.random.default_rng(seed)
    a, b = random.permutation(60)[:k], random.permutation(60)[:k]
    got, same = rank_biased_overlap(a, b, p), rank_biased_overlap(a, a, p)
    assert -1e-12 <= got.lower <= got.extrapolated + 1e-12 <= 1 + 2e-12
    assert abs(same.extrapolated - 1) <= 1e-12
    assert got == rank_biased_overlap(b, a, p)
    scores = random.normal(size=60)
    assert overlap(scores, scores, k).share == 1
    # Disjoint or not, at k = n every set is the whole.
    assert overlap(scores, -scores, 60).count == 60


def test_lower_bound_is_the_infinite_sum_without_further_agreement() -> None:
    a, b, p = [0, 1, 2, 3], [1, 0, 5, 2], 0.8
    common = [0, 2, 2, 3]
    depths = range(1, 4000)
    agreed = [common[min(d, 4) - 1] for d in depths]
    want = (1 - p) * sum(p ** (d - 1) * x / d for d, x in zip(depths, agreed, strict=True))
    assert abs(rank_biased_overlap(a, b, p).lower - want) <= 1e-12


def test_hostile_input() -> None:
    with pytest.raises(ValueError, match=r"k is 4; 1\.\.3"):
        overlap([1, 2, 3], [1, 2, 3], 4)
    with pytest.raises(ValueError, match="k is 0"):
        top([1, 2], 0)
    with pytest.raises(ValueError, match="score 1 is NaN"):
        overlap([1, np.nan, 3], [1, 2, 3], 2)
    with pytest.raises(ValueError, match=r"a has shape \(3,\), b has shape \(2,\)"):
        overlap([1, 2, 3], [1, 2], 2)
    with pytest.raises(ValueError, match="b repeats an item"):
        rank_biased_overlap([1, 2], [3, 3])
    with pytest.raises(ValueError, match="persistence is 1"):
        rank_biased_overlap([1, 2], [2, 1], 1)
    with pytest.raises(ValueError, match="one depth k >= 1"):
        rank_biased_overlap([], [])
