"""C_T: are generated samples nearer to the training data than held-out ones, cell by cell?"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from genmem.arrays import Readable
from genmem.copying.cell_tests import (
    Cell,
    Placed,
    combine,
    lower_tail,
    place,
    placements,
    rank_cells,
    resampled,
)
from genmem.copying.cells import cells_of
from genmem.copying.chance import generator
from genmem.copying.distances import CopyingDistances, gathered
from genmem.copying.exchange import EXCHANGEABLE
from genmem.copying.resampling import check_level, percentile
from genmem.copying.results import CopyingResult, policy
from genmem.copying.sets import Features, Int64, Sets
from genmem.density.parameters import check_count

CELLS = 3


@dataclass(frozen=True, kw_only=True, eq=False)
class DataCopying(CopyingResult):
    """The rank test of distances, combined over cells.

    statistic    z = sum w_c z_c / sqrt(sum w_c^2): standard normal without copying, << 0 with it
    per_sample   (m,) share of the held-out rows of its cell that are nearer to the training rows
                 than this generated row, ties counting one half; NaN in a cell that is not used
    c_t          the published form sum w_c z_c / sum w_c; its null deviation is not 1 but null_sd
    probability  P(generated farther than held-out), mean over cells by weight, with its interval;
                 1/2 without copying
    """

    name = "data_copying"
    copying_is = "low"

    c_t: float
    null_sd: float
    probability: float
    probability_ci: tuple[float, float]
    cells: tuple[Cell, ...]


def data_copying(
    train: Readable,
    test: Readable,
    generated: Readable,
    *,
    features: Features = None,
    seed: int = 0,
    duplicates: str = "keep",
    distances: CopyingDistances | None = None,
    cells: int = CELLS,
    within_cell: bool = True,
    threshold: float | None = None,
    permutations: int = 9999,
    resamples: int = 1000,
    level: float = 0.95,
    threads: int | None = None,
) -> DataCopying:
    """Rank test of L(q), the distance of q to the training rows, generated against held-out rows.

    U_c = #{L(q) > L(p)} + #{=}/2 in cell c;  z = sum w_c z_c / sqrt(sum w_c^2),  w_c = n_c / n

    train, test, generated  (N, ...), (n, ...), (m, ...)
    features     "pixels" (default), "pca", a function of one set, or three arrays
    duplicates   "keep", "distinct" (k-means sees equal training rows once) or "raise"
    distances    the neighbours of these three sets, computed before and shared between tests
    cells        of k-means on the training rows; 1 = the whole space
    within_cell  False: L is the distance to all training rows, not only to those of the cell. The
                 nearest one may lie across the border, but a copy never does
    threshold    least share of the generated rows in a cell that counts; default 20 / m

    p-value: lower tail of the normal law; where a cell has fewer than 20 rows of a kind, labels are
    permuted within it. A cell without held-out or training rows, or with too few generated ones,
    does not count and is reported; with none left, the answer is NaN.

    Raises ValueError for wrong shapes, values that are not finite, or an option out of range.
    Source: Meehan, Chaudhuri & Dasgupta (2020), A non-parametric test to detect data-copying in
    generative models.
    """
    operation = "data_copying"
    check_level(operation, level, resamples)
    check_count(permutations, "permutations", operation)
    held = gathered(operation, (train, test, generated), features, seed, threads, distances)
    treated = policy(operation, held, duplicates)
    rows = held.train if duplicates == "keep" else held.distinct
    if check_count(cells, "cells", operation) > len(held.distinct):
        raise ValueError(
            f"{operation}: cells is {cells}; at most {len(held.distinct)} is wanted, the number of "
            "distinct rows of train"
        )
    placed = cells_of(Sets(rows, held.test, held.generated), cells, held.seed, held.threads)
    test, made = (place(held, rows, placed, side, within_cell) for side in ("test", "generated"))
    least = 20 / len(held.generated) if threshold is None else threshold
    found = rank_cells(placed.train, test, made, cells, least)
    z, c_t, null_sd, farther = combine(found)
    pvalue, how = lower_tail(found, test, made, permutations, held.seed)
    spread = resampled(found, test, made, resamples, held.seed)
    return DataCopying(
        statistic=z,
        reference=_reference(placed.train, test, cells, least, held.seed),
        pvalue=pvalue,
        ci=percentile(spread[:, 0], level),
        level=level,
        per_sample=placements(found, test, made),
        null=f"{EXCHANGEABLE}; {how}",
        copies=int((made.length == 0).sum()),
        duplicates=treated,
        notes=_notes(found, least),
        c_t=c_t,
        null_sd=null_sd,
        probability=farther,
        probability_ci=percentile(spread[:, 1], level),
        cells=found,
    )


def _reference(train: Int64, test: Placed, cells: int, threshold: float, seed: int) -> float:
    """z of one half of the held-out rows against the other; NaN if there are no two rows."""
    count = len(test.cell)
    if count < 2:
        return np.nan
    order = generator(seed, "halves of C_T").permutation(count)
    halves = [
        Placed(test.cell[rows], test.length[rows], test.owner[rows])
        for rows in np.array_split(order, 2)
    ]
    return combine(rank_cells(train, halves[0], halves[1], cells, threshold))[0]


def _notes(cells: tuple[Cell, ...], threshold: float) -> tuple[str, ...]:
    return tuple(
        f"cell {number} does not count: {cell.train} training, {cell.test} held-out and "
        f"{cell.generated} generated rows, at least 1, 1 and a share above {threshold:.3g} wanted"
        for number, cell in enumerate(cells)
        if not cell.used
    )
