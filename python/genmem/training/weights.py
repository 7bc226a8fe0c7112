"""Named tensors in safetensors units: what is written comes back with its types and its shapes."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from genmem.errors import CheckpointError
from genmem.ledger import read_unit, write_unit


def write_tensors(path: Path, tensors: Mapping[str, Tensor], meta: Mapping[str, Any]) -> None:
    """Write named tensors and a JSON-able `meta` as one unit, whole or not at all."""
    arrays = {name: value.detach().cpu().numpy() for name, value in tensors.items()}
    write_unit(path, arrays, {"tensors": dict(meta)})


def read_tensors(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """What `write_tensors` wrote; FileNotFoundError, or CheckpointError if it is not whole."""
    arrays, header = read_unit(path)
    if header.keys() != {"tensors"}:
        raise CheckpointError(f"{path} is a unit of something else: it describes {sorted(header)}")
    tensors = {name: torch.from_numpy(np.array(value)) for name, value in arrays.items()}
    return tensors, header["tensors"]


def fill(model: nn.Module, tensors: Mapping[str, Tensor], place: str) -> None:
    """Copy tensors into weights and buffers of the same names; CheckpointError if they differ."""
    own = model.state_dict()
    difference = first_difference(own, tensors)
    if difference:
        raise CheckpointError(f"{place} does not fit the model: {difference}")
    with torch.no_grad():
        for name, value in own.items():
            value.copy_(tensors[name])


def first_difference(here: Mapping[str, Tensor], there: Mapping[str, Tensor]) -> str:
    """The first name whose type or shape is not the same in both, in words; '' if there is none."""
    for name in sorted(here.keys() | there.keys()):
        kinds = _kind(there.get(name)), _kind(here.get(name))
        if kinds[0] != kinds[1]:
            return f"{name} is {kinds[0]} there and {kinds[1]} in the model"
    return ""


def _kind(value: Tensor | None) -> str:
    if value is None:
        return "absent"
    return f"{str(value.dtype).removeprefix('torch.')} {tuple(value.shape)}"
