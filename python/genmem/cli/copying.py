"""`genmem copying RUN`: does what a model generates repeat its training data?"""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from genmem.cli.options import Debug, Device, Preset, PresetName, Seed, Threads
from genmem.cli.progress import progress
from genmem.cli.runs import data_of, heldout, load

if TYPE_CHECKING:
    from genmem.studies.copying_run import Samples


class Space(StrEnum):
    """What distances are taken over."""

    pixels = "pixels"
    pca = "pca"


def _set(name: str, what: str) -> Any:
    return typer.Option(
        f"--{name}",
        metavar="DATA",
        help=f"{what}: a data set by name, a folder of images, an .npz with x, or an .npy.",
        show_default=False,
    )


def copying(
    run: Annotated[
        Path | None,
        typer.Argument(
            metavar="RUN",
            help="Run directory that `genmem train` or `genmem audit` wrote: its training samples, "
            "samples it did not see, and what its model generates are compared. Leave it out to "
            "give all three sets.",
            show_default=False,
        ),
    ] = None,
    train: Annotated[str | None, _set("train", "Training samples, in place of RUN")] = None,
    test: Annotated[
        str | None,
        _set(
            "test",
            "Held-out samples (default: the test split of the data of RUN; without one, "
            "models of the same recipe are trained with a fold of the data held out)",
        ),
    ] = None,
    generated: Annotated[str | None, _set("generated", "Generated samples, with --train")] = None,
    data: Annotated[
        str | None,
        _set("data", "Samples that RUN was made of (default: the data set of the name in RUN)"),
    ] = None,
    features: Annotated[
        Space,
        typer.Option(
            "--features",
            help="Space of the distances: pixels, or 64 principal components of the training "
            "samples.",
        ),
    ] = Space.pixels,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            metavar="DIR",
            help="Directory of the tables; the same command again goes on with what is missing in "
            "it; one that holds another test is refused (default: RUN/copying, where "
            "`genmem report RUN` finds it; with --train, genmem-TRAIN-copying here).",
            show_default=False,
        ),
    ] = None,
    seed: Seed = 0,
    threads: Threads = None,
    preset: Preset = PresetName.quick,
    device: Device = "auto",
    debug: Debug = False,
) -> None:
    """Test whether generated samples repeat training data more than held-out samples do.

    Every test is shown with the same of held-out samples, its interval and p-value. Writes
    scores/copying.parquet, one row per generated sample, and summary.json. Of a run with
    memorization scores, the nearest-neighbour ratio of every training sample is related to them.
    """  # fmt: skip
    if (run is None) == (train is None):
        raise typer.BadParameter("RUN or --train: exactly one of them is wanted")
    options: dict[str, Any] = {
        "preset": preset.value, "features": features.value, "seed": seed, "threads": threads
    }  # fmt: skip
    if run is not None:
        if generated is not None:
            raise typer.BadParameter("--generated: the model of RUN generates; give --train for it")
        summary, place = _of_run(run, data, test, out, options | {"device": device})
    else:
        if test is None or generated is None or train is None or data is not None:
            raise typer.BadParameter("--train: --test and --generated are wanted, and no --data")
        place = out or Path(f"genmem-{Path(train).stem}-copying")
        summary = _of_sets((train, test, generated), place, options)
    _say(summary, place)


def _of_run(
    run: Path, data: str | None, test: str | None, out: Path | None, options: dict[str, Any]
) -> tuple[dict[str, Any], Path]:
    from genmem.studies.copying_run import copying_of_run

    place = out or run / "copying"
    samples = data_of(run, data)
    unseen = heldout(samples, data, test)
    with progress() as tell:
        return copying_of_run(run, samples, unseen, place, progress=tell, **options), place


def _of_sets(names: tuple[str, str, str], out: Path, options: dict[str, Any]) -> dict[str, Any]:
    from genmem.studies.copying_run import copying_of_sets

    held = [_samples(name, "test" if at == 1 else "train") for at, name in enumerate(names)]
    train, test, generated = _one_scale(held)
    with progress() as tell:
        return copying_of_sets(train, test, generated, out, progress=tell, **options)


