"""Memorization and influence from models trained on random subsets of the rows.

Each of t models is trained on a subset; a row's score is the mean of f over the models that saw it
less the mean over those that did not. With f = log p it estimates the log form; the density form
takes log-mean-exp on both sides. One set of models gives the influence of every row on every query;
the self-influence alone under-reports rows with near-duplicates, each of which stands in for the
other.

Source: Feldman & Zhang (2020), What Neural Networks Memorize and Why.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from genmem import noise
from genmem.memorization.accumulate import Float, LogMeanExp, Moments

Bool = npt.NDArray[np.bool_]
Form = Literal["log", "density"]


@dataclass(frozen=True, eq=False)
class SubsetScores:
    """score (N,), se (N,) in nats; models_in, models_out (N,) how many models saw each row, or not.

    A row that every model saw, or none, has no score: NaN, and `undefined` counts such rows. The
    standard error needs two models on each side, else it is NaN.
    """

    score: Float
    se: Float
    models_in: npt.NDArray[np.int64]
    models_out: npt.NDArray[np.int64]

    @property
    def undefined(self) -> int:
        return int(((self.models_in == 0) | (self.models_out == 0)).sum())


class SubsetAccumulator:
    """Takes the models one at a time: O(N) memory however many there are."""

    def __init__(self, rows: int, form: Form = "log") -> None:
        if rows < 1:
            raise ValueError(f"SubsetAccumulator: rows is {rows}; at least 1 is wanted")
        self.form = _checked_form("SubsetAccumulator", form)
        self._moments = (Moments(rows), Moments(rows))
        self._densities = (LogMeanExp(rows), LogMeanExp(rows))
        self._squares = (LogMeanExp(rows), LogMeanExp(rows))
        self._rows = rows

    def add(self, mask: npt.ArrayLike, log_p: npt.ArrayLike) -> None:
        """Add one model: mask (N,) true for the rows it saw, log_p (N,) nats of all rows."""
        seen, values = np.asarray(mask, np.bool_), np.asarray(log_p, np.float64)
        if seen.shape != (self._rows,) or values.shape != (self._rows,):
            raise ValueError(
                f"SubsetAccumulator.add: mask has shape {seen.shape}, log_p {values.shape};"
                f" ({self._rows},) is wanted"
            )
        if not np.isfinite(values).all():
            row = int(np.flatnonzero(~np.isfinite(values))[0])
            raise ValueError(
                f"SubsetAccumulator.add: log_p of row {row} is {values[row]};"
                " a finite number is wanted"
            )
        for side, where in enumerate((seen, ~seen)):
            self._moments[side].add(values, where)
            self._densities[side].add(values, where)
            self._squares[side].add(2 * values, where)

    def result(self) -> SubsetScores:
        """The scores of the models added so far."""
        counts = [moments.count for moments in self._moments]
        if self.form == "log":
            inside, outside = (moments.mean() for moments in self._moments)
            variances = [moments.variance() for moments in self._moments]
        else:
            inside, outside = (state.result() for state in self._densities)
            variances = [self._relative_variance(side) for side in (0, 1)]
        with np.errstate(divide="ignore", invalid="ignore"):
            se = np.sqrt(variances[0] / counts[0] + variances[1] / counts[1])
        return SubsetScores(inside - outside, se, counts[0].copy(), counts[1].copy())

    def _relative_variance(self, side: int) -> Float:
        """var(p) / mean(p)^2: to first order the variance of the log of a mean, times its count."""
        count = self._moments[side].count
        ratio = np.exp(self._squares[side].result() - 2 * self._densities[side].result())
        # The ratio is at least 1; rounding may leave it a little below where all values are equal.
        squared = np.maximum(ratio - 1, 0.0) * (count / np.maximum(count - 1, 1))
        return np.where(count > 1, squared, np.nan)


def subset_memorization(
    mask: npt.ArrayLike, log_p: npt.ArrayLike, form: Form = "log"
) -> SubsetScores:
    """Memorization of each row from t models, in nats.

    log form:  mem_i = mean over models that saw i of log p(x_i) - mean over the others
    density:   the same with logmeanexp;    se^2 = var_in / n_in + var_out / n_out (density: delta
               method)

    mask   (t, N) true where the model was trained on the row
    log_p  (t, N) nats
    """
    seen, values = _checked_models("subset_memorization", mask, log_p)
    if seen.shape != values.shape:
        raise ValueError(
            f"subset_memorization: mask has shape {seen.shape} and log_p {values.shape};"
            " they must agree"
        )
    state = SubsetAccumulator(seen.shape[1], form)
    for one, value in zip(seen, values, strict=True):
        state.add(one, value)
    return state.result()


def subset_influence(mask: npt.ArrayLike, log_p: npt.ArrayLike, form: Form = "log") -> Float:
    """Influence of every row on every query, (M, N), in nats: two masked matrix products.

    mask   (t, N) true where the model was trained on the row
    log_p  (t, M) nats of the queries under each model
    A row that every model saw, or none, has an undefined influence: its column is NaN.
    """
    seen, values = _checked_models("subset_influence", mask, log_p)
    counts = seen.sum(axis=0), (~seen).sum(axis=0)
    sides = [_side(values, where, form) for where in (seen, ~seen)]
    out = sides[0] - sides[1]
    out[:, (counts[0] == 0) | (counts[1] == 0)] = np.nan
    return out


def draw_subsets(rows: int, models: int, *, ratio: float = 0.7, seed: int = 0) -> Bool:
    """Rows that each model is trained on, round(ratio N) each: (t, N), keyed by (seed, model)."""
    size = round(ratio * rows)
    if rows < 2 or models < 1 or not 0 < size < rows:
        raise ValueError(
            f"draw_subsets: {models} models on {ratio} of {rows} rows; at least one model,"
            " and a subset that is neither empty nor all rows, are wanted"
        )
    mask = np.zeros((models, rows), np.bool_)
    for model in range(models):
        unit = noise.uniforms(seed, np.arange(rows), [model], 1, stream="subset")[:, 0, 0]
        mask[model, np.argsort(unit, kind="stable")[:size]] = True
    return mask


def _side(values: Float, where: Bool, form: Form) -> Float:
    """Mean, or logmeanexp, of each query over the models that `where` (t, N) selects: (M, N)."""
    weight = where.astype(np.float64)
    count = np.maximum(weight.sum(axis=0), 1.0)
    if _checked_form("subset_influence", form) == "log":
        return np.asarray(values.T @ weight / count)
    top = values.max(axis=0)
    total = np.exp(values - top).T @ weight
    with np.errstate(divide="ignore"):
        out = np.log(total) + top[:, None] - np.log(count)
    # The largest value may lie on the other side, so far above that this one underflows.
    for query, row in np.argwhere((total < 1e-280) & (weight.sum(axis=0) > 0)):
        out[query, row] = np.logaddexp.reduce(values[where[:, row], query]) - np.log(count[row])
    return np.asarray(out)


def _checked_models(
    operation: str, mask: npt.ArrayLike, log_p: npt.ArrayLike
) -> tuple[Bool, Float]:
    seen, values = np.asarray(mask), np.asarray(log_p, np.float64)
    if seen.ndim != 2 or values.ndim != 2 or len(seen) != len(values) or not seen.size:
        raise ValueError(
            f"{operation}: mask has shape {seen.shape} and log_p {values.shape};"
            " (models, rows) and (models, rows or queries), not empty, are wanted"
        )
    if seen.dtype != np.bool_ and not np.isin(seen, (0, 1)).all():
        raise ValueError(f"{operation}: mask must hold only 0 and 1, or truth values")
    if not np.isfinite(values).all():
        model, row = np.argwhere(~np.isfinite(values))[0]
        raise ValueError(
            f"{operation}: log_p of row {row} under model {model} is {values[model, row]};"
            " a finite number is wanted"
        )
    return seen.astype(np.bool_), values


def _checked_form(operation: str, form: Form) -> Form:
    if form not in ("log", "density"):
        raise ValueError(f"{operation}: form is {form!r}; 'log' or 'density' is wanted")
    return form
