"""Whether models memorize the same samples, and what is left of it once the data are held fixed."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import combinations
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from genmem.studies.attributes import DATA_ATTRIBUTES
from genmem.studies.correlation import Float64, partial_spearman, spearman, spearman_brown
from genmem.studies.overlap import overlap

Halves = Mapping[str, tuple[npt.ArrayLike, npt.ArrayLike]]


def agreement(
    scores_by_model: Mapping[str, npt.ArrayLike],
    attributes: pd.DataFrame | None = None,
    k: int | None = None,
    *,
    halves: Halves | None = None,
) -> pd.DataFrame:
    """Agreement of every pair of models on which samples are memorized: one row per pair.

    scores_by_model  name -> (N,) score of the same rows: memorization, or self-influence; +inf
                     is ranked, NaN raises
    attributes       frame of N rows as `attributes` makes it: the attributes of the data among its
                     columns (not those of a model) are held fixed in `partial`
    k                size of the sets whose overlap is counted (default: 5 % of N, at least 1)
    halves           name -> scores from two disjoint halves of the repeats of that model: gives the
                     noise ceiling

    returns  a, b; spearman, lower, upper, pvalue; overlap, the number of samples in both top k,
             overlap_expected by chance (k^2 / N), overlap_pvalue; overlap_ties, the samples left
             out of either top k that score the same as its last; k; with attributes: partial,
             partial_lower, partial_upper (NaN for a score whose ranks the attributes determine, as
             the log-density does those of KDE self-influence); with halves: reliability_a,
             reliability_b (split-half Spearman brought to full length, 2r / (1 + r)) and corrected
             = spearman / sqrt(reliability_a reliability_b), which may exceed 1; NaN where a model
             has no halves
    """
    held = {name: _score(name, values) for name, values in scores_by_model.items()}
    if len(held) < 2:
        raise ValueError(f"agreement: {len(held)} model(s) given; at least 2 are wanted")
    n = len(next(iter(held.values())))
    for name, values in held.items():
        if len(values) != n:
            raise ValueError(f"agreement: {name!r} has {len(values)} rows; {n} are wanted")
    depth = max(1, n // 20) if k is None else k
    fixed = None if attributes is None else _fixed(attributes, n)
    reliable = {name: _reliability(*pair) for name, pair in (halves or {}).items()}
    rows = []
    for a, b in combinations(held, 2):
        row = {"a": a, "b": b, **_pair(held[a], held[b], depth, fixed)}
        if halves is not None:
            row |= _ceiling(row["spearman"], reliable.get(a, np.nan), reliable.get(b, np.nan))
        rows.append(row)
    return pd.DataFrame(rows)


def _pair(a: Float64, b: Float64, k: int, fixed: Float64 | None) -> dict[str, Any]:
    plain, common = spearman(a, b), overlap(a, b, k)
    row: dict[str, Any] = {
        "spearman": plain.value,
        "lower": plain.lower,
        "upper": plain.upper,
        "pvalue": plain.pvalue,
        "overlap": common.count,
        "overlap_expected": common.k * common.expected,
        "overlap_pvalue": common.pvalue,
        "overlap_ties": common.ties,
        "k": common.k,
    }
    if fixed is not None:
        left = partial_spearman(a, b, fixed)
        row |= {"partial": left.value, "partial_lower": left.lower, "partial_upper": left.upper}
    return row


def _reliability(first: npt.ArrayLike, second: npt.ArrayLike) -> float:
    return spearman_brown(spearman(first, second).value)


def _ceiling(value: float, a: float, b: float) -> dict[str, float]:
    # A reliability of 0 or less bounds nothing: the halves of that model do not agree at all.
    usable = a > 0 and b > 0
    corrected = value / np.sqrt(a * b) if usable else np.nan
    return {"reliability_a": a, "reliability_b": b, "corrected": corrected}


def _fixed(attributes: pd.DataFrame, n: int) -> Float64:
    names = [name for name in DATA_ATTRIBUTES if name in attributes.columns]
    if len(attributes) != n or not names:
        raise ValueError(
            f"agreement: attributes has {len(attributes)} rows and the columns "
            f"{list(attributes.columns)}; {n} rows with some of {list(DATA_ATTRIBUTES)} are wanted"
        )
    return np.asarray(attributes[names], np.float64)


def _score(name: str, values: npt.ArrayLike) -> Float64:
    score = np.asarray(values, np.float64)
    if score.ndim != 1:
        raise ValueError(
            f"agreement: {name!r} has shape {score.shape}; one score per row is wanted"
        )
    return score
