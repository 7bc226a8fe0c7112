"""C_T: golden values, brute force over given cells, borders, empty cells, its null deviation."""

import numpy as np
import pytest
from scipy.stats import mannwhitneyu, norm

from budget import assert_within
from draws import Maker, brute_force, column
from genmem.copying import CopyingDistances, data_copying
from genmem.copying.cell_tests import (
    Placed,
    combine,
    lower_tail,
    place,
    placements,
    rank_cells,
    resampled,
)
from genmem.copying.cells import Cells, cells_of
from genmem.copying.sets import Sets

GENERATED = Placed(
    np.array([0] * 5 + [1] * 4), np.array([0, 0.05, 0.5, 0, 0.5, 0.1, 0.2, 0.3, 0.9]), np.arange(9)
)
HELD_OUT = Placed(
    np.array([0] * 4 + [1] * 5), np.array([0.4, 0.3, 0.2, 0.6, 0.15, 0.5, 0.6, 0.7, 0.8]),
    np.arange(9),
)  # fmt: skip
TRAIN = np.array([0, 1])


def test_golden_values() -> None:
    cells = rank_cells(TRAIN, HELD_OUT, GENERATED, 2, 0.0)
    z, c_t, null_sd, _ = combine(cells)
    assert [cell.u for cell in cells] == [6, 7]
    assert_within(z, -1.018266585029, 1e-11)
    assert_within(c_t, -0.724454161196, 1e-11)
    assert_within(norm.cdf(z), 0.154275641840, 1e-11)
    assert_within(null_sd, np.sqrt(16 + 25) / 9, 1e-12)


def test_small_cells_are_permuted_together() -> None:
    """126 x 126 labellings of both cells against a loop over them all."""
    from genmem.copying.rank_sum import null_z

    cells = rank_cells(TRAIN, HELD_OUT, GENERATED, 2, 0.0)
    pvalue, how = lower_tail(cells, HELD_OUT, GENERATED, 999, 0)
    assert how == "every labelling within the cells"
    parts = [
        null_z(
            GENERATED.length[GENERATED.cell == c], HELD_OUT.length[HELD_OUT.cell == c], 9, None
        ).z
        for c in (0, 1)
    ]
    sums = np.add.outer(4 / 9 * parts[0], 5 / 9 * parts[1]) / np.sqrt((16 + 25) / 81)
    assert_within(pvalue, (sums <= combine(cells)[0] + 1e-12).mean(), 1e-12)


def test_each_cell_is_the_test_of_scipy(draws: Maker) -> None:
    train, test, generated = draws(3, (90, 80, 100))
    found = data_copying(train, test, generated, cells=3, threshold=0.0)
    cells = cells_of(Sets(train, test, generated), 3, 0, None)
    z, weights = [], []
    for number, cell in enumerate(found.cells):
        inner = train[cells.train == number]
        made, held = (
            brute_force(side[of == number], inner).min(1)
            for side, of in ((generated, cells.generated), (test, cells.test))
        )
        want = mannwhitneyu(made, held, alternative="less", method="asymptotic")
        assert_within(cell.u, want.statistic, 1e-9)
        assert_within(norm.cdf(cell.z), want.pvalue, 1e-12)
        assert (cell.train, cell.test, cell.generated) == (len(inner), len(held), len(made))
        z.append(norm.ppf(want.pvalue))
        weights.append(len(held) / len(test))
    assert_within(found.c_t, np.dot(weights, z), 1e-9)
    assert_within(found.statistic, np.dot(weights, z) / np.linalg.norm(weights), 1e-9)
    if min(min(cell.test, cell.generated) for cell in found.cells) >= 20:
        assert_within(found.pvalue, norm.cdf(found.statistic), 1e-12)


