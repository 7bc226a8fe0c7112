"""Cross-validated memorization scores: K folds x L repeats of any learner, in any executor.

In each of L repeats the rows are parted into K folds, and one model is trained without each of
them; all K L models score all rows. A model is one unit of work and one file:

    OUT/recipe.toml                              what the run is: learner, data, folds, seed
    OUT/units/repeat_00_fold_00.safetensors      log_p (E, N), epochs (E,), held_out; se and ess
    OUT/parts/repeat_00_fold_00/                 pieces of a unit in progress
    OUT/scores/memorization.parquet              the answer

Run again, it makes only the units that are missing. The answer is the same for any executor, any
number of workers and any order of the units, which are read back in a fixed order.
"""

from __future__ import annotations

import tempfile
import warnings
from concurrent.futures import Executor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt

from genmem import ledger
from genmem.errors import CheckpointError
from genmem.heard import Heard, listening, recall, say_again
from genmem.memorization.learners import Evaluation, Int, Learner, adapt
from genmem.memorization.plan import identity, repeats_begun, unit_paths, units
from genmem.memorization.scores import MemorizationScores
from genmem.memorization.scoring import Rows, Settings, score_table
from genmem.memorization.shared import Shared, shared_folder
from genmem.memorization.tables import UnitTable
from genmem.memorization.units import Progress, make_missing

if TYPE_CHECKING:
    from genmem.datasets import Dataset
    from genmem.training import Recipe

Duplicates = Literal["split", "group"]
SCORES = "scores/memorization.parquet"


def cross_validate(
    learner: Any,
    data: Dataset | npt.NDArray[Any],
    folds: int = 10,
    repeats: int = 10,
    *,
    executor: Executor | None = None,
    out: str | Path | None = None,
    seed: int = 0,
    duplicates: Duplicates = "split",
    progress: Progress | None = None,
    confidence: float = 0.95,
    choices: int = 20,
    resamples: int = 1000,
    device: str = "auto",
) -> MemorizationScores:
    """Memorization score of every row, in nats, from K L models trained without one fold each.

    U_i = logmeanexp of log p(x_i) over models that saw x_i, as many as there are that did not
    V_i = logmeanexp of log p(x_i) over the L models that did not;      score M_i = U_i - V_i

    learner     a genmem.Recipe; a scikit-learn style density estimator (fit, score_samples); or a
                function (data, rows, seed) -> log p of all rows, (N,) or (E, N), or `Evaluation`
    data        a Dataset, or an array (N, d)
    folds       K, 2..N
    repeats     L >= 1; a standard error needs 2, a bootstrap interval 3
    executor    any concurrent.futures.Executor whose workers see `out`: threads, processes (the
                initialised ones of genmem.studies.executors), mpi4py's, or with the extra
                `distributed` the workers of a dask cluster, dask.distributed.Client(...)
                .get_executor(). None: this process
    out         folder of the run; None: a temporary one of 8 N E K L bytes while the run lasts
    seed        of folds, matched choices and bootstrap, and of learners without a seed of their own
    duplicates  "split": equal rows fall into folds like any others, so that a copy of a held-out
                row is often trained on; "group": equal rows share a fold. Multiplicities are
                reported either way
    progress    called with ("cross-validation", units done, units in all)
    confidence  of the intervals
    choices     random matched choices, where there are too many to enumerate
    resamples   of the bootstrap over repeats
    device      where a Recipe is trained and scored, in every unit: "auto", the card if torch sees
                one here and `out` was not begun on the CPU; "cpu"; "cuda", the current card of the
                worker, or "cuda:1". Processes that use a card are to be spawned, not forked, as
                those of genmem.studies.executors are. Other learners compute where they do

    More repeats may be asked for later: the units already in `out` are kept.
    Raises ValueError for settings that make no folds, a card named for what is no Recipe, and
    log-densities that are not finite (repeat, fold, epoch and row are named); RunMismatchError if
    `out` holds another run, or one of the other kind of device; BackendError for a device that
    torch cannot use; and whatever the learner raises. A broken unit file is made again, with a
    warning. Warnings of the units, in workers too and of earlier calls, are among the scores'
    `warnings` and said again at the end: each sort once, with the number of models it came from.
    It leaves out N/K rows at a time, not one: near-duplicates in one fold are gone together.
    Source: van den Burg & Williams (2021), On Memorization in Probabilistic Deep Generative Models.
    """
    from genmem.datasets import duplicate_groups

    settings = Settings(choices=choices, resamples=resamples, seed=seed, confidence=confidence)
    held = _as_dataset(data)
    adapted = _as_learner(learner, seed, device, out)
    groups = duplicate_groups(held.rows)
    held_out = _part(held, folds, repeats, seed, groups, duplicates)
    run = identity(adapted, held, folds, seed, duplicates)
    if isinstance(adapted, RecipeLearner) and adapted.device != "cpu":
        run["device"] = "cuda"
    with ExitStack() as stack:
        if out is None:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="genmem-")))
        else:
            folder = Path(out)
            ledger.bind(folder, run, {"device": "cpu"})
        shared = stack.enter_context(shared_folder(folder))
        planned = units(folder, held_out, folds, adapted.seed, run, parts=out is not None)
        make_missing(planned, adapted, Shared(held, shared), executor, progress)
        paths = [unit.path for unit in planned]
        table = UnitTable.open([paths[at : at + folds] for at in range(0, len(paths), folds)])
        rows = Rows(
            index=held.index,
            multiplicity=np.bincount(groups)[groups],
            ess_min=table.ess_min,
            draws_se=table.draws_se,
            data_name=held.name,
            warnings=table.cautions(),
        )
        scores = score_table(table, rows, settings)
        if out is not None:
            scores.save(folder / SCORES)
        say_again(table.warnings, stacklevel=2)
        return scores


