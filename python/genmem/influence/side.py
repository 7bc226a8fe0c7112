"""One side of the products: a stream of blocks of factors, captured now or read from a store."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
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
from genmem.influence.stores.blocks import joined
from genmem.kernels import Factors
from genmem.noise import normals

# A pass gains nothing from more rows than the largest batch, and loses where activations leave the
# caches: with 512 rows a convolutional VAE at m = 4 takes 1.6 times as long as with 128.
_LARGEST_BATCH, _SMALLEST_BATCH = 512, 16
_BATCH_BYTES = 32 << 20
# A card wants more rows at a time than a core; the memory that a call may take is the limit there.
_LARGEST_ON_CARD = 8192


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


@dataclass(frozen=True)
class Room:
    """Bytes for the factors of a block, and for capturing a batch.

    kept None: a block is one batch, and its arrays are good until the next one is asked for.
    """

    kept: int | None
    working: int


class LiveSide:
    """Samples that are captured when their block is asked for.

    room  bytes that it may hold
    rows  rows of a block; None: as many as there is room for

    .losses are those of the samples, as they were captured since the last `renew`.
    """

    def __init__(
        self,
        capture: Capture,
        samples: Samples,
        noise: Noise,
        room: Room,
        rows: int | None = None,
    ) -> None:
        self._capture, self._samples, self._noise = capture, samples, noise
        self._room, self._rows = room, rows
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
            batch, noise, rows = self._few()
            self._capture.prepare(batch, noise, origin=self.name, numbers=rows)
        if self._rows is not None:
            return self._rows
        if self._room.kept is None:
            return self._batch_rows(len(self))
        memory = self._room.kept if most is None else min(self._room.kept, most)
        return max(1, min(len(self), memory // self._capture.kept_bytes))

    def blocks(self, checkpoint: int, weight: float) -> Iterator[tuple[slice, Factors]]:
        rows = self.block_rows()
        if self._room.kept is None and self._rows is None:
            yield from self._batches(0, len(self), weight)
            return
        for start in range(0, len(self), rows):
            stop = min(start + rows, len(self))
            yield slice(start, stop), self.block(start, stop, weight)

    def block(self, start: int, stop: int, weight: float) -> Factors:
        """Factors of the samples start .. stop - 1, at the weights that the model holds."""
        self.block_rows()
        return joined((part for _, part in self._batches(start, stop, weight)), stop - start)

    def _batches(self, start: int, stop: int, weight: float) -> Iterator[tuple[slice, Factors]]:
        step, scale = self._batch_rows(stop - start), math.sqrt(weight)
        for at in range(start, stop, step):
            end = min(at + step, stop)
            batch, noise = self._given(at, end)
            part = self._capture(batch, noise, scale=scale, origin=self.name, start=at)
            self.losses.add(at, self._capture.losses)
            yield slice(at, end), part

    def _batch_rows(self, rows: int) -> int:
        """Of the batches that `rows` samples are taken in."""
        own = self._capture.working_bytes
        good = max(_SMALLEST_BATCH, min(_LARGEST_BATCH, _BATCH_BYTES // own))
        if batches.placement(self._capture.model)[1].type == "cuda":
            good = _LARGEST_ON_CARD
        most = max(1, min(good, self._room.working // own, rows))
        # Batches of one size, and one that is known: the capture is proven again at every new one.
        even = [size for size in range(most, most // 2, -1) if rows % size == 0]
        known = [size for size in even if size in self._capture.proven_sizes]
        return (known + even + [most])[0]

    def _few(self) -> tuple[Batch, Tensor | None, Sequence[int]]:
        """Three samples far from each other, which are rarely alike, and their numbers; the first
        three if distant ones have other shapes."""
        rows = [0, len(self) // 2, len(self) - 1]
        found = [self._given(row, row + 1) for row in rows]
        batch = batches.stacked([one for one, _ in found])
        if batch is None:
            return *self._given(0, min(3, len(self))), range(min(3, len(self)))
        noise = [one for _, one in found if one is not None]
        return batch, torch.cat(noise) if noise else None, rows

    def _given(self, start: int, stop: int) -> tuple[Batch, Tensor | None]:
        dtype, device = batches.placement(self._capture.model)
        noise = self._noise.of(self._samples.ids[start:stop], dtype, device)
        return self._samples.values(start, stop), noise
