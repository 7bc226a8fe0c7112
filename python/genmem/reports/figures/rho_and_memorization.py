"""The nearest-neighbour ratio rho of each training sample against its memorization score."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from genmem.reports import words
from genmem.reports.figures.canvas import Drawing
from genmem.reports.figures.scatter import scatter
from genmem.reports.tables import Tables


def rho_and_memorization(tables: Tables) -> Drawing | None:
    """M against log rho; None if the run has not related them."""
    assert tables.copying is not None
    found = tables.copying.summary["memorization"]
    if tables.copying.ratios is None or found is None:
        return None
    x = tables.aligned(tables.copying.ratios, "log_ratio")
    label = "log ρ: distance to held-out over distance to generated"
    tree, aside = scatter("rho_and_memorization", x, tables.score, tables.memorized, label)
    one = found["correlation"]
    told = f"{_meaning(one, found)}{_fixed(found)}{_reliability(found)}{aside}"
    caption = (
        "Right of 0 a generated sample is nearer than a held-out one. Rank correlation of log ρ "
        f"with M {_interval(one)}. {told}"
    )
    alt = f"Scatter plot of M against log rho for {words.counted(int(one['n']), 'sample')}."
    return Drawing(
        "rho_and_memorization", "M against ρ, the nearest-neighbour ratio", caption, alt, tree
    )


def _interval(one: Mapping[str, Any]) -> str:
    value, lower, upper = (
        float("nan") if one[name] is None else float(one[name])
        for name in ("value", "lower", "upper")
    )
    if np.isnan(value):
        return "undefined"
    ends = words.interval(lower, upper, words.correlation)
    return f"{words.correlation(value)} (95\u202f% interval {ends})"


def _meaning(one: Mapping[str, Any], found: Mapping[str, Any]) -> str:
    if one["value"] is None:
        return ""
    top = found["top"]
    shared = (
        f"Of the {words.count(top['k'])} samples with the highest M, {words.count(top['count'])} "
        f"are among the {words.count(top['k'])} of highest ρ; chance gives "
        f"{words.plain(top['k'] * top['expected'])}."
    )
    size = float(one["value"])
    if not (one["lower"] > 0 or one["upper"] < 0):
        return f"ρ does not tell which samples are memorized. {shared}"
    if size < 0:
        return f"Memorized samples have the smaller ρ: it does not see them. {shared}"
    strength = "closely" if size > 0.8 else "in part" if size > 0.4 else "only weakly"
    return f"ρ sees what M sees {strength}. {shared}"


def _fixed(found: Mapping[str, Any]) -> str:
    partial = found["partial"]
    if partial is None or partial["value"] is None:
        return ""
    left = (
        ", so that what they share says no more than the attributes do"
        if partial["lower"] <= 0 <= partial["upper"]
        else ""
    )
    return f" With attributes of the data held fixed it is {_interval(partial)}{left}."


def _reliability(found: Mapping[str, Any]) -> str:
    if found["reliability"] is None:
        return ""
    own = words.correlation(float(found["reliability"]))
    other = (
        "on other generated and the same held-out samples"
        if found["models"] == 1
        else "with other models and other held-out samples"
    )
    bound = found.get("ceiling")
    most = (
        ""
        if bound is None
        else "; with the noise of M a correlation of "
        f"{words.correlation(float(bound))} is the most that could be seen"
    )
    return f" ρ agrees with itself, measured again {other}, with {own}{most}."
