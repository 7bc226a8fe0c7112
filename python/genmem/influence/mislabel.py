"""Finding mislabeled or foreign samples: a ranking by self-influence, and how good it is.

With N samples, n of them flagged, ranked from the most suspicious:

    curve   share of the n among the first k, for k = 1..N
    area    a = mean_{k=1..N} curve[k]; at most 1 - (n - 1) / (2N), by chance (N + 1) / (2N)
    AUC     1 - (N (1 - a) - (n - 1) / 2) / (N - n): the chance that a flagged sample stands before
            one that is not

The area is what Kong & Chaudhuri (2021) print; it is not the ROC AUC, whose best is 1 and whose
chance is 1/2. Samples that tie share their places: all three are expectations over their orders.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.stats import rankdata

Float64 = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Detection:
    """How early a ranking meets the flagged samples.

    order        (N,) int64 positions, most suspicious first; ties by position
    curve        (N,) share of the flagged among the first k = 1..N; see the module for ties
    auc          area under the ROC curve: 1 at best, 1/2 by chance
    area         mean of the curve;  area_best, area_chance  its largest value, and that of chance
    """

    order: npt.NDArray[np.int64]
    curve: Float64
    auc: float
    area: float
    area_best: float
    area_chance: float


def detection(scores: npt.ArrayLike, flagged: npt.ArrayLike) -> Detection:
    """How well scores (larger: more suspicious) find the flagged samples.

    scores   (N,) finite; `TracIn.self_influence` for mislabeled or foreign samples
    flagged  (N,) bool, or positions (n,) int; 1 <= n < N

    Raises ValueError for scores that are not finite, or flags of none or all.
    Source: Pruthi et al. (2020), section 4; Kong & Chaudhuri (2021), section 5.
    """
    values = np.asarray(scores, np.float64)
    if values.ndim != 1 or not np.isfinite(values).all():
        raise ValueError(
            f"detection: scores have shape {values.shape} and "
            f"{int((~np.isfinite(values)).sum())} entries that are not finite; (N,) finite numbers "
            "are wanted"
        )
    marks = _marks(flagged, len(values))
    count, total = int(marks.sum()), len(values)
    ranks = rankdata(-values, method="average")
    area = float(np.mean((total + 1 - ranks[marks]) / total))
    auc = 1 - (total * (1 - area) - (count - 1) / 2) / (total - count)
    return Detection(
        np.argsort(-values, kind="stable"),
        _curve(values, marks),
        float(auc),
        area,
        1 - (count - 1) / (2 * total),
        (total + 1) / (2 * total),
    )


def _marks(flagged: npt.ArrayLike, total: int) -> npt.NDArray[np.bool_]:
    given = np.asarray(flagged)
    if given.dtype == np.bool_:
        marks = given
    else:
        if given.dtype.kind not in "iu" or (
            given.size and not 0 <= given.min() <= given.max() < total
        ):
            raise ValueError(
                f"detection: flagged is neither (N,) bool nor positions in 0..{total - 1}"
            )
        marks = np.zeros(total, np.bool_)
        marks[given] = True
    if marks.shape != (total,) or not 0 < marks.sum() < total:
        raise ValueError(
            f"detection: {int(marks.sum())} of {marks.shape} samples are flagged; at least one of "
            f"({total},), and not all, is wanted"
        )
    return marks


def _curve(values: Float64, marks: npt.NDArray[np.bool_]) -> Float64:
    """Within a run of equal scores the flagged are met at a constant rate."""
    order = np.argsort(-values, kind="stable")
    _, group, sizes = np.unique(-values[order], return_inverse=True, return_counts=True)
    rate = np.bincount(group, marks[order], len(sizes)) / sizes
    return np.asarray(np.cumsum(rate[group]) / marks.sum())
