"""What every density of this room can do: score, leave one out, and attribute."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import Any, overload

import numpy as np
import numpy.typing as npt
from sklearn.base import BaseEstimator, DensityMixin
from sklearn.utils.validation import check_is_fitted, validate_data

from genmem.density.parameters import check_count
from genmem.density.rows import ACCEPTED, Float64, Rows, check_finite
from genmem.density.top import InfluenceBlock, TopInfluence, top_of_block


class AbstractLogDensity(DensityMixin, BaseEstimator, ABC):  # type: ignore[misc]  # untyped bases
    """A density fitted to rows, whose likelihood can be attributed to the rows it was fitted to.

    IF(x_i, z) = log p(z | D) - log p(z | D without x_i), in nats: positive = proponent.
    M_i = IF(x_i, x_i), the leave-one-out memorization score.

    Rows come as anything `numpy.asarray` takes (lists, frames, memory maps, torch tensors on the
    CPU); float64, float32 and uint8 are used as they are, anything else becomes float64. Answers
    are NumPy arrays, float64 or int64. Rows are left out by index, so of two equal rows one stays.
    """

    n_features_in_: int

    @abstractmethod
    def score_samples_loo(self) -> Float64:
        """log p(x_i | D without x_i) of every training row (N,), in nats."""

    @abstractmethod
    def self_influence(self) -> Float64:
        """M_i = log p(x_i | D) - log p(x_i | D without x_i) of every training row (N,), in nats."""

    @property
    @abstractmethod
    def influence_is_exact(self) -> bool:
        """Whether influences equal deleting the row and fitting again, up to rounding."""

    @abstractmethod
    def score_samples(self, Z: npt.ArrayLike) -> Float64:
        """log p(z) of each query, (M, d) -> (M,), in nats."""

    @abstractmethod
    def _training_size(self) -> int:
        """N, the number of rows that `fit` was given."""

    @abstractmethod
    def _influence_blocks(self, Z: Rows) -> Iterator[InfluenceBlock]:
        """`influence_blocks` of rows that are checked already."""

    def influence_blocks(self, Z: npt.ArrayLike) -> Iterator[InfluenceBlock]:
        """The influence matrix in blocks of queries, each within the memory budget.

        Z       (M, d) queries
        yields  InfluenceBlock(queries, scores (B, N), log_share (B, N) or None), in order
        """
        return self._influence_blocks(self._query_rows(Z, "influence_blocks"))

    @overload
    def influence(
        self, Z: npt.ArrayLike, k: None = None, *, proponents: bool = True
    ) -> Float64: ...
    @overload
    def influence(self, Z: npt.ArrayLike, k: int, *, proponents: bool = True) -> TopInfluence: ...
    def influence(
        self, Z: npt.ArrayLike, k: int | None = None, *, proponents: bool = True
    ) -> Float64 | TopInfluence:
        """Influence of every training row on every query, in nats.

        IF(x_i, z) = log p(z | D) - log p(z | D without x_i)

        Z           (M, d) queries
        k           None, or how many training rows to list per query, 1..N
        proponents  with k: the most positive first; False: the most negative (opponents) first
        returns     (M, N), row = query; with k a TopInfluence, of which only blocks of (M, N)
                    are ever held. Ties go to the lower index.
        """
        queries, rows = self._query_rows(Z, "influence"), self._training_size()
        if k is None:
            answer = np.empty((len(queries), rows))
            for block in self._influence_blocks(queries):
                answer[block.queries] = block.scores
            return answer
        if check_count(k, "k", self._called("influence")) > rows:
            raise ValueError(f"{self._called('influence')}: k is {k!r}; 1..{rows} is wanted")
        blocks = self._influence_blocks(queries)
        tops = [top_of_block(block, k, proponents=proponents) for block in blocks]
        masses = [top.rest_log_mass for top in tops if top.rest_log_mass is not None]
        return TopInfluence(
            np.concatenate([top.indices for top in tops]),
            np.concatenate([top.scores for top in tops]),
            np.concatenate(masses) if masses else None,
        )

    def _called(self, method: str) -> str:
        return f"{type(self).__name__}.{method}"

    def _fit_rows(self, X: npt.ArrayLike) -> Rows:
        return self._checked(X, "fit", reset=True)

    def _query_rows(self, Z: npt.ArrayLike, method: str) -> Rows:
        check_is_fitted(self)
        return self._checked(Z, method, reset=False)

    def _checked(self, X: Any, method: str, *, reset: bool) -> Rows:
        # Finiteness is checked here, because scikit-learn's message does not name the row.
        rows: Rows = validate_data(
            self, X, reset=reset, dtype=ACCEPTED, ensure_all_finite=False, accept_sparse=False
        )
        check_finite(rows, self._called(method), "X" if reset else "Z")
        return rows
