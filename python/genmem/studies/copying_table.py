"""The copying tests of one run as a table: what a reader sees of each, with q-values over all."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from genmem.memorization import benjamini_hochberg

if TYPE_CHECKING:
    from genmem.copying import CopyingResult

# What each statistic is called in a narrow column, and what it is to a reader, with its unit.
LABELS = {
    "nearest_ratio": (
        "rho > 1 (share)",
        "training samples nearer to generated than to held-out ones, ρ > 1 (share)",
    ),
    "data_copying": ("C_T (z)", "rank of the distance to the training samples, C_T (z)"),
    "authenticity": ("AuthPct (%)", "authentic samples, AuthPct (%)"),
    "calibrated_distance": (
        "calibrated distance (share)",
        "calibrated distance below the threshold of held-out samples (share)",
    ),
    "third_ratio": (
        "d1/d2 < 1/3 (share)",
        "nearest training sample less than 1/3 as far as the second (share)",
    ),
    "near_duplicate_rate": (
        "near duplicates (share)",
        "nearer than training samples are to each other (share)",
    ),
    "likelihood_divergence": (
        "FLD (0.01 nats/value)",
        "loss of likelihood of held-out samples, FLD (0.01 nats per value)",
    ),
    "balanced_gap": (
        "FLD gap (0.01 nats/value)",
        "loss of training less held-out samples, FLD gap (0.01 nats per value)",
    ),
}
NO_PVALUE = "its p-value is that of the gap"


def table(results: dict[str, CopyingResult]) -> list[dict[str, Any]]:
    """One entry per statistic, as JSON can hold it; what is not finite is null.

    name, short, label, copying_is, value, reference (of held-out samples), lower, upper, pvalue,
    null, and qvalue: Benjamini-Hochberg over the p-values of the table. FLD and its gap are two
    entries: the p-value belongs to the gap, whose reference is 0 by its definition.
    """
    entries: list[dict[str, Any]] = []
    for name, result in results.items():
        entry: dict[str, Any] = {
            "name": name,
            "short": LABELS[name][0],
            "label": LABELS[name][1],
            "copying_is": result.copying_is,
            "value": result.statistic,
            "reference": result.reference,
            "lower": result.ci[0],
            "upper": result.ci[1],
            "pvalue": result.pvalue,
            "qvalue": np.nan,
            "null": result.null,
        }
        if name == "likelihood_divergence":
            gap: Any = result
            entries.append(entry | {"pvalue": np.nan, "null": NO_PVALUE})
            entry |= {
                "name": "balanced_gap",
                "short": LABELS["balanced_gap"][0],
                "label": LABELS["balanced_gap"][1],
                "copying_is": "low",
                "value": gap.balanced_gap,
                "reference": 0.0,
                "lower": gap.balanced_ci[0],
                "upper": gap.balanced_ci[1],
            }
        entries.append(entry)
    known = [entry for entry in entries if np.isfinite(entry["pvalue"])]
    adjusted = benjamini_hochberg([entry["pvalue"] for entry in known])
    for entry, q in zip(known, adjusted, strict=True):
        entry["qvalue"] = float(q)
    return [{name: _plain(value) for name, value in entry.items()} for entry in entries]


def _plain(value: Any) -> Any:
    if isinstance(value, str):
        return value
    return float(value) if np.isfinite(value) else None
