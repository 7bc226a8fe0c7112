"""How the memorization score is spread over the samples."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from genmem.reports import words
from genmem.reports.figures.canvas import Drawing, draw, legend_above, note, whole_numbers
from genmem.reports.figures.palette import ACCENT, GRAIN, INK, MUTED
from genmem.reports.figures.scales import linear_width, score_axis
from genmem.reports.tables import FALSE_DISCOVERY_RATE, Tables

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Floats = npt.NDArray[np.float64]
FEWEST = 20
NAMES = {"q95": "q95", "q99_9": "q99.9"}


def histogram(tables: Tables) -> Drawing:
    """Counts of M in nats, the memorized samples apart, with q95 and q99.9 and their intervals."""
    kept = np.isfinite(tables.score)
    score, memorized = tables.score[kept], tables.memorized[kept]
    # Of a few samples the quantiles are the largest score, which the caption names anyway.
    known = tables.summary.get("quantiles", {}) if len(score) >= FEWEST else {}
    quantiles = {name: known.get(name) for name in NAMES}
    tree = draw("histogram", lambda axes: _paint(axes, score, memorized, quantiles), height=260)
    low, high = np.quantile(score, [0.25, 0.75])
    width = linear_width(score)
    bent = ""
    if width is not None:
        edge = words.plain(round(width, 1))
        bent = f" The axis of M is linear up to about {edge} nats, logarithmic beyond."
    caption = (
        f"Half of the {words.counted(len(score), 'sample')} have M between {words.nats(low)} and "
        f"{words.nats(high)} nats; the largest M is {words.nats(float(score.max()))} nats."
        f"{_quantile_words(quantiles)} {_memorized_words(score[memorized])}{bent}"
    )
    least, most = words.nats(float(score.min())), words.nats(float(score.max()))
    alt = f"Histogram of M from {least} to {most} nats."
    return Drawing("histogram", "How memorization is spread", caption, alt, tree)


def _paint(
    axes: Axes,
    score: Floats,
    memorized: npt.NDArray[np.bool_],
    quantiles: dict[str, list[float | None] | None],
) -> None:
    width = score_axis(axes.xaxis, score, margin=0.02)
    low, high = axes.get_xlim()
    bins = int(np.clip(2 * np.sqrt(len(score)), 8, 56))
    edges = (
        np.linspace(low, high, bins + 1) if width is None else _bent_edges(low, high, width, bins)
    )
    counts, _ = np.histogram(score, edges)
    floor = 0.0
    if counts.max() > 40:
        floor = 0.7
        axes.set_yscale("log")
        axes.yaxis.set_major_formatter(
            lambda value, _: words.count(round(value)) if value >= 1 else ""
        )
    else:
        whole_numbers(axes.yaxis)
    rate = f"{FALSE_DISCOVERY_RATE:.0%}".replace("%", " %")
    _bars(axes, counts, edges, floor, GRAIN, 0.45, "all samples")
    if memorized.any():
        dark, _ = np.histogram(score[memorized], edges)
        _bars(axes, dark, edges, floor, ACCENT, 0.85, f"memorized (FDR {rate})")
    top = float(counts.max()) * (4.0 if floor else 1.3)
    axes.set_ylim(floor, top)
    for place, (name, ends) in enumerate(quantiles.items()):
        if ends is not None and ends[0] is not None and np.isfinite(ends[0]):
            _quantile(axes, NAMES[name], ends, high, top, place, bool(floor))
    axes.axvline(0, color=MUTED, linewidth=0.8)
    axes.grid(visible=False, axis="x")
    axes.set_xlabel("memorization score M (nats)")
    axes.set_ylabel("samples")
    if memorized.any():
        legend_above(axes)


def _bars(
    axes: Axes,
    counts: npt.NDArray[np.int64],
    edges: Floats,
    floor: float,
    colour: str,
    opacity: float,
    label: str,
) -> None:
    heights = np.maximum(counts.astype(np.float64), floor)
    axes.stairs(
        heights,
        edges,
        baseline=floor,
        fill=True,
        color=colour,
        alpha=opacity,
        linewidth=0,
        label=label,
    )


def _quantile(
    axes: Axes,
    name: str,
    ends: list[float | None],
    right: float,
    top: float,
    place: int,
    logarithmic: bool,
) -> None:
    value, lower, upper = ends[0], ends[1], ends[2]
    assert value is not None
    if lower is not None:
        axes.axvspan(lower, right if upper is None else upper, color=INK, alpha=0.08, linewidth=0)
    height = top / (1.35, 2.3)[place] if logarithmic else top * (0.95, 0.86)[place]
    axes.axvline(value, color=INK, linewidth=1, linestyle=(0, (4, 2)))
    fraction = float((axes.transScale + axes.transLimits).transform((value, height))[0])
    side = "right" if fraction > 0.5 else "left"
    note(axes, value, height, f" {name} ", INK, ha=side, va="center")


def _bent_edges(low: float, high: float, width: float, bins: int) -> Floats:
    return np.asarray(
        width * np.sinh(np.linspace(np.arcsinh(low / width), np.arcsinh(high / width), bins + 1))
    )


def _quantile_words(quantiles: dict[str, list[float | None] | None]) -> str:
    parts = []
    for name, tail in (("q95", "5\u202f%"), ("q99_9", "0.1\u202f%")):
        ends = quantiles[name]
        if ends is None or ends[0] is None:
            continue
        lower, upper = ends[1], ends[2]
        reach = ""
        if lower is not None:
            end = "beyond the largest" if upper is None else words.nats(upper)
            reach = f", 95\u202f% interval {words.nats(lower)} to {end}"
        parts.append(f"{tail} exceed {words.nats(ends[0])} ({NAMES[name]}{reach})")
    return f" {words.listed(parts)}." if parts else ""


def _memorized_words(score: Floats) -> str:
    if not len(score):
        return "No sample is memorized at a false discovery rate of 5\u202f%."
    return (
        f"Blue: the {words.counted(len(score), 'sample')} memorized at a false discovery rate of "
        f"5\u202f%, with M from {words.nats(float(score.min()))} nats up."
    )
