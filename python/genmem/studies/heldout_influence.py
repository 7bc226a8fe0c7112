"""Which training samples drive samples that a run never saw: tables and pictures beside the run.

influence/heldout.parquet              k strongest proponents and opponents of each held-out sample
influence/heldout.safetensors          the held-out samples as pictures
influence/heldout_kin.safetensors      the training samples named in the table as pictures
influence/heldout.json                 what was asked
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from genmem.ledger import write_text
from genmem.studies.copying_sets import model_directory, same_data
from genmem.studies.samples import strongest_table, write_images
from genmem.studies.stages import Progress, write_table

if TYPE_CHECKING:
    from genmem.datasets import Dataset

FOLDER = "influence"


def heldout_influence(
    run: Path,
    data: Dataset,
    queries: Dataset,
    *,
    k: int = 10,
    draws: int = 16,
    seed: int = 0,
    threads: int | None = None,
    progress: Progress | None = None,
    device: str = "auto",
) -> pd.DataFrame:
    """Trace the samples of a run to held-out ones, and write what it says into the run directory.

    run      directory that `genmem train` or `genmem audit` wrote
    data     the samples it was trained on; RunMismatchError for others
    queries  held-out samples of the same shape
    k        proponents and opponents kept of each
    device   where gradients are captured, as in `TracIn`
    returns  index, side, rank, train_index, score (under "lr_steps"), label and train_label (-1
             without labels), distance (Euclidean, of values in [0, 1]); a side lists only scores of
             its sign
    """
    from genmem.influence import TracIn
    from genmem.models import single_thread
    from genmem.training import Run

    same_data(run, data)
    if queries.shape != data.shape:
        raise ValueError(
            f"heldout_influence: {queries.name} has samples of shape {queries.shape}, {data.name} "
            f"of {data.shape}"
        )
    trained = Run.load(model_directory(run))
    with single_thread():
        tracin = TracIn(
            trained, draws=draws, seed=seed, threads=threads, progress=progress, device=device
        )
        scores = tracin.influence(queries, data)
    table = related(strongest_table(queries.index, scores, data.index, k), queries, data)
    folder = run / FOLDER
    folder.mkdir(exist_ok=True)
    # Written last: while it is absent, a page shows nothing of what may be half of two calls.
    (folder / "heldout.json").unlink(missing_ok=True)
    write_table(folder / "heldout.parquet", table)
    write_images(folder / "heldout.safetensors", queries, range(len(queries)))
    named = np.flatnonzero(np.isin(data.index, table["train_index"]))
    write_images(folder / "heldout_kin.safetensors", data, named)
    asked: dict[str, Any] = {
        "data": data.name, "heldout": queries.name, "queries": len(queries), "k": k,
        "draws": draws, "seed": seed, "checkpoints": [one.epoch for one in trained.checkpoints],
    }  # fmt: skip
    write_text(folder / "heldout.json", json.dumps(asked, indent=1) + "\n")
    return table


def related(table: pd.DataFrame, queries: Dataset, data: Dataset) -> pd.DataFrame:
    """The table of `strongest_table` with the labels of both samples and their distance."""
    of, at = _places(queries, table["index"]), _places(data, table["train_index"])
    gap = data.unit(at).astype(np.float64) - queries.unit(of)
    return table.assign(
        label=-1 if queries.y is None else queries.y[of],
        train_label=-1 if data.y is None else data.y[at],
        distance=np.sqrt((gap.reshape(len(table), -1) ** 2).sum(axis=1)),
    )


def _places(data: Dataset, names: pd.Series) -> npt.NDArray[np.int64]:
    order = np.argsort(data.index, kind="stable")
    found = np.searchsorted(data.index, names.to_numpy(np.int64), sorter=order)
    return order[found].astype(np.int64)
