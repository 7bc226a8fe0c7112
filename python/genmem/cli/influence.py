"""`genmem influence DATA|RUN`: which training samples drive the likelihood of which others."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import numpy.typing as npt
import typer

from genmem.cli.options import (
    Debug,
    Device,
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
from genmem.cli.runs import of_run, positions_of

if TYPE_CHECKING:
    from genmem.datasets import Dataset
    from genmem.influence import TracIn
    from genmem.training import Recipe, Run


def influence(
    source: Annotated[
        str,
        typer.Argument(
            metavar="DATA|RUN",
            help="What is traced: a data set (digits, mnist, fashion_mnist, cifar10, a folder of "
            "images, an .npz), in a training of its own; or the directory of a run, whose training "
            "samples are traced to held-out ones.",
            show_default=False,
        ),
    ],
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
            help="Identities of the samples whose proponents and opponents are listed (default: "
            "the ten of largest self-influence; of RUN the first sixteen held-out ones).",
            show_default=False,
        ),
    ] = None,
    test: Annotated[
        str | None,
        typer.Option(
            "--test",
            metavar="DATA",
            help="Held-out samples, for RUN (default: the test split of the data of RUN).",
            show_default=False,
        ),
    ] = None,
    made_of: Annotated[
        str | None,
        typer.Option(
            "--data",
            metavar="DATA",
            help="Samples that RUN was made of (default: the data set of the name in RUN).",
            show_default=False,
        ),
    ] = None,
    top: Annotated[
        int,
        typer.Option("--top", "--k", min=1, help="Proponents and opponents listed per sample."),
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
    device: Device = "auto",
    debug: Debug = False,
) -> None:
    """Trace the influence of training samples on themselves and on others through a training.

    Of RUN: on held-out samples. Writes RUN/influence/heldout.parquet (with labels and distances),
    in place of what an earlier call wrote; `genmem report` shows it where RUN is of an audit.

    Of DATA: of its samples on themselves and on each other, through a training of its own.

    Writes scores/self_influence.parquet (both forms) and influence/proponents.parquet; with
    --generated also scores/generated_influence.parquet (by training sample, on average),
    influence/generated.parquet (by generated sample) and generated.safetensors (the pictures).
    """
    from genmem import datasets, training
    from genmem.device import UNWRITTEN, passed_on
    from genmem.influence import TracIn
    from genmem.ledger import bind
    from genmem.studies.samples import influence_table
    from genmem.studies.stages import write_table

    if draws % 2:
        raise typer.BadParameter(f"--draws: {draws} cannot be halved; an even number is wanted")
    if (Path(source) / "recipe.toml").is_file():
        sized = preset is not PresetName.quick
        if run is not None or out is not None or generated or limit is not None or sized:
            raise typer.BadParameter(
                "RUN: --run, --out, --limit, --preset and --generated are for DATA"
            )
        options = {"k": top, "draws": draws, "seed": seed, "threads": threads, "device": device}
        of_run(Path(source), made_of, test, samples, options)
        return
    if test is not None or made_of is not None:
        raise typer.BadParameter("--test and --data are for a RUN in place of DATA")
    held = datasets.load(source, limit=limit)
    asked = positions_of(held, samples)
    directory = run_directory(out, source, preset, "influence")
    recipe = recipe_of(held, preset.value, Objective.elbo.value, seed)
    given = None if run is None else _given(run, held)
    where = passed_on(device, "influence", directory)
    bind(directory, _identity(held, given, recipe, draws, seed, where), UNWRITTEN)
    drives: list[str] = []
    with progress() as tell:
        model = directory / "model"
        trained = given or training.train(recipe, held, model, progress=tell, device=where)
        tracin = TracIn(
            trained, draws=draws, seed=seed, threads=threads, progress=tell, device=where
        )
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
    data: Dataset, given: Run | None, recipe: Recipe, draws: int, seed: int, device: str
) -> dict[str, Any]:
    """What is traced: a run that was given is told by its weights, wherever it lies."""
    from genmem.device import recorded
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
        "device": recorded(device),
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
