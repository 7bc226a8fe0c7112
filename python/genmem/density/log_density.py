"""What every density of this room can do: score, leave one out, and attribute."""

from __future__ import annotations

import warnings
from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, TypeAlias, overload

import numpy as np
import numpy.typing as npt
from sklearn.base import BaseEstimator, DensityMixin
from sklearn.utils.validation import check_is_fitted, validate_data

from genmem.arrays import Readable, answer
from genmem.density.parameters import check_count
from genmem.density.rows import ACCEPTED, Float64, Int64, Rows, check_finite
from genmem.density.tensors import (
    in_place,
    is_tensor,
    refuse_gradient,
    to_tensor,
    tracks_gradient,
)
from genmem.density.top import InfluenceBlock, TopInfluence, top_of_block
from genmem.kernels.native import Exclude, excluded

if TYPE_CHECKING:
    from genmem.arrays import Tensor

AnyArray = npt.NDArray[Any]
# An array, or a tensor where `fit` was given one; which of the two is not known before it runs.
OfTraining: TypeAlias = Any


class AbstractLogDensity(DensityMixin, BaseEstimator, ABC):  # type: ignore[misc]  # untyped bases
    """A density fitted to rows, whose likelihood can be attributed to the rows it was fitted to.

    IF(x_i, z) = log p(z | D) - log p(z | D without x_i), in nats: positive = proponent.
    M_i = IF(x_i, x_i), the leave-one-out memorization score.

    Rows come as anything `numpy.asarray` takes (lists, frames, memory maps), as torch tensors or
    with `__dlpack__`, in memory of the CPU; float64, float32 and uint8 are used as they are,
    anything else becomes float64. Answers are float64 or int64, in the kind of what was given:
    answers about queries in that of the queries, answers about the training rows in that of the
    rows `fit` was given; tensors for tensors, else arrays. A tensor that requires grad gets its
    gradient through `score_samples`, and is refused where none would flow.
    Rows are left out by index, so of two equal rows one stays.
    """

    n_features_in_: int

    @overload
    def score_samples(self, Z: Tensor) -> Tensor: ...
    @overload
    def score_samples(self, Z: Readable) -> Float64: ...
    def score_samples(self, Z: Readable) -> Tensor | Float64:
        """log p(z) of each query, (M, d) -> (M,), in nats."""
        scores: Tensor | Float64 = self._scored(Z)
        return scores

    def score_samples_loo(self) -> OfTraining:
        """log p(x_i | D without x_i) of every training row (N,), in nats, left out by index."""
        check_is_fitted(self)
        return self._of_training(self._log_density_loo())

    def self_influence(self) -> OfTraining:
        """M_i = log p(x_i | D) - log p(x_i | D without x_i) of every training row (N,), in nats."""
        check_is_fitted(self)
        return self._of_training(self._self_influence())

    @property
    @abstractmethod
    def influence_is_exact(self) -> bool:
        """Whether influences equal deleting the row and fitting again, up to rounding."""

    @overload
    def influence_blocks(self, Z: Tensor) -> Iterator[InfluenceBlock[Tensor]]: ...
    @overload
    def influence_blocks(self, Z: Readable) -> Iterator[InfluenceBlock[Float64]]: ...
    def influence_blocks(
        self, Z: Readable
    ) -> Iterator[InfluenceBlock[Tensor]] | Iterator[InfluenceBlock[Float64]]:
        """The influence matrix in blocks of queries, each within the memory budget.

        Z       (M, d) queries
        yields  InfluenceBlock(queries, scores (B, N), log_share (B, N) or None), in order
        """
        blocks = self._influence_blocks(self._query_rows(Z, "influence_blocks"))
        if not is_tensor(Z):
            return blocks
        return (
            InfluenceBlock(queries, to_tensor(scores), None if share is None else to_tensor(share))
            for queries, scores, share in blocks
        )

    @overload
    def influence(self, Z: Tensor, k: None = None, *, proponents: bool = True) -> Tensor: ...
    @overload
    def influence(self, Z: Readable, k: None = None, *, proponents: bool = True) -> Float64: ...
    @overload
    def influence(self, Z: Tensor, k: int, *, proponents: bool = True) -> TopInfluence[Tensor]: ...
    @overload
    def influence(
        self, Z: Readable, k: int, *, proponents: bool = True
    ) -> TopInfluence[AnyArray]: ...
    def influence(
        self, Z: Readable, k: int | None = None, *, proponents: bool = True
    ) -> Tensor | Float64 | TopInfluence[Tensor] | TopInfluence[AnyArray]:
        """Influence of every training row on every query, in nats.

        IF(x_i, z) = log p(z | D) - log p(z | D without x_i)

        Z           (M, d) queries
        k           None, or how many training rows to list per query, 1..N
        proponents  with k: the most positive first; False: the most negative (opponents) first
        returns     (M, N), row = query; with k a TopInfluence, of which only blocks of (M, N)
                    are ever held. Ties go to the lower index.

        Where log p(z) is -inf with and without any row the influences are undefined: NaN, and a
        RuntimeWarning says of how many queries.
        """
        queries, rows = self._query_rows(Z, "influence"), self._training_size()
        if k is None:
            dense = np.empty((len(queries), rows))
            for block in self._influence_blocks(queries):
                dense[block.queries] = block.scores
            self._count_undefined(np.isnan(dense.min(axis=1)))
            matrix: Tensor | Float64 = answer(dense, Z)
            return matrix
        if check_count(k, "k", self._called("influence")) > rows:
            raise ValueError(f"{self._called('influence')}: k is {k!r}; 1..{rows} is wanted")
        blocks = self._influence_blocks(queries)
        tops = [top_of_block(block, k, proponents=proponents) for block in blocks]
        masses = [top.rest_log_mass for top in tops if top.rest_log_mass is not None]
        scores = np.concatenate([top.scores for top in tops])
        self._count_undefined(np.isnan(scores[:, 0]))
        return TopInfluence(
            answer(np.concatenate([top.indices for top in tops]), Z),
            answer(scores, Z),
            answer(np.concatenate(masses), Z) if masses else None,
        )

    @abstractmethod
    def _log_density(self, queries: Rows, skip: Int64 | None) -> Float64:
        """`score_samples` of rows that are checked already."""

    @abstractmethod
    def _log_density_loo(self) -> Float64: ...

    @abstractmethod
    def _self_influence(self) -> Float64: ...

    @abstractmethod
    def _training_size(self) -> int:
        """N, the number of rows that `fit` was given."""

    @abstractmethod
    def _influence_blocks(self, Z: Rows) -> Iterator[InfluenceBlock[Float64]]:
        """`influence_blocks` of rows that are checked already."""

    @abstractmethod
    def _gradient_at(self, queries: Rows, skip: Int64 | None) -> Float64:
        """Gradient of `_log_density` at each query, (M, d)."""

    def _skip(self, exclude: Exclude, queries: int, method: str) -> Int64 | None:
        """The training row left out of each query, -1 for none; None when nothing is left out."""
        return excluded(self._called(method), exclude, queries, self._training_size())

    def _scored(self, Z: Any, exclude: Exclude = None) -> Any:
        def value(queries: Readable) -> Float64:
            rows = self._query_rows(queries, "score_samples")
            return self._log_density(rows, self._skip(exclude, len(rows), "score_samples"))

        if not tracks_gradient(Z):
            return answer(value(Z), Z)

        from genmem.density.autograd import log_density

        def slope(queries: Readable) -> Float64:
            rows = self._query_rows(queries, "score_samples")
            return self._gradient_at(rows, self._skip(exclude, len(rows), "score_samples"))

        return log_density(Z, value, slope)

    def _count_undefined(self, undefined: npt.NDArray[np.bool_]) -> None:
        if undefined.any():
            warnings.warn(
                f"{self._called('influence')}: {undefined.sum()} of {len(undefined)} queries are "
                "beyond the reach of every row: log p is -inf with and without any row, and their "
                "influences are undefined (NaN)",
                RuntimeWarning,
                stacklevel=3,
            )

    def _of_training(self, array: AnyArray) -> OfTraining:
        return to_tensor(array) if self._fitted_to_tensor else array

    def _called(self, method: str) -> str:
        return f"{type(self).__name__}.{method}"

    def _fit_rows(self, X: Readable) -> Rows:
        rows = self._checked(X, "fit", "X", reset=True)
        self._fitted_to_tensor = is_tensor(X)
        return rows

    def _query_rows(self, Z: Readable, method: str) -> Rows:
        check_is_fitted(self)
        return self._checked(Z, method, "Z", reset=False)

    def _checked(self, X: Any, method: str, name: str, *, reset: bool) -> Rows:
        operation = self._called(method)
        refuse_gradient(X, operation, name)
        # Finiteness is checked here, because scikit-learn's message does not name the row.
        rows: Rows = validate_data(
            self,
            in_place(X, operation, name),
            reset=reset,
            dtype=ACCEPTED,
            ensure_all_finite=False,
            accept_sparse=False,
        )
        check_finite(rows, operation, name)
        return rows
