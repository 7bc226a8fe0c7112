"""AuthPct: golden values, brute force with unequal sizes, the index error, duplicates."""

import numpy as np
import pytest
from scipy.stats import fisher_exact

from budget import assert_within
from draws import Maker, brute_force, column
from genmem.copying import authenticity

TRAIN, GENERATED = column(0, 1, 3, 6), column(-1.5, 10, 0.1, 4.4)


def by_definition(train, generated):
    own = brute_force(train, train)
    np.fill_diagonal(own, np.inf)
    apart = brute_force(generated, train)
    nearest = apart.argmin(axis=1)
    return own.min(axis=1)[nearest] < apart.min(axis=1)


def by_wrong_index(train, generated):
    """Per real row, with the real-to-real distances looked up by the place of a synthetic row."""
    own = brute_force(train, train)
    np.fill_diagonal(own, np.inf)
    apart = brute_force(train, generated)
    place = apart.argmin(axis=1)
    return own.min(axis=1)[place] < apart.min(axis=1)


def test_golden_values() -> None:
    found = authenticity(TRAIN, column(0.5, 2.2), GENERATED)
    assert found.per_sample.tolist() == [1, 1, 0, 0]
    assert (found.statistic, found.offset) == (50, 0)
    assert found.nearest.tolist() == [0, 3, 0, 2]


def test_the_wrong_index_is_not_repeated(draws: Maker) -> None:
    assert by_wrong_index(TRAIN, GENERATED).mean() == 0
    train, test, generated = draws(1, (120, 80, 90), copies=30, near=0.1)
    found = authenticity(train, test, generated)
    assert_within(found.statistic, 100 * by_definition(train, generated).mean(), 1e-12)
    assert abs(found.statistic - 100 * by_wrong_index(train, generated[:90]).mean()) > 5


@pytest.mark.parametrize("rows", [(40, 30, 70), (70, 5, 20), (2, 1, 1)])
def test_agrees_with_brute_force(draws: Maker, rows: tuple[int, int, int]) -> None:
    train, test, generated = draws(2, rows)
    found = authenticity(train, test, generated)
    assert (found.per_sample == by_definition(train, generated)).all()
    assert_within(found.reference, 100 * by_definition(train, test).mean(), 1e-12)
    hits, base = int(found.per_sample.sum()), round(found.reference * rows[1] / 100)
    table = [[hits, rows[2] - hits], [base, rows[1] - base]]
    assert_within(found.pvalue, fisher_exact(table, alternative="less").pvalue, 1e-9)


def test_near_copies_of_a_doubled_row_are_copies() -> None:
    train = column(0, 0, 5)
    near = column(0.01, 0.02)
    assert authenticity(train, near, near).statistic == 0
    kept = authenticity(train, near, near, duplicates="keep")
    assert kept.statistic == 100
    assert kept.duplicates.equal == 1


def test_exact_copies_are_never_authentic() -> None:
    train = column(0, 0, 5)
    for policy in ("keep", "distinct"):
        found = authenticity(train, column(2.0), column(0, 0, 5), duplicates=policy)
        assert found.statistic == 0
        assert found.copies == 3


def test_a_single_row_is_refused() -> None:
    with pytest.raises(ValueError, match="train has 1 distinct row; at least 2 are wanted"):
        authenticity(column(1, 1), column(2), column(3))
    with pytest.raises(ValueError, match="train has 1 row; at least 2 are wanted"):
        authenticity(column(1), column(2), column(3), duplicates="keep")
    assert authenticity(column(1, 1), column(2), column(3), duplicates="keep").statistic == 100
