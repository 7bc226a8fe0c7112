"""Train and held-out loss of the cross-validated models over the epochs."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pandas as pd

from genmem.memorization.tables import LogTable
from genmem.studies.correlation import Float64

_ROWS_AT_ONCE = 4096


def course(table: LogTable) -> pd.DataFrame:
    """epoch, train_loss, heldout_loss: mean -log p, nats per sample, at each evaluation epoch.

    Every row counts L (K - 1) times among the samples that a model was trained on, and L times
    among those that it was not.
    """
    seen, unseen = np.zeros(len(table.epochs)), np.zeros(len(table.epochs))
    repeats, count = table.held_out.shape
    for start in range(0, count, _ROWS_AT_ONCE):
        stop = min(start + _ROWS_AT_ONCE, count)
        values = table.block(start, stop)  # (E, L, K, n)
        out = _held_out(values, table.held_out[:, start:stop])
        unseen += out
        seen += values.sum(axis=(1, 2, 3)) - out
    return pd.DataFrame(
        {
            "epoch": table.epochs,
            "train_loss": -seen / (repeats * (table.folds - 1) * count),
            "heldout_loss": -unseen / (repeats * count),
        }
    )


def _held_out(values: Float64, fold: npt.NDArray[np.int64]) -> Float64:
    out = np.take_along_axis(values, fold[None, :, None, :].astype(np.int64), axis=2)
    return np.asarray(out.sum(axis=(1, 2, 3)))
