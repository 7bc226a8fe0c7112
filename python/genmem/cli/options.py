"""What every verb asks: its words, its units, and where a default comes from."""

from __future__ import annotations

import re
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

DEBUG = "genmem.debug"


class PresetName(StrEnum):
    """Sizes of a study; what each means for a data set is the table of `genmem.studies.presets`."""

    smoke = "smoke"
    quick = "quick"
    paper = "paper"


def _positive(value: int | None) -> int | None:
    if value is not None and value < 1:
        raise typer.BadParameter(f"{value} is not a count; at least 1 is wanted")
    return value


def _device(value: str) -> str:
    if not re.fullmatch(r"auto|cpu|cuda(:[0-9]+)?", value):
        raise typer.BadParameter(f"{value!r} is no device; auto, cpu, cuda or cuda:N is wanted")
    return value


def _remember(context: typer.Context, value: bool) -> bool:
    context.meta[DEBUG] = value
    return value


Data = Annotated[
    str,
    typer.Argument(
        metavar="DATA",
        help="What is studied: digits, mnist, fashion_mnist, cifar10, a folder of images, or an "
        ".npz file (`genmem data list` says what is here).",
        show_default=False,
    ),
]
Out = Annotated[
    Path | None,
    typer.Option(
        "--out",
        metavar="DIR",
        help="Directory that all the run makes is written to, piece by piece: recipe, models, "
        "scores, tables, page. Made if absent; the same command again goes on with what is missing "
        "in it; one that holds another run is refused (default: genmem-DATA here, with preset and "
        "verb behind it).",
        show_default=False,
    ),
]
Seed = Annotated[
    int,
    typer.Option(
        "--seed",
        min=0,
        max=2**32 - 1,
        help="Whole number that fixes folds, initial weights, batches and every draw of noise.",
    ),
]
Threads = Annotated[
    int | None,
    typer.Option(
        "--threads",
        metavar="N",
        callback=_positive,
        help="Worker processes, and threads of a kernel; the answer does not depend on it "
        "(default: the cores this process may use).",
        show_default=False,
    ),
]
Preset = Annotated[
    PresetName,
    typer.Option(
        "--preset",
        help="Size of the study: models, epochs, folds, draws. smoke = seconds, a test that all "
        "works; quick = minutes; paper = the settings of the published study, hours to days.",
    ),
]
Device = Annotated[
    str,
    typer.Option(
        "--device",
        metavar="auto|cpu|cuda",
        callback=_device,
        help="Where models are trained, scored and traced: auto = the GPU if torch sees one, but "
        "what was begun on the CPU goes on there; cpu; cuda, or cuda:1 for another GPU. A run "
        "keeps to its kind of device, as the last digits differ.",
    ),
]
Limit = Annotated[
    int | None,
    typer.Option(
        "--limit",
        metavar="N",
        callback=_positive,
        help="Use the first N samples only (default: all of them).",
        show_default=False,
    ),
]
Debug = Annotated[
    bool,
    typer.Option(
        "--debug", callback=_remember, help="Show the whole traceback when something fails."
    ),
]


def run_directory(out: Path | None, data: str, preset: PresetName, *parts: str) -> Path:
    """`out`, or genmem-DATA in the working directory, with what is not the default behind it."""
    if out is not None:
        return out
    size = "" if preset is PresetName.quick else preset.value
    stem = Path(data).stem or "data"
    return Path("-".join(part for part in ("genmem", stem, size, *parts) if part))
