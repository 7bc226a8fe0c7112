"""Clusters are resampled whole, and a share has an interval even at 0."""

import numpy as np
import pytest
from scipy.stats import binomtest

from budget import assert_within
from genmem.copying.resampling import check_level, cluster_totals, percentile, share_interval


def test_totals_are_sums_of_whole_clusters(rng: np.random.Generator) -> None:
    values = np.column_stack([np.array([1.0, 10, 100, 1000]), np.ones(4)])
    totals = cluster_totals(values, np.array([7, 7, 2, 2]), 200, rng)
    assert set(totals[:, 0]) == {22, 1111, 2200}
    assert (totals[:, 1] == 4).all()


def test_rows_alone_give_wilson(rng: np.random.Generator) -> None:
    hits = (np.arange(400) < 120).astype(float)
    lower, upper = share_interval(hits, np.arange(400), 0.95, 4000, rng)
    want = binomtest(120, 400).proportion_ci(0.95, "wilson")
    assert_within([lower, upper], [want.low, want.high], 2e-3)


def test_clusters_widen_it(rng: np.random.Generator) -> None:
    hits = np.repeat((np.arange(40) < 12).astype(float), 10)
    alone = share_interval(hits, np.arange(400), 0.95, 1000, rng)
    together = share_interval(hits, np.repeat(np.arange(40), 10), 0.95, 1000, rng)
    assert together[1] - together[0] > 2.5 * (alone[1] - alone[0])


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_a_share_of_nothing_or_all_is_not_certain(share: float, rng: np.random.Generator) -> None:
    lower, upper = share_interval(np.full(50, share), np.arange(50) // 2, 0.95, 100, rng)
    want = binomtest(int(25 * share), 25).proportion_ci(0.95, "wilson")
    assert_within([lower, upper], [want.low, want.high], 1e-12)


def test_percentiles_leave_out_what_is_undefined() -> None:
    found = percentile(np.array([np.nan, *np.arange(101.0)]), 0.9)
    assert_within(found, [5, 95], 1e-12)
    assert np.isnan(percentile(np.full(3, np.nan), 0.9)).all()


def test_refusals() -> None:
    with pytest.raises(ValueError, match="rho: level is 1; a coverage between 0 and 1"):
        check_level("rho", 1, 10)
    with pytest.raises(ValueError, match="rho: resamples is 0"):
        check_level("rho", 0.9, 0)
