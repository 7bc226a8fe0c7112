"""One unit of a cross-validation: train without one fold, score every row, write one file."""

from __future__ import annotations

import shutil
import warnings
from collections.abc import Callable
from concurrent.futures import Executor, Future, as_completed, wait
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from genmem.errors import CheckpointError
from genmem.heard import listening
from genmem.ledger import read_unit, write_unit
from genmem.memorization.accumulate import Float
from genmem.memorization.learners import Evaluation, Int, Learner
from genmem.memorization.shared import Shared

Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Unit:
    """What a worker needs to know of a unit beside the learner and the data.

    held_out  positions of the rows of this fold, ascending;  seed  of the training
    path      the file to write;  parts  a folder for pieces of the unit, removed when it is done,
              or None
    run       digest of the identity of the run, so that a file of another run is not taken for this
              one
    """

    repeat: int
    fold: int
    held_out: Int
    seed: int
    path: Path
    parts: Path | None
    run: str

    @property
    def title(self) -> str:
        return f"repeat {self.repeat}, fold {self.fold}"


def make_unit(learner: Learner, data: Shared, unit: Unit) -> None:
    """Train, score and write one unit, with what was warned of meanwhile.

    Raises what the learner raises, with the unit named in a note; ValueError if the log-densities
    have the wrong shape or one of them is not finite.
    """
    held = data.data
    count = len(held)
    rows = np.setdiff1d(np.arange(count), unit.held_out, assume_unique=True)
    try:
        with listening() as heard:
            found = learner.evaluate(held, rows, unit.seed, unit.parts)
    except FloatingPointError as error:
        raise FloatingPointError(
            f"cross_validate: the model of {unit.title} has diverged: {error}"
        ) from error
    except Exception as error:
        error.add_note(f"cross_validate: in the model of {unit.title}")
        raise
    arrays = _checked(found, count, unit)
    meta = {"repeat": unit.repeat, "fold": unit.fold, "run": unit.run, "warnings": heard}
    write_unit(unit.path, arrays, meta)
    if unit.parts is not None:
        shutil.rmtree(unit.parts, ignore_errors=True)


def stands(unit: Unit) -> bool:
    """Whether the file of this unit is whole; a broken or foreign one warns, and is missing."""
    try:
        _, meta = read_unit(unit.path)
    except FileNotFoundError:
        return False
    except CheckpointError as error:
        warnings.warn(f"{unit.title} is made again: {error}", RuntimeWarning, stacklevel=3)
        return False
    if (meta.get("repeat"), meta.get("fold"), meta.get("run")) != (
        unit.repeat,
        unit.fold,
        unit.run,
    ):
        warnings.warn(
            f"{unit.title} is made again: {unit.path} holds repeat {meta.get('repeat')},"
            f" fold {meta.get('fold')} of run {meta.get('run')}",
            RuntimeWarning,
            stacklevel=3,
        )
        return False
    return True


def make_missing(
    units: list[Unit],
    learner: Learner,
    data: Shared,
    executor: Executor | None,
    progress: Progress | None,
) -> None:
    """Make every unit that does not stand yet: here, or in the workers of an executor.

    The first failure is raised, once the running units have ended; those that are done stay done.
    """
    missing = [unit for unit in units if not stands(unit)]
    done = len(units) - len(missing)
    tell = progress or (lambda stage, done, total: None)
    tell("cross-validation", done, len(units))
    if executor is None:
        for count, unit in enumerate(missing, done + 1):
            make_unit(learner, data, unit)
            tell("cross-validation", count, len(units))
        return
    futures: list[Future[None]] = []
    try:
        futures.extend(executor.submit(make_unit, learner, data, unit) for unit in missing)
        for count, future in enumerate(as_completed(futures), done + 1):
            future.result()
            tell("cross-validation", count, len(units))
    except BaseException:
        for future in futures:
            future.cancel()
        wait(futures)
        raise


def _checked(found: Evaluation, count: int, unit: Unit) -> dict[str, Float | Int]:
    log_p = np.asarray(found.log_p, np.float64)
    if log_p.shape == (count,):
        log_p = log_p[None]
    if log_p.ndim != 2 or log_p.shape[1] != count or not len(log_p):
        raise ValueError(
            f"cross_validate: the model of {unit.title} gave log p of shape"
            f" {np.shape(found.log_p)}; ({count},) or (epochs, {count}) is wanted"
        )
    epochs = np.arange(1, len(log_p) + 1) if found.epochs is None else np.asarray(found.epochs)
    numbered = epochs.shape == (len(log_p),) and epochs.dtype.kind in "iu"
    if not numbered or (np.diff(epochs) <= 0).any():
        raise ValueError(
            f"cross_validate: the model of {unit.title} gave epochs {epochs.tolist()};"
            f" {len(log_p)} ascending integers are wanted"
        )
    bad = np.argwhere(~np.isfinite(log_p))
    if len(bad):
        epoch, row = bad[0]
        raise ValueError(
            f"cross_validate: the model of {unit.title} gives row {row} log p = {log_p[epoch, row]}"
            f" at epoch {epochs[epoch]} ({len(bad)} of {log_p.size} values are not finite);"
            " a diverged model is not averaged, and a score of infinite values is undefined"
        )
    arrays: dict[str, Float | Int] = {
        "log_p": log_p,
        "epochs": epochs.astype(np.int64),
        "held_out": unit.held_out,
    }
    for name in ("se", "ess"):
        if (extra := getattr(found, name)) is not None:
            arrays[name] = _like(log_p, extra, name, unit)
    return arrays


def _like(log_p: Float, given: object, name: str, unit: Unit) -> Float:
    values = np.atleast_2d(np.asarray(given, np.float64))
    if values.shape != log_p.shape:
        raise ValueError(
            f"cross_validate: the model of {unit.title} gave {name} of shape {values.shape};"
            f" {log_p.shape} is wanted, like log p"
        )
    return values
