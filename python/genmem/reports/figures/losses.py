"""The loss on samples seen in training and on samples held out."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from genmem.reports import words
from genmem.reports.figures.canvas import Drawing, draw, end_labels, whole_numbers
from genmem.reports.figures.palette import ACCENT, CONTRAST
from genmem.reports.tables import Tables, column

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Floats = npt.NDArray[np.float64]


def losses(tables: Tables) -> Drawing | None:
    """Training and held-out loss over epochs, nats per sample; None if none is finite."""
    assert tables.history is not None
    epoch, train, heldout = (
        column(tables.history, name) for name in ("epoch", "train_loss", "heldout_loss")
    )
    seen = np.isfinite(train)
    if not seen.any():
        return None
    held = np.isfinite(heldout)
    low, high = _range(train, heldout)
    tree = draw("losses", lambda axes: _paint(axes, epoch, train, heldout, low, high))
    cut = " The first epochs lie above the frame." if (train > high).any() else ""
    caption = (
        f"The training loss goes from {words.nats(train[seen][0])} to "
        f"{words.nats(train[seen][-1])} nats per sample. "
        f"{_heldout_words(epoch[held], heldout[held], train[seen][-1])}{cut}"
    )
    alt = f"Lines of training and held-out loss over epochs {epoch[0]:.0f} to {epoch[-1]:.0f}."
    return Drawing("losses", "Loss over training", caption, alt, tree)


def _heldout_words(epoch: Floats, heldout: Floats, train_end: float) -> str:
    if not len(heldout):
        return "No held-out loss was recorded."
    best = int(np.argmin(heldout))
    gap = words.nats(float(heldout[-1] - train_end))
    lowest = (
        "still falling at the last epoch"
        if best == len(heldout) - 1
        else f"lowest at epoch {epoch[best]:.0f}, {words.nats(heldout[best])} nats, "
        "and rises after it"
    )
    return f"The held-out loss is {lowest}; at the end the gap between the two is {gap} nats."


def _range(train: Floats, heldout: Floats) -> tuple[float, float]:
    """What the axis shows; uncut, the fall of the first epochs would dwarf the gap at the end."""
    both = np.concatenate([train, heldout])
    both = both[np.isfinite(both)]
    low, high = float(both.min()), float(both.max())
    late = np.concatenate([train[len(train) // 8 :], heldout[len(heldout) // 8 :]])
    late = late[np.isfinite(late)]
    if len(late) and float(late.max()) - low < 0.4 * (high - low):
        high = float(late.max()) + 0.3 * (float(late.max()) - low)
    return low, high


def _paint(
    axes: Axes, epoch: Floats, train: Floats, heldout: Floats, low: float, high: float
) -> None:
    ends: list[tuple[float, float, str, str]] = []
    for curve, name, colour, dash in (
        (heldout, "held out", CONTRAST, (0, (4, 1.5))),
        (train, "training", ACCENT, "-"),
    ):
        kept = np.isfinite(curve)
        if not kept.any():
            continue
        marker = "o" if kept.sum() <= 25 else ""
        axes.plot(
            epoch[kept],
            curve[kept],
            color=colour,
            linestyle=dash,
            linewidth=1.7,
            marker=marker,
            markersize=3,
        )
        ends.append((float(epoch[kept][-1]), float(curve[kept][-1]), name, colour))
    edge = 0.05 * ((high - low) or 1.0)
    axes.set_ylim(low - edge, high + edge)
    room = float(epoch[-1] - epoch[0]) or 1.0
    axes.set_xlim(epoch[0] - 0.04 * room, epoch[-1] + 0.02 * room)
    end_labels(axes, ends)
    whole_numbers(axes.xaxis)
    axes.grid(visible=False, axis="x")
    axes.set_xlabel("epoch")
    axes.set_ylabel("loss (nats per sample)")
