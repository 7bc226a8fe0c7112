"""rho: golden values, brute force, the row-0 error, copies, duplicates, permutations."""

import numpy as np
import pytest

from budget import assert_within
from draws import Maker, brute_force, column
from genmem.copying import CopyingDistances, nearest_ratio
from genmem.copying.nearest_ratio import LIST

X, HELD_OUT, GENERATED = column(0, 1, 3), column(0.5, 2, 4), column(0.1, 1.4, 2.9)


def row_zero_ratio(train, test, generated):
    """rho as published code computes it: distances of the first row at the places of the others."""
    nearest = []
    for side in (test, generated):
        apart = brute_force(train, side)
        nearest.append(apart[0, apart.argmin(axis=1)])
    return nearest[0] / nearest[1]


def test_golden_values() -> None:
    found = nearest_ratio(X, HELD_OUT, GENERATED)
    assert_within(found.per_sample, [5, 1.25, 10], 1e-11)
    assert found.statistic == 1
    assert_within(found.mean_log, np.log([5, 1.25, 10]).mean(), 1e-11)


def test_the_error_of_row_zero_is_not_repeated(draws: Maker) -> None:
    assert_within(
        row_zero_ratio(X, HELD_OUT, GENERATED), [5, 0.357142857143, 0.689655172414], 1e-11
    )
    sets = draws(rows=(200, 150, 150), copies=20, near=0.02)
    right, wrong = nearest_ratio(*sets).per_sample, row_zero_ratio(*sets)
    copied = np.arange(200) < 20
    auc = [(score[copied][:, None] > score[~copied]).mean() for score in (right, wrong)]
    assert auc[0] > 0.97
    assert auc[1] < 0.7


@pytest.mark.parametrize("rows", [(40, 30, 30), (40, 60, 25), (1, 5, 9), (50, 1, 1)])
def test_rows_are_those_of_brute_force(draws: Maker, rows: tuple[int, int, int]) -> None:
    sets = draws(1, rows)
    shared = CopyingDistances(*sets)
    found = nearest_ratio(*sets, distances=shared)
    kept = {side: shared.rows(side)[shared.matched[side]] for side in ("test", "generated")}
    assert found.compared == min(rows[1:]) == len(kept["test"]) == len(kept["generated"])
    want = brute_force(sets.train, kept["test"]).min(1)
    want = want / brute_force(sets.train, kept["generated"]).min(1)
    assert_within(found.per_sample, want, 1e-11 * want)
    assert_within(found.statistic, (want > 1).mean(), 1e-12)
    assert_within(found.mean_log, np.log(want).mean(), 1e-11)


def test_permutations_agree_with_relabelling_by_hand(draws: Maker) -> None:
    """The list of 40 serves every labelling: its null is that of searching anew each time."""
    from genmem.copying.chance import generator

    train, test, generated = draws(2, (30, 45, 45))
    found = nearest_ratio(train, test, generated, permutations=50)
    union, random = np.concatenate([test, generated]), generator(0, "labels of rho")
    apart = brute_force(train, union)
    shares, logs = [], []
    for _ in range(50):
        label = np.zeros(90, bool)
        label[random.permutation(90)[:45]] = True
        to_made, to_test = apart[:, label].min(1), apart[:, ~label].min(1)
        shares.append((to_made < to_test).mean())
        logs.append(np.log(to_test / to_made).mean())
    assert found.pvalue == (1 + (np.array(shares) >= found.statistic - 1e-12).sum()) / 51
    assert found.mean_log_pvalue == (1 + (np.array(logs) >= found.mean_log - 1e-12).sum()) / 51


def test_a_list_shorter_than_the_sets_is_searched_to_its_end() -> None:
    """100 generated rows nearer than any held-out one: the list of a row holds one label only."""
    near = np.linspace(0.1, 0.2, 100)[:, None]
    found = nearest_ratio(column(0.0), near + 5, near, permutations=19)
    assert LIST < 100
    assert found.statistic == 1
    assert_within(found.per_sample, [51.0], 1e-9)
    assert found.reference in (0, 1)


def test_copies_are_infinite_and_copies_in_both_sets_undefined() -> None:
    found = nearest_ratio(column(0, 1, 2, 5), column(0, 9, 2.5), column(0, 1, 2.5))
    assert np.isnan(found.per_sample[0])
    assert found.per_sample[1] == np.inf
    assert found.per_sample[2] == 1
    assert (found.undefined, found.infinite, found.copies) == (1, 1, 2)
    assert found.notes == ("1 training row has a copy in both sets: their rho is undefined",)
    # Row 2 ties, row 3 (2.5 from both) too: (1 + 1/2 + 1/2) / 3 over the rows that are defined.
    assert_within(found.statistic, 2 / 3, 1e-12)


def test_equal_training_rows_count_once_unless_kept() -> None:
    train = column(0, 0, 0, 4)
    sets = train, column(1, 4.5), column(0.5, 6)
    found = nearest_ratio(*sets)
    assert found.statistic == 0.5
    assert (found.duplicates.equal, found.duplicates.groups) == (2, 1)
    assert nearest_ratio(*sets, duplicates="keep").statistic == 0.75
    assert_within(found.per_sample, [2, 2, 2, 0.25], 1e-12)
    with pytest.raises(ValueError, match=r"nearest_ratio: rows 0, 1, 2 of train are equal"):
        nearest_ratio(*sets, duplicates="raise")


def test_the_reference_compares_halves_of_the_held_out_rows(draws: Maker) -> None:
    references = [nearest_ratio(*draws(s), permutations=1).reference for s in range(20)]
    assert 0.4 < np.mean(references) < 0.6
    assert np.std(references) > 0
    shifted = draws(0)
    far = shifted._replace(generated=shifted.generated + 9)
    assert nearest_ratio(*far).statistic == 0
    assert nearest_ratio(*far).reference == nearest_ratio(*shifted).reference