def _samples(name: str, split: str) -> Any:
    """An array of an .npy file, or a data set."""
    import numpy as np

    path = Path(name)
    if path.suffix.lower() == ".npy" and path.is_file():
        return np.load(path, allow_pickle=False)
    return load(name, split)


def _one_scale(held: list[Any]) -> list[Samples]:
    """Three sets as bytes if all are, else in 0..1: bytes by their range, floats as they are.

    Raises DataError for floats outside 0..1 beside bytes.
    """
    import numpy as np

    from genmem.errors import DataError
    from genmem.studies.copying_run import Samples

    raw = [one if isinstance(one, np.ndarray) else one.x for one in held]
    if len({x.dtype == np.uint8 for x in raw}) > 1:
        for number, (one, x) in enumerate(zip(held, raw, strict=True)):
            if x.dtype == np.uint8:
                raw[number] = x / np.float32(255) if isinstance(one, np.ndarray) else one.unit()
            elif x.min() < 0 or x.max() > 1:
                raise DataError(
                    f"copying: set {number + 1} holds numbers in {x.min():g}..{x.max():g} beside "
                    "bytes; 0..1 is wanted, or bytes for all three"
                )
    names = ("training samples", "held-out samples", "generated samples")
    return [
        Samples(
            x,
            np.arange(len(x), dtype=np.int64) if isinstance(one, np.ndarray) else one.index,
            names[number] if isinstance(one, np.ndarray) else f"{one.name}, {names[number]}",
        )
        for number, (one, x) in enumerate(zip(held, raw, strict=True))
    ]


def _say(summary: dict[str, Any], place: Path) -> None:
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table

    counts, console = summary["counts"], Console()
    console.print(
        f"{counts['train']:,} training, {counts['test']:,} held-out and {counts['generated']:,} "
        f"generated samples, {summary['features']}; held out: {summary['sets']['test']}",
        highlight=False, markup=False, soft_wrap=True,
    )  # fmt: skip
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    for heading in ("test", "generated", "held-out", "95 % interval", "p", "q"):
        table.add_column(heading, no_wrap=heading != "test", overflow="fold")
    for one in summary["table"]:
        arrow = "↑" if one["copying_is"] == "high" else "↓"
        ends = f"{_number(one['lower'])} to {_number(one['upper'])}"
        values = [_number(one[name]) for name in ("value", "reference")]
        chances = [_number(one[name], 2) for name in ("pvalue", "qvalue")]
        table.add_row(f"{arrow} {one['short']}", *values, ends, *chances)
    console.print(table)
    typer.echo("↑ high, ↓ low values speak for copying; q: p corrected for the number of tests")
    copies = summary["tests"][0]["copies"]
    typer.echo(f"exact copies among the generated samples: {copies}")
    for note in [*summary["notes"], *(note for one in summary["tests"] for note in one["notes"])]:
        typer.echo(f"note: {note}")
    if summary["memorization"] is not None:
        _say_related(summary["memorization"])
    for warning in summary["warnings"]:
        typer.echo(f"warning: {warning}")
    typer.echo(f"tables: {place}")


def _say_related(found: dict[str, Any]) -> None:
    one = found["correlation"]
    typer.echo(
        f"rank correlation of log rho with M: {_number(one['value'])} "
        f"({_number(one['lower'])} to {_number(one['upper'])}), {one['n']:,} samples; reliability "
        f"of log rho {_number(found['reliability'])}, of M {_number(found['score_reliability'])}, "
        f"which bounds it at about {_number(found['ceiling'])}"
    )
    if found["partial"] is not None:
        left = found["partial"]
        typer.echo(
            f"with attributes of the data held fixed: {_number(left['value'])} "
            f"({_number(left['lower'])} to {_number(left['upper'])})"
        )


def _number(value: float | None, digits: int = 3) -> str:
    return "–" if value is None else f"{value:.{digits}g}"
