"""`genmem train DATA`: one model on all samples."""

from __future__ import annotations

from typing import Annotated

import typer

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
from genmem.cli.recipes import Conditional, Epochs, Latent, LearningRate, Objective, recipe_of


def train(
    data: Data,
    out: Out = None,
    seed: Seed = 0,
    threads: Threads = None,
    preset: Preset = PresetName.quick,
    objective: Annotated[
        Objective,
        typer.Option("--objective", help="What is maximised: the ELBO, the beta-ELBO or the IWAE."),
    ] = Objective.elbo,
    epochs: Epochs = None,
    latent: Latent = None,
    lr: LearningRate = None,
    conditional: Conditional = False,
    limit: Limit = None,
    device: Device = "auto",
    debug: Debug = False,
) -> None:
    """Train a model on all samples of DATA and keep its checkpoints.

    A training is one thread's work whatever --threads says, so that its weights do not depend on
    the machine. Killed, the same command goes on from its last state.
    """
    from genmem import datasets, training

    samples = datasets.load(data, limit=limit)
    recipe = recipe_of(
        samples,
        preset.value,
        objective.value,
        seed,
        epochs=epochs,
        latent=latent,
        lr=lr,
        conditional=conditional,
    )
    directory = run_directory(out, data, preset, objective.value)
    with progress() as tell:
        run = training.train(recipe, samples, directory, progress=tell, device=device)
    last = run.history["train_loss"][-1]
    kept = ", ".join(str(checkpoint.epoch) for checkpoint in run.checkpoints)
    given = ", given the labels" if conditional else ""
    typer.echo(f"{samples.name}: {recipe.model}{given}, {objective.value}, {recipe.epochs} epochs")
    typer.echo(f"training loss in the last epoch: {last:.3f} nats per sample")
    typer.echo(f"checkpoints after epochs {kept}: {directory}")
