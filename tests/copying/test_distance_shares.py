"""Calibrated distance, third ratio and near-duplicate rate: shares of rows below a threshold."""

import numpy as np
import pytest
from scipy.stats import fisher_exact

from budget import assert_within
from draws import Maker, brute_force, column
from genmem.copying import calibrated_distance, near_duplicate_rate, third_ratio

TRAIN = column(0, 1, 3, 6)
DOUBLED, NEAR = column(0, 0, 5), column(0.01)


def gemm_distances(queries, points):
    """Distances by the expanded square in float32, as a matrix product gives them."""
    q, x = queries.astype(np.float32), points.astype(np.float32)
    sq = (q * q).sum(1)[:, None] + (x * x).sum(1)[None, :] - 2 * (q @ x.T)
    return np.sqrt(np.maximum(sq, 0))


def test_golden_values() -> None:
    query = column(0.1)
    assert_within(third_ratio(TRAIN, query, query).per_sample, [1 / 9], 1e-11)
    found = calibrated_distance(TRAIN, query, query, neighbours=3)
    assert_within(found.per_sample, [0.153846153846], 1e-11)
    assert near_duplicate_rate(TRAIN, query, query).threshold == 1.5
    assert_within(third_ratio(DOUBLED, NEAR, NEAR).per_sample, [0.01 / 4.99], 1e-11)
    assert third_ratio(DOUBLED, NEAR, NEAR, duplicates="keep").per_sample.tolist() == [1]


@pytest.mark.parametrize("rows", [(60, 50, 40), (51, 10, 70)])
def test_values_are_those_of_brute_force(draws: Maker, rows: tuple[int, int, int]) -> None:
    train, test, generated = draws(3, rows, copies=3)
    near = np.sort(brute_force(generated, train), axis=1)
    third = third_ratio(train, test, generated)
    assert_within(third.per_sample, near[:, 0] / near[:, 1], 1e-12)
    assert_within(third.statistic, (near[:, 0] / near[:, 1] < 1 / 3).mean(), 1e-12)
    calibrated = calibrated_distance(train, test, generated, alpha=0.7)
    assert_within(calibrated.per_sample, near[:, 0] / (0.7 * near[:, :50].mean(1)), 1e-12)
    rate = near_duplicate_rate(train, test, generated)
    own = brute_force(train, train)
    np.fill_diagonal(own, np.inf)
    assert_within(rate.threshold, np.median(own.min(1)), 1e-12)
    assert_within(rate.statistic, (near[:, 0] < rate.threshold).mean(), 1e-12)
    assert (third.copies, calibrated.copies, rate.copies) == (3, 3, 3)
    base = (brute_force(test, train).min(1) < rate.threshold).sum()
    hits = round(rate.statistic * rows[2])
    table = [[hits, rows[2] - hits], [base, rows[1] - base]]
    assert_within(rate.pvalue, fisher_exact(table, alternative="greater").pvalue, 1e-9)


def test_matrix_product_distances_miss_copies() -> None:
    """Images in 0..255: a copy at 2 beside a neighbour at 5 is no third; in difference form it is
    at 0."""
    random = np.random.default_rng(0)
    train = (255 * random.random((40, 784))).astype(np.float32)
    train = np.concatenate([train, train])
    train[40:, :5] += 1.0
    generated = train[:40].copy()
    found = third_ratio(train, train[:1] + 50, generated)
    assert found.statistic == 1
    assert (found.per_sample == 0).all()
    near = np.sort(gemm_distances(generated, train), axis=1)
    assert near[:, 0].max() > 1
    with np.errstate(invalid="ignore", divide="ignore"):
        wrong = near[:, 0] / near[:, 1] < 1 / 3
    assert wrong.mean() < found.statistic


