"""`genmem memorization DATA`: the cross-validated score of every sample under one model."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from genmem.cli.answers import say_scores
from genmem.cli.options import (
    Data,
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
from genmem.cli.progress import progress
from genmem.cli.recipes import Conditional, Epochs, Latent, LearningRate, recipe_of


class Model(StrEnum):
    """What can be cross-validated from the command line."""

    elbo = "elbo"
    beta = "beta"
    iwae = "iwae"
    kde = "kde"
    knn = "knn"
    gmm = "gmm"


def memorization(
    data: Data,
    out: Out = None,
    seed: Seed = 0,
    threads: Threads = None,
    preset: Preset = PresetName.quick,
    model: Annotated[
        Model,
        typer.Option(
            "--model",
            help="Whose memory is measured: a VAE trained on the ELBO, the beta-ELBO or the IWAE, "
            "or a kernel, nearest-neighbour or Gaussian mixture density.",
        ),
    ] = Model.elbo,
    folds: Annotated[
        int | None,
        typer.Option(
            "--folds",
            min=2,
            help="Parts the samples are divided into; each model leaves one out "
            "(default: the preset's).",
            show_default=False,
        ),
    ] = None,
    repeats: Annotated[
        int | None,
        typer.Option(
            "--repeats",
            min=1,
            help="How often they are divided anew; intervals need 3, and more can be added to a "
            "run later (default: the preset's).",
            show_default=False,
        ),
    ] = None,
    epochs: Epochs = None,
    latent: Latent = None,
    lr: LearningRate = None,
    conditional: Conditional = False,
    limit: Limit = None,
    device: Device = "auto",
    debug: Debug = False,
) -> None:
    """Score every sample of DATA: log p by models that saw it less log p by models that did not.

    Writes scores/memorization.parquet, one row per sample, with interval, p-value and q-value.
    Killed, the same command trains only the models that are missing.
    """
    from genmem import config, datasets
    from genmem.heard import listening
    from genmem.memorization import cross_validate
    from genmem.studies.comparison import learner
    from genmem.studies.executors import processes
    from genmem.studies.presets import preset as chosen

    samples = datasets.load(data, limit=limit)
    sizes = chosen(preset.value, samples, seed=seed)
    studied = learner(model.value, samples, sizes, seed)
    if model.value in sizes.recipes:
        studied = recipe_of(
            samples,
            preset.value,
            model.value,
            seed,
            epochs=epochs,
            latent=latent,
            lr=lr,
            conditional=conditional,
        )
    elif (epochs, latent, lr, conditional) != (None, None, None, False):
        raise typer.BadParameter(
            f"--epochs, --latent, --lr and --conditional do not apply to --model {model}"
        )
    if model.value not in sizes.recipes and device not in ("auto", "cpu"):
        raise typer.BadParameter(f"--device {device} does not apply to --model {model}")
    directory = run_directory(out, data, preset, "memorization", model.value)
    workers = threads or config()["threads"]
    with progress() as tell, processes(workers) as pool, listening() as heard:
        scores = cross_validate(
            studied,
            samples,
            folds or sizes.folds,
            repeats or sizes.repeats,
            executor=pool,
            out=directory,
            seed=seed,
            progress=tell,
            device=device,
        )
    say_scores(scores)
    for warning in dict.fromkeys([*scores.warnings, *(text for _, text in heard)]):
        typer.echo(f"warning: {warning}")
    typer.echo(f"scores: {directory / 'scores' / 'memorization.parquet'}")
