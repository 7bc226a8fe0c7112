"""Where models compute: the device behind a name, and its full float32 precision.

For the modules that compute with torch; importing it imports torch.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import torch
from torch import nn

from genmem.errors import BackendError
from genmem.ledger import read_identity

# What the identity of a run that says nothing of a device stands for; see `recorded`.
UNWRITTEN = {"device": "cpu"}


def torch_device(
    device: str | torch.device, operation: str, out: str | Path | None = None
) -> torch.device:
    """The device that a name stands for, ready to compute; a card with its number.

    device  "auto": the card if torch sees one, else the processor; "cpu"; "cuda", the current card;
            "cuda:1"
    out     a run directory: what was begun there on the processor, "auto" leaves on it

    Raises ValueError, naming the operation, for another name; BackendError, with the reason, for a
    card that torch cannot use.
    """
    name = str(device)
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() and not _begun_on_cpu(out) else "cpu"
    known = re.fullmatch(r"cpu|cuda(?::([0-9]+))?", name)
    if known is None:
        raise ValueError(
            f"{operation}: device is {str(device)!r}; 'auto', 'cpu', 'cuda' or 'cuda:N' is wanted"
        )
    if name == "cpu":
        return torch.device("cpu")
    number = known[1]
    why = _unusable(number)
    if why:
        raise BackendError(f"{operation}: device {str(device)!r} cannot be used: {why}")
    return torch.device("cuda", int(number) if number else torch.cuda.current_device())


def _unusable(number: str | None) -> str:
    """Why torch cannot compute on the card of this number (None: the current); '' if it can."""
    if not torch.cuda.is_available():
        built = torch.version.cuda or torch.version.hip
        return "torch sees no card" if built else "this torch was built without CUDA"
    count = torch.cuda.device_count()
    if number and int(number) >= count:
        return f"torch sees {count} card{'s' * (count > 1)}, numbered from 0"
    try:
        # A card too old for this torch is seen, and fails at its first kernel.
        torch.ones(1, device=torch.device("cuda", int(number)) if number else "cuda").add(1).cpu()
    except RuntimeError as error:
        return str(error).strip().splitlines()[0]
    return ""


def _begun_on_cpu(out: str | Path | None) -> bool:
    try:
        return out is not None and "device" not in read_identity(out)
    except FileNotFoundError:
        return False


def device_of(model: nn.Module) -> torch.device:
    """Where the parameters of a model lie; the processor for a model without any."""
    first = next(model.parameters(), None)
    return torch.device("cpu") if first is None else first.device


def passed_on(device: str, operation: str, out: str | Path | None = None) -> str:
    """`torch_device` by name, for processes that may have a current card of their own: without a
    number, unless one is given."""
    kind = torch_device(device, operation, out).type
    return device if device.startswith(kind) else kind


def recorded(device: torch.device | str) -> str | None:
    """What the identity of a run says of the device whose rounding is in its numbers.

    None, which is not written, for the processor: so say the runs from before there was a choice.
    """
    kind = torch.device(device).type
    return None if kind == "cpu" else kind


@contextmanager
def full_precision(device: torch.device) -> Iterator[None]:
    """Products of float32 keep all digits on `device`, whatever the caller has allowed.

    No autocast, no TF32, to which cards round convolutions by default, and no bfloat16, which
    `set_float32_matmul_precision("medium")` brings to processors too. A card sums convolutions in
    the same order every time.

    The settings are put back afterwards. An autocast that a loss itself enters stays; its gradients
    may then differ between batches by more than the proof of a capture allows, which refuses them.
    """
    switches = _SWITCHES.get(device.type)
    with switches.set() if switches else nullcontext(), torch.autocast(device.type, enabled=False):
        yield


class _Switches:
    """Settings of the process: the first of several threads saves them, the last puts them back."""

    def __init__(self, wanted: Callable[[], list[tuple[Any, str, Any]]]) -> None:
        self._wanted, self._lock, self._inside = wanted, threading.Lock(), 0
        self._saved: list[tuple[Any, str, Any]] = []

    @contextmanager
    def set(self) -> Iterator[None]:
        with self._lock:
            if self._inside == 0:
                wanted = self._wanted()
                self._saved = [(owner, name, getattr(owner, name)) for owner, name, _ in wanted]
                for owner, name, value in wanted:
                    setattr(owner, name, value)
            self._inside += 1
        try:
            yield
        finally:
            with self._lock:
                self._inside -= 1
                if self._inside == 0:
                    for owner, name, value in self._saved:
                        setattr(owner, name, value)


class _MatmulPrecision:
    """The setting of products before torch 2.9, as an attribute."""

    @property
    def value(self) -> str:
        return torch.get_float32_matmul_precision()

    @value.setter
    def value(self, value: str) -> None:
        torch.set_float32_matmul_precision(value)


# Since 2.9 torch names the precision; reading the old switches then may raise.
_NAMED = hasattr(torch.backends.cuda.matmul, "fp32_precision")


def _of_the_processor() -> list[tuple[Any, str, Any]]:
    if not _NAMED:
        return [(_MatmulPrecision(), "value", "highest")]
    onednn: Any = torch.backends.mkldnn
    return [(one, "fp32_precision", "ieee") for one in (onednn.matmul, onednn.conv)]


def _of_cards() -> list[tuple[Any, str, Any]]:
    matmul: Any = torch.backends.cuda.matmul
    cudnn: Any = torch.backends.cudnn
    order = [(cudnn, "deterministic", True), (cudnn, "benchmark", False)]
    if not _NAMED:
        return [*order, *((one, "allow_tf32", False) for one in (matmul, cudnn))]
    return [*order, *((one, "fp32_precision", "ieee") for one in (matmul, cudnn.conv))]


_SWITCHES = {"cpu": _Switches(_of_the_processor), "cuda": _Switches(_of_cards)}
