"""Checkpoints that others have written: state dictionaries, files, functions that load them.

A file is read without running what is in it: safetensors, or torch's format with
`weights_only=True`. A function that loads a checkpoint is its owner's code, and trusted as such.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from numbers import Real
from pathlib import Path
from typing import Any, TypeAlias

import torch
from torch import Tensor, nn

from genmem.errors import CheckpointError

Source: TypeAlias = Mapping[str, Any] | str | Path
LoadFunction: TypeAlias = Callable[[nn.Module, Any], Any]

# Under which names training scripts keep weights, and learning rate, beside other things.
_WEIGHTS = ("state_dict", "model_state_dict", "model", "weights")
_RATES = ("lr", "learning_rate")
_STEPS = ("step", "steps", "global_step")


@dataclass(frozen=True)
class StateCheckpoint:
    """A state dictionary, or a file that holds one, and what TracIn weighs it by.

    source                tensors by name, possibly under "state_dict", "model_state_dict", "model"
                          or "weights" beside other entries; or the path of a .safetensors file or
                          of one that `torch.save` wrote. A file is read at every `state`
    lr                    learning rate of the steps since the previous checkpoint
    steps_since_previous  optimizer steps since then
    batch, rows           samples per step, training samples in all
    train_loss            mean loss per training sample that the training recorded, if it did

    Weights read only the fields they need; those are to be given.
    """

    source: Source = field(repr=False)
    lr: float | None = None
    steps_since_previous: int | None = None
    batch: int | None = None
    rows: int | None = None
    train_loss: float | None = None

    def state(self) -> Mapping[str, Tensor]:
        """Tensors by name.

        Raises FileNotFoundError, or CheckpointError for a file that holds more than tensors and
        plain values, or no state dictionary.
        """
        held = self.source if isinstance(self.source, Mapping) else read_file(self.source)
        return weights_of(held, "the checkpoint" if held is self.source else str(self.source))


def adopted(checkpoints: Any) -> tuple[Any, ...]:
    """What `TracIn` was given, one or several, with files and dictionaries that hold facts beside
    the weights as `StateCheckpoint`: their "lr", and the steps between one "step" and the next."""
    alone = isinstance(checkpoints, str | Path | Mapping) or hasattr(checkpoints, "state")
    found, previous = [], 0
    for checkpoint in [checkpoints] if alone else checkpoints:
        is_file = isinstance(checkpoint, str | Path)
        held = _beside(checkpoint) if is_file else checkpoint
        if is_file or (isinstance(held, Mapping) and not _plain(held)):
            step = _fact(held, _STEPS)
            taken = None if step is None else int(step) - previous
            previous = previous if step is None else int(step)
            facts = {name: _fact(held, (name,)) for name in ("batch", "rows", "train_loss")}
            checkpoint = StateCheckpoint(checkpoint, _fact(held, _RATES), taken, **facts)
        found.append(checkpoint)
    return tuple(found)


def _beside(path: str | Path) -> Mapping[str, Any]:
    """What a file holds beside its weights, which stay on disk where they can be mapped. One that
    cannot be read is told when its weights are asked for."""
    if Path(path).suffix == ".safetensors":
        return {}  # tensors only
    try:
        held: Any = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except Exception:  # no file, an older format without mapping, or no checkpoint at all
        try:
            held = read_file(path)
        except (FileNotFoundError, CheckpointError):
            return {}
    return held if isinstance(held, Mapping) and not _plain(held) else {}


def state_checkpoints(
    sources: Sequence[Source],
    lr: float | Sequence[float] | None = None,
    steps: Sequence[int] | None = None,
    *,
    batch: int | None = None,
    rows: int | None = None,
    train_losses: Sequence[float] | None = None,
) -> tuple[StateCheckpoint, ...]:
    """Checkpoints (C,) for `TracIn`, in the order of the training.

    sources      state dictionaries or files
    lr           one rate for all, or (C,); None: unknown, so weights that read rates are refused
    steps        (C,) optimizer steps done when each was taken, ascending, counted from the start
    batch, rows  samples per step, training samples in all
    train_losses (C,) recorded mean loss per sample, which the traced loss is compared with

    Raises ValueError for lengths that differ from C, or steps that do not ascend from 0.
    """
    count = len(sources)
    rates = [lr] * count if lr is None or isinstance(lr, int | float) else list(lr)
    losses = [None] * count if train_losses is None else list(train_losses)
    taken: list[int | None] = [None] * count
    if steps is not None:
        taken = [int(step) - int(before) for before, step in zip([0, *steps], steps, strict=False)]
    for name, given in (("lr", rates), ("steps", taken), ("train_losses", losses)):
        if len(given) != count:
            raise ValueError(
                f"state_checkpoints: {name} has {len(given)} entries; {count} are wanted, one per "
                "checkpoint"
            )
    odd = next((i for i, step in enumerate(taken) if step is not None and step < 0), None)
    if odd is not None and steps is not None:
        raise ValueError(
            f"state_checkpoints: steps[{odd}] is {steps[odd]}, less than the one before; ascending "
            "counts from the start of the training are wanted"
        )
    entries = zip(sources, rates, taken, losses, strict=True)
    return tuple(StateCheckpoint(s, rate, n, batch, rows, loss) for s, rate, n, loss in entries)


class LoadedBy:
    """A checkpoint that a function of its owner loads: `function(model, place)` -> its rate.

    place     whatever the function takes: a path, an object
    function  fills the model in place. It returns the learning rate (captum's convention), None, or
              a module that holds the weights (dattri's convention)

    `lr` is None until the first load.
    """

    def __init__(self, place: Any, function: LoadFunction) -> None:
        self.place, self._function = place, function
        self.lr: float | None = None

    def load_into(self, model: nn.Module) -> None:
        """Give `model` the weights; CheckpointError if the function answers something else."""
        found = self._function(model, self.place)
        if isinstance(found, nn.Module):
            if found is not model:
                model.load_state_dict(found.state_dict())
        elif found is not None:
            try:
                self.lr = float(found)
            except (TypeError, ValueError):
                raise CheckpointError(
                    f"TracIn: checkpoints_load_func gave a {type(found).__name__}; the learning "
                    "rate, None or a module is wanted"
                ) from None


def loaded_by(places: Sequence[Any], function: LoadFunction) -> tuple[LoadedBy, ...]:
    """Checkpoints for `TracIn` from places and a captum-style `checkpoints_load_func`."""
    return tuple(LoadedBy(place, function) for place in places)


def load_state(model: nn.Module, place: Any) -> float:
    """A `checkpoints_load_func`: fills the model from a file or dictionary, gives its rate or 1.

    The entries "lr" and "learning_rate" beside the weights are rates, as captum users store them.
    """
    held = place if isinstance(place, Mapping) else read_file(place)
    name = "the checkpoint" if held is place else str(place)
    try:
        model.load_state_dict(weights_of(held, name))
    except RuntimeError as error:
        raise CheckpointError(f"TracIn: {name} is another model's: {error}") from error
    rate = _fact(held, _RATES)
    return 1.0 if rate is None else float(rate)


def read_file(path: str | Path) -> Mapping[str, Any]:
    """What a checkpoint file holds, without unpickling objects: tensors, numbers, strings, lists.

    Raises FileNotFoundError; CheckpointError for anything else.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file")
    try:
        if path.suffix == ".safetensors":
            from safetensors.torch import load_file

            found: Any = load_file(path)
        else:
            found = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # unpicklers and parsers raise what they like
        raise CheckpointError(
            f"{path} cannot be read as weights alone: {error}; load it yourself if you trust it, "
            "and pass its state dictionary"
        ) from error
    if not isinstance(found, Mapping):
        raise CheckpointError(f"{path} holds a {type(found).__name__}; a dictionary is wanted")
    return found


def weights_of(held: Mapping[str, Any], name: str) -> Mapping[str, Tensor]:
    """The state dictionary that `held` is, or that lies in it under one of the usual names."""
    # The weights of a module called "model" are tensors under "model.layer", never a dictionary.
    inner = [held[key] for key in _WEIGHTS if isinstance(held.get(key), Mapping)]
    state = inner[0] if len(inner) == 1 else held
    if len(inner) > 1 or not state or not _plain(state):
        seen = ", ".join(map(str, list(held)[:8]))
        raise CheckpointError(
            f"{name} is no state dictionary: it holds {seen or 'nothing'}; tensors by name are "
            f"wanted, or one dictionary of them under {', '.join(_WEIGHTS)}"
        )
    return state


def _plain(state: Mapping[str, Any]) -> bool:
    """Whether all entries are weights; a module may add one extra state of any type."""
    return all(isinstance(v, Tensor) or k.endswith("_extra_state") for k, v in state.items())


def _fact(held: Mapping[str, Any], names: Sequence[str]) -> Any:
    """The first number under one of the names, of whatever type, or None."""
    values = (held.get(name) for name in names)
    numbers = (v.item() if isinstance(v, Tensor) and v.dim() == 0 else v for v in values)
    return next((v for v in numbers if isinstance(v, Real)), None)
