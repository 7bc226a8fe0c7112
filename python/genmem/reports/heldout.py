"""What drives samples that the run never saw, as the page shows it; a run without has no such
section."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from genmem.errors import DataError
from genmem.ledger import read_unit
from genmem.reports import words
from genmem.reports.gallery import Picture, class_name
from genmem.reports.pictures import FACE_SIDE, THUMB_SIDE, data_uri, pixelated
from genmem.reports.tables import Images, read_table

if TYPE_CHECKING:
    import pandas as pd

FOLDER = "influence"
COLUMNS = ("index", "side", "rank", "train_index", "score", "label", "train_label", "distance")
KIN = 6


@dataclass(frozen=True)
class Heldout:
    """Influence on held-out samples, what was asked, and the pictures of both."""

    asked: Mapping[str, Any]
    strongest: pd.DataFrame
    queries: Images
    kin: Images


@dataclass(frozen=True)
class Traced:
    """A held-out sample, and the training samples that raise and lower its likelihood most."""

    face: Picture
    proponents: tuple[Picture, ...]
    opponents: tuple[Picture, ...]


def read(run: Path) -> Heldout | None:
    """The tables that `genmem influence RUN` left; None if it left none.

    Raises DataError if they are damaged or one of them is missing, naming the file.
    """
    folder = run / FOLDER
    if not (folder / "heldout.json").is_file():
        return None
    names = ("heldout.parquet", "heldout.safetensors", "heldout_kin.safetensors")
    absent = [name for name in names if not (folder / name).is_file()]
    if absent:
        raise DataError(
            f"report: {folder / absent[0]} is missing; `genmem influence {run}` writes it"
        )
    try:
        asked = json.loads((folder / "heldout.json").read_text(encoding="utf-8"))
    except ValueError as error:
        raise DataError(f"report: {folder / 'heldout.json'} is not JSON: {error}") from error
    if "heldout" not in asked:
        raise DataError(f"report: {folder / 'heldout.json'} lacks heldout")
    table = read_table(folder / "heldout.parquet", COLUMNS)
    images = [read_unit(folder / name)[0] for name in names[1:]]
    return Heldout(asked, table, *(Images(one["index"], one["pixels"]) for one in images))


def lead(heldout: Heldout, noun: str) -> str:
    """What was traced, and how often the strongest are of the same class."""
    first = heldout.strongest[heldout.strongest["rank"] == 1]
    text = (
        f"{words.counted(len(heldout.queries.index), noun)} of {heldout.asked['heldout']}, which "
        f"the model was not trained on, and the training {noun}s that raised (proponents) and "
        "lowered (opponents) the likelihood of each most."
    )
    known = first[(first["label"] >= 0) & (first["train_label"] >= 0)]
    if not len(known):
        return text
    told = []
    for side in ("proponent", "opponent"):
        rows = known[known["side"] == side]
        same = int((rows["label"] == rows["train_label"]).sum())
        told.append(f"{same} of {len(rows)} strongest {side}s")
    return f"{text} Of the class of their {noun} are {told[0]} and {told[1]}."


def traced(heldout: Heldout, classes: Any) -> list[Traced]:
    """The held-out samples as cards, in the order in which they were asked for."""
    found = []
    for name, rows in heldout.strongest.groupby("index", sort=False):
        label = int(rows["label"].to_numpy()[0])
        face = _picture(
            heldout.queries,
            int(str(name)),
            FACE_SIDE,
            class_name(label, classes) if label >= 0 else "",
        )
        found.append(
            Traced(
                face,
                _kin(heldout, rows[rows["side"] == "proponent"], classes),
                _kin(heldout, rows[rows["side"] == "opponent"], classes),
            )
        )
    return found


def _kin(heldout: Heldout, rows: pd.DataFrame, classes: Any) -> tuple[Picture, ...]:
    shown = rows.sort_values("rank", kind="stable").head(KIN)
    pictures = []
    for index, score, label, distance in zip(
        shown["train_index"], shown["score"], shown["train_label"], shown["distance"], strict=True
    ):
        of = f", {class_name(int(label), classes)}" if label >= 0 else ""
        note = f"{words.significant(float(score))}{of}, {words.significant(float(distance))} away"
        pictures.append(_picture(heldout.kin, int(index), THUMB_SIDE, note))
    return tuple(pictures)


def _picture(images: Images, index: int, side: int, note: str) -> Picture:
    pixels = images.of(index)
    if pixels is None:
        return Picture(index, None, None, False, note)
    return Picture(index, None, data_uri(pixels, side), pixelated(pixels), note)
