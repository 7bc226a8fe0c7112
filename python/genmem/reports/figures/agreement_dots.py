"""Rank agreement of pairs of models, as it is and with the data's attributes held fixed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from genmem.reports import words
from genmem.reports.comparison import has, pairs, reliabilities
from genmem.reports.figures.canvas import Drawing, draw, legend_above
from genmem.reports.figures.palette import ACCENT, CONTRAST, MUTED, PAPER
from genmem.reports.figures.rows import clipped, lay_rows
from genmem.reports.tables import Tables, column

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

MOST = 21
# Column, and the two of its interval; where in the row; colours of line and face; its name.
FORMS = (
    ("spearman", "lower", "upper", 0.16, ACCENT, ACCENT, "as it is"),
    (
        "partial",
        "partial_lower",
        "partial_upper",
        -0.16,
        CONTRAST,
        PAPER,
        "attributes held fixed",
    ),
)


def agreement_dots(tables: Tables) -> Drawing | None:
    """Spearman and partial Spearman of each pair, with intervals; None if none is defined."""
    table = pairs(tables)
    if not len(table):
        return None
    shown = table.head(MOST)
    tree = draw("agreement_dots", lambda axes: _paint(axes, shown), height=78 + 25.0 * len(shown))
    more = f" The {MOST} highest pairs are drawn." if len(table) > MOST else ""
    caption = f"{_extremes(table)} {_held_fixed(table)}{_ceiling(table)}{more}"
    cells = [
        f"{row['a']} and {row['b']} {words.correlation(row['spearman'])}"
        for _, row in shown.iterrows()
    ]
    alt = f"Dots with intervals: {'; '.join(cells)}."
    return Drawing("agreement_dots", "Agreement, pair by pair", caption, alt, tree)


def row_name(row: pd.Series) -> str:
    """A pair in the margin of a figure: "ELBO – KDE"."""
    return f"{clipped(str(row['a']), 14)} – {clipped(str(row['b']), 14)}"


def _extremes(table: pd.DataFrame) -> str:
    first, last = table.iloc[0], table.iloc[-1]
    highest = words.correlation(first["spearman"])
    if len(table) == 1:
        ends = words.interval(first["lower"], first["upper"], words.correlation)
        return f"{first['a']} and {first['b']} agree with rank correlation {highest} ({ends})."
    lowest = words.correlation(last["spearman"])
    return (
        f"{first['a']} and {first['b']} agree most ({highest}), "
        f"{last['a']} and {last['b']} least ({lowest})."
    )


def _held_fixed(table: pd.DataFrame) -> str:
    if not has(table, "partial"):
        return "What is left with the attributes of the data held fixed was not computed."
    before, after = (
        words.correlation(float(np.nanmedian(column(table, name))))
        for name in ("spearman", "partial")
    )
    return (
        "With the attributes of the data held fixed (open, orange) the median over pairs goes "
        f"from {before} to {after}: the part of the agreement that the measured attributes do not "
        "explain."
    )


def _ceiling(table: pd.DataFrame) -> str:
    own = reliabilities(table)
    if not own:
        return ""
    each = words.listed([f"{name} {words.correlation(value)}" for name, value in own.items()])
    return f" A model agrees even with itself, trained again, only this far: {each}."


def _paint(axes: Axes, table: pd.DataFrame) -> None:
    places = lay_rows(axes, [row_name(row) for _, row in table.iterrows()])
    lowest = 0.0
    for name, lower, upper, shift, colour, face, label in FORMS:
        if not has(table, name):
            continue
        values, here = column(table, name), places + shift
        lowest = min(lowest, float(np.nanmin(values)))
        if has(table, lower) and has(table, upper):
            ends = column(table, lower), column(table, upper)
            axes.hlines(here, *ends, color=colour, linewidth=2, alpha=0.55)
            lowest = min(lowest, float(np.nanmin(ends[0])))
        dots = axes.plot(values, here, "o", color=colour, markersize=6.5, label=label, zorder=3)
        dots[0].set_markerfacecolor(face)
    axes.axvline(0, color=MUTED, linewidth=0.9)
    axes.set_xlim(lowest - 0.04, 1.02)
    axes.set_xlabel("Spearman correlation of M")
    legend_above(axes)