def test_the_threshold_is_a_held_out_value(draws: Maker) -> None:
    train, test, generated = draws(4, (80, 200, 50), copies=5)
    base = calibrated_distance(train, test, test[:1]).per_sample
    assert len(base) == 1
    held = calibrated_distance(train, test, test, quantile=0.05)
    assert held.threshold == np.sort(held.per_sample)[9]
    assert held.reference == 0.05
    found = calibrated_distance(train, test, generated, quantile=0.05)
    assert found.threshold == held.threshold
    assert_within(found.statistic, (found.per_sample < held.threshold).mean(), 1e-12)
    rate = near_duplicate_rate(train, test, generated, quantile=0.05)
    assert rate.threshold == np.sort(brute_force(test, train).min(1))[9]
    assert rate.reference == 0.05


def test_alpha_does_not_change_a_share(draws: Maker) -> None:
    found = [calibrated_distance(*draws(5), neighbours=9, alpha=a) for a in (0.5, 1.0, 2.0)]
    assert len({one.statistic for one in found}) == 1
    assert len({one.pvalue for one in found}) == 1


def test_policies_on_equal_rows(draws: Maker) -> None:
    """The kept list of a set with repeats is the sorted list of brute force, repeats and all."""
    train, test, generated = draws(6, (20, 12, 15), copies=4)
    train = np.concatenate([train, train[:6], train[:3]])
    near = np.sort(brute_force(generated, train), axis=1)
    found = calibrated_distance(train, test, generated, neighbours=11, duplicates="keep")
    want = near[:, 0] / (0.5 * near[:, :11].mean(1))
    assert_within(found.per_sample, want, 1e-12)
    single = np.sort(brute_force(generated, train[:20]), axis=1)
    found = calibrated_distance(train, test, generated, neighbours=11)
    assert_within(found.per_sample, single[:, 0] / (0.5 * single[:, :11].mean(1)), 1e-12)
    for run in (third_ratio, calibrated_distance, near_duplicate_rate):
        with pytest.raises(ValueError, match=r"rows 0, 20, 26 of train are equal, and 9 of 29"):
            run(train, test, generated, duplicates="raise")


def test_zero_over_zero_is_a_copy_and_counted() -> None:
    copies = column(0, 0, 5)
    kept = third_ratio(DOUBLED, NEAR, copies, duplicates="keep")
    assert kept.per_sample.tolist() == [0, 0, 0]
    assert (kept.zeros, kept.copies, kept.statistic) == (2, 3, 1)
    assert third_ratio(DOUBLED, NEAR, copies).zeros == 0
    found = calibrated_distance(DOUBLED, NEAR, copies, neighbours=2, duplicates="keep")
    assert found.per_sample.tolist() == [0, 0, 0]
    assert found.zeros == 2


def test_a_train_set_of_pairs_needs_distinct_rows() -> None:
    train = column(0, 0, 4, 4, 9, 9)
    made = column(0, 0.1, 4)
    kept = near_duplicate_rate(train, column(2), made, duplicates="keep")
    assert (kept.threshold, kept.statistic, kept.copies) == (0, 0, 2)
    found = near_duplicate_rate(train, column(2), made)
    assert (found.threshold, found.statistic, found.copies) == (4, 1, 2)


def test_too_few_rows_are_refused() -> None:
    query = column(0.5)
    with pytest.raises(ValueError, match=r"copying: train has 4 distinct rows; at least 50"):
        calibrated_distance(TRAIN, query, query)
    with pytest.raises(ValueError, match=r"copying: train has 1 distinct rows; at least 2"):
        third_ratio(column(1, 1), query, query)
    with pytest.raises(ValueError, match=r"copying: train has 1 distinct row; at least 2"):
        near_duplicate_rate(column(1, 1), query, query)


@pytest.mark.parametrize("quantile", [0.0, 1.0, -0.1, np.nan])
def test_quantiles_out_of_range_are_refused(quantile: float) -> None:
    query = column(0.5)
    with pytest.raises(ValueError, match="calibrated_distance: quantile is"):
        calibrated_distance(TRAIN, query, query, neighbours=2, quantile=quantile)
    with pytest.raises(ValueError, match="near_duplicate_rate: quantile is"):
        near_duplicate_rate(TRAIN, query, query, quantile=quantile)
