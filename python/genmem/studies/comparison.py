"""The models that are compared on one data set, and how memorized each finds each sample.

Models that are trained, and on small data the classical densities too, are cross-validated on the
same folds. On large data the classical densities give their self-influence in closed form, which is
the same quantity with one sample left out instead of a fold.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from genmem.memorization import MemorizationScores, Settings, read_units, score_values
from genmem.studies.correlation import Float64
from genmem.studies.presets import CROSS_VALIDATED_ROWS, Preset

if TYPE_CHECKING:
    from genmem.datasets import Dataset

# Variance added to every component of the mixture, for values in [0, 1]: pixels that never vary in
# a component would make it singular.
_REGULAR = 1e-3


def cross_validated(name: str, data: Dataset, preset: Preset) -> bool:
    """Whether M of this model comes from folds, rather than self-influence from a closed form."""
    return name in preset.recipes or len(data) <= CROSS_VALIDATED_ROWS


def learner(name: str, data: Dataset, preset: Preset, seed: int) -> Any:
    """What is fitted under this name: a recipe, or a density estimator over the values of data."""
    from genmem.density import GaussianKDE, GaussianMixtureDensity, NearestNeighborDensity

    if name in preset.recipes:
        return preset.recipes[name]
    if name == "kde":
        return GaussianKDE("loo", duplicates="group", seed=seed)
    if name == "knn":
        return NearestNeighborDensity(preset.neighbours)
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
    table = read_units(directory)
    values = table.block(0, len(scores))[-1]
    settings = Settings(seed=seed, resamples=1)
    first, second = (
        score_values(
            values[part::2], table.held_out[part::2], index=scores.index, settings=settings
        )
        for part in (0, 1)
    )
    return first.score, second.score