def test_one_cell_is_the_whole_space(draws: Maker) -> None:
    train, test, generated = draws(4, (50, 60, 70), copies=20)
    found = data_copying(train, test, generated, cells=1)
    want = mannwhitneyu(
        brute_force(generated, train).min(1),
        brute_force(test, train).min(1),
        alternative="less",
        method="asymptotic",
    )
    assert_within(found.pvalue, want.pvalue, 1e-12)
    assert found.copies == 20
    assert found.null_sd == 1
    assert_within(found.probability, want.statistic / (60 * 70), 1e-12)


def test_a_neighbour_across_the_border_is_seen_on_request() -> None:
    """Training rows 0, 1 | 2, 3; generated 1.6 falls in the first cell, 2 is nearer than 1."""
    train = column(0, 1, 2, 3)
    cells = Cells(np.array([0, 0, 1, 1]), np.array([1]), np.array([0, 1]))
    held = CopyingDistances(train, column(2.6), column(1.6, 3.1))
    inside = place(held, train, cells, "generated", True)
    across = place(held, train, cells, "generated", False)
    assert_within(inside.length, [0.6, 0.1], 1e-12)
    assert_within(across.length, [0.4, 0.1], 1e-12)
    assert (inside.owner.tolist(), across.owner.tolist()) == ([1, 3], [2, 3])


def test_the_whole_training_set_is_one_list(draws: Maker) -> None:
    train, test, generated = draws(6, (90, 80, 100))
    found = data_copying(train, test, generated, within_cell=False, threshold=0.0)
    cells = cells_of(Sets(train, test, generated), 3, 0, None)
    for number, cell in enumerate(found.cells):
        made = brute_force(generated[cells.generated == number], train).min(1)
        held = brute_force(test[cells.test == number], train).min(1)
        assert_within(cell.u, mannwhitneyu(made, held).statistic, 1e-9)


def test_copies_are_found_in_every_cell(draws: Maker) -> None:
    train, test, generated = draws(5, (200, 100, 100), copies=15)
    found = data_copying(train, test, generated, cells=5, threshold=0.0)
    assert found.copies == 15
    assert (found.per_sample[:15] == 0).all()


def test_cells_that_do_not_count_are_reported() -> None:
    train = column(*np.linspace(0, 1, 20), *np.linspace(50, 51, 20))
    test = column(*np.linspace(0.01, 0.99, 30))
    generated = column(*np.linspace(0.02, 0.97, 30), *np.linspace(50.02, 50.9, 10))
    found = data_copying(train, test, generated, cells=2)
    assert sum(cell.used for cell in found.cells) == 1
    assert len(found.notes) == 1
    assert "0 held-out and 10 generated rows" in found.notes[0]
    assert found.undefined == 10
    assert np.isfinite([found.statistic, found.pvalue, *found.ci]).all()


def counted_two_ways(test: Placed, generated: Placed, cells: int) -> float:
    """C_T as published code combines it: a z for as many cells as hold held-out rows, a mask over
    all of them, and a variance that knows no ties."""
    z = np.zeros(len(np.unique(test.cell)))
    for number in range(len(z)):
        made, held = (side.length[side.cell == number] for side in (generated, test))
        m, n = len(made), len(held)
        u = mannwhitneyu(made, held).statistic
        z[number] = (u - n * m / 2 + 0.5) / np.sqrt(n * m * (n + m + 1) / 12)
    counts = np.bincount(generated.cell, minlength=cells) > 0
    weight = np.bincount(test.cell, minlength=cells) / len(test.cell)
    return float(weight[counts] @ z[counts] / weight[counts].sum())


def test_a_last_cell_without_held_out_rows_is_left_out() -> None:
    """Published code stops at it; ours answers as if it were not there, and says so."""
    more = Placed(
        np.append(GENERATED.cell, [2, 2]), np.append(GENERATED.length, [0.1, 0.2]), np.arange(11)
    )
    assert_within(counted_two_ways(HELD_OUT, GENERATED, 2), -0.721238646486, 1e-11)
    with pytest.raises(IndexError, match="boolean index did not match"):
        counted_two_ways(HELD_OUT, more, 3)
    cells = rank_cells(np.array([0, 1, 2]), HELD_OUT, more, 3, 0.0)
    assert [cell.used for cell in cells] == [True, True, False]
    assert_within(combine(cells)[1], -0.724454161196, 1e-11)


