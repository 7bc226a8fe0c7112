"""Does rho see what M sees? The nearest-neighbour ratio of each training sample against its M.

M asks whether a model finds a sample less probable for not having been trained on it, rho whether
generated samples lie nearer to it than held-out ones. If a memorized sample were one that the model
draws again, both would order the samples alike.

Source of the question: van den Burg & Williams (2021), On Memorization in Probabilistic Deep
Generative Models.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from genmem.kernels import nearest_sq
from genmem.studies.attributes import DATA_ATTRIBUTES
from genmem.studies.copying_sets import Trained, matched
from genmem.studies.correlation import (
    Correlation,
    Float64,
    partial_spearman,
    spearman,
    spearman_brown,
)
from genmem.studies.overlap import Overlap, overlap
from genmem.studies.stages import Progress

if TYPE_CHECKING:
    import numpy.typing as npt


_RELIABILITIES = ("reliability", "score_reliability", "ceiling", "corrected")


@dataclass(frozen=True, eq=False)
class Ratios:
    """log rho of N samples, averaged over sets of generated samples; all (N,).

    log_ratio  mean of log d(x, test) - log d(x, generated); +inf for a copied row, NaN for a row
               that no model was trained on, or with a copy in both sets
    se         standard error of the mean over sets; NaN for fewer than two
    times      sets that the row was compared with
    test_distance, generated_distance  mean distances
    even, odd  means over every other model, or of one model over every other set, for the
               reliability
    """

    log_ratio: Float64
    se: Float64
    times: npt.NDArray[np.int64]
    test_distance: Float64
    generated_distance: Float64
    even: Float64
    odd: Float64


@dataclass(frozen=True)
class CopyingAndMemorization:
    """Rank correlation of log rho with M, and what bounds it.

    correlation       Spearman of M and log rho, with its interval
    partial           the same with the attributes of the data held fixed; None without attributes
    reliability       of log rho: correlation between halves of the models (of one model: of its
                      generated sets), brought to full length, 2 r / (1 + r); NaN for one set
    score_reliability of M, alike, from halves of its repeats; NaN if not given
    ceiling           sqrt of the product of both: what the correlation could be at most, on average
    corrected         correlation / ceiling: without the noise of either; may exceed 1
    test_distance     Spearman of M and d(x, test), how isolated a sample is
    generated_distance  Spearman of M and d(x, generated)
    top               overlap of the top 5 % of both
    left_out          rows without M or rho
    """

    correlation: Correlation
    partial: Correlation | None
    reliability: float
    score_reliability: float
    ceiling: float
    corrected: float
    test_distance: Correlation
    generated_distance: Correlation
    top: Overlap
    left_out: int

    def summary(self) -> dict[str, Any]:
        """As JSON can hold it; what is not finite becomes null."""
        found: dict[str, Any] = {}
        for name in ("correlation", "partial", "test_distance", "generated_distance"):
            one = getattr(self, name)
            found[name] = None if one is None else {k: _plain(v) for k, v in one._asdict().items()}
        return {
            **found,
            **{name: _plain(getattr(self, name)) for name in _RELIABILITIES},
            "top": {name: _plain(getattr(self.top, name)) for name in Overlap.__annotations__},
            "left_out": self.left_out,
        }


def nearest_ratios(
    trained: Sequence[Trained],
    *,
    generations: int,
    most: int,
    seed: int = 0,
    threads: int | None = None,
    progress: Progress | None = None,
) -> Ratios:
    """log rho of every sample of the data against sets of generated samples of each model.

    log rho_i = log d(x_i, test) - log d(x_i, generated), equally many of both, pixels

    trained      models of one data set with their held-out rows
    generations  sets of generated samples per model;  most  samples in a set, at most
    """
    count = len(trained[0].data)
    sets = len(trained) * generations
    log_ratio = np.full((sets, count), np.nan)
    distances = np.full((2, sets, count), np.nan)
    for at, model in enumerate(trained):
        kept = matched(model, most, seed)
        rows = model.train.reshape(len(model.train), -1)
        test = _nearest(rows, model.test[kept], threads)
        for generation in range(generations):
            place = at * generations + generation
            if progress is not None:
                progress("rho", place, sets)
            made = _nearest(rows, model.generated(len(kept), seed + generation), threads)
            distances[:, place, model.positions] = test, made
            with np.errstate(divide="ignore", invalid="ignore"):
                log_ratio[place, model.positions] = np.log(test) - np.log(made)
    if progress is not None:
        progress("rho", sets, sets)
    times = (~np.isnan(log_ratio)).sum(axis=0)
    # Sets of one model share its held-out rows: halves of models have the noise of both.
    by_model, by_set = np.divmod(np.arange(sets), generations)
    half = (by_model if len(trained) > 1 else by_set) % 2
    return Ratios(
        log_ratio=_mean(log_ratio),
        se=_standard_error(log_ratio, times),
        times=times.astype(np.int64),
        test_distance=_mean(distances[0]),
        generated_distance=_mean(distances[1]),
        even=_mean(log_ratio[half == 0]),
        odd=_mean(log_ratio[half == 1]),
    )


def copying_and_memorization(
    ratios: Ratios,
    score: Float64,
    attributes: pd.DataFrame | None = None,
    *,
    score_reliability: float = np.nan,
) -> CopyingAndMemorization:
    """Relate log rho to the memorization score of the same samples.

    score       (N,) M in nats; NaN = not scored
    attributes  frame of N rows as `genmem.studies.attributes` makes it; those of the data are held
                fixed in `partial`
    score_reliability  of M, where it is known: what noise leaves of a correlation with it

    The interval of a correlation is over samples, as if they were independent of each other.
    Raises ValueError if the lengths differ or fewer than four samples have both.
    """
    m = np.asarray(score, np.float64)
    if m.shape != ratios.log_ratio.shape:
        raise ValueError(
            f"copying_and_memorization: score has shape {m.shape}; {ratios.log_ratio.shape} is "
            "wanted, one per sample"
        )
    kept = ~np.isnan(m) & ~np.isnan(ratios.log_ratio)
    if kept.sum() < 4:
        raise ValueError(
            f"copying_and_memorization: {kept.sum()} samples have both M and rho; 4 are wanted"
        )
    rho, m = ratios.log_ratio[kept], m[kept]
    partial = None
    if attributes is not None:
        names = [name for name in DATA_ATTRIBUTES if name in attributes.columns]
        partial = partial_spearman(m, rho, np.asarray(attributes[names], np.float64)[kept])
    plain, reliability = spearman(m, rho), _reliability(ratios)
    # A reliability of 0 or less bounds nothing: the halves do not agree at all.
    usable = reliability > 0 and score_reliability > 0
    ceiling = float(np.sqrt(reliability * score_reliability)) if usable else np.nan
    return CopyingAndMemorization(
        correlation=plain,
        partial=partial,
        reliability=reliability,
        score_reliability=score_reliability,
        ceiling=ceiling,
        corrected=plain.value / ceiling,
        test_distance=spearman(m, ratios.test_distance[kept]),
        generated_distance=spearman(m, ratios.generated_distance[kept]),
        top=overlap(m, rho, max(1, len(m) // 20)),
        left_out=int((~kept).sum()),
    )


def _nearest(rows: Any, points: Any, threads: int | None) -> Float64:
    sq, _ = nearest_sq(rows, points.reshape(len(points), -1), 1, threads=threads)
    return np.asarray(np.sqrt(sq[:, 0]))


def _mean(values: Float64) -> Float64:
    """Mean over the first axis of what is not NaN; NaN where nothing is, or infinities differ."""
    defined = ~np.isnan(values)
    count = defined.sum(axis=0)
    with np.errstate(invalid="ignore"):
        total = np.where(defined, values, 0.0).sum(axis=0)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)


def _standard_error(values: Float64, times: Any) -> Float64:
    with np.errstate(invalid="ignore"):
        squares = np.where(np.isnan(values), 0.0, (values - _mean(values)) ** 2).sum(axis=0)
    several = np.maximum(times, 2)
    return np.where(times > 1, np.sqrt(squares / (several - 1) / several), np.nan)


def _reliability(ratios: Ratios) -> float:
    both = ~np.isnan(ratios.even) & ~np.isnan(ratios.odd)
    if both.sum() < 4:
        return np.nan
    return spearman_brown(spearman(ratios.even[both], ratios.odd[both]).value)


def _plain(value: Any) -> Any:
    number = float(value)
    if not np.isfinite(number):
        return None
    return int(value) if isinstance(value, int | np.integer) else number
