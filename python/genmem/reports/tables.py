"""The tables of a run directory, read and checked: all that a report knows.

`recipe.toml`, `summary.json` and `scores/memorization.parquet` must be there. Any other table may
be absent; the page then says which one, and what it would have shown.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from genmem.errors import DataError
from genmem.ledger import read_identity, read_unit

if TYPE_CHECKING:
    import pandas as pd

    from genmem.reports.copying import Copying
    from genmem.reports.generated import Generated
    from genmem.reports.heldout import Heldout

Floats = npt.NDArray[np.float64]
FALSE_DISCOVERY_RATE = 0.05
SCORES = "scores/memorization.parquet"
REQUIRED = ("recipe.toml", "summary.json", SCORES)

COLUMNS: dict[str, tuple[str, ...]] = {
    SCORES: (
        "index",
        "score",
        "lower",
        "upper",
        "pvalue",
        "qvalue",
        "log_in",
        "log_out",
    ),
    "scores/by_epoch.parquet": ("index",),
    "scores/attributes.parquet": ("index",),
    "scores/self_influence.parquet": ("index", "self_influence"),
    "scores/neighbours.parquet": ("index", "rank", "neighbour", "distance"),
    "influence/proponents.parquet": ("index", "side", "rank", "train_index", "score"),
    "tables/history.parquet": ("epoch", "train_loss", "heldout_loss"),
    "tables/attribute_correlations.parquet": (
        "attribute",
        "label",
        "spearman",
        "lower",
        "upper",
        "qvalue",
    ),
    "tables/agreement.parquet": ("a", "b", "spearman", "lower", "upper"),
}


@dataclass(frozen=True)
class Images:
    """Pixels of the samples that a page may show: index (S,), pixels (S, C, H, W) uint8."""

    index: npt.NDArray[np.int64]
    pixels: npt.NDArray[np.uint8]

    @cached_property
    def place(self) -> dict[int, int]:
        return {int(name): row for row, name in enumerate(self.index)}

    def of(self, index: int) -> npt.NDArray[np.uint8] | None:
        """The (C, H, W) pixels of one sample, None if the run did not keep them."""
        row = self.place.get(index)
        return None if row is None else self.pixels[row]


@dataclass(frozen=True)
class Tables:
    """One run as read: the required tables, and the optional ones or None."""

    directory: Path
    recipe: Mapping[str, Any]
    summary: Mapping[str, Any]
    scores: pd.DataFrame
    by_epoch: pd.DataFrame | None
    attributes: pd.DataFrame | None
    self_influence: pd.DataFrame | None
    neighbours: pd.DataFrame | None
    influence: pd.DataFrame | None
    history: pd.DataFrame | None
    correlations: pd.DataFrame | None
    agreement: pd.DataFrame | None
    images: Images | None
    copying: Copying | None = None
    generated: Generated | None = None
    heldout: Heldout | None = None

    @property
    def n(self) -> int:
        return len(self.scores)

    @property
    def noun(self) -> str:
        """What the page calls a sample: "image" where it is one and the run kept pictures."""
        shape = self.summary["data"].get("shape") or []
        return "image" if self.images is not None and len(shape) in (0, 3) else "sample"

    @cached_property
    def score(self) -> Floats:
        """M (n,) in nats; NaN for a sample that was never held out or never included."""
        return column(self.scores, "score")

    @cached_property
    def memorized(self) -> npt.NDArray[np.bool_]:
        """Which samples are memorized at the false discovery rate, (n,)."""
        return column(self.scores, "qvalue") <= FALSE_DISCOVERY_RATE

    def aligned(self, table: pd.DataFrame, name: str) -> Floats:
        """Column `name` of another table in the row order of the scores; NaN for a missing row."""
        return column(table.set_index("index").reindex(self.scores["index"]), name)


def column(table: pd.DataFrame, name: str) -> Floats:
    """One numeric column as float64."""
    return np.asarray(table[name].to_numpy(dtype=np.float64, na_value=np.nan))


def read(run_directory: str | Path) -> Tables:
    """All tables of a run directory.

    Raises FileNotFoundError naming the file and the command that makes it, DataError if a file is
    not what it should be.
    """
    from genmem.reports.copying import read as read_copying
    from genmem.reports.generated import read as read_generated
    from genmem.reports.heldout import read as read_heldout

    directory = Path(run_directory)
    _required(directory)
    summary = _summary(directory / "summary.json")
    scores = _scores(directory, int(summary["data"]["n"]))
    return Tables(
        directory=directory,
        recipe=read_identity(directory),
        summary=summary,
        scores=scores,
        by_epoch=_optional(directory, "scores/by_epoch.parquet"),
        attributes=_optional(directory, "scores/attributes.parquet"),
        self_influence=_optional(directory, "scores/self_influence.parquet"),
        neighbours=_optional(directory, "scores/neighbours.parquet"),
        influence=_optional(directory, "influence/proponents.parquet"),
        history=_optional(directory, "tables/history.parquet"),
        correlations=_optional(directory, "tables/attribute_correlations.parquet"),
        agreement=_optional(directory, "tables/agreement.parquet"),
        images=_images(directory / "images.safetensors"),
        copying=read_copying(directory),
        generated=read_generated(directory),
        heldout=read_heldout(directory),
    )


def _required(directory: Path) -> None:
    command = f"`genmem audit DATA --out {directory}`"
    if not directory.is_dir():
        raise FileNotFoundError(f"report: {directory} is not a directory; {command} makes it")
    for name in REQUIRED:
        if not (directory / name).is_file():
            raise FileNotFoundError(f"report: {directory / name} is missing; {command} writes it")


def _scores(directory: Path, n: int) -> pd.DataFrame:
    path, scores = directory / SCORES, _table(directory, SCORES)
    if len(scores) != n:
        raise DataError(
            f"report: {path} has {len(scores)} rows but summary.json counts {n} samples; "
            "they belong to different runs"
        )
    if not np.isfinite(column(scores, "score")).any():
        raise DataError(f"report: {path} has no finite score in {n} rows; wanted at least one")
    return scores


def _summary(path: Path) -> Mapping[str, Any]:
    try:
        summary = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise DataError(f"report: {path} is not JSON: {error}") from error
    data = summary.get("data") if isinstance(summary, dict) else None
    if (
        not isinstance(data, dict)
        or "name" not in data
        or "n" not in data
        or "title" not in summary
    ):
        raise DataError(
            f"report: {path} lacks title, data.name or data.n; `genmem audit DATA` writes all three"
        )
    return dict(summary)


def _optional(directory: Path, name: str) -> pd.DataFrame | None:
    if not (directory / name).is_file():
        return None
    table = _table(directory, name)
    return table if len(table) else None


def read_table(path: Path, columns: tuple[str, ...]) -> pd.DataFrame:
    """A parquet file; DataError if it is damaged or lacks one of the columns."""
    import pandas as pd

    try:
        table = pd.read_parquet(path)
    except (OSError, ValueError) as error:
        raise DataError(f"report: {path} is not a whole parquet file: {error}") from error
    absent = [wanted for wanted in columns if wanted not in table.columns]
    if absent:
        raise DataError(f"report: {path} has columns {list(table.columns)}; wanted also {absent}")
    return table


def _table(directory: Path, name: str) -> pd.DataFrame:
    path = directory / name
    table = read_table(path, COLUMNS[name])
    if (
        name.startswith("scores/")
        and "neighbour" not in table.columns
        and table["index"].duplicated().any()
    ):
        raise DataError(f"report: {path} names a sample twice; wanted one row for each index")
    return table


def _images(path: Path) -> Images | None:
    if not path.is_file():
        return None
    arrays, _ = read_unit(path)
    index, pixels = arrays.get("index"), arrays.get("pixels")
    if (
        index is None
        or pixels is None
        or pixels.dtype != np.uint8
        or pixels.ndim != 4
        or len(index) != len(pixels)
    ):
        seen = {name: (array.dtype.name, array.shape) for name, array in arrays.items()}
        raise DataError(
            f"report: {path} holds {seen}; wanted index (S,) and pixels (S, C, H, W) uint8"
        )
    if pixels.shape[1] not in (1, 3):
        raise DataError(
            f"report: {path} has pixels of shape {pixels.shape}; wanted 1 or 3 channels"
        )
    return Images(index.astype(np.int64), pixels)
