"""The record of a training: one row per epoch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

COLUMNS = {"epoch": np.int64, "step": np.int64, "train_loss": np.float64}


class History:
    """Per epoch: its number from 1, the optimizer steps so far, and the mean training loss in nats.

    train_loss is the mean over samples of the loss at the time each was visited, while the weights
    moved.
    """

    def __init__(self, columns: Mapping[str, npt.NDArray[Any]] | None = None) -> None:
        self._rows: list[tuple[float, ...]] = []
        if columns is not None:
            self._rows = list(zip(*(columns[name].tolist() for name in COLUMNS), strict=True))

    def __len__(self) -> int:
        return len(self._rows)

    def add(self, epoch: int, step: int, train_loss: float) -> None:
        """Append an epoch."""
        self._rows.append((epoch, step, train_loss))

    @property
    def last_loss(self) -> float:
        """train_loss of the last epoch."""
        return self._rows[-1][2]

    def columns(self) -> dict[str, npt.NDArray[Any]]:
        """The columns by name, each (epochs,)."""
        return {
            name: np.array([row[i] for row in self._rows], kind)
            for i, (name, kind) in enumerate(COLUMNS.items())
        }
