"""The memorization score against the log-density of the sample, with and without it in training."""

from __future__ import annotations

import math

from genmem.reports import words
from genmem.reports.association import Association, associate
from genmem.reports.figures.canvas import Drawing
from genmem.reports.figures.scatter import scatter
from genmem.reports.tables import Tables, column


def log_p_included(tables: Tables) -> Drawing:
    """M against log p of the sample under models trained with it; both in nats."""
    return _against(tables, "log_in", "log_p_included", "included", "with the sample in training")


def log_p_excluded(tables: Tables) -> Drawing:
    """M against log p of the sample under models trained without it; both in nats."""
    return _against(
        tables, "log_out", "log_p_excluded", "excluded", "without the sample in training"
    )


def _against(tables: Tables, name: str, file: str, short: str, long: str) -> Drawing:
    x = column(tables.scores, name)
    found = associate(x, tables.score)
    tree, aside = scatter(file, x, tables.score, tables.memorized, f"log p, sample {short} (nats)")
    title = f"M against log p, sample {short}"
    caption = (
        f"Log-density {long}: rank correlation with M {found.text}. {_meaning(found, short)}{aside}"
    )
    alt = f"Scatter plot of M against log p {short} for {words.counted(found.n, 'sample')}."
    return Drawing(file, title, caption, alt, tree)


def _meaning(found: Association, short: str) -> str:
    if math.isnan(found.value):
        return ""
    if found.sign == 0:
        return "How probable a sample is says nothing reliable about its score."
    strength = (
        "strongly" if abs(found.value) > 0.6 else "clearly" if abs(found.value) > 0.3 else "weakly"
    )
    even = "without having seen it"
    if short == "included":
        even = "even after training on it" if found.sign < 0 else "after training on it"
    less = "less" if found.sign < 0 else "more"
    return (
        f"The {less} probable the model finds a sample {even}, the more it is memorized "
        f"({strength})."
    )
