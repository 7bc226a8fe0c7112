"""One figure on one canvas, by matplotlib's SVG writer without pyplot: the same bytes each time."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree

from genmem.reports.figures import svg
from genmem.reports.figures.palette import INK, MUTED, PAPER, RULE

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis
    from matplotlib.figure import Figure

WIDTH = 400.0
HEIGHT = 280.0
STYLE: dict[str, Any] = {
    "svg.fonttype": "none",
    "svg.hashsalt": "genmem",
    "font.family": ["DejaVu Sans"],
    "font.size": 11,
    # Dots are strokes of length zero, which simplification would take away.
    "path.simplify": False,
    "text.parse_math": False,
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.labelsize": 11,
    "axes.edgecolor": MUTED,
    "axes.facecolor": "none",
    "axes.linewidth": 0.8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "axes.grid": True,
    "axes.labelpad": 5,
    "grid.color": RULE,
    "grid.linewidth": 0.7,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "xtick.labelsize": 10.5,
    "ytick.labelsize": 10.5,
    "xtick.major.size": 3,
    "ytick.major.size": 0,
    "xtick.minor.visible": False,
    "ytick.minor.visible": False,
    "figure.facecolor": "none",
    "savefig.facecolor": "none",
    "lines.solid_capstyle": "round",
}


@dataclass(frozen=True)
class Drawing:
    """A figure: its file name, heading, caption (what is seen), and text for who cannot see it."""

    name: str
    title: str
    caption: str
    alt: str
    tree: ElementTree.Element

    @property
    def inline(self) -> str:
        return svg.inline(self.tree, f"{self.title}. {self.alt}")

    @property
    def file(self) -> str:
        return svg.standalone(self.tree, f"{self.title}. {self.alt}")


def draw(
    name: str, paint: Callable[[Axes], None], *, width: float = WIDTH, height: float = HEIGHT
) -> ElementTree.Element:
    """The SVG tree of what `paint` draws on one pair of axes; sizes in CSS pixels."""
    from matplotlib import style
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    with style.context(["default", STYLE]):
        figure: Figure = Figure(figsize=(width / 72, height / 72), layout="constrained")
        FigureCanvasSVG(figure)
        paint(figure.add_subplot())
        buffer = io.StringIO()
        nothing = {"Date": None, "Creator": None, "Format": None, "Type": None}
        figure.savefig(buffer, format="svg", metadata=nothing)
    return svg.tidy(buffer.getvalue(), name)


def note(axes: Axes, x: float, y: float, text: str, colour: str, **style: Any) -> None:
    """A word beside a line, on paper so that the line does not cross it; data coordinates."""
    ground = {"facecolor": PAPER, "edgecolor": "none", "pad": 1.5, "alpha": 0.85}
    axes.text(x, y, text, color=colour, fontsize=10.5, bbox=ground, **style)


def end_labels(
    axes: Axes, labels: list[tuple[float, float, str, str]], apart: float = 0.062
) -> None:
    """Name lines at their right ends (x, y, text, colour), moved apart where they would meet.

    The limits of the axes must be set; `apart` is the least distance in fractions of their height.
    """
    spots = axes.transScale + axes.transLimits
    placed = sorted(
        (*spots.transform((x, y)).tolist(), text, colour) for x, y, text, colour in labels
    )
    placed.sort(key=lambda label: label[1])
    heights = [float(label[1]) for label in placed]
    for _ in range(50):
        for i in range(len(heights) - 1):
            if (gap := heights[i + 1] - heights[i]) < apart:
                heights[i] -= (apart - gap) / 2
                heights[i + 1] += (apart - gap) / 2
    for (right, _, text, colour), height in zip(placed, heights, strict=True):
        axes.annotate(
            text,
            (right, height),
            xycoords="axes fraction",
            xytext=(7, 0),
            textcoords="offset points",
            color=colour,
            fontsize=10.5,
            va="center",
            annotation_clip=False,
        )


def whole_numbers(axis: Axis) -> None:
    """Ticks of an axis at whole numbers only."""
    from matplotlib.ticker import MaxNLocator

    axis.set_major_locator(MaxNLocator(nbins="auto", integer=True, steps=[1, 2, 5, 10]))


def legend_above(axes: Axes, columns: int = 2) -> None:
    """The legend in a line above the axes, clear of what is drawn."""
    axes.legend(
        loc="lower right",
        bbox_to_anchor=(1, 1.0),
        ncols=columns,
        frameon=False,
        fontsize=10.5,
        handletextpad=0.4,
        handlelength=1.1,
        columnspacing=1.4,
        borderaxespad=0.2,
    )
