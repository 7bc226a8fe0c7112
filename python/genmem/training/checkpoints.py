"""Weights on disk: a safetensors unit, and a JSON sidecar that says what they are."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from genmem.errors import CheckpointError
from genmem.ledger import write_text
from genmem.training.weights import fill, first_difference, read_tensors, write_tensors


@dataclass(frozen=True)
class Checkpoint:
    """The weights of a model after an epoch, and what TracIn weighs them by.

    epoch                 epochs trained, from 1
    step                  optimizer steps so far
    lr                    learning rate of the steps since the previous checkpoint
    steps_since_previous  optimizer steps since then (or since the start)
    batch, rows           samples per step, training samples in all
    train_loss            mean training loss of this epoch in nats per sample
    signature             of the model, see `signature`
    source                a file, or the tensors themselves
    """

    epoch: int
    step: int
    lr: float
    steps_since_previous: int
    batch: int
    rows: int
    train_loss: float
    signature: str
    source: Path | Mapping[str, Tensor] = field(repr=False, compare=False)

    @classmethod
    def of(cls, model: nn.Module, **facts: Any) -> Checkpoint:
        """A checkpoint in memory: a copy, on the CPU, of the weights the model has now."""
        state = model.state_dict().items()
        weights = {name: value.detach().to("cpu", copy=True) for name, value in state}
        return cls(signature=signature(model), source=weights, **facts)

    @classmethod
    def read(cls, sidecar: Path) -> Checkpoint:
        """The checkpoint a sidecar describes; its weights stay on disk until `state`.

        Raises FileNotFoundError, or CheckpointError if the sidecar describes none.
        """
        text = sidecar.read_text(encoding="utf-8")
        try:
            return cls(source=sidecar.with_suffix(".safetensors"), **json.loads(text))
        except (ValueError, TypeError) as error:
            raise CheckpointError(f"{sidecar} does not describe a checkpoint: {error}") from error

    def write(self, folder: Path) -> Checkpoint:
        """Write weights, then sidecar, into `folder`; returns the checkpoint that lies there."""
        path = sidecar_path(folder, self.epoch).with_suffix(".safetensors")
        facts = self.facts()
        write_tensors(path, self.state(), facts)
        write_text(path.with_suffix(".json"), json.dumps(facts, indent=2) + "\n")
        return dataclasses.replace(self, source=path)

    def facts(self) -> dict[str, Any]:
        """The fields but the weights."""
        names = (entry.name for entry in dataclasses.fields(self) if entry.name != "source")
        return {name: getattr(self, name) for name in names}

    def state(self) -> dict[str, Tensor]:
        """The weights and buffers by name, a copy.

        Raises FileNotFoundError if the file is gone, CheckpointError if it is truncated, altered,
        or not the one its sidecar describes.
        """
        if not isinstance(self.source, Path):
            return {name: value.clone() for name, value in self.source.items()}
        tensors, facts = read_tensors(self.source)
        if facts != self.facts():
            raise CheckpointError(
                f"{self.source} says it holds {facts}, its sidecar says {self.facts()}"
            )
        return tensors

    def load_into(self, model: nn.Module) -> None:
        """Give `model` these weights; CheckpointError, naming both, if they are another model's."""
        here = signature(model)
        if here != self.signature:
            raise CheckpointError(
                f"{self.place} holds a model of signature {self.signature[:12]}, the model to fill "
                f"has {here[:12]}: {first_difference(model.state_dict(), self.state())}"
            )
        fill(model, self.state(), self.place)

    @property
    def place(self) -> str:
        """Where the weights are, for messages."""
        return str(self.source) if isinstance(self.source, Path) else f"checkpoint {self.epoch}"


def sidecar_path(folder: Path, epoch: int) -> Path:
    """The JSON file of an epoch's checkpoint; its weights have the same stem."""
    return folder / f"epoch_{epoch:06d}.json"


def signature(model: nn.Module) -> str:
    """SHA-256 over the names, types and shapes of a model's weights and buffers."""
    lines = (
        f"{name} {value.dtype} {list(value.shape)}"
        for name, value in sorted(model.state_dict().items())
    )
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()
