"""What drives the samples that the model draws, as the page shows it; a run without has no such
section."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from genmem.errors import DataError
from genmem.ledger import read_unit
from genmem.reports import words
from genmem.reports.pictures import FACE_SIDE, data_uri, pixelated

if TYPE_CHECKING:
    import pandas as pd

    from genmem.reports.gallery import Gallery, Picture
    from genmem.reports.tables import Images

OVERALL = "scores/generated_influence.parquet"
STRONGEST = "influence/generated.parquet"
PICTURES = "generated.safetensors"
COLUMNS = {
    OVERALL: ("index", "influence", "error"),
    STRONGEST: ("index", "side", "rank", "train_index", "score"),
}
CARDS, KIN, DRIVERS = 12, 3, 6


@dataclass(frozen=True)
class Generated:
    """Influence on generated samples: by training sample, by generated sample, and these."""

    overall: pd.DataFrame
    strongest: pd.DataFrame
    images: Images


@dataclass(frozen=True)
class Drawn:
    """A generated sample, and the training samples that raise and lower its likelihood most."""

    face: Picture
    proponents: tuple[Picture, ...]
    opponents: tuple[Picture, ...]


def read(run: Path) -> Generated | None:
    """The tables of a run directory; None if it has none.

    Raises DataError if they are damaged or one of them is missing, naming the file.
    """
    from genmem.reports.tables import Images, read_table

    files = [run / name for name in (OVERALL, STRONGEST, PICTURES)]
    if not files[0].is_file():
        return None
    for path in files[1:]:
        if not path.is_file():
            raise DataError(f"report: {path} is missing beside {files[0].name}; {_command(run)}")
    arrays, _ = read_unit(files[2])
    overall, strongest = (read_table(run / name, wanted) for name, wanted in COLUMNS.items())
    return Generated(overall, strongest, Images(arrays["index"], arrays["pixels"]))


def lead(generated: Generated, noun: str) -> str:
    """How many training samples matter, in a sentence with its rule."""
    from scipy.stats import t

    influence, error = (
        generated.overall[name].to_numpy(np.float64) for name in ("influence", "error")
    )
    count = len(generated.images.index)
    clear = np.abs(influence) > t.ppf(0.975, max(count - 1, 1)) * error
    raising, lowering = int((clear & (influence > 0)).sum()), int((clear & (influence < 0)).sum())
    return (
        f"{words.count(count)} {noun}s were drawn from the model. Of {words.count(len(influence))} "
        f"training {noun}s {words.count(raising)} raise and {words.count(lowering)} lower their "
        "mean log-likelihood, with a 95\u202f% interval over generated ones that leaves 0 out; by "
        "chance 5\u202f% would."
    )


def drivers(generated: Generated, gallery: Gallery) -> dict[str, list[Picture]]:
    """The training samples that raise and lower the likelihood most, on average."""
    ordered = generated.overall.sort_values("influence", ascending=False, kind="stable")
    sides = {
        "raise": ordered[ordered["influence"] > 0].head(DRIVERS),
        "lower": ordered[ordered["influence"] < 0].iloc[::-1].head(DRIVERS),
    }
    return {
        side: [
            gallery.picture(int(index), f"{words.significant(mean)} ± {words.significant(error)}")
            for index, mean, error in zip(
                rows["index"], rows["influence"], rows["error"], strict=True
            )
        ]
        for side, rows in sides.items()
    }


def drawn(generated: Generated, gallery: Gallery) -> list[Drawn]:
    """The generated samples as cards."""
    return [
        Drawn(
            _face(generated.images, int(number)),
            _kin(generated.strongest, gallery, int(number), "proponent"),
            _kin(generated.strongest, gallery, int(number), "opponent"),
        )
        for number in generated.images.index[:CARDS]
    ]


def _face(images: Images, number: int) -> Picture:
    from genmem.reports.gallery import Picture

    pixels = images.of(number)
    assert pixels is not None
    return Picture(number, "generated", data_uri(pixels, FACE_SIDE), pixelated(pixels))


def _kin(table: pd.DataFrame, gallery: Gallery, number: int, side: str) -> tuple[Picture, ...]:
    rows = table[(table["index"] == number) & (table["side"] == side)]
    rows = rows.sort_values("rank", kind="stable").head(KIN)
    return tuple(
        gallery.picture(int(index), words.significant(float(score)))
        for index, score in zip(rows["train_index"], rows["score"], strict=True)
    )


def _command(run: Path) -> str:
    return f"`genmem audit DATA --out {run}` writes it"
