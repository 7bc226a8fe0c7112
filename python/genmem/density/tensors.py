"""Torch tensors at the doors of the densities; torch is never imported before the caller has."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
import numpy.typing as npt

from genmem.arrays import SupportsDLPack, read


def is_tensor(value: object) -> bool:
    """Whether `value` is a torch tensor."""
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(value, torch.Tensor)


def tracks_gradient(value: Any) -> bool:
    """Whether torch records what is computed from `value`."""
    if not is_tensor(value):
        return False
    return bool(value.requires_grad) and bool(sys.modules["torch"].is_grad_enabled())


def refuse_gradient(value: object, operation: str, name: str) -> None:
    """Raise ValueError where torch expects a gradient to flow through what cannot give one."""
    if tracks_gradient(value):
        raise ValueError(
            f"{operation}: {name} requires grad, and no gradient flows through this answer; "
            f"{name}.detach() or torch.no_grad() is wanted"
        )


def in_place(value: Any, operation: str, name: str) -> Any:
    """A tensor, or what else has `__dlpack__`, as an array of its memory; all else as it is."""
    lent = isinstance(value, SupportsDLPack) and not isinstance(value, np.ndarray)
    return read(operation, name, value) if lent else value


def to_tensor(array: npt.NDArray[Any]) -> Any:
    """The tensor of an array's memory."""
    import torch

    return torch.from_numpy(np.ascontiguousarray(array))
