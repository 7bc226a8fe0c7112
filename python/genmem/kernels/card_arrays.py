"""Arrays on a card, read where they lie: torch's CUDA tensors and `__cuda_array_interface__`.

Work is put into the caller's stream: torch's current one of the tensor's device, or the stream that
the interface names. Working memory comes from torch's store if a tensor is among the inputs. A call
waits for the stream once or twice, as its answer is looked at on the host before it goes back.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np

from genmem.errors import BackendError


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

    def release(self, address: int) -> None:
        import torch

        torch.cuda.caching_allocator_delete(address)  # type: ignore[no-untyped-call]


Place = tuple[int, int, list[int], CardMemory | None]


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
        plain = value.detach()
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
        return None
    device = getattr(getattr(value, "device", None), "id", 0)
    return CardRows(value, dict(interface), int(device), interface.get("stream"))


def place_of(operation: str, arrays: dict[str, object]) -> Place | None:
    """(device, stream, streams to wait for, memory) of a call; None where no array is on a card.

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
    return device, stream, before, memory
