"""A model along its checkpoints: each loaded once per visit, the model put back afterwards."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from genmem import ledger
from genmem.errors import CheckpointError
from genmem.influence.batches import all_finite
from genmem.influence.capture.preservation import restored
from genmem.influence.checkpoints.foreign import LoadedBy, adopted, weights_of
from genmem.influence.checkpoints.weights import Weights, checkpoint_weight, checkpoint_weights
from genmem.influence.samples import numpy_of


class Trajectory:
    """The model and its weighted checkpoints.

    checkpoints  objects with .state(), state dictionaries or files (alone, or beside their "lr" and
                 "step"), or `LoadedBy`; one of them or several
    weights      see `checkpoint_weights`; checkpoints of weight 0 are never loaded, unless loading
                 tells their weight
    """

    def __init__(self, model: nn.Module, checkpoints: Any, weights: Weights) -> None:
        self.model = model
        self.checkpoints = adopted(checkpoints)
        if not self.checkpoints:
            raise ValueError("TracIn: there are no checkpoints; at least 1 is wanted")
        self._by, self._known = weights, np.zeros(0)
        if not self._told_by_loading:
            self._known = checkpoint_weights(weights, self.checkpoints)

    @property
    def weights(self) -> npt.NDArray[np.float64]:
        """(C,); those that only loading tells are learned by a pass over the checkpoints."""
        if not len(self._known):
            with self.restored():
                for c, checkpoint in enumerate(self.checkpoints):
                    _load(self.model, checkpoint, c)
            self._known = checkpoint_weights(self._by, self.checkpoints)
        return self._known

    @property
    def active(self) -> tuple[int, ...]:
        """Checkpoints that take part: of positive weight, as far as that is known."""
        count = len(self.checkpoints)
        return (
            tuple(map(int, np.flatnonzero(self._known))) if len(self._known) else (*range(count),)
        )

    @property
    def _told_by_loading(self) -> bool:
        late = any(isinstance(c, LoadedBy) and c.lr is None for c in self.checkpoints)
        return late and (isinstance(self._by, str) or callable(self._by))

    @contextmanager
    def restored(self) -> Iterator[None]:
        """Afterwards weights, buffers, gradients, modes and flags are what they were before."""
        with restored(self.model):
            yield

    def visit(self) -> Iterator[tuple[int, float]]:
        """(c, w_c) for each checkpoint of positive weight, the model holding its weights."""
        for c in self.active:
            _load(self.model, self.checkpoints[c], c)
            if len(self._known):
                weight = float(self._known[c])
            else:
                weight = checkpoint_weight(self._by, self.checkpoints[c], c)
            if weight > 0:
                yield c, weight
        if not len(self._known):
            self._known = checkpoint_weights(self._by, self.checkpoints)

    def digest(self) -> str:
        """SHA-256 of the weights and buffers that the model holds now."""
        state = sorted(self.model.state_dict().items())
        return ledger.fingerprint(*(numpy_of(value) for _, value in state))


def _load(model: nn.Module, checkpoint: Any, position: int) -> None:
    if hasattr(checkpoint, "load_into"):
        checkpoint.load_into(model)
    else:
        plain = isinstance(checkpoint, Mapping)
        state = weights_of(checkpoint, f"checkpoint {position}") if plain else checkpoint.state()
        try:
            model.load_state_dict(state)
        except RuntimeError as error:
            raise CheckpointError(
                f"TracIn: checkpoint {position} is another model's: {error}"
            ) from error
    for name, value in model.state_dict().items():
        if isinstance(value, torch.Tensor) and not all_finite(value):
            raise CheckpointError(f"TracIn: checkpoint {position}: {name!r} is not finite")
