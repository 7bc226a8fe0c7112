"""A batch: one tensor, or a tuple of tensors, whose leading axis is the samples."""

from __future__ import annotations

from cmath import isfinite
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from genmem.influence.protocols import Batch


def size(batch: Batch) -> int:
    """The number of samples."""
    return len(batch) if isinstance(batch, Tensor) else len(batch[0])


def each(batch: Batch, change: Callable[[Tensor], Tensor]) -> Batch:
    """The batch with every tensor changed."""
    return change(batch) if isinstance(batch, Tensor) else tuple(change(t) for t in batch)


def take(batch: Batch, rows: Tensor) -> Batch:
    """The samples at `rows`."""
    return each(batch, lambda t: t[rows])


def stacked(parts: Sequence[Batch]) -> Batch | None:
    """The samples of all parts in order; None if their shapes do not fit together."""
    columns = [*zip(*(p if isinstance(p, tuple) else (p,) for p in parts), strict=True)]
    if any(t.shape[1:] != column[0].shape[1:] for column in columns for t in column):
        return None
    joined = tuple(torch.cat(column) for column in columns)
    return joined if isinstance(parts[0], tuple) else joined[0]


def placement(model: nn.Module) -> tuple[torch.dtype, torch.device]:
    """The floating type and the device of the model's parameters."""
    for parameter in model.parameters():
        if parameter.is_floating_point():
            return parameter.dtype, parameter.device
    raise ValueError("influence: the model has no floating-point parameters")


def all_finite(t: Tensor) -> bool:
    """Whether no entry is NaN or infinite."""
    # The sum is one fast pass, and finite unless an entry is not, or it overflows.
    return isfinite(t.sum().item()) or bool(torch.isfinite(t).all())
