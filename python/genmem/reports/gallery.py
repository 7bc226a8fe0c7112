"""The most and the least memorized samples as cards: picture, score, neighbours, influences."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from genmem.reports import words
from genmem.reports.pictures import FACE_SIDE, THUMB_SIDE, data_uri, pixelated
from genmem.reports.tables import Tables, column

if TYPE_CHECKING:
    import pandas as pd

CARDS = 12
KIN = 3
PAIRS = 20


@dataclass(frozen=True)
class Picture:
    """A sample as shown: its identity, its image or None, and a word on it."""

    index: int
    label: str | None
    uri: str | None
    pixelated: bool
    note: str = ""
    itself: bool = False

    @property
    def alt(self) -> str:
        return f"sample {self.index}" + (f", {self.label}" if self.label else "")


@dataclass(frozen=True)
class Bar:
    """An interval on the scale its group shares, in per cent of the width."""

    zero: float
    left: float
    width: float
    dot: float


@dataclass(frozen=True)
class Card:
    """All that is said of one sample."""

    rank: int
    face: Picture
    score: str
    interval: str
    qvalue: str
    memorized: bool
    log_in: str
    log_out: str
    bar: Bar
    flags: tuple[str, ...]
    neighbours: tuple[Picture, ...] | None
    proponents: tuple[Picture, ...] | None
    opponents: tuple[Picture, ...] | None


@dataclass(frozen=True)
class Pair:
    """Two samples that the run calls duplicates."""

    first: Picture
    second: Picture
    distance: str


class Gallery:
    """Cards, pairs and pictures of one run."""

    def __init__(self, tables: Tables) -> None:
        self.tables = tables
        self.index = tables.scores["index"].to_numpy(dtype=np.int64)
        self.labels = _labels(tables)
        self.duplicates = _partners(tables.summary.get("duplicates", []))
        self.planted = _planted(tables.summary["data"].get("planted"))
        self._uri = lru_cache(maxsize=None)(self._make_uri)

    def most(self, cards: int = CARDS) -> list[Card]:
        """The samples of highest M, highest first; ties to the lower row."""
        return self._cards(self._order()[:cards])

    def least(self, cards: int = CARDS) -> list[Card]:
        """The samples of lowest M, lowest first, none of them among the `most`."""
        order = self._order()
        return self._cards(order[max(cards, len(order) - cards) :][::-1])

    def pairs(self, most: int = PAIRS) -> list[Pair]:
        """The closest duplicate pairs."""
        found = sorted(
            self.tables.summary.get("duplicates", []), key=lambda pair: (pair[2], pair[0], pair[1])
        )
        return [
            Pair(
                self.picture(int(a), self._score(int(a))),
                self.picture(int(b), self._score(int(b))),
                _distance(distance),
            )
            for a, b, distance in found[:most]
        ]

    def picture(
        self, index: int, note: str = "", *, itself: bool = False, side: int = THUMB_SIDE
    ) -> Picture:
        """One sample with a word on it."""
        uri, squares = self._uri(index, side)
        return Picture(index, self.labels.get(index), uri, squares, note, itself)

    def _order(self) -> npt.NDArray[np.int64]:
        score = self.tables.score
        order = np.argsort(-np.where(np.isnan(score), -np.inf, score), kind="stable")
        return order[: int((~np.isnan(score)).sum())].astype(np.int64)

    def _cards(self, rows: npt.NDArray[np.int64]) -> list[Card]:
        if not len(rows):
            return []
        table = self.tables.scores
        ends = np.stack([column(table, name)[rows] for name in ("lower", "score", "upper")])
        scale = _scale(ends)
        places = {int(row): place for place, row in enumerate(self._order(), start=1)}
        return [
            self._card(int(row), places[int(row)], _bar(ends[:, i], scale))
            for i, row in enumerate(rows)
        ]

    def _card(self, row: int, rank: int, bar: Bar) -> Card:
        values = self.tables.scores.iloc[row]
        index = int(self.index[row])
        return Card(
            rank=rank,
            face=self.picture(index, side=FACE_SIDE),
            score=words.nats(float(values["score"])),
            interval=words.interval(float(values["lower"]), float(values["upper"])),
            qvalue=words.probability(float(values["qvalue"])),
            memorized=bool(self.tables.memorized[row]),
            log_in=words.nats(float(values["log_in"])),
            log_out=words.nats(float(values["log_out"])),
            bar=bar,
            flags=self._flags(index),
            neighbours=self._kin(self.tables.neighbours, index, "neighbour", "distance", _gap),
            proponents=self._influences(index, "proponent"),
            opponents=self._influences(index, "opponent"),
        )

    def _flags(self, index: int) -> tuple[str, ...]:
        partners = self.duplicates.get(index, [])
        shown = [str(partner) for partner in partners[:2]]
        if len(partners) > 2:
            shown.append(f"{len(partners) - 2} more")
        flags = [f"duplicate of {words.listed(shown)}"] if shown else []
        return (*flags, *(f"planted: {kind}" for kind in self.planted.get(index, [])))

    def _influences(self, index: int, side: str) -> tuple[Picture, ...] | None:
        table = self.tables.influence
        if table is None:
            return None
        return self._kin(
            table[table["side"] == side], index, "train_index", "score", words.significant
        )

    def _kin(
        self, table: pd.DataFrame | None, index: int, who: str, what: str, form: Any
    ) -> tuple[Picture, ...] | None:
        if table is None:
            return None
        rows = table[table["index"] == index].sort_values("rank", kind="stable").head(KIN)
        return tuple(
            self.picture(int(other), form(float(value)), itself=int(other) == index)
            for other, value in zip(rows[who], rows[what], strict=True)
        )

    def _score(self, index: int) -> str:
        rows = np.flatnonzero(self.index == index)
        return f"M {words.nats(float(self.tables.score[rows[0]]))}" if len(rows) else "not scored"

    def _make_uri(self, index: int, side: int) -> tuple[str | None, bool]:
        pixels = None if self.tables.images is None else self.tables.images.of(index)
        return (None, False) if pixels is None else (data_uri(pixels, side), pixelated(pixels))


def _labels(tables: Tables) -> dict[int, str]:
    """Class names by sample; empty if the data have no labels."""
    if tables.attributes is None or "label" not in tables.attributes:
        return {}
    classes = tables.summary["data"].get("classes")
    labels = column(tables.attributes, "label")
    return {
        int(index): class_name(int(label), classes)
        for index, label in zip(tables.attributes["index"], labels, strict=True)
        if np.isfinite(label) and label >= 0
    }


def class_name(label: int, classes: Any) -> str:
    """What a page calls a class: its name if that says more than its number."""
    if isinstance(classes, list) and label < len(classes) and str(classes[label]) != str(label):
        return str(classes[label])
    return f"class {label}"


def _partners(pairs: Sequence[Sequence[float]]) -> dict[int, list[int]]:
    partners: dict[int, list[int]] = {}
    for a, b, _ in sorted(pairs, key=lambda pair: pair[2]):
        partners.setdefault(int(a), []).append(int(b))
        partners.setdefault(int(b), []).append(int(a))
    return partners


def _planted(planted: Any) -> dict[int, list[str]]:
    """What was planted at each sample; a kind given as a mere count names nobody."""
    kinds: dict[int, list[str]] = {}
    if not isinstance(planted, Mapping):
        return kinds
    for kind, members in planted.items():
        # A planted pair is [copy, original]: the original was there anyway.
        rows = (
            [member[0] if isinstance(member, list) else member for member in members]
            if isinstance(members, list)
            else []
        )
        for row in rows:
            kinds.setdefault(int(row), []).append(
                str(kind).replace("_", " ").removesuffix("s").replace("-", " ")
            )
    return kinds


def _gap(value: float) -> str:
    return "copy" if value == 0 else words.significant(value)


def _distance(value: float) -> str:
    return "0, exact" if value == 0 else words.significant(value)


def _scale(ends: npt.NDArray[np.float64]) -> tuple[float, float]:
    finite = ends[np.isfinite(ends)]
    low, high = min(0.0, float(finite.min())), max(0.0, float(finite.max()))
    return low, (high - low) or 1.0


def _bar(ends: npt.NDArray[np.float64], scale: tuple[float, float]) -> Bar:
    low, span = scale
    # A score without an interval (one repeat) is a dot; an infinite end reaches the edge.
    lower, dot, upper = (
        100 * (float(np.where(np.isnan(end), ends[1], end)) - low) / span for end in ends
    )
    lower, dot, upper = (min(100.0, max(0.0, place)) for place in (lower, dot, upper))
    return Bar(round(-100 * low / span, 2), round(lower, 2), round(upper - lower, 2), round(dot, 2))