def read_units(out: str | Path, repeats: int | None = None) -> UnitTable:
    """The log-densities of the units of the run in `out`, for statistics of one's own.

    repeats  how many, from the first; None: as many as the scores in `out` rest on, or before
             there are scores all that were begun

    Raises FileNotFoundError if there are no units, or one of these repeats is missing;
    CheckpointError if one is broken.
    """
    folder, folds = Path(out), int(ledger.read_identity(out)["folds"])
    scored = folder / SCORES
    if repeats is None and scored.is_file():
        repeats = MemorizationScores.load(scored).repeats
    if repeats is None:
        repeats = repeats_begun(folder)
    if repeats < 1:
        raise FileNotFoundError(f"{out} holds no units; cross_validate(..., out=...) makes them")
    return UnitTable.open(unit_paths(folder, folds, repeats))


@dataclass(frozen=True)
class RecipeLearner:
    """Trains a recipe and scores all rows at each of its checkpoint epochs.

    Only the seed of training differs between units: binarised inputs and evaluation draws follow
    the recipe's common_seed, so every model scores the same numbers with the same noise.

    device  "cpu", "cuda" or "cuda:1": where the worker does so
    """

    recipe: Recipe
    device: str

    @property
    def seed(self) -> int:
        return self.recipe.seed

    def identity(self) -> dict[str, Any]:
        import torch

        return {"recipe": self.recipe.to_dict(), "torch": torch.__version__}

    def evaluate(self, data: Dataset, rows: Int, seed: int, parts: Path | None) -> Evaluation:
        from genmem.training import Inputs, log_prob, train

        recipe = self.recipe.replace(seed=seed)
        inputs, scored = Inputs(recipe, data), []

        def score(model: Any, epoch: int) -> None:
            path = None if parts is None else parts / f"epoch_{epoch:06d}.safetensors"
            kept = None if path is None else _kept(path)
            if kept is None:
                try:
                    with listening() as heard:
                        found = log_prob(model, inputs)
                except FloatingPointError as error:
                    raise FloatingPointError(f"at epoch {epoch}: {error}") from error
                kept = {"log_p": found.log_p, "se": found.se, "ess": found.ess}, heard
                if path is not None:
                    ledger.write_unit(path, kept[0], {"warnings": heard})
            scored.append(kept[0])
            say_again(kept[1])

        folder = None if parts is None else parts / "training"
        train(recipe, data, folder, rows=rows, on_checkpoint=score, device=self.device)
        stacked = {name: np.stack([one[name] for one in scored]) for name in scored[0]}
        return Evaluation(epochs=np.array(recipe.checkpoints), **stacked)


def _kept(path: Path) -> tuple[ledger.Arrays, list[Heard]] | None:
    """The scores of an epoch that an earlier attempt at this unit left, and its warnings.

    None if there are none; a broken file warns, and its epoch is scored again.
    """
    try:
        arrays, meta = ledger.read_unit(path)
    except FileNotFoundError:
        return None
    except CheckpointError as error:
        warnings.warn(f"the epoch is scored again: {error}", RuntimeWarning, stacklevel=2)
        return None
    return arrays, recall(meta.get("warnings", ()))


def _as_learner(learner: Any, seed: int, device: str, out: str | Path | None) -> Learner:
    adapted = adapt(learner, seed)
    if adapted is not None:
        if device not in ("auto", "cpu"):
            raise ValueError(
                f"cross_validate: device is {device!r}, and a {type(learner).__name__} is not put "
                "there; it is for a Recipe"
            )
        return adapted
    from genmem.device import passed_on
    from genmem.training import Recipe

    if isinstance(learner, Recipe):
        return RecipeLearner(learner, passed_on(device, "cross_validate", out))
    raise TypeError(
        f"cross_validate: learner is a {type(learner).__name__}; a Recipe, an estimator with fit"
        " and score_samples, or a function (data, rows, seed) is wanted"
    )


def _as_dataset(data: Any) -> Dataset:
    from genmem.datasets import Dataset

    if isinstance(data, Dataset):
        return data
    if isinstance(data, np.ndarray):
        return Dataset(name="array", x=data)
    raise TypeError(
        f"cross_validate: data is a {type(data).__name__}; a Dataset or an array (N, d) is wanted"
    )


def _part(data: Dataset, folds: int, repeats: int, seed: int, groups: Int, duplicates: str) -> Int:
    """(L, N) fold of each row in each repeat, keyed by (seed, identity of the row, repeat)."""
    from genmem.datasets import folds as part

    for name, value, least in (("folds", folds, 2), ("repeats", repeats, 1)):
        if isinstance(value, bool) or not isinstance(value, (int, np.integer)):
            raise TypeError(f"cross_validate: {name} is {value!r}; an integer is wanted")
        if value < least:
            raise ValueError(f"cross_validate: {name} is {value}; at least {least} is wanted")
    if duplicates not in ("split", "group"):
        raise ValueError(
            f"cross_validate: duplicates is {duplicates!r}; 'split' or 'group' is wanted"
        )
    grouped = groups if duplicates == "group" else None
    count, kind = len(data), "rows"
    if grouped is not None:
        count, kind = len(np.unique(groups)), "distinct rows"
    if folds > count:
        raise ValueError(f"cross_validate: folds is {folds}, but the data has {count} {kind}")
    return np.stack(
        [
            part(len(data), folds, seed, repeat, groups=grouped, index=data.index)
            for repeat in range(repeats)
        ]
    )
