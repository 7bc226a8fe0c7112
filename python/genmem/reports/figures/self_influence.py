"""The memorization score against its first-order estimate, TracIn self-influence."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from genmem.reports import words
from genmem.reports.association import Association, associate
from genmem.reports.figures.canvas import Drawing
from genmem.reports.figures.scatter import scatter
from genmem.reports.tables import Tables

Floats = npt.NDArray[np.float64]


def self_influence(tables: Tables) -> Drawing:
    """M by retraining against self-influence by gradients along one training run."""
    assert tables.self_influence is not None
    x = tables.aligned(tables.self_influence, "self_influence")
    found = associate(x, tables.score)
    finite = x[np.isfinite(x)]
    logarithmic = (
        bool(len(finite))
        and bool((finite > 0).all())
        and float(finite.max() / np.median(finite)) > 20
    )
    label = "TracIn self-influence (nats)"
    tree, aside = scatter(
        "self_influence", x, tables.score, tables.memorized, label, logarithmic=logarithmic
    )
    caption = f"Rank correlation {found.text}. {_meaning(found)}{_top(tables.score, x)}{aside}"
    alt = f"Scatter plot of M against TracIn self-influence for {words.counted(found.n, 'sample')}."
    return Drawing("self_influence", "M against self-influence", caption, alt, tree)


def _meaning(found: Association) -> str:
    if math.isnan(found.value):
        return ""
    if found.sign <= 0:
        return "Gradients along one run and retraining do not order the samples alike."
    strength = "closely" if found.value > 0.8 else "in part" if found.value > 0.4 else "only weakly"
    return f"Gradients along one run reproduce the ranking by retraining {strength}."


def _top(score: Floats, x: Floats) -> str:
    kept = np.isfinite(score) & np.isfinite(x)
    n = int(kept.sum())
    k = n // 20
    if k < 3:
        return ""
    highest = [set(np.argsort(-values[kept], kind="stable")[:k].tolist()) for values in (score, x)]
    both = len(highest[0] & highest[1])
    return (
        f" Of the {words.count(k)} samples with the highest M, {words.count(both)} are also among "
        f"the {words.count(k)} of highest self-influence; chance gives {words.plain(k * k / n)}."
    )
