"""Densities of which a query can leave one training row out."""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, overload

import numpy.typing as npt

from genmem.arrays import Readable, answer
from genmem.density.log_density import AbstractLogDensity
from genmem.density.rows import Float64, Int64, Rows
from genmem.kernels.native import Exclude

if TYPE_CHECKING:
    from genmem.arrays import Tensor


class AbstractRowDensity(AbstractLogDensity):
    """A density that is read off its training rows, so leaving one out needs no other fit."""

    @overload
    def score_samples(self, Z: Tensor, exclude: Exclude = None) -> Tensor: ...
    @overload
    def score_samples(self, Z: Readable, exclude: Exclude = None) -> Float64: ...
    def score_samples(self, Z: Readable, exclude: Exclude = None) -> Tensor | Float64:
        """log p(z) of each query, in nats.

        Z        (M, d) queries; one that is also a training row counts itself unless excluded
        exclude  None | "self" (query i is training row i) | (M,) integers, -1 = none
        returns  (M,)
        """
        scores: Tensor | Float64 = self._scored(Z, exclude)
        return scores

    @overload
    def gradient(self, Z: Tensor, exclude: Exclude = None) -> Tensor: ...
    @overload
    def gradient(self, Z: Readable, exclude: Exclude = None) -> Float64: ...
    def gradient(self, Z: Readable, exclude: Exclude = None) -> Tensor | Float64:
        """Gradient of log p at each query, in nats per data unit.

        Z        (M, d) queries
        exclude  as in `score_samples`: with "self" the leave-one-out gradient at the training rows
        returns  (M, d); the equation, and where there is no gradient, as the class says
        """
        queries = self._query_rows(Z, "gradient")
        found = self._gradient_at(queries, self._skip(exclude, len(queries), "gradient"))
        gradient: Tensor | Float64 = answer(found, Z)
        return gradient

    def score(self, X: npt.ArrayLike, y: object = None) -> float:
        """Sum of log p over the rows of X, in nats, as scikit-learn's KernelDensity.

        A sum, so folds of unequal size weigh unequally in a grid search.
        """
        return float(self._log_density(self._query_rows(X, "score"), None).sum())

    @abstractmethod
    def _log_density(self, queries: Rows, skip: Int64 | None) -> Float64: ...
