"""What a run directory was made of, samples that it did not see, and what drives these."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import typer

from genmem.cli.progress import progress

if TYPE_CHECKING:
    from genmem.datasets import Dataset

# Held-out samples that are traced where none are named, and kin that a terminal is told of each.
_SHOWN, _TOLD = 16, 3


def data_of(run: Path, data: str | None) -> Dataset:
    """The samples that a run was made of: as many as it says, of the set that it names."""
    from genmem import datasets
    from genmem.errors import DataError
    from genmem.ledger import read_identity

    stored = read_identity(run)["data"]
    name, count = str(stored["name"]), int(stored.get("n", stored.get("samples", 0)))
    try:
        return datasets.load(data or name, limit=count)
    except DataError as error:
        if data is not None:
            raise
        raise DataError(
            f"{run} was made of {name}, which cannot be loaded by that name; give the samples "
            f"with --data ({error})"
        ) from error


def heldout(samples: Dataset, data: str | None, test: str | None) -> Dataset | None:
    """What --test names, or the test split of the data; None if there is neither."""
    from genmem import datasets
    from genmem.errors import DataError

    if test is not None:
        return load(test, "test")
    try:
        return datasets.load(data or samples.name, split="test")
    except DataError:
        return None


def load(name: str, split: str) -> Dataset:
    """A set by name or path; its test split where it has one and that is asked for."""
    from genmem import datasets
    from genmem.errors import DataError

    if split == "test":
        try:
            return datasets.load(name, split="test")
        except DataError:
            pass
    return datasets.load(name)


def of_run(
    run: Path, data: str | None, test: str | None, samples: str | None, options: dict[str, Any]
) -> None:
    """Trace the training samples of a run to held-out ones; say the strongest of each."""
    from genmem.studies.heldout_influence import FOLDER, heldout_influence

    trained = data_of(run, data)
    unseen = heldout(trained, data, test)
    if unseen is None:
        raise typer.BadParameter(
            f"--test: {trained.name} has no test split; held-out samples are wanted"
        )
    asked = positions_of(unseen, samples)
    chosen = np.arange(min(_SHOWN, len(unseen))) if asked is None else asked
    with progress() as tell:
        table = heldout_influence(run, trained, unseen.take(chosen), progress=tell, **options)
    for name, rows in table.groupby("index", sort=False):
        typer.echo(f"{unseen.name} {name}{_class(int(rows['label'].to_numpy()[0]))}")
        for side in ("proponent", "opponent"):
            strongest = rows[rows["side"] == side]
            columns = ("train_index", "score", "train_label", "distance")
            told = (
                f"{int(index)} ({score:.3g}{_class(int(label))}, {distance:.3g} away)"
                for index, score, label, distance in strongest.head(_TOLD)[list(columns)].to_numpy()
            )
            typer.echo(f"  {side}s: {', '.join(told) or 'none'}")
    typer.echo(f"tables: {run / FOLDER}")


def _class(label: int) -> str:
    return f", class {label}" if label >= 0 else ""


def positions_of(data: Dataset, text: str | None) -> npt.NDArray[np.int64] | None:
    """Positions of the identities in a list like "3,17,42"; None if none was given."""
    if text is None:
        return None
    place = {int(name): position for position, name in enumerate(data.index)}
    try:
        names = [int(part) for part in text.split(",")]
    except ValueError:
        raise typer.BadParameter(
            f"--samples: {text!r} is not a list of whole numbers like 3,17,42"
        ) from None
    unknown = [name for name in names if name not in place]
    if unknown or len(set(names)) < len(names):
        what = f"has no sample {unknown[0]}" if unknown else "would list a sample twice"
        raise typer.BadParameter(f"--samples: {data.name} {what}")
    return np.array([place[name] for name in names], np.int64)
