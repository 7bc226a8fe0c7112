"""The most telling attributes of a sample against its memorization score, one panel each."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from genmem.reports import words
from genmem.reports.association import associate
from genmem.reports.figures.attribute_correlations import plain_label, ranked
from genmem.reports.figures.canvas import Drawing
from genmem.reports.figures.rows import clipped
from genmem.reports.figures.scatter import scatter
from genmem.reports.tables import Tables

Floats = npt.NDArray[np.float64]
PANELS = 4
DRAWN_ELSEWHERE = frozenset({"log_in", "log_out"})


def attribute_scatters(tables: Tables, panels: int = PANELS) -> list[Drawing]:
    """Scatter plots of the `panels` most telling attributes that the samples have values for.

    log p with and without the sample has figures of its own.
    """
    assert tables.attributes is not None
    names = set(tables.attributes.columns) - DRAWN_ELSEWHERE
    rows = [row for _, row in ranked(tables).iterrows() if row["attribute"] in names][:panels]
    return [
        _panel(tables, str(row["attribute"]), str(row["label"]), place)
        for place, row in enumerate(rows, start=1)
    ]


def _panel(tables: Tables, attribute: str, label: str, place: int) -> Drawing:
    assert tables.attributes is not None
    x = tables.aligned(tables.attributes, attribute)
    name = f"attribute_{place}"
    tree, aside = scatter(name, x, tables.score, tables.memorized, clipped(label, 58))
    found = associate(x, tables.score)
    title = plain_label(label)
    alt = f"Scatter plot of M against {label}, rank correlation {words.correlation(found.value)}."
    return Drawing(
        name, f"{title[:1].upper()}{title[1:]}", f"{_ends(x, tables.score)}{aside}", alt, tree
    )


def _ends(x: Floats, score: Floats) -> str:
    kept = np.isfinite(x) & np.isfinite(score)
    x, score = x[kept], score[kept]
    if len(x) < 20 or np.ptp(x) == 0:
        return f"{words.counted(len(x), 'sample')}."
    order = np.argsort(x, kind="stable")
    tenth = max(1, len(x) // 10)
    low, high = (
        words.nats(float(np.median(score[part]))) for part in (order[:tenth], order[-tenth:])
    )
    return f"Median M is {low} nats in the lowest tenth and {high} nats in the highest."
