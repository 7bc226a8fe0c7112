"""Rank correlation of two columns, for the captions under scatter plots."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from genmem.reports import words

Floats = npt.NDArray[np.float64]
FEWEST = 4
NORMAL_95 = 1.959963984540054


@dataclass(frozen=True)
class Association:
    """Spearman correlation of n samples with its 95 % interval; NaN if a column is constant."""

    value: float
    lower: float
    upper: float
    n: int

    @property
    def text(self) -> str:
        """The coefficient with its interval as words: "0.71 (95 % interval 0.69 to 0.73)"."""
        if math.isnan(self.value):
            return "undefined (too few samples, or all values equal)"
        ends = words.interval(self.lower, self.upper, words.correlation)
        return f"{words.correlation(self.value)} (95\u202f% interval {ends})"

    @property
    def sign(self) -> int:
        """1 or -1 where the interval leaves zero out, else 0."""
        return 1 if self.lower > 0 else -1 if self.upper < 0 else 0


def associate(x: Floats, y: Floats) -> Association:
    """Spearman correlation over the rows where both columns (n,) are finite.

    rho = Pearson correlation of average ranks
    interval = tanh( atanh(rho) +- z sqrt((1 + rho^2 / 2) / (n - 3)) ),  z = 1.96

    Source: Bonett & Wright (2000), Sample size requirements for estimating Pearson, Kendall and
    Spearman correlations.
    """
    from scipy.stats import rankdata

    kept = np.isfinite(x) & np.isfinite(y)
    n = int(kept.sum())
    if n < FEWEST or np.ptp(x[kept]) == 0 or np.ptp(y[kept]) == 0:
        return Association(math.nan, math.nan, math.nan, n)
    value = float(np.corrcoef(rankdata(x[kept]), rankdata(y[kept]))[0, 1])
    if abs(value) > 1 - 1e-14:
        value = math.copysign(1.0, value)
        return Association(value, value, value, n)
    reach = NORMAL_95 * math.sqrt((1 + value * value / 2) / (n - 3))
    centre = math.atanh(value)
    return Association(value, math.tanh(centre - reach), math.tanh(centre + reach), n)
