"""The rank tests of the cells: distances in a cell, their combination, its null and its spread."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from genmem.copying.cells import Cells
from genmem.copying.chance import generator
from genmem.copying.distances import CopyingDistances, Side
from genmem.copying.exchange import permutation_pvalue
from genmem.copying.rank_sum import SMALL, Null, RankSum, null_z, rank_sum, standardised
from genmem.copying.sets import Float64, Int64, Rows
from genmem.kernels import nearest_sq

# Labellings that are enumerated over all small cells together, at the most.
_PRODUCT = 1_000_000


class Cell(NamedTuple):
    """One cell: rows of each kind, weight, U and z; `used` says whether it counts."""

    train: int
    test: int
    generated: int
    weight: float
    u: float
    z: float
    used: bool


class Placed(NamedTuple):
    """Rows of one kind: cell, distance L to the training rows, nearest training row; (m,) each.

    L is NaN in a cell without training rows.
    """

    cell: Int64
    length: Float64
    owner: Int64

    def inside(self, cell: int) -> npt.NDArray[np.bool_]:
        return np.asarray(self.cell == cell)


def place(held: CopyingDistances, train: Rows, cells: Cells, side: Side, within: bool) -> Placed:
    """L of each row: the distance to the nearest training row, of its own cell if `within`."""
    cell = cells.test if side == "test" else cells.generated
    if not within:
        near = held.to_train(side, 1)
        return Placed(cell, near.distances[:, 0], near.positions[:, 0])
    rows = held.rows(side)
    length, owner = np.full(len(rows), np.nan), np.full(len(rows), -1, np.int64)
    for one in np.unique(cell):
        mine, theirs = np.flatnonzero(cell == one), np.flatnonzero(cells.train == one)
        if len(theirs):
            sq, found = nearest_sq(rows[mine], train[theirs], 1, threads=held.threads)
            length[mine], owner[mine] = np.sqrt(sq[:, 0]), theirs[found[:, 0]]
    return Placed(cell, length, owner)


def rank_cells(
    train: Int64, test: Placed, generated: Placed, count: int, threshold: float
) -> tuple[Cell, ...]:
    """The rank test of each cell 0..count-1; NaN where a cell lacks rows.

    threshold  a cell counts if its share of the generated rows is above it, and it has held-out and
               training rows
    """
    return tuple(_cell(one, train, test, generated, threshold) for one in range(count))


def combine(cells: tuple[Cell, ...]) -> tuple[float, float, float, float]:
    """z = sum w z / sqrt(sum w^2), C_T = sum w z / sum w, its null sd, and P(farther); NaN if no
    cell counts."""
    used = [cell for cell in cells if cell.used]
    if not used:
        return np.nan, np.nan, np.nan, np.nan
    weight = np.array([cell.weight for cell in used])
    total, norm = weight.sum(), np.sqrt((weight**2).sum())
    z = float(weight @ [cell.z for cell in used])
    farther = float(weight @ [cell.u / (cell.test * cell.generated) for cell in used])
    return z / norm, z / total, norm / total, farther / total


def lower_tail(
    cells: tuple[Cell, ...], test: Placed, generated: Placed, draws: int, seed: int
) -> tuple[float, str]:
    """P(Z <= z) and how it was found: the normal law, or labels permuted within small cells."""
    from scipy.stats import norm

    z = combine(cells)[0]
    used = [(number, cell) for number, cell in enumerate(cells) if cell.used]
    if not used:
        return np.nan, "no cell counts"
    if all(min(cell.test, cell.generated) >= SMALL for _, cell in used):
        return float(norm.cdf(z)), "normal law of the combined rank sums"
    random = generator(seed, "labels of C_T")
    weight = np.array([cell.weight for _, cell in used])
    null = [
        null_z(_lengths(generated, number), _lengths(test, number), draws, random)
        for number, _ in used
    ]
    sums, enumerated = _combined(null, weight / np.sqrt((weight**2).sum()), draws, random)
    if enumerated:
        slack = 1e-12 * max(1.0, abs(z))
        return float((sums <= z + slack).mean()), "every labelling within the cells"
    return permutation_pvalue(z, sums, high=False), f"labels permuted {draws} times within cells"


def resampled(
    cells: tuple[Cell, ...], test: Placed, generated: Placed, resamples: int, seed: int
) -> Float64:
    """z and P(farther) of resamples of held-out and generated rows, (B, 2).

    Rows with the same nearest training row are drawn together.

    A resample weighs rows: with w of generated and v of held-out rows, U = sum_q w_q V_q, V_q the
    weight of held-out values below L(q) and half that of values equal to it.
    """
    random = generator(seed, "resamples of C_T")
    draws = [Draws(side.owner) for side in (generated, test)]
    ordered = [
        Ordered.of(np.flatnonzero(generated.inside(i)), np.flatnonzero(test.inside(i)), cell,
                   generated.length, test.length)
        for i, cell in enumerate(cells) if cell.used
    ]  # fmt: skip
    found = np.empty((resamples, 2))
    for one in found:
        ge, ho = (draw.weights(random) for draw in draws)
        parts = tuple(part for item in ordered if (part := item.resample(ge, ho)) is not None)
        z, _, _, farther = combine(parts)
        one[:] = z, farther
    return found


class Draws:
    """Resamples of rows in clusters, as counts per row."""

    def __init__(self, owner: Int64) -> None:
        _, self.member = np.unique(owner, return_inverse=True)
        self.clusters = int(self.member.max()) + 1

    def weights(self, random: np.random.Generator) -> Int64:
        drawn = random.integers(0, self.clusters, self.clusters)
        return np.bincount(drawn, minlength=self.clusters)[self.member]


class Ordered(NamedTuple):
    """A cell with its values numbered in ascending order, so that a resample needs no sort."""

    generated: Int64
    test: Int64
    generated_place: Int64
    test_place: Int64
    places: int
    cell: Cell
    rank: RankSum

    @classmethod
    def of(
        cls, generated: Int64, test: Int64, cell: Cell, lengths: Float64, others: Float64
    ) -> Ordered:
        values = np.concatenate([lengths[generated], others[test]])
        distinct, number = np.unique(values, return_inverse=True)
        number = number.reshape(-1).astype(np.int64)
        rank = rank_sum(lengths[generated], others[test])
        split = len(generated)
        return cls(generated, test, number[:split], number[split:], len(distinct), cell, rank)

    def resample(self, generated: Int64, test: Int64) -> Cell | None:
        """The cell under weights of all generated and held-out rows; None if it becomes empty."""
        w, v = generated[self.generated], test[self.test]
        m, n = int(w.sum()), int(v.sum())
        if not m or not n:
            return None
        at = np.bincount(self.test_place, v, minlength=self.places)
        below = np.cumsum(at) - at / 2
        u = float(w @ below[self.generated_place])
        whole, old = m + n, self.cell.test + self.cell.generated
        # The loss by ties is a share of the variance; it is kept from the cell as it is.
        untied = self.cell.test * self.cell.generated / 12 * (old + 1)
        sd = self.rank.sd * np.sqrt(n * m / 12 * (whole + 1) / untied)
        z = standardised(u, n * m / 2, float(sd))
        return self.cell._replace(test=n, generated=m, u=u, z=z)


def placements(cells: tuple[Cell, ...], test: Placed, generated: Placed) -> Float64:
    """Share of the held-out rows of its cell that are nearer than each generated row, ties half."""
    share = np.full(len(generated.cell), np.nan)
    for number, cell in enumerate(cells):
        if cell.used:
            others = np.sort(_lengths(test, number))
            mine = generated.length[generated.inside(number)]
            low, high = (np.searchsorted(others, mine, side) for side in ("left", "right"))
            share[generated.inside(number)] = (low + high) / (2 * len(others))
    return share


def _cell(number: int, train: Int64, test: Placed, generated: Placed, threshold: float) -> Cell:
    rows, others, made = (
        int((kind == number).sum()) for kind in (train, test.cell, generated.cell)
    )
    weight, share = others / len(test.cell), made / len(generated.cell)
    if not (rows and others and made):
        return Cell(rows, others, made, weight, np.nan, np.nan, False)
    found = rank_sum(_lengths(generated, number), _lengths(test, number))
    return Cell(rows, others, made, weight, found.u, found.z, share > threshold)


def _lengths(side: Placed, cell: int) -> Float64:
    return side.length[side.inside(cell)]


def _combined(null: list[Null], weight: Float64, draws: int, random: np.random.Generator) -> Null:
    """Weighted sums of one z of each cell: all of them if enumerated and few, else draws."""
    sizes = [float(len(one.z)) for one in null]
    if all(one.enumerated for one in null) and np.prod(sizes) <= _PRODUCT:
        sums = np.zeros(1)
        for one, w in zip(null, weight, strict=True):
            sums = (sums[:, None] + w * one.z).reshape(-1)
        return Null(sums, True)
    sums = np.zeros(draws)
    for one, w in zip(null, weight, strict=True):
        drawn = random.integers(0, len(one.z), draws) if one.enumerated else slice(None)
        sums += w * one.z[drawn]
    return Null(sums, False)
