"""Row by row, how two matrices agree; and on average, with an interval."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
from scipy.stats import rankdata, t

Float64 = npt.NDArray[np.float64]
Kind = Literal["spearman", "pearson"]


@dataclass(frozen=True)
class Correlations:
    """Correlations of Q test samples.

    per_query     (Q,) in -1..1; NaN where one side is constant
    mean          over the defined ones
    lower, upper  Student's interval of the mean over test samples; NaN for fewer than 2. It holds
                  for the models at hand: what other retrainings would give is not in it
    undefined     how many are NaN
    """

    per_query: Float64
    mean: float
    lower: float
    upper: float
    undefined: int


def correlations(
    left: npt.ArrayLike, right: npt.ArrayLike, kind: Kind = "spearman", *, level: float = 0.95
) -> Correlations:
    """Correlation of row q of left (Q, n) with row q of right (Q, n), for each q.

    kind  "spearman": of average ranks; "pearson": of the values

    Raises ValueError for shapes that differ, n < 3, values that are not finite, or only NaN.
    """
    a, b = np.asarray(left, np.float64), np.asarray(right, np.float64)
    if a.ndim != 2 or a.shape != b.shape or a.shape[1] < 3 or not len(a):
        raise ValueError(
            f"correlations: the sides have shapes {a.shape} and {b.shape}; one shape (Q, n) with "
            "Q >= 1 and n >= 3 is wanted"
        )
    for name, side in (("left", a), ("right", b)):
        if not np.isfinite(side).all():
            row = int(np.argwhere(~np.isfinite(side))[0, 0])
            raise ValueError(f"correlations: row {row} of the {name} side is not finite")
    if kind == "spearman":
        a, b = rankdata(a, axis=1), rankdata(b, axis=1)
    found = _pearson(a, b)
    defined = found[np.isfinite(found)]
    if not len(defined):
        raise ValueError(f"correlations: one side is constant for each of {len(a)} test samples")
    mean, count = float(defined.mean()), len(defined)
    half = math.nan
    if count > 1:
        half = float(t.ppf(0.5 + level / 2, count - 1) * defined.std(ddof=1) / math.sqrt(count))
    return Correlations(found, mean, mean - half, mean + half, len(found) - count)


def _pearson(a: Float64, b: Float64) -> Float64:
    left, right = a - a.mean(1, keepdims=True), b - b.mean(1, keepdims=True)
    scale = np.sqrt((left**2).sum(1) * (right**2).sum(1))
    # A constant row leaves a residue of its rounding: equal values say it better than the norm.
    constant = (a == a[:, :1]).all(1) | (b == b[:, :1]).all(1) | (scale == 0)
    scale[constant] = np.nan
    return np.asarray(np.clip((left * right).sum(1) / scale, -1, 1))
