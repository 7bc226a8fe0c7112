"""Which attributes of a sample go with its memorization score, most telling first."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from genmem.reports import words
from genmem.reports.figures.canvas import Drawing, draw
from genmem.reports.figures.palette import ACCENT, CONTRAST, MUTED, PAPER
from genmem.reports.figures.rows import lay_rows, two_lines
from genmem.reports.tables import FALSE_DISCOVERY_RATE, Tables

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

MOST = 20
# M is the difference of these two; their names in the table do not stand alone.
PARTS = {"log_in": "log p, sample included", "log_out": "log p, sample excluded"}
MODEL_ATTRIBUTES = frozenset({"reconstruction_error", "kl", "log_p", "log_in", "log_out", "loss"})


def of_model(attribute: str) -> bool:
    """Whether an attribute is read off a trained model, and not off the data alone."""
    return attribute in MODEL_ATTRIBUTES


def plain_label(label: str) -> str:
    """A label without its note in brackets at the end: "KL (nats)" becomes "KL"."""
    head, _, tail = str(label).rpartition(" (")
    return head if head and tail.endswith(")") else str(label)


def attribute_name(row: pd.Series) -> str:
    """The name of an attribute in prose and in margins, without its unit."""
    return PARTS.get(str(row["attribute"]), plain_label(str(row["label"])))


def ranked(tables: Tables) -> pd.DataFrame:
    """Rows of the correlation table with a coefficient, largest absolute value first."""
    assert tables.correlations is not None
    table = tables.correlations[np.isfinite(tables.correlations["spearman"])]
    order = np.argsort(-table["spearman"].abs().to_numpy(), kind="stable")
    ordered: pd.DataFrame = table.iloc[order].reset_index(drop=True)
    return ordered


def attribute_correlations(tables: Tables) -> Drawing | None:
    """Spearman correlation of each attribute with M, with its interval; None if none is defined."""
    table = ranked(tables)
    if not len(table):
        return None
    shown = table.head(MOST)
    height = 84 + 31.0 * len(shown)
    tree = draw("attribute_correlations", lambda axes: _paint(axes, shown), height=height)
    cells = [f"{row['label']} {words.correlation(row['spearman'])}" for _, row in shown.iterrows()]
    alt = f"Dots with intervals: {'; '.join(cells)}."
    title = "Attributes against M, most telling first"
    return Drawing("attribute_correlations", title, _caption(table), alt, tree)


def _caption(table: pd.DataFrame) -> str:
    model = table["attribute"].map(of_model)
    parts = []
    kinds = {"the data alone (circles)": table[~model], "a model (diamonds)": table[model]}
    for kind, group in kinds.items():
        if len(group):
            first = group.iloc[0]
            ends = words.interval(first["lower"], first["upper"], words.correlation)
            rho = words.correlation(first["spearman"])
            parts.append(
                f"Of the attributes of {kind}, {attribute_name(first)} tells most: {rho} "
                f"(95\u202f% interval {ends})."
            )
    significant = int((table["qvalue"] <= FALSE_DISCOVERY_RATE).sum())
    more = f" The {MOST} strongest are drawn." if len(table) > MOST else ""
    return (
        f"{' '.join(parts)} {significant} of {len(table)} differ from zero at a false discovery "
        f"rate of 5\u202f% (filled).{more}"
    )


def _paint(axes: Axes, table: pd.DataFrame) -> None:
    places = lay_rows(axes, [two_lines(attribute_name(row)) for _, row in table.iterrows()])
    for place, (_, row) in zip(places, table.iterrows(), strict=True):
        colour = ACCENT if row["spearman"] > 0 else CONTRAST
        face = colour if row["qvalue"] <= FALSE_DISCOVERY_RATE else PAPER
        form, size = ("D", 6) if of_model(str(row["attribute"])) else ("o", 7)
        ends = [row["lower"], row["upper"]]
        axes.plot(ends, [place, place], color=colour, linewidth=2, alpha=0.55)
        dots = axes.plot(row["spearman"], place, form, color=colour, markersize=size, zorder=3)
        dots[0].set_markerfacecolor(face)
    axes.axvline(0, color=MUTED, linewidth=0.9)
    reach = np.abs(table[["lower", "upper", "spearman"]].to_numpy(dtype=np.float64))
    edge = min(1.04, float(np.nanmax(reach)) * 1.08 + 0.02)
    axes.set_xlim(-edge, edge)
    axes.set_xlabel("Spearman correlation with M")
    axes.set_title("← memorized less", loc="left", fontsize=10, color=MUTED, pad=4)
    axes.set_title("memorized more →", loc="right", fontsize=10, color=MUTED, pad=4)
