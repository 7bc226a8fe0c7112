"""The opening of the page: the answers to its questions, computed, in plain words."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from genmem.reports import words
from genmem.reports.comparison import has, models, pairs
from genmem.reports.figures.attribute_correlations import attribute_name, of_model, ranked
from genmem.reports.gallery import Gallery
from genmem.reports.tables import Tables, column

WHICH = "Which samples are memorized the most?"
WHY = "What makes a sample likely to be memorized?"
ELSEWHERE = "Do models trained with other objectives memorize the same samples?"


@dataclass(frozen=True)
class Answer:
    """A question of the page, the anchor of its section, and its answer in a sentence or two."""

    question: str
    anchor: str
    text: str


def opening(tables: Tables, gallery: Gallery) -> list[Answer]:
    """An answer to each of the three questions, as far as the tables go."""
    which = [_how_many(tables), _the_most(tables, gallery), _duplicates(tables)]
    why = _attributes(tables) or "This run did not relate the score to attributes of the samples."
    elsewhere = _agreement(tables) or "This run did not compare models."
    return [
        Answer(WHICH, "which", " ".join(part for part in which if part)),
        Answer(WHY, "why", why),
        Answer(ELSEWHERE, "elsewhere", elsewhere),
    ]


def _how_many(tables: Tables) -> str:
    number = int(tables.memorized.sum())
    undefined = int(np.isnan(tables.score).sum())
    whole = f"Of {words.counted(tables.n, tables.noun)}, "
    rest = ""
    if undefined:
        rest = f" For {words.counted(undefined, tables.noun)} the score is undefined."
    if not number:
        none = f"{whole}none is memorized at a false discovery rate of 5\u202f%."
        return " ".join(part for part in (none, _too_few_models(tables), rest.strip()) if part)
    verb, them = ("is", "it") if number == 1 else ("are", "them")
    return (
        f"{whole}{words.count(number)} ({words.share(number, tables.n)}) {verb} memorized at a "
        f"false discovery rate of 5\u202f%: models find {them} more probable for having trained "
        f"on {them}.{rest}"
    )


def _too_few_models(tables: Tables) -> str:
    """What a run can certify whose smallest possible p-value, K^-L, is reached but not enough."""
    table, summary = tables.scores, tables.summary
    if not {"pvalue", "qvalue"} <= set(table.columns):
        return ""
    q, p = column(table, "qvalue"), column(table, "pvalue")
    folds, repeats = int(summary["folds"]), int(summary["repeats"])
    lowest = float(folds) ** -repeats
    if not np.isfinite(q).any() or not (p <= lowest * (1 + 1e-9)).any():
        return ""
    listed = int((q <= np.nanmin(q)).sum())
    return (
        f"With {folds} folds and {repeats} repeats no p-value can be below 1/{folds**repeats:,}: "
        f"the shortest list this run can certify holds {words.counted(listed, tables.noun)}, at a "
        f"false discovery rate of {words.share(float(np.nanmin(q)), 1.0)}. More repeats tell more."
    )


def _the_most(tables: Tables, gallery: Gallery) -> str:
    card = gallery.most(1)[0]
    who = f"sample {card.face.index}" + (f" ({card.face.label})" if card.face.label else "")
    middle = words.nats(float(np.nanmedian(tables.score)))
    ends = "" if card.interval == "no interval" else f" (95\u202f% interval {card.interval})"
    if not card.memorized:
        chance = "" if _too_few_models(tables) else ", which chance may explain"
        return (
            f"The highest score, that of {who}, is {card.score} nats{ends}{chance}; the median is "
            f"{middle}."
        )
    return (
        f"The most memorized, {who}, gains {card.score} nats of log-likelihood{ends}; the median "
        f"{tables.noun} gains {middle}."
    )


def _duplicates(tables: Tables) -> str:
    found = tables.summary.get("duplicates") or []
    if not found:
        return ""
    were = "was" if len(found) == 1 else "were"
    seen = f"{words.counted(len(found), 'pair')} of duplicates {were} found"
    members = {int(end) for pair in found for end in pair[:2]}
    inside = tables.scores["index"].isin(members).to_numpy() & np.isfinite(tables.score)
    outside = ~inside & np.isfinite(tables.score)
    if not inside.any() or not outside.any():
        return f"{seen}."
    inner, outer = (words.nats(float(np.median(tables.score[rows]))) for rows in (inside, outside))
    return f"{seen}; their median score is {inner} nats, against {outer} for the others."


def _attributes(tables: Tables) -> str:
    if tables.correlations is None:
        return ""
    table = ranked(tables)
    table = table[~table["attribute"].map(of_model)]
    if not len(table):
        return ""
    first = table.iloc[0]
    lower, upper = float(first["lower"]), float(first["upper"])
    if not (lower > 0 or upper < 0):
        return "No attribute of the data tells reliably which samples are memorized."
    rho = words.correlation(float(first["spearman"]))
    ends = words.interval(lower, upper, words.correlation)
    return (
        f"Of {words.counted(len(table), 'attribute')} of the data, the most telling is the "
        f"{attribute_name(first)}: {tables.noun}s for which it is "
        f"{'large' if lower > 0 else 'small'} are memorized more (rank correlation {rho}, {ends})."
    )


def _agreement(tables: Tables) -> str:
    if tables.agreement is None:
        return ""
    table = pairs(tables)
    if not len(table):
        return ""
    highest, lowest = (words.correlation(float(table["spearman"].iloc[row])) for row in (0, -1))
    if len(table) == 1:
        both = f"{table['a'].iloc[0]} and {table['b'].iloc[0]}"
        seen = f"The scores of {both} agree in rank with correlation {highest}"
    else:
        seen = (
            f"The scores of {len(models(tables))} models agree in rank with correlations from "
            f"{lowest} to {highest}"
        )
    if not has(table, "partial"):
        return f"{seen}."
    before, after = (
        words.correlation(float(np.nanmedian(column(table, name))))
        for name in ("spearman", "partial")
    )
    return (
        f"{seen}; the median goes from {before} to {after} once attributes of the data are held "
        "fixed."
    )
