"""The audit of a data set: which samples are memorized, how much, how surely, and why.

One run directory. Each stage writes its files once; run again, the audit does what is missing:

    recipe.toml                               what the run is: data, recipes, folds, seed, versions
    models/OBJECTIVE/                         a training on all samples
    memorization/MODEL/                       the cross-validation of a model, unit by unit
    scores/*.parquet                          one row per sample, index first
    influence/proponents.parquet              strongest proponents and opponents of chosen samples
    tables/*.parquet                          history, attribute correlations, agreement of models
    images.safetensors, summary.json          what a page shows beside them
    stages/*.json                             time and digests of each stage
"""

from __future__ import annotations

from concurrent.futures import Executor
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

from genmem.ledger import bind
from genmem.studies import presets
from genmem.studies.executors import processes
from genmem.studies.pipeline import Pipeline
from genmem.studies.presets import Preset
from genmem.studies.stages import Progress, Stages
from genmem.studies.summary import versions

if TYPE_CHECKING:
    from genmem.datasets import Dataset


def audit(
    data: Dataset,
    out: str | Path,
    preset: str = "quick",
    *,
    seed: int = 0,
    threads: int | None = None,
    progress: Progress | None = None,
    executor: Executor | None = None,
    command: str | None = None,
    device: str = "auto",
) -> Path:
    """Audit a data set into the run directory `out`, and return that directory.

    preset    "smoke", "quick" or "paper"; see `genmem.studies.presets.preset`
    seed      of folds, weights, order and every draw
    threads   worker processes and kernel threads (default: the cores this process may use); the
              result does not depend on it
    progress  called with (stage, done, total)
    executor  where trainings run, instead of `threads` processes of this machine; its workers must
              see `out`
    command   the line that started it, for the page to show
    device    where models are trained, scored and traced, in every worker: "auto", the card if
              torch sees one here and `out` was not begun on the CPU; "cpu"; "cuda" or "cuda:1"

    A killed audit goes on where it stopped, and ends with the same tables.
    Raises RunMismatchError if `out` holds another run, or one of the other kind of device;
    BackendError for a device that torch cannot use, OSError if `out` cannot be written, ValueError
    if the data are too few for the preset, and whatever a stage raises.
    """
    from genmem.device import UNWRITTEN, passed_on, recorded

    chosen = presets.preset(preset, data, seed=seed)
    directory = Path(out)
    try:
        where = passed_on(device, "audit", directory)
        bind(directory, identity(data, chosen, seed) | {"device": recorded(where)}, UNWRITTEN)
    except OSError as error:
        text = f"audit: cannot write to {directory}: {error.strerror}"
        raise OSError(error.errno, text) from error
    workers = threads or _cores()
    with ExitStack() as stack:
        pool = executor or stack.enter_context(processes(workers))
        stages = Stages(directory, progress)
        work = Pipeline(data, chosen, seed, workers, directory, stages, pool, where, command)
        work.run_all()
    return directory


def identity(data: Dataset, chosen: Preset, seed: int) -> dict[str, Any]:
    """What makes two audits the same beside the device, as recipe.toml holds it."""
    recipes = {name: recipe.to_dict() for name, recipe in chosen.recipes.items()}
    reported = next(iter(recipes))
    return {
        "audit": {
            "preset": chosen.name,
            "seed": seed,
            "folds": chosen.folds,
            "repeats": chosen.repeats,
            "other_repeats": chosen.other_repeats,
            "neighbours": chosen.neighbours,
            "components": chosen.components,
            "influence_draws": chosen.influence_draws,
        },
        "data": {
            "name": data.name,
            "n": len(data),
            "shape": list(data.shape),
            "fingerprint": data.fingerprint,
            "planted": {kind: len(rows) for kind, rows in sorted(data.planted.items())},
        },
        "recipe": recipes.pop(reported),
        "compared": recipes,
        "versions": versions(),
    }


def _cores() -> int:
    from genmem.kernels import config

    return int(config()["threads"])
