"""The shapes of what users bring: losses, batches, checkpoints, data."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol, TypeAlias

import numpy.typing as npt
from torch import Tensor

Batch: TypeAlias = Tensor | tuple[Tensor, ...]

# loss(model, batch, noise) -> (B,), one number per sample; noise is (B, m, latent) or None.
Loss: TypeAlias = Callable[[Any, Any, Any], Tensor]

Progress: TypeAlias = Callable[[str, int, int], None]

Array: TypeAlias = npt.NDArray[Any] | Tensor


class Checkpoint(Protocol):
    """Weights of the model at one moment of its training.

    The weights of `weights="lr"` also read lr; "lr_steps" and "nats" also steps_since_previous,
    batch (samples per step) and rows (training samples in all).
    """

    def state(self) -> Mapping[str, Tensor]:
        """Parameters and buffers by name."""
        ...


class Trained(Protocol):
    """What is read of a training run."""

    @property
    def checkpoints(self) -> Sequence[Checkpoint]: ...
    @property
    def recipe(self) -> Any: ...
    def model(self, checkpoint: int = -1) -> Any:
        """The model in eval mode."""
        ...
