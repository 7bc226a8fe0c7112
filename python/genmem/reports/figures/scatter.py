"""The one form of scatter plot in the report: a column of any unit against M."""

from __future__ import annotations

from typing import TYPE_CHECKING
from xml.etree import ElementTree

import numpy as np
import numpy.typing as npt

from genmem.reports import words
from genmem.reports.figures.canvas import HEIGHT, WIDTH, draw
from genmem.reports.figures.cloud import cloud, medians
from genmem.reports.figures.palette import MUTED
from genmem.reports.figures.scales import Window, score_axis, window, window_axis

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Floats = npt.NDArray[np.float64]


def scatter(
    name: str,
    x: Floats,
    score: Floats,
    memorized: npt.NDArray[np.bool_],
    label: str,
    *,
    logarithmic: bool = False,
    width: float = WIDTH,
    height: float = HEIGHT,
) -> tuple[ElementTree.Element, str]:
    """The drawing, and what a caption must add about points that are not where they would be.

    x          (n,) the column; rows not finite (or not positive, if logarithmic) are left out
    score      (n,) M in nats
    memorized  (n,) drawn in the accent colour
    """
    kept = np.isfinite(x) & np.isfinite(score) & ((x > 0) | (not logarithmic))
    shown = (
        window(np.log10(x[kept]) if logarithmic else x[kept]) if kept.any() else Window(0, 1, 0, 0)
    )

    def paint(axes: Axes) -> None:
        axes.set_xlabel(label)
        axes.set_ylabel("M (nats)")
        if not kept.any():
            return
        score_axis(axes.yaxis, score[kept])
        if logarithmic:
            axes.set_xscale("log")
            axes.xaxis.set_major_formatter(lambda value, _: words.plain(value))
            edge = 0.03 * ((shown.high - shown.low) or 1.0)
            axes.set_xlim(10 ** (shown.low - edge), 10 ** (shown.high + edge))
        else:
            window_axis(axes.xaxis, shown)
        axes.axhline(0, color=MUTED, linewidth=0.8)
        cloud(axes, x[kept], score[kept], memorized[kept])
        medians(axes, x[kept], score[kept])

    return draw(name, paint, width=width, height=height), shown.text + _left_out(
        len(x) - int(kept.sum())
    )


def _left_out(absent: int) -> str:
    if not absent:
        return ""
    return (
        f" {words.counted(absent, 'sample has', 'samples have')} no finite value and "
        f"{'is' if absent == 1 else 'are'} left out."
    )
