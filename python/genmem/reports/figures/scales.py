"""Axes that show the bulk and the tail of a column at once, and say where they stop."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from genmem.reports import words

if TYPE_CHECKING:
    from matplotlib.axis import Axis

Floats = npt.NDArray[np.float64]
TAIL = 6.0


def linear_width(values: Floats) -> float | None:
    """Half-width, in data units, of the linear part of an asinh axis; None where linear will do.

    Scores have a tail of a few samples hundreds of nats long; where the longest lies more than
    TAIL times the 5 % to 95 % range from the median, the axis is logarithmic beyond that range.
    """
    low, middle, high = np.quantile(values, [0.05, 0.5, 0.95])
    spread = float(high - low)
    reach = max(float(values.max() - middle), float(middle - values.min()))
    return max(spread, abs(float(middle))) / 2 if spread > 0 and reach > TAIL * spread else None


def score_axis(axis: Axis, values: Floats, margin: float = 0.03) -> float | None:
    """Give an axis the range of `values` (finite), bent by `linear_width`; returns that width."""
    width = linear_width(values)
    low, high = float(min(values.min(), 0.0)), float(max(values.max(), 0.0))
    if width is None:
        edge = margin * ((high - low) or 1.0)
        _set_limits(axis, low - edge, high + edge)
        return None
    from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

    bent = np.arcsinh(np.array([low, high]) / width)
    edge = margin * float(bent[1] - bent[0])
    _scale(axis, width)
    _set_limits(axis, *(width * np.sinh(bent + np.array([-edge, edge]))))
    axis.set_major_locator(FixedLocator(_ticks(low, high, width)))
    axis.set_major_formatter(
        FuncFormatter(
            lambda value, _: words.decimal(value, 0 if abs(value) >= 1 or value == 0 else 1)
        )
    )
    axis.set_minor_locator(NullLocator())
    return width


def _ticks(low: float, high: float, width: float) -> list[float]:
    """0 and 1, 2, 5 times powers of ten, at least a twelfth of the axis apart."""
    span = np.arcsinh(high / width) - np.arcsinh(low / width)
    largest = max(abs(low), abs(high))
    steps = [
        lead * 10.0**power for power in range(-2, int(np.log10(largest)) + 1) for lead in (1, 2, 5)
    ]
    chosen = [0.0]
    for side in (1, -1):
        last = 0.0
        for step in steps:
            here = np.arcsinh(step / width)
            if low <= side * step <= high and here - last >= span / 12:
                chosen.append(side * step)
                last = here
    return sorted(chosen)


@dataclass(frozen=True)
class Window:
    """The part of a column that an axis shows; the rest is drawn on the edge and counted."""

    low: float
    high: float
    below: int
    above: int

    @property
    def text(self) -> str:
        """The sentence that a caption adds when something lies outside, else nothing."""
        sides = [(self.below, "left"), (self.above, "right")]
        parts = [
            f"{words.counted(n, 'sample lies', 'samples lie')} further {side}"
            for n, side in sides
            if n
        ]
        return f" {words.listed(parts)}, drawn on the edge." if parts else ""


def window(values: Floats) -> Window:
    """The range of `values` (finite), cut where its outer half per cent takes most of the axis."""
    low, high = (float(end) for end in np.quantile(values, [0.005, 0.995]))
    span = high - low
    left, right = float(values.min()), float(values.max())
    if span > 0 and low - left > 0.75 * span:
        left = low - 0.1 * span
    if span > 0 and right - high > 0.75 * span:
        right = high + 0.1 * span
    return Window(left, right, int((values < left).sum()), int((values > right).sum()))


def window_axis(axis: Axis, shown: Window, margin: float = 0.03) -> None:
    """Set the limits of one axis to a window."""
    edge = margin * ((shown.high - shown.low) or 1.0)
    _set_limits(axis, shown.low - edge, shown.high + edge)


def _scale(axis: Axis, width: float) -> None:
    if axis is axis.axes.xaxis:
        axis.axes.set_xscale("asinh", linear_width=width)
    else:
        axis.axes.set_yscale("asinh", linear_width=width)


def _set_limits(axis: Axis, low: float, high: float) -> None:
    if axis is axis.axes.xaxis:
        axis.axes.set_xlim(low, high)
    else:
        axis.axes.set_ylim(low, high)
