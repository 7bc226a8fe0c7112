"""Rank agreement of all pairs of models: as it is, and with the data's attributes held fixed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from genmem.reports import words
from genmem.reports.comparison import has, models, pairs
from genmem.reports.figures.canvas import Drawing, draw
from genmem.reports.figures.palette import ACCENT, CONTRAST, INK, MUTED
from genmem.reports.figures.rows import clipped
from genmem.reports.tables import Tables, column

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Floats = npt.NDArray[np.float64]
CELL = 52.0


def agreement_matrix(tables: Tables) -> Drawing | None:
    """Spearman of M below the diagonal, partial Spearman above; None below three models."""
    names = models(tables)
    if len(names) < 3:
        return None
    grid = _grid(tables, names)
    size = 92 + CELL * len(names)
    tree = draw(
        "agreement_matrix",
        lambda axes: _paint(axes, grid, names),
        width=size + 20,
        height=size - 20,
    )
    left = "what is left with the attributes of the data held fixed"
    above = left if np.isfinite(grid[np.triu_indices(len(names), 1)]).any() else "nothing"
    caption = (
        "Below the diagonal, the rank correlation of M between two models; above it, "
        f"{above}. {_averages(grid, names)}"
    )
    cells = [
        f"{names[i]} and {names[j]} {words.correlation(grid[j, i])}"
        for j in range(len(names))
        for i in range(j)
    ]
    alt = f"Matrix: {'; '.join(cells)}."
    return Drawing("agreement_matrix", "Agreement between models", caption, alt, tree)


def _grid(tables: Tables, names: list[str]) -> Floats:
    table = pairs(tables)
    grid = np.full((len(names), len(names)), np.nan)
    plain = column(table, "spearman")
    partial = column(table, "partial") if has(table, "partial") else np.full(len(plain), np.nan)
    for a, b, value, left in zip(table["a"], table["b"], plain, partial, strict=True):
        i, j = sorted((names.index(a), names.index(b)))
        grid[j, i], grid[i, j] = value, left
    return grid


def _paint(axes: Axes, grid: Floats, names: list[str]) -> None:
    from matplotlib.patches import Rectangle

    n = len(names)
    for j, i in np.argwhere(np.isfinite(grid)):
        value = float(grid[j, i])
        colour = ACCENT if value >= 0 else CONTRAST
        corner = (i - 0.47, j - 0.47)
        shade = 0.55 * min(1.0, abs(value))
        axes.add_patch(Rectangle(corner, 0.94, 0.94, color=colour, alpha=shade, linewidth=0))
        axes.text(i, j, words.correlation(value), ha="center", va="center", color=INK)
    axes.plot([-0.5, n - 0.5], [-0.5, n - 0.5], color=MUTED, linewidth=0.8)
    short = [clipped(name, 14) for name in names]
    axes.set_xticks(range(n), short, **_turned(short))
    axes.set_yticks(range(n), short)
    axes.set_xlim(-0.5, n - 0.5)
    axes.set_ylim(n - 0.5, -0.5)
    axes.set_aspect("equal")
    axes.grid(visible=False)
    axes.tick_params(length=0)
    for spine in axes.spines.values():
        spine.set_visible(False)


def _turned(names: list[str]) -> dict[str, Any]:
    """Level names where they fit under a cell, slanted ones otherwise."""
    return {"rotation": 30, "ha": "right"} if max(map(len, names)) > 9 else {}


def _averages(grid: Floats, names: list[str]) -> str:
    below = np.where(np.tri(len(names), k=-1, dtype=bool), grid, np.nan)
    both = np.fmax(below, below.T)
    if not np.isfinite(both).any(axis=1).all():
        return ""
    means = np.nanmean(both, axis=1)
    most, least = int(np.argmax(means)), int(np.argmin(means))
    return (
        f"On average over the others, {names[most]} agrees most "
        f"({words.correlation(means[most])}) and {names[least]} least "
        f"({words.correlation(means[least])})."
    )
