"""Exact p-values against enumeration of every labelling."""

from itertools import combinations

import numpy as np
import pytest

from budget import assert_within
from genmem.copying.exchange import permutation_pvalue, precedence_pvalue, share_pvalue


@pytest.mark.parametrize(("m", "n", "hits"), [(4, 5, 3), (3, 6, 1), (5, 4, 9), (4, 4, 0)])
def test_shares_by_enumeration(m: int, n: int, hits: int) -> None:
    pooled = np.array([1.0] * hits + [0.0] * (m + n - hits))
    counts = np.array([pooled[list(chosen)].sum() for chosen in combinations(range(m + n), m)])
    for seen in np.unique(counts):
        made = np.array([1.0] * int(seen) + [0.0] * (m - int(seen)))
        held = np.array([1.0] * (hits - int(seen)) + [0.0] * (n - hits + int(seen)))
        assert_within(share_pvalue(made, held, high=True), (counts >= seen).mean(), 1e-12)
        assert_within(share_pvalue(made, held, high=False), (counts <= seen).mean(), 1e-12)


@pytest.mark.parametrize(("m", "n", "rank"), [(4, 5, 1), (5, 4, 2), (3, 5, 5)])
def test_precedence_by_enumeration(m: int, n: int, rank: int) -> None:
    counts = []
    for chosen in combinations(range(m + n), m):
        held = np.setdiff1d(np.arange(m + n), chosen)
        counts.append((np.array(chosen) < held[rank - 1]).sum())
    for seen in range(m + 1):
        want = (np.array(counts) >= seen).mean()
        assert_within(precedence_pvalue(seen, m, n, rank), want, 1e-12)


def test_rank_out_of_range_is_refused() -> None:
    with pytest.raises(ValueError, match=r"rank is 4; 1\.\.3 is wanted"):
        precedence_pvalue(1, 5, 3, 4)


def test_permutation_counts_the_observed_labelling() -> None:
    null = np.array([0.1, 0.2, 0.3, np.nan])
    assert permutation_pvalue(0.3, null, high=True) == 2 / 4
    assert permutation_pvalue(0.05, null, high=False) == 1 / 4
    assert permutation_pvalue(0.2 * (1 + 1e-15), null, high=True) == 3 / 4
    assert np.isnan(permutation_pvalue(np.nan, null, high=True))
    assert np.isnan(permutation_pvalue(0.1, np.array([np.nan]), high=True))
