"""What a run offers to a copying test: rows it was trained on, rows it was not, its pictures."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from genmem.copying.chance import subset
from genmem.errors import DataError, RunMismatchError
from genmem.ledger import read_identity
from genmem.studies.stages import Progress

if TYPE_CHECKING:
    from genmem.datasets import Dataset
    from genmem.training import Recipe, Run

Int64 = npt.NDArray[np.int64]
Pictures = npt.NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Trained:
    """A model with the samples it saw and samples it did not see, as numbers in [0, 1].

    data       the samples of the run;  positions  (N,) those the model was trained on
    train      (N, *shape) float32, as the model saw them where its inputs are thresholded, else in
               grey or colour
    test       (n, *shape) alike
    heldout    where these come from, in words
    """

    run: Run
    data: Dataset
    positions: Int64
    train: Pictures
    test: Pictures
    heldout: str

    def generated(self, count: int, seed: int) -> Pictures:
        """Pictures (count, *shape): decoder means of codes from the prior; seeds differ anew."""
        return self.run.sample(count, seed=seed)


def model_directory(directory: Path) -> Path:
    """Where the training of a run lies: the directory itself, or the reported one of an audit.

    Raises FileNotFoundError if it is no run directory, DataError if it holds no training.
    """
    identity = read_identity(directory)
    if "rows" in identity and "recipe" in identity:
        return directory
    reported = identity.get("recipe", {}).get("objective", "elbo")
    inner = directory / "models" / str(reported)
    if not (inner / "recipe.toml").is_file():
        raise DataError(
            f"copying: {directory} holds no trained model; a directory that `genmem train` or "
            "`genmem audit` wrote is wanted"
        )
    return inner


def same_data(directory: Path, data: Dataset) -> None:
    """Raise RunMismatchError unless the run in `directory` was made of these samples."""
    stored = read_identity(directory)["data"]
    if stored["fingerprint"] != data.fingerprint:
        raise RunMismatchError(
            f"copying: {directory} was made of {stored['name']} with fingerprint "
            f"{stored['fingerprint']}, {data.name} has {data.fingerprint}; the samples of the run "
            "are wanted"
        )


def trained_models(
    directory: Path,
    data: Dataset,
    heldout: Dataset | None,
    *,
    out: Path,
    splits: int,
    wanted: int,
    seed: int,
    progress: Progress | None = None,
    device: str = "auto",
) -> list[Trained]:
    """The model of a run with held-out rows beside it; without any, models of the same recipe.

    directory  a run of `train` or `audit` made of `data`
    heldout    samples that the run did not see; None: those of `data` that it was not trained on,
               or, if it was trained on all, one of `splits` folds of `data` for each of the
               `wanted` models that are trained on the rest, below out/models
    device     where they are trained, as in `genmem.train`
    """
    from genmem.datasets import folds
    from genmem.training import Run

    place = model_directory(directory)
    same_data(place, data)
    run = Run.load(place)
    if heldout is not None:
        if heldout.shape != data.shape:
            raise ValueError(
                f"copying: held-out samples have shape {heldout.shape}, {data.name} has "
                f"{data.shape}; one shape is wanted"
            )
        test = pictures(run.recipe, heldout, np.arange(len(heldout)))
        return [_beside(run, data, test, f"{heldout.name}, {len(heldout):,} samples of its own")]
    rest = np.setdiff1d(np.arange(len(data)), run.rows)
    if len(rest):
        words = f"{len(rest):,} samples of {data.name} that the model was not trained on"
        return [_beside(run, data, pictures(run.recipe, data, rest), words)]
    fold = folds(len(data), splits, seed, 0, index=data.index)
    return _split(run.recipe, data, out, fold, wanted, progress, device)


def matched(trained: Trained, most: int, seed: int) -> Int64:
    """Positions of the held-out rows that are compared: at most `most`, a seeded subset."""
    return subset(len(trained.test), most, seed, "held-out rows of a run")


def pictures(recipe: Recipe, data: Dataset, positions: Int64) -> Pictures:
    """Samples (B, *shape) as numbers that a decoder's mean can be compared with.

    A model of thresholded inputs has never seen a grey value, so its samples are thresholded too.
    """
    if recipe.binarize == "threshold":
        from genmem.training import Inputs

        return np.asarray(Inputs(recipe, data).samples(positions).numpy(), np.float32)
    return data.unit(positions)


def _beside(run: Run, data: Dataset, test: Pictures, words: str) -> Trained:
    return Trained(run, data, run.rows, pictures(run.recipe, data, run.rows), test, words)


def _split(
    recipe: Recipe,
    data: Dataset,
    out: Path,
    fold: Int64,
    wanted: int,
    progress: Progress | None,
    device: str,
) -> list[Trained]:
    from genmem.training import train

    last = recipe.replace(checkpoints=())
    found = []
    for number in range(wanted):
        inner, outer = np.flatnonzero(fold != number), np.flatnonzero(fold == number)
        tell: Any = None if progress is None else partial(_within, progress, number, wanted)
        place = out / "models" / f"split_{number}"
        run = train(last, data, place, rows=inner, progress=tell, device=device)
        words = (
            f"a fold of {len(outer):,} of {len(data):,} samples of {data.name}, kept from a model "
            "of the same recipe that was trained on the rest"
        )
        found.append(_beside(run, data, pictures(recipe, data, outer), words))
    return found


def _within(progress: Progress, number: int, models: int, _: str, done: int, total: int) -> None:
    progress("train", number * total + done, models * total)
