"""What a model is given of a batch: samples alone, or samples and their labels."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import torch
from torch import Tensor

# x (B, *shape), or the pair of x and its labels (B,) int64.
Observed: TypeAlias = Tensor | tuple[Tensor, Tensor]


def samples(observed: Observed) -> Tensor:
    """x, with or without labels beside it."""
    return observed if isinstance(observed, Tensor) else observed[0]


def each(observed: Observed, change: Callable[[Tensor], Tensor]) -> Observed:
    """x, and the labels where there are some, changed."""
    if isinstance(observed, Tensor):
        return change(observed)
    x, labels = observed
    return change(x), change(labels)


def placed(observed: Observed, device: torch.device) -> Observed:
    """x, and the labels where there are some, on a device."""
    return each(observed, lambda t: t.to(device))


def beside(observed: Observed, like: Tensor) -> Observed:
    """x in the type and on the device of `like`, labels on its device."""
    if isinstance(observed, Tensor):
        return observed.to(like)
    x, labels = observed
    return x.to(like), labels.to(like.device)
