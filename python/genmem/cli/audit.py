"""`genmem audit DATA`: from a data set to a page that says what is memorized."""

from __future__ import annotations

import shlex
import sys
from typing import Annotated

import typer

from genmem.cli.answers import say_audit
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

KINDS = ("duplicates", "near_duplicates", "outliers")


def audit(
    data: Data,
    out: Out = None,
    seed: Seed = 0,
    threads: Threads = None,
    preset: Preset = PresetName.quick,
    limit: Limit = None,
    plant: Annotated[
        str | None,
        typer.Option(
            "--plant",
            metavar="KIND=SHARE,...",
            help="Ground truth to plant and find again: duplicates, near_duplicates and outliers, "
            "each as a share of the samples, as in near_duplicates=0.01,outliers=0.01 "
            "(default: nothing).",
            show_default=False,
        ),
    ] = None,
    device: Device = "auto",
    debug: Debug = False,
) -> None:
    """Find the memorized samples of DATA and what goes with them, and write a page about it.

    Models are trained by folds, every sample is scored by models that saw it and models that did
    not, influences are traced, objectives compared. Killed at any moment, the same command goes on
    from there and ends with the same scores.
    """
    shares = _shares(plant)
    import genmem
    from genmem import datasets, studies

    directory = run_directory(out, data, preset, "planted" if shares else "")
    samples = datasets.load(data, limit=limit)
    if shares:
        samples = datasets.plant(samples, seed=seed, **shares)
    with progress() as tell:
        studies.audit(
            samples,
            directory,
            preset.value,
            seed=seed,
            threads=threads,
            progress=tell,
            command=shlex.join(["genmem", *sys.argv[1:]]),
            device=device,
        )
        tell("page", 0, 1)
        page = genmem.report(directory)
        tell("page", 1, 1)
    say_audit(directory, page)


def _shares(text: str | None) -> dict[str, float]:
    """The shares behind --plant; BadParameter names the part that is not KIND=SHARE."""
    shares: dict[str, float] = {}
    for part in (text or "").split(",") if text else []:
        kind, _, value = part.strip().partition("=")
        try:
            share = float(value)
        except ValueError:
            share = -1.0
        if kind not in KINDS or not 0 < share <= 1:
            raise typer.BadParameter(
                f"--plant: {part.strip()!r} is not KIND=SHARE, with KIND one of {', '.join(KINDS)} "
                "and SHARE more than 0, at most 1"
            )
        shares[kind] = share
    return shares
