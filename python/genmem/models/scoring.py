"""The state a model must be in while it is scored."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.dropout import _DropoutNd

from genmem.device import device_of, full_precision
from genmem.models.observed import Observed, each, samples
from genmem.models.single_thread import single_thread


@contextmanager
def scoring(model: nn.Module, operation: str) -> Iterator[None]:
    """One thread, all digits of float32, no autograd, and a model whose answer for a sample is the
    sample's alone."""
    require_eval(model, operation)
    with single_thread(), full_precision(device_of(model)), torch.inference_mode():
        yield


def require_eval(model: nn.Module, operation: str) -> None:
    """Raise ValueError if a module of `model` would mix the samples of a batch, or draw at random.

    Batch norm in train mode does the one (the score of a sample then depends on its neighbours in
    the batch), dropout in train mode the other.
    """
    for name, module in model.named_modules():
        if module.training and isinstance(module, (_BatchNorm, _DropoutNd)):
            kind = type(module).__name__
            raise ValueError(
                f"{operation}: module {name!r} ({kind}) is in train mode; call model.eval() first"
            )


def in_fixed_batches(function: Callable[..., Tensor], rows: Observed, size: int) -> Tensor:
    """`function` of rows (N, ...), always called on exactly `size` rows; shape (N, ...).

    A matrix product chooses its kernel by its shape, so a row alone and the same row among sixty
    may differ in the last bit. The last batch is filled up with copies of the last row.
    """
    parts, count = [], len(samples(rows))
    for start in range(0, count, size):
        batch = each(rows, partial(_filled, start=start, size=size))
        parts.append(function(batch)[: count - start])
    return torch.cat(parts) if parts else function(rows)


def _filled(rows: Tensor, start: int, size: int) -> Tensor:
    """Rows start .. start + size - 1, the last row in place of those beyond it."""
    batch = rows[start : start + size]
    short = size - len(batch)
    if not short:
        return batch
    return torch.cat([batch, batch[-1:].expand(short, *batch.shape[1:])])
