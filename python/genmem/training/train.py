"""Train a recipe on a data set, from the start or from where it was cut short."""

from __future__ import annotations

import time
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import torch

from genmem.datasets import validation
from genmem.device import UNWRITTEN, recorded, torch_device
from genmem.ledger import bind, fingerprint, write_text
from genmem.models import VAE, build
from genmem.training.checkpoints import Checkpoint
from genmem.training.evaluation import Progress
from genmem.training.inputs import Inputs, classes_of, labels_of
from genmem.training.loop import Trainer
from genmem.training.recipe import Recipe
from genmem.training.resumption import finish, models_folder, pick_up, save
from genmem.training.run import Run

if TYPE_CHECKING:
    from genmem.datasets import Dataset

# A saved state costs some tens of milliseconds, a lost one the epochs since the last.
SAVE_SECONDS = 30.0


def train(
    recipe: Recipe,
    data: Dataset,
    out: str | Path | None = None,
    *,
    rows: npt.ArrayLike | None = None,
    on_checkpoint: Callable[[VAE, int], object] | None = None,
    progress: Progress | None = None,
    device: str = "auto",
) -> Run:
    """Train a model on rows of a data set and return its run.

    out            run directory. A killed training goes on from it when called again, and ends with
                   the same bits as one that was not killed; a finished one is read back. What is
                   broken or gone is made again, with a warning
    rows           (n,) training positions (default: all); their order does not matter
    on_checkpoint  called with (model in eval mode, epoch) for every checkpoint epoch in order, in
                   every call: also for those that an earlier call had reached
    progress       called with ("train", epochs done, epochs in all) after each epoch
    device         where to compute: "auto", the card if torch sees one and `out` was not begun on
                   the CPU; "cpu"; "cuda" or "cuda:1". The run itself is of the CPU

    The weights are a function of recipe, rows, data and the kind of device: not of torch's thread
    count or global generators, which are left as they were. A card starts from the same weights,
    order and noise as the CPU, without TF32, and rounds otherwise.

    Raises OSError if `out` cannot be written, RunMismatchError if it holds another run, or one of
    the other kind of device; BackendError for a device that torch cannot use; FloatingPointError if
    the loss is not finite, ValueError if rows or shapes do not fit or the device is none, DataError
    if the recipe is conditional and the data have no labels.
    """
    positions = _training_rows(rows, len(data))
    counts = _class_counts(recipe, data, positions)
    where = torch_device(device, "train", out)
    identity = _identity(recipe, data, positions, counts, where)
    folder = None if out is None else _open(Path(out), identity)
    trainer = Trainer(recipe, Inputs(recipe, data), positions, where)
    checkpoints = [] if folder is None else pick_up(folder, trainer)
    if on_checkpoint is not None:
        for checkpoint in checkpoints:
            model = build(recipe, trainer.inputs.shape, trainer.inputs.classes)
            checkpoint.load_into(model)
            on_checkpoint(model.to(where).eval(), checkpoint.epoch)
    saved = time.monotonic()
    while trainer.epoch < recipe.epochs:
        trainer.run_epoch()
        reached = trainer.epoch in recipe.checkpoints
        if reached:
            checkpoint = trainer.checkpoint(checkpoints[-1] if checkpoints else None)
            checkpoints.append(_kept(checkpoint, folder))
        if folder is not None and (reached or time.monotonic() - saved >= SAVE_SECONDS):
            save(folder, trainer)
            saved = time.monotonic()
        if reached and on_checkpoint is not None:
            on_checkpoint(trainer.model, trainer.epoch)
        if progress is not None:
            progress("train", trainer.epoch, recipe.epochs)
    if folder is not None:
        finish(folder, trainer)
    return Run(
        recipe=recipe,
        data_name=data.name,
        shape=trainer.inputs.shape,
        rows=positions,
        checkpoints=tuple(checkpoints),
        history=trainer.history.columns(),
        directory=folder,
        class_counts=counts,
    )


def _kept(checkpoint: Checkpoint, folder: Path | None) -> Checkpoint:
    return checkpoint if folder is None else checkpoint.write(models_folder(folder))


def _training_rows(rows: npt.ArrayLike | None, count: int) -> npt.NDArray[np.int64]:
    given = np.arange(count) if rows is None else rows
    positions = np.sort(validation.positions("train", given, count))
    if not len(positions):
        raise ValueError("train: there is no training row; 1 or more are wanted")
    twice = positions[1:][positions[1:] == positions[:-1]]
    if len(twice):
        raise ValueError(f"train: row {twice[0]} is listed twice; each at most once is wanted")
    return positions


def _class_counts(
    recipe: Recipe, data: Dataset, rows: npt.NDArray[np.int64]
) -> npt.NDArray[np.int64] | None:
    """(K,) training rows of each class; None if the recipe is not conditional."""
    classes = classes_of(recipe, data)
    if classes is None:
        return None
    return np.bincount(labels_of(data)[rows], minlength=classes)


def _identity(
    recipe: Recipe,
    data: Dataset,
    rows: npt.NDArray[np.int64],
    counts: npt.NDArray[np.int64] | None,
    device: torch.device,
) -> dict[str, Any]:
    """What a run directory is bound to: everything that decides a bit of its weights."""
    try:
        own_version = version("genmem")
    except PackageNotFoundError:
        own_version = "not installed"
    return {
        "recipe": recipe.to_dict(),
        "data": {
            "name": data.name,
            "shape": list(data.shape),
            "samples": len(data),
            "fingerprint": data.fingerprint,
        },
        "rows": {
            "count": len(rows),
            "fingerprint": fingerprint(rows),
            # Only of a conditional model: None is not written.
            "classes": None if counts is None else counts.tolist(),
        },
        "versions": {"genmem": own_version, "torch": torch.__version__},
        "device": recorded(device),
    }


def _open(folder: Path, identity: dict[str, Any]) -> Path:
    """Bind the directory, and find out now rather than after hours whether it can be written."""
    probe = models_folder(folder) / ".probe"
    try:
        bind(folder, identity, UNWRITTEN)
        write_text(probe, "")
        probe.unlink()
    except OSError as error:
        raise OSError(error.errno, f"train: cannot write to {folder}: {error.strerror}") from error
    return folder
