"""Where models compute: the device behind a name, and its full float32 precision.

For the modules that compute with torch; importing it imports torch.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import nn

from genmem.errors import BackendError
from genmem.ledger import read_identity

# What the identity of a run that says nothing of a device stands for; see `recorded`.
UNWRITTEN = {"device": "cpu"}

# Switches that several threads have asked for: the first saves them, the last puts them back.
_lock = threading.Lock()
_inside = 0
_saved: list[tuple[Any, str, Any]] = []


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
    """Products of float32 keep all digits on `device`: no autocast, and no TF32, to which cards
    round convolutions by default. Convolutions are computed in the same order every time.

    The settings are put back afterwards. An autocast that a loss itself enters stays; its gradients
    may then differ between batches by more than the proof of a capture allows, which refuses them.
    """
    global _inside
    on_card = device.type == "cuda"
    if on_card:
        with _lock:
            if _inside == 0:
                _save_and_set()
            _inside += 1
    try:
        with torch.autocast(device.type, enabled=False):
            yield
    finally:
        if on_card:
            with _lock:
                _inside -= 1
                if _inside == 0:
                    _put_back()


def _save_and_set() -> None:
    matmul: Any = torch.backends.cuda.matmul
    cudnn: Any = torch.backends.cudnn
    # Since 2.9 torch names the precision; reading the old switches then may raise.
    wanted: list[tuple[Any, str, Any]] = [
        (cudnn, "deterministic", True),
        (cudnn, "benchmark", False),
    ]
    if hasattr(matmul, "fp32_precision"):
        wanted += [(one, "fp32_precision", "ieee") for one in (matmul, cudnn.conv)]
    else:
        wanted += [(one, "allow_tf32", False) for one in (matmul, cudnn)]
    _saved.extend((one, name, getattr(one, name)) for one, name, _ in wanted)
    for one, name, value in wanted:
        setattr(one, name, value)


def _put_back() -> None:
    while _saved:
        one, name, value = _saved.pop()
        setattr(one, name, value)
