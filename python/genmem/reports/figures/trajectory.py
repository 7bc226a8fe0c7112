"""How the memorization score grows while the model trains."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from genmem.reports import words
from genmem.reports.figures.canvas import Drawing, draw, end_labels, whole_numbers
from genmem.reports.figures.palette import ACCENT, MUTED
from genmem.reports.figures.scales import score_axis
from genmem.reports.tables import Tables, column

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Floats = npt.NDArray[np.float64]
LEVELS = {"q99.9": 0.999, "q95": 0.95, "median": 0.5, "q5": 0.05}


def trajectory(tables: Tables) -> Drawing | None:
    """Quantiles of M over the samples at each evaluated epoch, nats; None if there is none."""
    assert tables.by_epoch is not None
    names = sorted(
        (name for name in tables.by_epoch.columns if str(name).startswith("epoch_")),
        key=lambda name: int(str(name).removeprefix("epoch_")),
    )
    if not names:
        return None
    epochs = np.array([int(str(name).removeprefix("epoch_")) for name in names])
    scores = np.stack([column(tables.by_epoch, name) for name in names], axis=1)
    scores = scores[np.isfinite(scores).all(axis=1)]
    if not len(scores):
        return None
    levels = {
        name: level for name, level in LEVELS.items() if name != "q99.9" or len(scores) >= 1000
    }
    curves = {name: np.quantile(scores, level, axis=0) for name, level in levels.items()}
    tree = draw("trajectory", lambda axes: _paint(axes, epochs, curves))
    moves = [
        f"{'the median' if name == 'median' else name} goes from {words.nats(curve[0])} to "
        f"{words.nats(curve[-1])} nats"
        for name, curve in curves.items()
        if name in ("median", "q95")
    ]
    if len(epochs) == 1:
        moves = [
            f"the median of M is {words.nats(curves['median'][0])}, q95 "
            f"{words.nats(curves['q95'][0])} nats"
        ]
        caption = f"At epoch {epochs[0]}, the only one evaluated, {moves[0]}."
    else:
        caption = (
            f"From epoch {epochs[0]} to {epochs[-1]} {words.listed(moves)}. "
            f"{_shape(epochs, curves['q95'])}"
        )
    alt = f"Lines of the {', '.join(curves)} of M over epochs {epochs[0]} to {epochs[-1]}."
    return Drawing("trajectory", "Memorization over training", caption, alt, tree)


def _paint(axes: Axes, epochs: npt.NDArray[np.int64], curves: dict[str, Floats]) -> None:
    everything = np.concatenate(list(curves.values()))
    score_axis(axes.yaxis, everything, margin=0.05)
    axes.fill_between(epochs, curves["q5"], curves["q95"], color=ACCENT, alpha=0.14, linewidth=0)
    for name, curve in curves.items():
        thick = 2.0 if name == "median" else 1.2
        axes.plot(epochs, curve, color=ACCENT, linewidth=thick, marker="o", markersize=3.4)
    axes.axhline(0, color=MUTED, linewidth=0.8)
    low, high = float(epochs[0]), float(epochs[-1])
    room = (high - low) or 1.0
    axes.set_xlim(low - 0.04 * room, high + 0.02 * room)
    end_labels(axes, [(high, float(curve[-1]), name, ACCENT) for name, curve in curves.items()])
    whole_numbers(axes.xaxis)
    axes.grid(visible=False, axis="x")
    axes.set_xlabel("epoch")
    axes.set_ylabel("M (nats)")


def _shape(epochs: npt.NDArray[np.int64], curve: Floats) -> str:
    top = int(np.argmax(curve))
    if top == len(curve) - 1:
        return "q95 is still growing at the last epoch."
    return f"q95 is at its highest at epoch {epochs[top]}, {words.nats(curve[top])} nats."