def test_no_cell_that_counts_gives_nan(draws: Maker) -> None:
    found = data_copying(*draws(rows=(30, 10, 5)), cells=2)
    assert np.isnan([found.statistic, found.pvalue, found.c_t, *found.ci]).all()
    assert found.undefined == 5
    assert "a share above 4 wanted" in found.notes[0]
    assert found.summary()["statistic"] is None


def test_placements_are_shares_of_held_out_rows() -> None:
    cells = rank_cells(TRAIN, HELD_OUT, GENERATED, 2, 0.0)
    found = placements(cells, HELD_OUT, GENERATED)
    for row in range(9):
        others = HELD_OUT.length[HELD_OUT.cell == GENERATED.cell[row]]
        mine = GENERATED.length[row]
        want = (others < mine).mean() + (others == mine).mean() / 2
        assert_within(found[row], want, 1e-12)


def test_a_resample_is_the_test_of_its_rows(rng: np.random.Generator) -> None:
    """One resample by weights against the rank sums of the rows written out as often as drawn."""
    from genmem.copying.cell_tests import Draws

    owner = rng.integers(0, 6, 30), rng.integers(0, 6, 25)
    made = Placed(rng.integers(0, 2, 30), rng.random(30).round(12), owner[0])
    held = Placed(rng.integers(0, 2, 25), rng.random(25).round(12), owner[1])
    cells = rank_cells(TRAIN, held, made, 2, 0.0)
    found = resampled(cells, held, made, 3, seed=7)
    from genmem.copying.chance import generator

    random = generator(7, "resamples of C_T")
    draws = [Draws(side.owner) for side in (made, held)]
    for one in found:
        weights = [draw.weights(random) for draw in draws]
        farther = 0.0
        for number, cell in enumerate(cells):
            w, v = (
                np.repeat(side.length[side.cell == number], weight[side.cell == number])
                for side, weight in zip((made, held), weights, strict=True)
            )
            u = (w[:, None] > v).sum() + 0.5 * (w[:, None] == v).sum()
            farther += cell.weight * u / (len(w) * len(v))
        assert_within(one[1], farther, 1e-12)


def test_refusals(draws: Maker) -> None:
    sets = draws(rows=(4, 10, 10))
    with pytest.raises(ValueError, match=r"data_copying: cells is 5; at most 4 is wanted"):
        data_copying(*sets, cells=5)
    with pytest.raises(ValueError, match=r"data_copying: cells is 0; a whole number >= 1"):
        data_copying(*sets, cells=0)
    with pytest.raises(ValueError, match=r'duplicates is \'merge\'; "keep" or "distinct" or "rai'):
        data_copying(*sets, duplicates="merge")


def test_published_form_is_no_standard_normal_value() -> None:
    """Five equal cells: its null deviation is 0.447, that of the combined z is 1."""
    random = np.random.default_rng(0)
    held = Placed(np.repeat(np.arange(5), 40), np.empty(200), np.arange(200))
    made = Placed(np.repeat(np.arange(5), 40), np.empty(200), np.arange(200))
    found = []
    for _ in range(400):
        held.length[:], made.length[:] = random.random(200), random.random(200)
        cells = rank_cells(np.arange(5), held, made, 5, 0.0)
        found.append(combine(cells)[:3])
    z, c_t, null_sd = np.array(found).T
    assert_within(null_sd, np.full(400, 1 / np.sqrt(5)), 1e-12)
    assert 0.4 < c_t.std() < 0.5
    assert 0.9 < z.std() < 1.1
