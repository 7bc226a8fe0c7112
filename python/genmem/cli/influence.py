"""`genmem influence DATA`: which training samples drive the likelihood of which others."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import numpy.typing as npt
import typer

from genmem.cli.options import (
    Data,
    Debug,
    Limit,
    Out,
    Preset,
    PresetName,
    Seed,
    Threads,
    run_directory,
)
from genmem.cli.progress import Report, progress
from genmem.cli.recipes import Objective, recipe_of

if TYPE_CHECKING:
    from genmem.datasets import Dataset
    from genmem.influence import TracIn
    from genmem.training import Recipe, Run


def influence(
    data: Data,
    out: Out = None,
    seed: Seed = 0,
    threads: Threads = None,
    preset: Preset = PresetName.quick,
    run: Annotated[
        Path | None,
        typer.Option(
            "--run",
            metavar="RUN",
            help="Run directory that `genmem train` wrote for this DATA (default: a training of "
            "the preset's ELBO model, kept in the directory of this run).",
            show_default=False,
        ),
    ] = None,
    samples: Annotated[
        str | None,
        typer.Option(
            "--samples",
            metavar="I,J,...",
            help="Identities of the samples whose proponents and opponents are listed "
            "(default: the ten of largest self-influence).",
            show_default=False,
        ),
    ] = None,
    top: Annotated[
        int, typer.Option("--top", min=1, help="Proponents and opponents listed per sample.")
    ] = 5,
    draws: Annotated[
        int, typer.Option("--draws", min=2, help="Latent draws per gradient; an even number.")
    ] = 16,
    generated: Annotated[
        int,
        typer.Option(
            "--generated",
            metavar="N",
            min=0,
            help="Samples drawn from the trained model, and the training samples that raise or "
            "lower their likelihood.",
        ),
    ] = 0,
    limit: Limit = None,
    debug: Debug = False,
) -> None:
    """Trace the influence of samples of DATA on themselves and on each other through a training.

    Writes scores/self_influence.parquet (both forms) and influence/proponents.parquet; with
    --generated also scores/generated_influence.parquet (by training sample, on average),
    influence/generated.parquet (by generated sample) and generated.safetensors (the pictures).
    """
    from genmem import datasets, training
    from genmem.influence import TracIn
    from genmem.ledger import bind
    from genmem.studies.samples import influence_table
    from genmem.studies.stages import write_table

    if draws % 2:
        raise typer.BadParameter(f"--draws: {draws} cannot be halved; an even number is wanted")
    held = datasets.load(data, limit=limit)
    asked = _positions(held, samples)
    directory = run_directory(out, data, preset, "influence")
    recipe = recipe_of(held, preset.value, Objective.elbo.value, seed)
    given = None if run is None else _given(run, held)
    bind(directory, _identity(held, given, recipe, draws, seed))
    drives: list[str] = []
    with progress() as tell:
        trained = given or training.train(recipe, held, directory / "model", progress=tell)
        tracin = TracIn(trained, draws=draws, seed=seed, threads=threads, progress=tell)
        own = _self_influence(directory, tracin, held, tell)
        positions = np.argsort(-own, kind="stable")[:10] if asked is None else asked
        table = influence_table(tracin, held, positions, top)
        write_table(directory / "influence" / "proponents.parquet", table)
        if generated:
            drives = _generated(directory, tracin, held, generated, top, seed)
    typer.echo("sample   self-influence   strongest proponents")
    for position in positions:
        name = held.index[position]
        rows = table[(table["index"] == name) & (table["side"] == "proponent")]
        listed = ", ".join(str(other) for other in rows["train_index"])
        typer.echo(f"{name:<8} {own[position]:<16.4g} {listed}")
    for line in drives:
        typer.echo(line)
    typer.echo(f"tables: {directory}")


def _generated(
    directory: Path, tracin: TracIn, data: Dataset, count: int, top: int, seed: int
) -> list[str]:
    """Write what drives the samples that the model draws; the lines that say it."""
    from genmem.studies.samples import generated_tables, write_images
    from genmem.studies.stages import write_table

    overall, table, drawn = generated_tables(tracin, data, count, top, seed)
    write_table(directory / "scores" / "generated_influence.parquet", overall)
    write_table(directory / "influence" / "generated.parquet", table)
    write_images(directory / "generated.safetensors", drawn, range(count))
    ordered = overall.sort_values("influence", ascending=False, kind="stable")
    lines = [f"{count} generated samples: training samples that raise and lower their likelihood"]
    for name, some in (("raise", ordered.head(top)), ("lower", ordered.iloc[::-1].head(top))):
        told = (
            f"{row.index_} ({row.influence:.3g} +- {row.error:.2g})"
            for row in some.rename(columns={"index": "index_"}).itertuples()
        )
        lines.append(f"  {name}: {', '.join(told)}")
    return lines


def _identity(
    data: Dataset, given: Run | None, recipe: Recipe, draws: int, seed: int
) -> dict[str, Any]:
    """What is traced: a run that was given is told by its weights, wherever it lies."""
    from genmem.ledger import fingerprint
    from genmem.studies.summary import versions

    traced: dict[str, Any] = {"recipe": (given.recipe if given else recipe).to_dict()}
    if given:
        states = [checkpoint.state() for checkpoint in given.checkpoints]
        traced["weights"] = [
            fingerprint(*(state[name].numpy() for name in sorted(state))) for state in states
        ]
    return {
        "influence": {"run": traced, "draws": draws, "seed": seed},
        "data": {"name": data.name, "n": len(data), "fingerprint": data.fingerprint},
        "versions": versions(),
    }


def _self_influence(
    directory: Path, tracin: TracIn, data: Dataset, tell: Report
) -> npt.NDArray[np.float64]:
    """Both forms in scores/self_influence.parquet, unless they stand there; the plain one."""
    import pandas as pd

    from genmem.studies.samples import write_self_influence
    from genmem.studies.stages import Stages

    name = "scores/self_influence.parquet"
    work = partial(write_self_influence, directory / name, tracin, data)
    Stages(directory, tell).do("self-influence", [name], work)
    return pd.read_parquet(directory / name)["self_influence"].to_numpy(np.float64)


def _given(run: Path, data: Dataset) -> Run:
    """The run in this directory; RunMismatchError if it was trained on other data."""
    from genmem import training
    from genmem.errors import RunMismatchError
    from genmem.ledger import read_identity

    found = training.Run.load(run)
    traced = read_identity(run)["data"]["fingerprint"]
    if traced != data.fingerprint:
        raise RunMismatchError(
            f"{run} was trained on data with fingerprint {traced}, {data.name} has "
            f"{data.fingerprint}; influence is traced on the data a model was trained on"
        )
    return found


def _positions(data: Dataset, text: str | None) -> npt.NDArray[np.int64] | None:
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
