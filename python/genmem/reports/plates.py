"""Which figures the page shows where, and what it says where a table is absent."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from genmem.reports import figures
from genmem.reports.figures import Drawing
from genmem.reports.tables import Tables

Draw = Callable[[Tables], Drawing | list[Drawing] | None]


@dataclass(frozen=True)
class Plate:
    """A figure or a set: the table it needs (attribute of `Tables`, file), what it shows, how."""

    table: str
    file: str
    shows: str
    draw: Draw


@dataclass(frozen=True)
class Shown:
    """The drawings of a group of plates, and a sentence for each plate that could not be drawn."""

    drawings: tuple[Drawing, ...]
    absent: tuple[str, ...]


SPREAD = (Plate("scores", "scores/memorization.parquet", "the histogram of M", figures.histogram),)
COURSE = (
    Plate(
        "by_epoch", "scores/by_epoch.parquet", "M over the epochs of training", figures.trajectory
    ),
    Plate("history", "tables/history.parquet", "the training and held-out loss", figures.losses),
)
DENSITY = (
    Plate(
        "scores",
        "scores/memorization.parquet",
        "M against log p, sample included",
        figures.log_p_included,
    ),
    Plate(
        "scores",
        "scores/memorization.parquet",
        "M against log p, sample excluded",
        figures.log_p_excluded,
    ),
)
INFLUENCE = (
    Plate(
        "self_influence",
        "scores/self_influence.parquet",
        "M against TracIn self-influence",
        figures.self_influence,
    ),
)
CORRELATIONS = (
    Plate(
        "correlations",
        "tables/attribute_correlations.parquet",
        "the correlation of attributes with M",
        figures.attribute_correlations,
    ),
)
MATRIX = (
    Plate(
        "agreement",
        "tables/agreement.parquet",
        "the agreement between models",
        figures.agreement_matrix,
    ),
)
PAIRS = (
    Plate(
        "agreement",
        "tables/agreement.parquet",
        "the agreement pair by pair",
        figures.agreement_dots,
    ),
    Plate(
        "agreement",
        "tables/agreement.parquet",
        "how many samples models share at the top",
        figures.overlap,
    ),
)
COPYING = (
    Plate(
        "copying",
        "copying/summary.json",
        "how near generated samples are to the training samples",
        figures.nearest_distances,
    ),
    Plate("copying", "copying/summary.json", "rho against M", figures.rho_and_memorization),
)


def show(tables: Tables, plates: tuple[Plate, ...]) -> Shown:
    """Draw what the tables allow; a sentence for each table that is absent."""
    drawings: list[Drawing] = []
    absent: dict[str, list[str]] = {}
    for plate in plates:
        if getattr(tables, plate.table) is None:
            absent.setdefault(plate.file, []).append(plate.shows)
            continue
        drawn = plate.draw(tables)
        drawings += [drawn] if isinstance(drawn, Drawing) else drawn or []
    return Shown(tuple(drawings), tuple(missing(file, shows) for file, shows in absent.items()))


def missing(file: str, shows: list[str]) -> str:
    """What the page says in place of figures: which file the run lacks, and what makes it."""
    return (
        f"This run has no {file}, so {', '.join(shows)} cannot be shown; genmem audit writes the "
        "file."
    )


def attribute_panels(tables: Tables) -> Shown:
    """The scatter panels of the most telling attributes; they need two tables."""
    if tables.correlations is None:
        return Shown((), ())
    if tables.attributes is None:
        return Shown((), (missing("scores/attributes.parquet", ["attributes sample by sample"]),))
    return Shown(tuple(figures.attribute_scatters(tables)), ())
