"""One side of the products: a stream of blocks of factors, captured now or read from a store."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from genmem.influence import batches
from genmem.influence.capture.factors import Capture
from genmem.influence.checkpoints.trained_loss import SeenLosses
from genmem.influence.protocols import Batch
from genmem.influence.samples import Samples
from genmem.influence.stores.blocks import concatenate
from genmem.kernels import Factors
from genmem.noise import normals

# Beyond this many rows a forward pass gains nothing from a larger batch.
_LARGEST_BATCH = 512


class Side(Protocol):
    """N samples whose factors come block by block, in order."""

    def __len__(self) -> int: ...

    def blocks(self, checkpoint: int, weight: float) -> Iterator[tuple[slice, Factors]]:
        """The rows of each block, and their factors with sqrt(weight) folded in."""
        ...


@dataclass(frozen=True)
class Noise:
    """Standard normals keyed by (seed, stream, id of the sample, draw); latent None: no noise."""

    seed: int
    stream: str
    draws: range
    latent: int | None

    def of(
        self, ids: npt.NDArray[np.int64], dtype: torch.dtype, device: torch.device
    ) -> Tensor | None:
        """(B, m, latent), or None."""
        if self.latent is None:
            return None
        drawn = normals(self.seed, ids, np.array(self.draws), self.latent, stream=self.stream)
        return torch.from_numpy(drawn).to(device, dtype)


class LiveSide:
    """Samples that are captured when their block is asked for.

    memory  bytes that a block of factors may hold, and as many again for capturing it
    rows    rows of a block; None: as many as memory allows

    .losses are those of the samples, as they were captured since the last `renew`.
    """

    def __init__(
        self,
        capture: Capture,
        samples: Samples,
        noise: Noise,
        memory: int,
        rows: int | None = None,
    ) -> None:
        self._capture, self._samples, self._noise = capture, samples, noise
        self._memory, self._rows = memory, rows
        self.losses = SeenLosses(len(samples))

    def __len__(self) -> int:
        return len(self._samples)

    def renew(self) -> None:
        """Forget what was seen at other weights: to be called when they have changed."""
        self.losses.clear()
        self._capture.forget_checks()

    @property
    def name(self) -> str:
        """What errors call the samples: "train" or "test"."""
        return self._samples.name

    def block_rows(self, most: int | None = None) -> int:
        """Rows of a block, of `most` bytes if memory allows more; the model must hold its weights,
        as the first call probes it."""
        if not self._capture.ready:
            self._capture.prepare(*self._given(0, min(3, len(self))), origin=self._samples.name)
        if self._rows is not None:
            return self._rows
        memory = self._memory if most is None else min(self._memory, most)
        return max(1, min(len(self), memory // self._capture.kept_bytes))

    def blocks(self, checkpoint: int, weight: float) -> Iterator[tuple[slice, Factors]]:
        rows = self.block_rows()
        for start in range(0, len(self), rows):
            stop = min(start + rows, len(self))
            yield slice(start, stop), self.block(start, stop, weight)

    def block(self, start: int, stop: int, weight: float) -> Factors:
        """Factors of the samples start .. stop - 1, at the weights that the model holds."""
        self.block_rows()
        step = max(1, min(_LARGEST_BATCH, self._memory // self._capture.working_bytes))
        scale, name = math.sqrt(weight), self._samples.name
        parts = []
        for at in range(start, stop, step):
            batch, noise = self._given(at, min(at + step, stop))
            parts.append(self._capture(batch, noise, scale=scale, origin=name, start=at))
            self.losses.add(at, self._capture.losses)
        return concatenate(parts)

    def _given(self, start: int, stop: int) -> tuple[Batch, Tensor | None]:
        dtype, device = batches.placement(self._capture.model)
        noise = self._noise.of(self._samples.ids[start:stop], dtype, device)
        return self._samples.values(start, stop), noise
