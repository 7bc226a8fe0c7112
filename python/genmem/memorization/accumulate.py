"""Sums over models that are met one at a time: log-mean-exp, mean and variance.

A model scores all rows at once, so the values of one row arrive spread over the models. The states
below hold a few numbers per row, whatever the number of models, and can be merged.
"""

from __future__ import annotations

from typing import Self

import numpy as np
import numpy.typing as npt

Float = npt.NDArray[np.float64]
Bool = npt.NDArray[np.bool_]


def logmeanexp(values: npt.ArrayLike, axis: int | tuple[int, ...] | None = None) -> Float:
    """log of the mean of exp(values) along `axis`, in the unit of values (nats).

    logmeanexp(a) = max a + log( sum exp(a - max a) / len a );  all -inf -> -inf, any +inf -> +inf

    values   any shape; at least one entry along the axis
    returns  float64, the axis removed
    Raises ValueError if there is nothing to average.
    """
    given = np.asarray(values, np.float64)
    axes = range(given.ndim) if axis is None else np.atleast_1d(np.asarray(axis))
    count = int(np.prod([given.shape[int(one)] for one in axes]))
    if count == 0:
        raise ValueError(
            f"logmeanexp: values has shape {given.shape};"
            f" at least one entry along axis {axis} is wanted"
        )
    top = given.max(axis=axis, keepdims=True)
    # An infinite maximum is the answer itself; inf - inf would make it NaN.
    shift = np.where(np.isinf(top), 0.0, top)
    with np.errstate(divide="ignore", over="ignore"):
        total = np.log(np.exp(given - shift).sum(axis=axis))
    return np.asarray(total + shift.reshape(total.shape) - np.log(count))


class LogMeanExp:
    """Running log-mean-exp of each entry, in nats: the state is (max, scaled sum, count).

    Adding v to (m, s, n): m' = max(m, v), s' = s exp(m - m') + exp(v - m'), n' = n + 1.
    The answer m + log(s/n) is that of `logmeanexp` up to rounding, whatever the order of arrival;
    an entry that was never added to has no mean: NaN.
    """

    def __init__(self, shape: int | tuple[int, ...]) -> None:
        self.top: Float = np.full(shape, -np.inf)
        self.total: Float = np.zeros(shape)
        self.count: npt.NDArray[np.int64] = np.zeros(shape, np.int64)

    def add(self, values: npt.ArrayLike, where: npt.ArrayLike = True) -> Self:
        """Add one value to each entry where `where` is true; both broadcast to the state."""
        given = np.broadcast_to(np.asarray(values, np.float64), self.top.shape)
        used = np.broadcast_to(np.asarray(where, np.bool_), self.top.shape)
        return self._combine(given, np.ones_like(self.total), np.ones_like(self.count), used)

    def merge(self, other: LogMeanExp) -> Self:
        """Add all that `other` has seen."""
        if other.top.shape != self.top.shape:
            raise ValueError(
                f"LogMeanExp.merge: other has shape {other.top.shape}, this state {self.top.shape}"
            )
        return self._combine(other.top, other.total, other.count, other.count > 0)

    def result(self) -> Float:
        """The log-mean-exp of each entry so far, in nats; NaN where nothing was added."""
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.asarray(self.top + np.log(self.total / self.count))

    def _combine(self, top: Float, total: Float, count: npt.NDArray[np.int64], used: Bool) -> Self:
        highest = np.where(used, np.maximum(self.top, top), self.top)
        self.total = self.total * _scale(self.top, highest) + np.where(
            used, total * _scale(top, highest), 0.0
        )
        self.top = highest
        self.count += np.where(used, count, 0)
        return self


def _scale(old: Float, new: Float) -> Float:
    """exp(old - new) for old <= new, and 1 where they are equal (both may be infinite)."""
    gap = np.zeros(old.shape)
    # Masked entries may have old > new: their factor is not used, but must not overflow.
    np.subtract(old, new, out=gap, where=old < new)
    return np.exp(gap)


class Moments:
    """Running mean and variance of each entry, in the unit of the values and its square.

    Welford (1962): d = v - mean, mean' = mean + d/n', m2' = m2 + d (v - mean').
    """

    def __init__(self, shape: int | tuple[int, ...]) -> None:
        self.count: npt.NDArray[np.int64] = np.zeros(shape, np.int64)
        self._mean: Float = np.zeros(shape)
        self._squares: Float = np.zeros(shape)

    def add(self, values: npt.ArrayLike, where: npt.ArrayLike = True) -> Self:
        """Add one value to each entry where `where` is true; both broadcast to the state."""
        given = np.broadcast_to(np.asarray(values, np.float64), self._mean.shape)
        used = np.broadcast_to(np.asarray(where, np.bool_), self._mean.shape)
        self.count += used
        gap = np.where(used, given - self._mean, 0.0)
        self._mean += gap / np.maximum(self.count, 1)
        self._squares += np.where(used, gap * (given - self._mean), 0.0)
        return self

    def mean(self) -> Float:
        """The mean of each entry so far; NaN where nothing was added."""
        return np.where(self.count > 0, self._mean, np.nan)

    def variance(self) -> Float:
        """The unbiased variance of each entry so far; NaN for fewer than two values."""
        return np.where(self.count > 1, self._squares / np.maximum(self.count - 1, 1), np.nan)
