"""A batch as it was given: its noise, and what errors call its rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NoReturn

import torch
from torch import Tensor

from genmem.influence.batches import size, take
from genmem.influence.protocols import Batch


@dataclass(frozen=True)
class Given:
    """Samples and their noise (B, m, latent) or None; row i is called row numbers[i] of origin."""

    batch: Batch
    noise: Tensor | None
    origin: str
    numbers: Sequence[int]

    @classmethod
    def checked(
        cls, batch: Batch, noise: Tensor | None, origin: str, numbers: int | Sequence[int]
    ) -> Given:
        """Rows `numbers` of origin, or those from a number on; ValueError if there are none, or
        other noise."""
        n = size(batch)
        if n == 0:
            raise ValueError(f"capture: {origin} has 0 rows; at least 1 is wanted")
        if noise is not None and len(noise) != n:
            raise ValueError(f"capture: noise is given for {len(noise)} rows and {origin} has {n}")
        rows = range(numbers, numbers + n) if isinstance(numbers, int) else numbers
        return cls(batch, noise, origin, rows)

    def __len__(self) -> int:
        return size(self.batch)

    def label(self, row: int) -> str:
        """What errors call a row of the batch."""
        return f"row {self.numbers[row]} of {self.origin}"

    def spread(self) -> Given:
        """The first, middle and last sample; one is repeated if there are fewer than three."""
        last = len(self) - 1
        return self.only([0, last // 2, last])

    def mirrored(self) -> Given:
        """The same samples from the last to the first."""
        return self.only([*reversed(range(len(self)))])

    def only(self, rows: Sequence[int]) -> Given:
        """The samples at `rows`."""
        first = self.batch if isinstance(self.batch, Tensor) else self.batch[0]
        chosen = torch.tensor(rows, device=first.device)
        noise = None if self.noise is None else self.noise[chosen]
        numbers = [self.numbers[row] for row in rows]
        return Given(take(self.batch, chosen), noise, self.origin, numbers)

    def check_losses(self, losses: object) -> None:
        """ValueError unless losses are one finite number per sample that gradients can reach."""
        n = len(self)
        if not isinstance(losses, Tensor) or losses.shape != (n,):
            seen = tuple(losses.shape) if isinstance(losses, Tensor) else type(losses).__name__
            raise ValueError(
                f"capture: the loss of {n} rows of {self.origin} has shape {seen}; "
                f"({n},), one number per sample, is wanted"
            )
        if not losses.requires_grad:
            refuse_unreached()
        bad = torch.nonzero(~torch.isfinite(losses))
        if len(bad):
            row = int(bad[0])
            raise ValueError(
                f"capture: the loss of {self.label(row)} is {losses[row].item()}; "
                "a finite number is wanted"
            )


def refuse_unreached() -> NoReturn:
    """ValueError: no gradient reaches the model."""
    raise ValueError("capture: the loss does not depend on any trainable parameter of the model")
