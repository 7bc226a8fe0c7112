"""The rank sum of one cell against scipy, every labelling, and the form without tie correction."""

from itertools import combinations

import numpy as np
import pytest
from scipy.stats import mannwhitneyu, norm

from budget import assert_within
from genmem.copying.rank_sum import null_z, rank_sum

FIRST = np.array([0, 0.05, 0.5, 0, 0.5]), np.array([0.4, 0.3, 0.2, 0.6])
SECOND = np.array([0.1, 0.2, 0.3, 0.9]), np.array([0.15, 0.5, 0.6, 0.7, 0.8])


def without_tie_correction(generated, heldout):
    m, n = len(generated), len(heldout)
    u = rank_sum(generated, heldout).u
    return (u - m * n / 2 + 0.5) / np.sqrt(n * m * (n + m + 1) / 12)


def test_golden_values() -> None:
    found = rank_sum(*FIRST)
    assert found.u == 6
    assert_within(found.z, -0.864556318072, 1e-11)
    assert_within(norm.cdf(found.z), 0.193641178366, 1e-11)
    found = rank_sum(*SECOND)
    assert found.u == 7
    assert_within(found.z, -0.612372435696, 1e-11)


def test_ties_are_corrected_for() -> None:
    assert_within(without_tie_correction(*FIRST), -0.857321409974, 1e-11)
    generated = np.array([0.0] * 12 + [0.3, 0.4, 0.5, 0.6])
    heldout = np.array([0.0] * 4 + [0.2, 0.35, 0.45, 0.55, 0.7, 0.8])
    assert rank_sum(generated, heldout).z < 1.05 * without_tie_correction(generated, heldout) < 0


@pytest.mark.parametrize("decimals", [1, 2, 12])
@pytest.mark.parametrize("sizes", [(5, 7), (30, 25), (200, 50), (1, 3)])
def test_agrees_with_scipy(sizes: tuple[int, int], decimals: int, rng: np.random.Generator) -> None:
    generated = rng.random(sizes[0]).round(decimals)
    heldout = (0.1 + rng.random(sizes[1])).round(decimals)
    found = rank_sum(generated, heldout)
    want = mannwhitneyu(generated, heldout, alternative="less", method="asymptotic")
    assert_within(found.u, want.statistic, 1e-9)
    assert_within(norm.cdf(found.z), want.pvalue, 1e-12)


def test_all_equal_values_say_nothing() -> None:
    found = rank_sum(np.zeros(4), np.zeros(3))
    assert (found.u, found.z, found.sd) == (6, 0, 0)
    null = null_z(np.zeros(4), np.zeros(3), 99, np.random.default_rng(0))
    assert null.enumerated
    assert (null.z == 0).all()


def test_small_cells_are_labelled_in_every_way() -> None:
    null = null_z(*FIRST, 99, np.random.default_rng(0))
    assert null.enumerated
    assert len(null.z) == 126
    assert_within((null.z <= rank_sum(*FIRST).z + 1e-12).mean(), 25 / 126, 1e-12)
    pooled = np.concatenate(SECOND)
    by_hand = [
        rank_sum(pooled[list(chosen)], np.delete(pooled, list(chosen))).z
        for chosen in combinations(range(9), 4)
    ]
    found = null_z(*SECOND, 99, np.random.default_rng(0)).z
    assert_within(np.sort(found), np.sort(by_hand), 1e-12)


def test_larger_ones_at_random_and_large_ones_by_the_normal_law(rng: np.random.Generator) -> None:
    small = null_z(rng.random(12), rng.random(60), 4000, rng)
    assert not small.enumerated
    assert len(small.z) == 4000
    assert abs(small.z.mean()) < 0.1
    assert abs(small.z.std() - 1) < 0.05
    large = null_z(rng.random(20), rng.random(20), 4000, np.random.default_rng(3))
    assert_within(large.z, np.random.default_rng(3).standard_normal(4000), 0)
