"""Where the log-densities of all models are read from: an array, or the files of the units.

A table hands out the values of a range of rows under every model, so scoring N rows takes the
memory of one block of them, whatever the number of models.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, Self

import numpy as np
import numpy.typing as npt

from genmem.errors import DataError
from genmem.heard import Heard, counted, recall
from genmem.ledger import read_unit
from genmem.memorization.accumulate import Float

Int = npt.NDArray[np.int64]

# Below ten effective draws log p is visibly too low and its own standard error cannot be trusted.
_FEW_DRAWS = 10.0


class LogTable(Protocol):
    """Log-densities of N rows under L x K models at E epochs, readable in ranges of rows."""

    @property
    def epochs(self) -> Int:
        """(E,) epoch numbers, ascending."""

    @property
    def held_out(self) -> Int:
        """(L, N) fold of each row in each repeat."""

    @property
    def folds(self) -> int:
        """K."""

    def block(self, start: int, stop: int) -> Float:
        """(E, L, K, stop - start) log p in nats, all finite."""


@dataclass(frozen=True)
class ArrayTable:
    """A table in memory: values (E, L, K, N) in nats, held_out (L, N), epochs (E,)."""

    values: Float
    held_out: Int
    epochs: Int

    def __post_init__(self) -> None:
        bad = np.argwhere(~np.isfinite(self.values))
        if len(bad):
            e, repeat, fold, row = bad[0]
            raise ValueError(
                f"log p of row {row} is {self.values[tuple(bad[0])]} under the model of repeat"
                f" {repeat}, fold {fold} at epoch {self.epochs[e]}; a finite number is wanted"
            )

    @property
    def folds(self) -> int:
        return int(self.values.shape[2])

    def block(self, start: int, stop: int) -> Float:
        return self.values[..., start:stop]


@dataclass(frozen=True)
class UnitTable:
    """A table on disk: one file per unit, log p (E, N) each, of which a block reads a slice.

    paths (L x K)
    ess_min, draws_se  (N,) worst over the units at the last epoch, NaN if unknown
    ess_of_models      (L K,) worst over the rows at the last epoch, NaN if unknown
    warnings           of all units, each sort once, with the number of models it came from
    """

    paths: tuple[tuple[Path, ...], ...]
    held_out: Int
    epochs: Int
    ess_min: Float
    draws_se: Float
    ess_of_models: Float
    warnings: tuple[Heard, ...] = ()

    @property
    def folds(self) -> int:
        return len(self.paths[0])

    def cautions(self) -> tuple[str, ...]:
        """What a reader of these log-densities must know: the warnings, and too few draws."""
        said = tuple(text for _, text in self.warnings)
        rows, models = (int((ess < _FEW_DRAWS).sum()) for ess in (self.ess_min, self.ess_of_models))
        if not rows:
            return said
        return (
            *said,
            f"{rows} of {len(self.ess_min)} samples have fewer than {_FEW_DRAWS:g} effective draws"
            f" under some model (the worst {np.nanmin(self.ess_min):.1f}; {models} of"
            f" {len(self.ess_of_models)} models have such samples): their log p is too low there,"
            " by an amount that its standard error does not tell; more eval_draws help",
        )

    def block(self, start: int, stop: int) -> Float:
        from safetensors import safe_open

        out = np.empty((len(self.epochs), len(self.paths), self.folds, stop - start))
        for repeat, row in enumerate(self.paths):
            for fold, path in enumerate(row):
                with safe_open(path, framework="numpy") as file:
                    out[:, repeat, fold] = file.get_slice("log_p")[:, start:stop]
        return out

    @classmethod
    def open(cls, paths: Sequence[Sequence[Path]]) -> Self:
        """Check the units of L repeats x K folds against each other, and read what is small.

        Raises FileNotFoundError or CheckpointError for a missing or broken unit, DataError if the
        units disagree on rows or epochs, or the folds of a repeat do not part the rows.
        """
        first, _ = read_unit(paths[0][0])
        epochs, shape = first["epochs"], first["log_p"].shape
        held_out = np.full((len(paths), shape[1]), -1, np.int64)
        ess = np.full(shape[1], np.nan)
        se = np.full(shape[1], np.nan)
        of_models: list[float] = []
        heard: list[list[Heard]] = []
        for repeat, row in enumerate(paths):
            for fold, path in enumerate(row):
                arrays, meta = read_unit(path)
                if arrays["log_p"].shape != shape or not np.array_equal(arrays["epochs"], epochs):
                    raise DataError(
                        f"{path} has log p of shape {arrays['log_p'].shape} at epochs"
                        f" {arrays['epochs'].tolist()}; {paths[0][0]} has {shape} at"
                        f" {epochs.tolist()}"
                    )
                if (held_out[repeat, arrays["held_out"]] != -1).any():
                    raise DataError(
                        f"{path}: some of its held-out rows are in another fold of repeat {repeat}"
                    )
                held_out[repeat, arrays["held_out"]] = fold
                heard.append(recall(meta.get("warnings", ())))
                of_models.append(float(arrays["ess"][-1].min()) if "ess" in arrays else np.nan)
                if "ess" in arrays:
                    ess = np.fmin(ess, arrays["ess"][-1])
                if "se" in arrays:
                    se = np.fmax(se, arrays["se"][-1])
        if (held_out < 0).any():
            repeat, row_number = np.argwhere(held_out < 0)[0]
            raise DataError(
                f"{paths[repeat][0].parent}: row {row_number} is in no fold of repeat {repeat}"
            )
        worst, warnings = np.array(of_models), counted(heard, "models")
        return cls(tuple(tuple(row) for row in paths), held_out, epochs, ess, se, worst, warnings)
