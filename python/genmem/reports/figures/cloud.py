"""Many points as few bytes: dots up to a few thousand, counts of small squares beyond."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from genmem.reports.figures.palette import ACCENT, GRAIN, INK

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Floats = npt.NDArray[np.float64]
MOST_DOTS = 4000
LAYERS = 6
CELLS = (110, 74)
SHADES = 6


def cloud(axes: Axes, x: Floats, y: Floats, marked: npt.NDArray[np.bool_]) -> None:
    """Draw the points (n,) of a scatter, the marked ones on top in the accent colour.

    The limits and scales of `axes` must be set: points are placed in fractions of the axes, and a
    point outside them is moved to the edge. All dots of a layer are one path of zero-length strokes
    with round caps, 12 bytes a dot instead of 90; layers overlap, so that dense regions are darker.
    """
    spots = (axes.transScale + axes.transLimits).transform(np.column_stack([x, y]))
    spots = np.clip(spots, 0.004, 0.996)
    if (~marked).sum() > MOST_DOTS:
        _squares(axes, spots[~marked])
    else:
        _dots(axes, spots[~marked], GRAIN, 3.4, 0.55)
    _dots(axes, np.unique(spots[marked].round(3), axis=0), ACCENT, 3.8, 0.7)


def _dots(axes: Axes, spots: Floats, colour: str, size: float, opacity: float) -> None:
    from matplotlib.patches import PathPatch
    from matplotlib.path import Path

    for layer in range(min(LAYERS, len(spots))):
        chosen = spots[layer::LAYERS]
        codes = np.tile(np.array([Path.MOVETO, Path.LINETO], dtype=Path.code_type), len(chosen))
        path = Path(np.repeat(chosen, 2, axis=0), codes)
        axes.add_patch(
            PathPatch(
                path,
                fill=False,
                edgecolor=colour,
                linewidth=size,
                capstyle="round",
                alpha=opacity,
                transform=axes.transAxes,
                clip_on=False,
            )
        )


def _squares(axes: Axes, spots: Floats) -> None:
    """Counts in a grid of squares, the shade growing with the logarithm of the count."""
    from matplotlib.patches import PathPatch
    from matplotlib.path import Path

    counts, xs, ys = np.histogram2d(spots[:, 0], spots[:, 1], bins=CELLS, range=[[0, 1], [0, 1]])
    level = np.ceil(
        SHADES * (1 + np.log(np.maximum(counts, 1))) / (1 + np.log(counts.max()))
    ).astype(int)
    codes = np.array(
        [Path.MOVETO, Path.LINETO, Path.LINETO, Path.LINETO, Path.CLOSEPOLY], dtype=Path.code_type
    )
    for shade in range(1, SHADES + 1):
        i, j = np.nonzero((counts > 0) & (level == shade))
        if not len(i):
            continue
        left, right, low, high = xs[i], xs[i + 1], ys[j], ys[j + 1]
        corners = np.stack([left, low, right, low, right, high, left, high, left, low], axis=1)
        path = Path(corners.reshape(-1, 2), np.tile(codes, len(i)))
        opacity = 0.15 + 0.85 * shade / SHADES
        axes.add_patch(
            PathPatch(
                path, facecolor=GRAIN, edgecolor="none", alpha=opacity, transform=axes.transAxes
            )
        )


def medians(axes: Axes, x: Floats, y: Floats, groups: int = 10) -> bool:
    """A line through the medians of y in `groups` equal shares by x; False below 100 samples."""
    if len(x) < 100 or len(np.unique(x)) < groups:
        return False
    parts = np.array_split(np.argsort(x, kind="stable"), groups)
    centres = [float(np.median(x[part])) for part in parts]
    middles = [float(np.median(y[part])) for part in parts]
    axes.plot(centres, middles, color=INK, linewidth=1.4, marker="o", markersize=3.2, zorder=5)
    return True
