"""Which arrays are accepted, and how the answer goes back in the caller's kind.

NumPy arrays of any strides (memory maps included), torch tensors and anything with `__dlpack__` are
read without a copy when they hold float32, float64 or uint8. Half-precision floats are widened to
float32, integers and booleans to float64 (exact below 2^53). Everything else is refused.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias, runtime_checkable

import numpy as np
import numpy.typing as npt

from genmem.errors import BackendError

if TYPE_CHECKING:
    import torch

    Tensor: TypeAlias = torch.Tensor

AnyArray = npt.NDArray[Any]
FloatArray = npt.NDArray[np.floating]


@runtime_checkable
class SupportsDLPack(Protocol):
    """An array of another library that can be read in place."""

    def __dlpack__(self, **kwargs: Any) -> Any: ...


class Typed(Protocol):
    """Whatever tells the type of its elements."""

    @property
    def dtype(self) -> np.dtype[Any]: ...


Readable: TypeAlias = npt.ArrayLike | SupportsDLPack

_NATIVE = (np.dtype(np.float32), np.dtype(np.float64), np.dtype(np.uint8))


def read(operation: str, argument: str, value: Readable) -> AnyArray:
    """`value` as a NumPy array that the kernels can read: float32, float64 or uint8.

    Raises TypeError for elements that are no real numbers, BackendError for an array on a device
    that this build cannot read.
    """
    array = _foreign(operation, argument, value)
    if array.dtype not in _NATIVE:
        array = _widened(operation, argument, array)
    if not array.flags.aligned or any(stride % array.itemsize for stride in array.strides):
        array = array.copy()
    return array


def read_rows(operation: str, argument: str, value: Readable) -> AnyArray:
    """`read`, and two axes (rows, d) with d >= 1."""
    array = read(operation, argument, value)
    if array.ndim != 2 or array.shape[1] == 0:
        raise ValueError(
            f"{operation}: {argument} has shape {array.shape}; "
            "two axes (rows, d) with d >= 1 are wanted"
        )
    return array


def answer(array: AnyArray, caller: Readable) -> Any:
    """`array` in the library of `caller`: a torch tensor on a tensor's device, else NumPy."""
    torch = sys.modules.get("torch")
    if torch is not None and isinstance(caller, torch.Tensor):
        return torch.from_numpy(np.ascontiguousarray(array)).to(caller.device)
    return array


def float_type(array: Typed) -> np.dtype[np.floating]:
    """The float type of an answer about `array`: float32 stays, all others give float64."""
    return np.dtype(np.float32) if array.dtype == np.float32 else np.dtype(np.float64)


def _foreign(operation: str, argument: str, value: Readable) -> AnyArray:
    if isinstance(value, np.ndarray):
        return value
    # torch is asked only if the caller has imported it: a tensor cannot exist otherwise.
    torch = sys.modules.get("torch")
    if torch is not None and isinstance(value, torch.Tensor):
        if value.device.type != "cpu":
            raise BackendError(
                f"{operation}: {argument} is on {value.device}; arrays on the CPU are wanted"
            )
        plain = value.detach().resolve_neg()
        return np.from_dlpack(plain.float() if plain.dtype == torch.bfloat16 else plain)
    if isinstance(value, SupportsDLPack):
        return np.from_dlpack(value)
    return np.asarray(value)


def _widened(operation: str, argument: str, array: AnyArray) -> AnyArray:
    if array.dtype.kind == "f":
        return array.astype(np.float32 if array.itemsize == 2 else np.float64)
    if array.dtype.kind in "iub":
        return array.astype(np.float64)
    raise TypeError(
        f"{operation}: {argument} has elements of type {array.dtype}; real numbers are wanted"
    )
