"""Arrays on a card, read and answered where they lie.

Read are torch's CUDA tensors, and whatever has `__cuda_array_interface__` or DLPack. Work is put
into the caller's stream: torch's current one of the tensor's device, or the stream that the
interface names. Working memory comes from torch's store if a tensor is among the inputs. A call
waits for the stream only where the host is to look at something: whether values are finite, or at
statistics that were asked for.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import numpy.typing as npt

from genmem import _core
from genmem.errors import BackendError

if TYPE_CHECKING:
    import torch

_DLPACK_CUDA = 2


class CardMemory(Protocol):
    """Memory of a card by address, given back in the order of the stream."""

    def allocate(self, size: int) -> int: ...
    def release(self, address: int) -> None: ...


@dataclass(frozen=True)
class CardRows:
    """A matrix on a card: what `__cuda_array_interface__` says, and who owns the memory."""

    owner: Any
    interface: dict[str, Any]
    device: int
    stream: int | None  # None: whoever made it has nothing left to do
    torch: bool = field(default=False)

    @property
    def __cuda_array_interface__(self) -> dict[str, Any]:
        return self.interface

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(self.interface["shape"])

    @property
    def ndim(self) -> int:
        return len(self.shape)

    @property
    def dtype(self) -> np.dtype[Any]:
        element: np.dtype[Any] = np.dtype(str(self.interface["typestr"]))
        return element

    def __len__(self) -> int:
        return self.shape[0]


@dataclass(frozen=True)
class TorchMemory:
    """torch's caching store, for one device and stream."""

    device: int
    stream: int

    def allocate(self, size: int) -> int:
        import torch

        return int(torch.cuda.caching_allocator_alloc(size, self.device, self.stream))

    def spare(self) -> int:
        """Bytes that it holds and nobody uses."""
        import torch

        held = torch.cuda.memory_reserved(self.device)
        return int(held - torch.cuda.memory_allocated(self.device))

    def release(self, address: int) -> None:
        import torch

        torch.cuda.caching_allocator_delete(address)  # type: ignore[no-untyped-call]


# Device, stream, streams to wait for, memory, whether the caller looks at statistics.
Place = tuple[int, int, list[int], CardMemory | None, bool]


def card_rows(operation: str, argument: str, value: object) -> CardRows | None:
    """`value` where it is an array on a card, else None.

    Half-precision tensors are widened to float32 and those of integers to float64, on the card;
    rows that do not lie in one piece are copied there. Raises TypeError for elements that are no
    real numbers.
    """
    torch = sys.modules.get("torch")
    if torch is not None and isinstance(value, torch.Tensor):
        if value.device.type != "cuda":
            return None
        plain = value.detach().resolve_neg()
        if plain.is_complex():
            raise TypeError(
                f"{operation}: {argument} has elements of type {plain.dtype}; "
                "real numbers are wanted"
            )
        if plain.dtype in (torch.float16, torch.bfloat16):
            plain = plain.float()
        elif plain.dtype not in (torch.float32, torch.float64, torch.uint8):
            plain = plain.double()
        if plain.ndim == 2 and plain.stride(1) != 1:
            plain = plain.contiguous()
        device = plain.device.index
        stream = torch.cuda.current_stream(device).cuda_stream
        return CardRows(plain, plain.__cuda_array_interface__, device, stream, torch=True)
    interface = getattr(value, "__cuda_array_interface__", None)
    if interface is None:
        return _by_dlpack(operation, argument, value)
    where = getattr(value, "__dlpack_device__", None)
    device = where()[1] if where else getattr(getattr(value, "device", None), "id", 0)
    return CardRows(value, dict(interface), int(device), interface.get("stream"))


def _by_dlpack(operation: str, argument: str, value: object) -> CardRows | None:
    """An array of a card that has DLPack alone, seen through torch."""
    where = getattr(value, "__dlpack_device__", None)
    if where is None or int(where()[0]) != _DLPACK_CUDA:
        return None
    try:
        import torch
    except ImportError:
        raise BackendError(
            f"{operation}: {argument} lies on a card and has no __cuda_array_interface__; what has "
            "DLPack alone is read through torch, which is not installed"
        ) from None
    if not torch.cuda.is_available():
        raise BackendError(
            f"{operation}: {argument} lies on a card and has no __cuda_array_interface__; what has "
            "DLPack alone is read through torch, which sees no card here"
        )
    found = card_rows(operation, argument, torch.utils.dlpack.from_dlpack(value))
    # The answer is not a tensor, as the caller has none.
    return None if found is None else replace(found, torch=False)


def reads_cards() -> bool:
    """Whether the kernels of this build run on the cards of this machine."""
    return not _core.card_states()["cuda"]


def on_host(value: Any) -> npt.NDArray[Any]:
    """`value` as a NumPy array, copied where it lies on a card."""
    torch = sys.modules.get("torch")
    if torch is not None and isinstance(value, torch.Tensor):
        return np.asarray(value.detach().cpu())
    return np.asarray(value)


def place_of(operation: str, arrays: Mapping[str, object], *, told: bool = True) -> Place | None:
    """Where a call runs, and whether it tells; None where no array is on a card.

    Raises BackendError for arrays on several devices.
    """
    there = {name: rows for name, rows in arrays.items() if isinstance(rows, CardRows)}
    if not there:
        return None
    devices = {name: rows.device for name, rows in there.items()}
    if len(set(devices.values())) > 1:
        said = " and ".join(f"{name} on device {device}" for name, device in devices.items())
        raise BackendError(f"{operation}: {said}; one device is wanted")
    device = next(iter(devices.values()))
    by_torch = [rows.stream for rows in there.values() if rows.torch]
    streams = [rows.stream for rows in there.values() if rows.stream is not None]
    stream = by_torch[0] if by_torch else streams[0] if streams else 0
    assert stream is not None
    before = sorted({other for other in streams if other != stream})
    memory = TorchMemory(device, stream) if by_torch else None
    return device, stream, before, memory, told


def room(
    caller: CardRows, place: Place, backend: str, shape: tuple[int, ...], dtype: npt.DTypeLike
) -> torch.Tensor | _core.CardArray:
    """Memory beside `caller` for an answer about it: a tensor for a tensor, else a CardArray."""
    kind = np.dtype(dtype)
    if not caller.torch:
        return _core.CardArray(backend, place, list(shape), kind.str)
    import torch

    device = torch.device("cuda", caller.device)
    return torch.empty(shape, dtype=getattr(torch, kind.name), device=device)


def sealed(*answers: Any) -> None:
    """What fills them is in the stream: a CardArray needs it no more."""
    for one in answers:
        if isinstance(one, _core.CardArray):
            one.seal()


def placed(
    caller: CardRows, place: Place, backend: str, array: npt.NDArray[Any]
) -> torch.Tensor | _core.CardArray:
    """A copy of `array` beside `caller`."""
    there = room(caller, place, backend, array.shape, array.dtype)
    if isinstance(there, _core.CardArray):
        there.put(np.ascontiguousarray(array))
        there.seal()
    else:
        import torch

        there.copy_(torch.from_numpy(np.ascontiguousarray(array)))
    return there
