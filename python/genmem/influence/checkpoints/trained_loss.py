"""The loss that is traced, beside the loss that the training recorded with the checkpoint.

They are not the same number: the recorded one is a mean over an epoch in which the weights moved,
with other draws, and in train mode. But a traced loss that is another function (another likelihood,
another weight of the divergence, a mean where a sum was trained) is off by a factor, and so is
every influence. The bounds are wide enough for the first and narrow enough for the second.
"""

from __future__ import annotations

import math
import warnings
from typing import Any

import numpy as np
import numpy.typing as npt

# An epoch may halve the loss; in train mode it may be a quarter less than in eval mode.
_FALL, _RISE = 0.5, 0.25
# Losses of a tenth of a nat are small, whatever their ratio: a classifier that fits its data.
_SLACK = 0.1


class SeenLosses:
    """Losses of the samples of one side at one checkpoint; a sample that is seen again counts
    once."""

    def __init__(self, rows: int) -> None:
        self._losses = np.full(rows, np.nan)

    def clear(self) -> None:
        """Forget them: the weights have changed."""
        self._losses.fill(np.nan)

    def add(self, start: int, losses: npt.NDArray[np.floating]) -> None:
        """Those of the samples from position `start`."""
        self._losses[start : start + len(losses)] = losses

    @property
    def complete(self) -> bool:
        """Whether every sample was seen."""
        return not np.isnan(self._losses).any()

    def compare(self, checkpoint: Any, position: int) -> None:
        """Warn, with both values, if their mean is not within reach of the recorded loss.

        Nothing is said of a checkpoint without a recorded loss, or of other samples than it was
        trained on (as far as their number tells).
        """
        recorded, rows = (getattr(checkpoint, name, None) for name in ("train_loss", "rows"))
        if recorded is None or not self.complete or rows not in (None, len(self._losses)):
            return
        mean = float(self._losses.mean())
        error = 4 * float(self._losses.std()) / math.sqrt(len(self._losses))
        slack = _SLACK + error
        least = recorded - _FALL * abs(recorded) - slack
        most = recorded + _RISE * abs(recorded) + slack
        if not least <= mean <= most:
            warnings.warn(
                f"TracIn: the traced loss of the training samples is {mean:.6g} on average at "
                f"checkpoint {position}, the training recorded {recorded:.6g}; influence is that "
                "of the traced loss, which should be the trained one (likelihood, weights of its "
                "terms, sum or mean, evaluation mode)",
                UserWarning,
                stacklevel=3,
            )
