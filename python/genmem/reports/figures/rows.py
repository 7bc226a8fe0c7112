"""Charts with one row a thing: names on the left, dots and intervals along a common axis."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from genmem.reports.figures.palette import GRAIN

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Floats = npt.NDArray[np.float64]
LINE = 12.0


def lay_rows(axes: Axes, names: list[str]) -> Floats:
    """Name the rows, first on top, rule a dotted line along each; returns their heights (n,).

    Matplotlib's tick labels place each line of a name by the widths of its own font, which the page
    does not use; these are anchored at their right ends.
    """
    places = np.arange(len(names), dtype=np.float64)[::-1]
    axes.set_yticks(places, [""] * len(names))
    axes.set_ylim(-0.7, len(names) - 0.3)
    axes.grid(visible=False, axis="y")
    axes.spines["left"].set_visible(False)
    across = axes.get_yaxis_transform()
    ruled = axes.hlines(places, 0, 1, transform=across, color=GRAIN, linewidth=0.4, zorder=0)
    ruled.set(alpha=0.5, linestyle=(0, (1, 3)))
    for place, name in zip(places, names, strict=True):
        _name_row(axes, float(place), name.split("\n"))
    return places


def _name_row(axes: Axes, place: float, lines: list[str]) -> None:
    for number, line in enumerate(lines):
        axes.annotate(
            line,
            (0, place),
            xycoords=axes.get_yaxis_transform(),
            xytext=(-7, LINE * ((len(lines) - 1) / 2 - number)),
            textcoords="offset points",
            fontsize=10.5,
            ha="right",
            va="center",
            annotation_clip=False,
        )


def clipped(text: str, most: int) -> str:
    """A label short enough for the margin of a figure."""
    return text if len(text) <= most else text[: most - 1].rstrip() + "…"


def two_lines(text: str, short: int = 20) -> str:
    """A label broken into two lines of about equal length, clipped if it takes more."""
    if len(text) <= short:
        return text
    half = max(short - 4, (len(text) + 1) // 2 + 3)
    return "\n".join(textwrap.wrap(text, half, max_lines=2, placeholder="…"))
