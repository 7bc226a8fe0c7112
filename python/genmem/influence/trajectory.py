"""A model along its checkpoints: each loaded once per visit, the model put back afterwards."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from genmem import ledger
from genmem.errors import CheckpointError
from genmem.influence.preservation import restored
from genmem.influence.samples import numpy_of
from genmem.influence.weights import Weights, checkpoint_weights


class Trajectory:
    """The model and its weighted checkpoints.

    checkpoints  objects with .state(), or state dictionaries
    weights      see `checkpoint_weights`; checkpoints of weight 0 are never loaded
    """

    def __init__(self, model: nn.Module, checkpoints: Sequence[Any], weights: Weights) -> None:
        if len(checkpoints) == 0:
            raise ValueError("TracIn: there are no checkpoints; at least 1 is wanted")
        self.model = model
        self._checkpoints = tuple(checkpoints)
        self.weights = checkpoint_weights(weights, self._checkpoints)
        self.active = tuple(int(c) for c in np.flatnonzero(self.weights))

    @contextmanager
    def restored(self) -> Iterator[None]:
        """Afterwards weights, buffers, gradients, modes and flags are what they were before."""
        with restored(self.model):
            yield

    def visit(self) -> Iterator[tuple[int, float]]:
        """(c, w_c) for each checkpoint of positive weight, the model holding its weights."""
        for c in self.active:
            _load(self.model, self._checkpoints[c], c)
            yield c, float(self.weights[c])

    def digest(self) -> str:
        """SHA-256 of the weights and buffers that the model holds now."""
        state = sorted(self.model.state_dict().items())
        return ledger.fingerprint(*(numpy_of(value) for _, value in state))


def _load(model: nn.Module, checkpoint: Any, position: int) -> None:
    if hasattr(checkpoint, "load_into"):
        checkpoint.load_into(model)
    else:
        state: Mapping[str, Tensor] = (
            checkpoint if isinstance(checkpoint, Mapping) else checkpoint.state()
        )
        try:
            model.load_state_dict(state)
        except RuntimeError as error:
            raise CheckpointError(
                f"TracIn: checkpoint {position} is another model's: {error}"
            ) from error
    for name, value in model.state_dict().items():
        if not bool(torch.isfinite(value).all()):
            raise CheckpointError(f"TracIn: checkpoint {position}: {name!r} is not finite")
