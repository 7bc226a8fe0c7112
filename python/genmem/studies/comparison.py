"""The models that are compared on one data set, and how memorized each finds each sample.

Models that are trained, and on small data the classical densities too, are cross-validated on the
same folds. On large data the classical densities give their self-influence instead: one sample left
out in place of a fold, exact for KDE and k-NN, one step of the fit for the mixture.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from genmem.memorization import MemorizationScores, Settings, read_units, score_values
from genmem.studies.correlation import Float64
from genmem.studies.presets import CROSS_VALIDATED_ROWS, Preset

if TYPE_CHECKING:
    from genmem.datasets import Dataset

# Variance added to every component of the mixture, for values in [0, 1]: pixels that never vary in
# a component would make it singular.
_REGULAR = 1e-3
# Rows whose values under all models are held at a time: 66 MB for 20 epochs of 10 x 10 models.
_ROWS_AT_ONCE = 4096


def cross_validated(name: str, data: Dataset, preset: Preset) -> bool:
    """Whether M of this model comes from folds, rather than being its self-influence."""
    return name in preset.recipes or len(data) <= CROSS_VALIDATED_ROWS


def learner(name: str, data: Dataset, preset: Preset, seed: int) -> Any:
    """What is fitted under this name: a recipe, or a density estimator over the values of data."""
    from genmem.density import GaussianKDE, GaussianMixtureDensity, NearestNeighborDensity

    if name in preset.recipes:
        return preset.recipes[name]
    if name == "kde":
        return GaussianKDE("loo", duplicates="group", seed=seed)
    if name == "knn":
        # Copies have no k-NN density of their own: with k of them log p would be infinite.
        return NearestNeighborDensity(preset.neighbours, duplicates="distinct")
    if name == "gmm":
        low, high = data.value_range
        return GaussianMixtureDensity(
            preset.components,
            covariance_type="diag",
            reg_covar=_REGULAR * (high - low) ** 2,
            tol=1e-2,
            random_state=seed,
        )
    raise ValueError(f"comparison: {name!r} is not one of {', '.join(preset.learners())}")


def halves(
    directory: Path, scores: MemorizationScores, seed: int
) -> tuple[Float64, Float64] | None:
    """Scores from the even and from the odd repeats of a cross-validation; None for one repeat."""
    if scores.repeats < 2:
        return None
    table = read_units(directory, scores.repeats)
    settings = Settings(seed=seed, resamples=1)
    found = np.empty((2, len(scores)))
    for start in range(0, len(scores), _ROWS_AT_ONCE):
        rows = slice(start, start + _ROWS_AT_ONCE)
        values = table.block(start, min(start + _ROWS_AT_ONCE, len(scores)))[-1]
        for part in (0, 1):
            held_out = table.held_out[part::2, rows]
            scored = score_values(
                values[part::2], held_out, index=scores.index[rows], settings=settings
            )
            found[part, rows] = scored.score
    return found[0], found[1]
