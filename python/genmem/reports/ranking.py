"""The head of the ranking as a table: what the cards show, as numbers to copy."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from genmem.reports import words
from genmem.reports.gallery import Gallery
from genmem.reports.tables import Tables

ROWS = 50


@dataclass(frozen=True)
class Ranking:
    """Column heads, rows of cells, and how many samples there are in all."""

    heads: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


def ranking(tables: Tables, gallery: Gallery, most: int = ROWS) -> Ranking:
    """The `most` samples of highest M with everything that is known of their score."""
    heads: tuple[str, ...] = (
        "rank",
        "sample",
        "class",
        "M (nats)",
        "95\u202f% interval",
        "p",
        "q",
        "log p with",
        "log p without",
    )
    score = np.where(np.isnan(tables.score), -np.inf, tables.score)
    order = np.argsort(-score, kind="stable")[:most]
    rows: list[tuple[str, ...]] = []
    for place, row in enumerate(order, start=1):
        values = tables.scores.iloc[int(row)]
        index = int(values["index"])
        number = {
            name: float(values[name])
            for name in ("score", "lower", "upper", "pvalue", "qvalue", "log_in", "log_out")
        }
        rows.append(
            (
                str(place),
                str(index),
                gallery.labels.get(index, "–"),
                words.nats(number["score"]),
                words.interval(number["lower"], number["upper"]),
                words.probability(number["pvalue"]).removeprefix("= "),
                words.probability(number["qvalue"]).removeprefix("= "),
                words.nats(number["log_in"]),
                words.nats(number["log_out"]),
            )
        )
    if not gallery.labels:
        heads, rows = heads[:2] + heads[3:], [row[:2] + row[3:] for row in rows]
    return Ranking(heads, tuple(rows))
