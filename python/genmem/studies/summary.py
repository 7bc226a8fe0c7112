"""What a run was, found and took: the facts of summary.json."""

from __future__ import annotations

import math
import os
import platform
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from genmem.memorization import MemorizationScores, quantile_interval
from genmem.studies.correlation import Float64, ranks
from genmem.studies.duplicates import Duplicates
from genmem.studies.presets import Preset

if TYPE_CHECKING:
    from genmem.datasets import Dataset

QUANTILES = {"q95": 0.95, "q99_9": 0.999}
_VERSIONS = ("genmem", "numpy", "scipy", "scikit-learn", "torch")


def summarise(
    data: Dataset,
    preset: Preset,
    scores: MemorizationScores,
    twins: Duplicates,
    *,
    seed: int,
    threads: int,
    command: str | None,
    stages: list[dict[str, Any]],
    warnings: list[str],
) -> dict[str, Any]:
    """Everything in summary.json, as JSON can hold it: the open end of an interval is null."""
    reported = next(iter(preset.recipes))
    recipe = preset.recipes[reported]
    return {
        "title": f"Memorization in {data.name}",
        "command": command,
        "data": {
            "name": data.name,
            "n": len(data),
            "shape": list(data.shape),
            "classes": None if data.classes is None else list(data.classes),
            "fingerprint": data.fingerprint,
            "planted": {
                kind: data.index[rows].tolist() for kind, rows in sorted(data.planted.items())
            },
        },
        "preset": preset.name,
        "seed": seed,
        "objective": reported,
        "folds": scores.folds,
        "repeats": scores.repeats,
        "epochs": recipe.epochs,
        "draws": recipe.eval_draws,
        "quantiles": {name: _interval(scores.score, q) for name, q in QUANTILES.items()},
        "duplicates": [
            [int(data.index[a]), int(data.index[b]), float(distance)]
            for (a, b), distance in zip(twins.pairs, twins.distances, strict=True)
        ],
        "duplicate_rule": twins.rule,
        "planted_found": planted_found(data, scores.score, twins),
        "machine": machine(threads),
        "versions": versions(),
        "stages": [{"name": stage["name"], "seconds": stage["seconds"]} for stage in stages],
        "warnings": warnings,
        "finished": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def planted_found(data: Dataset, score: Float64, twins: Duplicates) -> dict[str, float]:
    """How well what was planted is found: the AUC of the score for the outliers against all other
    samples, and the share of the planted pairs that are named duplicates."""
    found: dict[str, float] = {}
    named = {(int(a), int(b)) for a, b in twins.pairs}
    for kind, rows in data.planted.items():
        if kind == "outliers" and 0 < len(rows) < len(data):
            found["outliers_auc"] = auc(score, rows)
        elif rows.ndim == 2 and len(rows):
            pairs = np.sort(rows, axis=1)
            hits = [(int(a), int(b)) in named for a, b in pairs]
            found[f"{kind}_named"] = float(np.mean(hits))
    return found


def blunt_test(scores: MemorizationScores, rate: float = 0.05) -> list[str]:
    """A warning if q-values cannot pick out single samples: the smallest p-value is K^-L, so no
    q-value is below `rate` unless at least K^-L N / rate of the N samples have it. The scores
    themselves warn of a K^-L above `rate`."""
    count = len(scores)
    floor = float(scores.folds) ** -scores.repeats
    needed = math.ceil(floor * count / rate)
    if floor > rate or needed <= 0.05 * count:
        return []
    return [
        f"{scores.folds} folds x {scores.repeats} repeats: p-values start at {floor:.2g}, so no "
        f"q-value is below {rate:g} unless {min(needed, count)} of the {count} samples have the "
        "smallest p-value; read the scores and their intervals"
    ]


def auc(score: Float64, positive: Any) -> float:
    """Probability that a positive row scores above another one, ties counting one half."""
    place = ranks(score)[positive]
    n, m = len(score), len(place)
    return float((place.sum() - m * (m + 1) / 2) / (m * (n - m)))


def machine(threads: int) -> dict[str, Any]:
    """Processor, instruction set of the kernels, cores, and workers used."""
    from genmem.kernels import config

    return {
        "cpu": _processor(),
        "isa": config()["auto"],
        "cores": os.cpu_count(),
        "threads": threads,
    }


def versions() -> dict[str, str]:
    """Versions of Python, genmem and the libraries whose arithmetic a result rests on."""
    from importlib.metadata import PackageNotFoundError, version

    found = {"python": platform.python_version()}
    for name in _VERSIONS:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "not installed"
    return found


def _interval(score: Float64, q: float) -> list[float | None]:
    found = quantile_interval(score, q)
    return [end if math.isfinite(end) else None for end in (found.value, found.lower, found.upper)]


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    if info.is_file():
        for line in info.read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
