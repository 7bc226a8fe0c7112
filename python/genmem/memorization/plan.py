"""The units of a cross-validation, their names, and what makes two runs the same."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np

from genmem.memorization.learners import Data, Int, Learner, unit_seed
from genmem.memorization.units import Unit


def identity(
    learner: Learner, data: Data, folds: int, seed: int, duplicates: str
) -> dict[str, Any]:
    """What a resumed run must share with the run it resumes, as plain values.

    The number of repeats is not part of it, so that more can be added; nor is the executor.
    """
    return {
        "kind": "cross-validation",
        "learner": learner.identity(),
        "data": {"name": data.name, "rows": len(data), "sha256": data.fingerprint},
        "folds": int(folds),
        "seed": int(seed),
        "duplicates": duplicates,
        "version": _own_version(),
    }


def units(
    folder: Path, held_out: Int, folds: int, seed: int, run: Mapping[str, Any], *, parts: bool
) -> list[Unit]:
    """The units of a run, repeat by repeat, fold by fold.

    held_out  (L, N) fold of each row;  seed  what the seed of each unit is derived from
    run       the `identity` of the run;  parts  whether a unit keeps pieces of itself in the folder
    """
    digest = hashlib.sha256(json.dumps(run, sort_keys=True).encode()).hexdigest()
    return [
        Unit(
            repeat=repeat,
            fold=fold,
            held_out=np.flatnonzero(row == fold),
            seed=unit_seed(seed, repeat, fold),
            path=unit_path(folder, repeat, fold),
            parts=folder / "parts" / _stem(repeat, fold) if parts else None,
            run=digest,
        )
        for repeat, row in enumerate(held_out)
        for fold in range(folds)
    ]


def unit_path(folder: Path, repeat: int, fold: int) -> Path:
    """Where the file of a unit lies."""
    return folder / "units" / f"{_stem(repeat, fold)}.safetensors"


def unit_paths(folder: Path, folds: int, repeats: int) -> list[list[Path]]:
    """Paths of the units of the first repeats, (L, K)."""
    return [[unit_path(folder, repeat, fold) for fold in range(folds)] for repeat in range(repeats)]


def repeats_begun(folder: Path) -> int:
    """Repeats of which there is a unit, and those before them."""
    found = (folder / "units").glob("repeat_*_fold_*.safetensors")
    return 1 + max((int(path.name.split("_")[1]) for path in found), default=-1)


def _own_version() -> str:
    try:
        return version("genmem")
    except PackageNotFoundError:
        return "not installed"


def _stem(repeat: int, fold: int) -> str:
    return f"repeat_{repeat:02d}_fold_{fold:02d}"
