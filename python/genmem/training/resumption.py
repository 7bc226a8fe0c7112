"""A training that was cut short, on disk: enough to go on as if it had not been."""

from __future__ import annotations

import warnings
from pathlib import Path

import torch
from torch import Tensor

from genmem.errors import CheckpointError
from genmem.ledger import read_unit, write_unit
from genmem.training.checkpoints import Checkpoint, sidecar_path
from genmem.training.history import History
from genmem.training.loop import Trainer
from genmem.training.weights import fill, read_tensors, write_tensors


def models_folder(folder: Path) -> Path:
    """Where a run keeps its checkpoints."""
    return folder / "models"


def save(folder: Path, trainer: Trainer) -> None:
    """Write weights, optimizer and history as one unit, in place of the one before."""
    tensors = {f"model/{name}": value for name, value in trainer.model.state_dict().items()}
    tensors |= _optimizer_tensors(trainer.optimizer)
    for name, column in trainer.history.columns().items():
        tensors[f"history/{name}"] = torch.from_numpy(column)
    write_tensors(_resume_path(folder), tensors, {"epoch": trainer.epoch})


def pick_up(folder: Path, trainer: Trainer) -> list[Checkpoint]:
    """Bring a fresh trainer to where an earlier one was saved; returns the checkpoints up to there.

    Without a saved state the trainer stays fresh; and so it does, with a warning, if that or a
    checkpoint before it is broken or gone. Training is a function of the recipe: starting over
    makes the same weights.
    """
    recipe = trainer.recipe
    try:
        if history_path(folder).is_file():
            finished = History(read_unit(history_path(folder))[0])
            kept = _checkpoints(folder, recipe.checkpoints)
            trainer.history = finished
            return kept
    except CheckpointError as error:
        warnings.warn(f"train: made again: {error}", RuntimeWarning, stacklevel=3)
    if not _resume_path(folder).is_file():
        return []
    try:
        tensors, meta = read_tensors(_resume_path(folder))
        epochs = [epoch for epoch in recipe.checkpoints if epoch <= meta["epoch"]]
        kept = _checkpoints(folder, epochs)
    except CheckpointError as error:
        warnings.warn(f"train: starts over: {error}", RuntimeWarning, stacklevel=3)
        return []
    fill(trainer.model, _part(tensors, "model/"), str(_resume_path(folder)))
    _fill_optimizer(trainer.optimizer, _part(tensors, "optimizer/"))
    history = {name: value.numpy() for name, value in _part(tensors, "history/").items()}
    trainer.history = History(history)
    return kept


def finish(folder: Path, trainer: Trainer) -> None:
    """Keep history and training rows, and let go of the state that is no longer needed."""
    arrays = {**trainer.history.columns(), "rows": trainer.rows}
    write_unit(history_path(folder), arrays)
    _resume_path(folder).unlink(missing_ok=True)


def history_path(folder: Path) -> Path:
    """The file that stands once a training is finished."""
    return folder / "history.safetensors"


def _resume_path(folder: Path) -> Path:
    return folder / "resume.safetensors"


def _checkpoints(folder: Path, epochs: tuple[int, ...] | list[int]) -> list[Checkpoint]:
    """The checkpoints of these epochs; CheckpointError unless all of them are there and whole."""
    kept = []
    for epoch in epochs:
        path = sidecar_path(models_folder(folder), epoch)
        try:
            checkpoint = Checkpoint.read(path)
            checkpoint.state()
        except FileNotFoundError as error:
            raise CheckpointError(f"{path} or its weights are gone") from error
        kept.append(checkpoint)
    return kept


def _part(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {
        name.removeprefix(prefix): value
        for name, value in tensors.items()
        if name.startswith(prefix)
    }


def _optimizer_tensors(optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    return {
        f"optimizer/{number}/{name}": value
        for number, values in optimizer.state_dict()["state"].items()
        for name, value in values.items()
        if isinstance(value, Tensor)
    }


def _fill_optimizer(optimizer: torch.optim.Optimizer, tensors: dict[str, Tensor]) -> None:
    state: dict[int, dict[str, Tensor]] = {}
    for key, value in tensors.items():
        number, name = key.split("/")
        state.setdefault(int(number), {})[name] = value
    groups = optimizer.state_dict()["param_groups"]
    optimizer.load_state_dict({"state": state, "param_groups": groups})
