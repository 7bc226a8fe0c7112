"""The copying tests of a run as the page shows them; a run without them has no such section."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from genmem.errors import DataError
from genmem.ledger import read_unit
from genmem.reports import words
from genmem.reports.gallery import Picture
from genmem.reports.pictures import THUMB_SIDE, data_uri, pixelated

if TYPE_CHECKING:
    import pandas as pd

FOLDER = "copying"
COLUMNS = {
    "copying": ("index", "nearest", "distance"),
    "copying_heldout": ("index", "distance"),
    "rho_and_memorization": ("index", "log_ratio", "se", "times"),
}
ENTRIES = ("label", "copying_is", "value", "reference", "lower", "upper", "pvalue", "qvalue")
GLOSSARY: tuple[tuple[str, str], ...] = (
    (
        "ρ, nearest-neighbour ratio",
        "Distance of a training sample to the nearest held-out sample over that to the nearest "
        "generated one, equally many of both. Above 1 the generated one is nearer; without copying "
        "that is so for half of the training samples.",
    ),
    (
        "C_T",
        "Rank test of distances to the training samples, generated against held-out ones, in cells "
        "of similar samples. Without copying z is a standard normal number; far below 0 speaks for "
        "copying.",
    ),
    (
        "AuthPct",
        "Per cent of generated samples that are farther from their nearest training sample than "
        "its own nearest neighbour is. Compare it with that of held-out samples, not with 50.",
    ),
    (
        "calibrated distance",
        "Distance to the nearest training sample over half the mean distance to the nearest 50.",
    ),
    (
        "FLD and its gap",
        "Each generated sample becomes the centre of a Gaussian. FLD: how much less likely "
        "held-out samples are under them than under Gaussians around training samples. Gap: how "
        "much less likely training samples are than held-out ones; below 0 speaks for copying.",
    ),
)
HEADS = ("", "copying is", "generated", "held-out", "95\u202f% interval", "p", "q")


@dataclass(frozen=True)
class Copying:
    """What `genmem copying RUN` left: summary, samples, rho beside M (or None), pictures."""

    summary: Mapping[str, Any]
    generated: pd.DataFrame
    heldout: pd.DataFrame
    ratios: pd.DataFrame | None
    images: Mapping[str, npt.NDArray[Any]]


@dataclass(frozen=True)
class Match:
    """A generated sample and the training sample nearest to it."""

    made: Picture
    nearest: Picture
    distance: str


def read(run: Path) -> Copying | None:
    """The tables of the copying tests below a run directory; None if it has none.

    Raises DataError if they are damaged, naming the file and the command that makes it.
    """
    folder = run / FOLDER
    if not (folder / "summary.json").is_file():
        return None
    summary = _summary(folder / "summary.json")
    tables = {name: _table(folder / f"scores/{name}.parquet", COLUMNS[name]) for name in COLUMNS}
    for name in ("copying", "copying_heldout"):
        if tables[name] is None:
            raise DataError(f"report: {folder}/scores/{name}.parquet is missing; {_command(run)}")
    images = folder / "images.safetensors"
    return Copying(
        summary=summary,
        generated=tables["copying"],
        heldout=tables["copying_heldout"],
        ratios=tables["rho_and_memorization"],
        images=read_unit(images)[0] if images.is_file() else {},
    )


def rows(copying: Copying) -> list[tuple[str, ...]]:
    """The cells of the table, one row per statistic, under HEADS."""
    return [
        (
            str(entry["label"]),
            str(entry["copying_is"]),
            _form(entry["value"]),
            _form(entry["reference"]),
            words.interval(_number(entry["lower"]), _number(entry["upper"]), words.significant),
            _probability(entry["pvalue"]),
            _probability(entry["qvalue"]),
        )
        for entry in copying.summary["table"]
    ]


def lead(copying: Copying) -> str:
    """What was compared and what came of it, in sentences."""
    counts, sets = copying.summary["counts"], copying.summary["sets"]
    held = f"{words.count(counts['test'])} held-out samples ({sets['test']})"
    told = [entry for entry in copying.summary["table"] if _number(entry["qvalue"]) <= 0.05]
    copies = int(copying.summary["tests"][0]["copies"])
    found = (
        f"{words.counted(len(told), 'statistic')} of {len(copying.summary['table'])} "
        f"{'speaks' if len(told) == 1 else 'speak'} for copying at a false discovery rate of "
        "5\u202f% over the table"
        if told
        else "No statistic speaks for copying at a false discovery rate of 5\u202f% over the table"
    )
    exact = "none is" if not copies else f"{words.count(copies)} {'is' if copies == 1 else 'are'}"
    return (
        f"{words.count(counts['generated'])} generated samples ({sets['generated']}) and {held} "
        f"are compared with {words.count(counts['train'])} training samples. {found}. Of the "
        f"generated samples {exact} an exact copy of a training sample."
    )


def notes(copying: Copying) -> list[str]:
    """What a reader must know: of the whole, and of single tests."""
    single = [note for test in copying.summary["tests"] for note in test["notes"]]
    return [*copying.summary["notes"], *single]


def matches(copying: Copying) -> list[Match]:
    """The generated samples that are nearest to a training sample for their place, and it."""
    if not copying.images:
        return []
    index, nearest = copying.images["index"], copying.images["nearest"]
    apart = copying.generated.set_index("index")["distance"]
    return [
        Match(
            _picture(copying.images["pixels"][row], int(made)),
            _picture(copying.images["nearest_pixels"][row], int(other)),
            _distance(float(apart[made])),
        )
        for row, (made, other) in enumerate(zip(index, nearest, strict=True))
    ]


def _picture(pixels: npt.NDArray[np.uint8], index: int) -> Picture:
    return Picture(index, None, data_uri(pixels, THUMB_SIDE), pixelated(pixels))


def _distance(value: float) -> str:
    return "0, exact" if value == 0 else words.significant(value)


def _form(value: Any) -> str:
    return words.significant(_number(value))


def _probability(value: Any) -> str:
    return "–" if value is None else words.probability(float(value)).removeprefix("= ")


def _number(value: Any) -> float:
    return float("nan") if value is None else float(value)


def _summary(path: Path) -> Mapping[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise DataError(f"report: {path} is not JSON: {error}") from error
    wanted = ("table", "tests", "counts", "sets", "notes", "memorization")
    absent = [name for name in wanted if not isinstance(found, dict) or name not in found]
    if absent or any(name not in entry for entry in found["table"] for name in ENTRIES):
        raise DataError(
            f"report: {path} lacks {', '.join(absent) or 'entries of its table'}; "
            f"{_command(path.parent.parent)}"
        )
    return dict(found)


def _table(path: Path, wanted: tuple[str, ...]) -> Any:
    import pandas as pd

    if not path.is_file():
        return None
    try:
        table = pd.read_parquet(path)
    except (OSError, ValueError) as error:
        raise DataError(f"report: {path} is not a whole parquet file: {error}") from error
    absent = [name for name in wanted if name not in table.columns]
    if absent or table["index"].duplicated().any():
        raise DataError(
            f"report: {path} has columns {list(table.columns)}; wanted {list(wanted)}, one row for "
            "each index"
        )
    return table


def _command(run: Path) -> str:
    return f"`genmem copying {run}` writes it"
