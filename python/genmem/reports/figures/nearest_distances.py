"""How far generated and held-out samples are from the training samples."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from genmem.reports import words
from genmem.reports.figures.canvas import Drawing, draw, legend_above
from genmem.reports.figures.palette import ACCENT, CONTRAST
from genmem.reports.tables import Tables, column

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Floats = npt.NDArray[np.float64]
# Points of a curve: beyond a few hundred, steps are finer than the line is wide.
_POINTS = 400


def nearest_distances(tables: Tables) -> Drawing:
    """Share of samples within each distance of their nearest training sample, both kinds."""
    assert tables.copying is not None
    made = np.sort(column(tables.copying.generated, "distance"))
    held = np.sort(column(tables.copying.heldout, "distance"))
    tree = draw("nearest_distances", lambda axes: _paint(axes, made, held))
    middle = [float(np.median(side)) for side in (made, held)]
    caption = (
        f"Half of the generated samples (blue) have a training sample within "
        f"{words.significant(middle[0])}, half of the held-out ones (orange, dashed) within "
        f"{words.significant(middle[1])}. A curve further to the left is nearer to the training "
        f"samples; copies would be a step at 0: {_copies(made)}."
    )
    alt = (
        f"Cumulative curves of distance, medians {words.significant(middle[0])} generated and "
        f"{words.significant(middle[1])} held out."
    )
    title = "Distance to the nearest training sample"
    return Drawing("nearest_distances", title, caption, alt, tree)


def _copies(made: Floats) -> str:
    count = int((made == 0).sum())
    if not count:
        return "there is none"
    return f"there {'is' if count == 1 else 'are'} {words.count(count)}"


def _paint(axes: Axes, made: Floats, held: Floats) -> None:
    for values, colour, dash, name in (
        (made, ACCENT, "-", "generated"),
        (held, CONTRAST, (0, (4, 1.5)), "held out"),
    ):
        share = np.linspace(0, 1, min(len(values), _POINTS) + 1)
        ends = np.quantile(values, share, method="inverted_cdf")
        axes.step(
            ends, 100 * share, where="post", color=colour, linestyle=dash, linewidth=1.7, label=name
        )
    axes.set_xlim(left=0)
    axes.set_ylim(0, 101)
    axes.set_xlabel("distance to the nearest training sample")
    axes.set_ylabel("share of the samples (%)")
    legend_above(axes)
