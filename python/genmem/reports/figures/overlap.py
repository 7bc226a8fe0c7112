"""How many of the most memorized samples two models share, against what chance would give."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from genmem.reports import words
from genmem.reports.comparison import has, pairs
from genmem.reports.figures.agreement_dots import MOST, row_name
from genmem.reports.figures.canvas import Drawing, draw, legend_above
from genmem.reports.figures.palette import ACCENT, INK
from genmem.reports.figures.rows import lay_rows
from genmem.reports.tables import FALSE_DISCOVERY_RATE, Tables, column

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

NEEDED = ("overlap", "overlap_expected", "k")


def overlap(tables: Tables) -> Drawing | None:
    """Share of samples in both top-k sets, and its mean by chance; None if the table lacks it."""
    table = pairs(tables)
    if not all(has(table, name) for name in NEEDED):
        return None
    shown = table.head(MOST)
    tree = draw("overlap", lambda axes: _paint(axes, shown), height=78 + 25.0 * len(shown))
    k = words.count(int(column(table, "k")[0]))
    chance = words.plain(float(column(table, "overlap_expected")[0]))
    caption = (
        f"Of the {k} most memorized samples of each, {_range(table)}. "
        f"Chance alone gives {chance} (tick).{_significant(table)}"
    )
    cells = [
        f"{row['a']} and {row['b']} share {row['overlap']:.0f} of {row['k']:.0f}"
        for _, row in shown.iterrows()
    ]
    alt = f"Dots: {'; '.join(cells)}."
    return Drawing("overlap", "The same samples at the top", caption, alt, tree)


def _range(table: pd.DataFrame) -> str:
    shared = column(table, "overlap")
    most, least = int(np.argmax(shared)), int(np.argmin(shared))
    high, low = (
        f"{words.count(int(shared[row]))} ({table['a'].iloc[row]} and {table['b'].iloc[row]})"
        for row in (most, least)
    )
    return f"two models share {high}" if len(table) == 1 else f"two models share {low} to {high}"


def _significant(table: pd.DataFrame) -> str:
    if not has(table, "overlap_pvalue"):
        return ""
    beyond = int((column(table, "overlap_pvalue") <= FALSE_DISCOVERY_RATE / len(table)).sum())
    return (
        f" {beyond} of {words.counted(len(table), 'pair')} share more than chance explains "
        "(5\u202f%, Bonferroni)."
    )


def _paint(axes: Axes, table: pd.DataFrame) -> None:
    places = lay_rows(axes, [row_name(row) for _, row in table.iterrows()])
    k = column(table, "k")
    shared, chance = 100 * column(table, "overlap") / k, 100 * column(table, "overlap_expected") / k
    axes.hlines(places, chance, shared, color=ACCENT, linewidth=2, alpha=0.55)
    axes.plot(chance, places, "|", color=INK, markersize=11, markeredgewidth=1.6, label="chance")
    axes.plot(shared, places, "o", color=ACCENT, markersize=6.5, label="shared")
    axes.set_xlim(0, max(5.0, min(104.0, float(max(shared.max(), chance.max())) * 1.12 + 1)))
    axes.set_xlabel(f"share of the top {k[0]:.0f} in common (%)")
    legend_above(axes)
