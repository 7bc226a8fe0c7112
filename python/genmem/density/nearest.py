"""k-nearest-neighbour density with exact leave-one-out and influence."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Self

import numpy as np
import numpy.typing as npt

from genmem.density.duplicates import EqualRows, equal_rows
from genmem.density.logspace import log_unit_ball
from genmem.density.nearest_radii import last_radii_sq
from genmem.density.parameters import check_choice, check_count
from genmem.density.row_density import AbstractRowDensity
from genmem.density.rows import MEMORY, Float64, Int64, Rows, Skip, row_blocks
from genmem.density.top import InfluenceBlock
from genmem.kernels import nearest_sq
from genmem.kernels.native import Exclude


class NearestNeighborDensity(AbstractRowDensity):
    """Log-density from the distance to the k-th nearest row, in nats.

    log p(z) = log k - log N - log V_d - d log R_k(z),   V_d = volume of the unit ball
    IF(x_i, z) = log((N-1)/N) + d log(R_{k+1}(z) / R_k(z)) if x_i is among the k nearest,
                 log((N-1)/N) otherwise
    M_i = log((N-1)/N) + d log(r_k(i) / r_{k-1}(i)),  r_j(i) = distance to the j-th other row

    grad log p(z) = d (x_(k) - z) / R_k(z)^2,   x_(k) = the k-th nearest row

    A query that is a training row is its own first neighbour, at distance 0: so r_0 = 0, and with
    k = 1 every row without an equal has log p = +inf and M = +inf. Use k >= 2 at training rows.
    Neighbours are ordered by (distance, index). Where R_{k+1} = R_k (ties, or copies at 0) the
    second term is 0, whichever of the tied rows is taken away, and the gradient is that of the tied
    row whose turn it is. Where R_k = 0 there is no gradient: ValueError.

    k           neighbours, at most as many as rows; to leave a row out takes one row more
    duplicates  "inf": R_k = 0 gives log p = +inf; exactly k rows at z then have IF = +inf
                "distinct": the density of the set of distinct rows; N is their number, to leave a
                row out is to leave all its equals out, and equal rows share one value
                "raise": an error that names the rows
    memory      working memory in bytes, beyond inputs and answers
    threads     threads of the kernels, None = as many as the process may use
    backend     backend of the kernels

    Fitted: points_ (n, d), the rows in use; multiplicities_ (N,), how many rows equal each, itself
    counted; n_features_in_. log p is +inf where k rows lie at z. The density does not integrate to
    1, so it cannot be sampled.
    Source: Loftsgaarden & Quesenberry (1965), Annals of Mathematical Statistics 36, 1049.
    """

    points_: Rows
    multiplicities_: Int64

    def __init__(
        self,
        k: int = 10,
        *,
        duplicates: str = "inf",
        memory: int = MEMORY,
        threads: int | None = None,
        backend: str = "auto",
    ) -> None:
        self.k = k
        self.duplicates = duplicates
        self.memory = memory
        self.threads = threads
        self.backend = backend

    def fit(self, X: npt.ArrayLike, y: object = None) -> Self:
        """Keep the rows X (N, d), by reference unless "distinct" drops some; y is ignored.

        Raises ValueError if there are fewer than k rows ("distinct": distinct rows), for a
        non-finite row, and with duplicates="raise" for equal rows. With k rows there is a density,
        and what leaves a row out raises ValueError.
        """
        operation = self._called("fit")
        k = check_count(self.k, "k", operation)
        check_count(self.memory, "memory", operation)
        check_choice(self.duplicates, "duplicates", ("inf", "distinct", "raise"), operation)
        points = self._fit_rows(X)
        equal = equal_rows(points)
        if self.duplicates == "raise":
            _refuse_equal(equal, operation)
        merged = self.duplicates == "distinct"
        rows = len(equal.first) if merged else len(points)
        if rows < k:
            raise ValueError(
                f"{operation}: X has {rows}{' distinct' if merged and rows > 1 else ''} "
                f"sample{'s' if rows > 1 else ''}; at least k = {k} are wanted, and one more to "
                "leave a row out"
            )
        self.multiplicities_ = equal.multiplicity
        self.points_ = points[equal.first] if rows < len(points) else points
        # Which row of points_ stands for each training row.
        self._stand_in = equal.group if merged else np.arange(len(points), dtype=np.int64)
        return self

    @property
    def influence_is_exact(self) -> bool:
        """True: the closed form is the refit."""
        return True

    def _training_size(self) -> int:
        return len(self._stand_in)

    def _log_density(self, queries: Rows, skip: Int64 | None) -> Float64:
        return self._log_density_of(queries, self._stood_in(skip))

    def _stood_in(self, skip: Int64 | None) -> Int64 | None:
        """The rows of points_ that stand for training rows; -1 for none."""
        return None if skip is None else np.where(skip >= 0, self._stand_in[skip], -1)

    def _gradient_at(self, queries: Rows, skip: Int64 | None) -> Float64:
        d, skip = queries.shape[1], self._stood_in(skip)
        slopes = np.empty(queries.shape)
        # Lists of k neighbours; rows, their differences and one temporary.
        for block in row_blocks(len(queries), 16 * self.k + 24 * d, self.memory):
            left_out = None if skip is None else skip[block]
            sq, index = self._nearest(queries[block], self.k, left_out)
            on_it = np.flatnonzero(sq[:, -1] == 0)
            if on_it.size:
                raise ValueError(
                    f"{self._called('gradient')}: k = {self.k} rows or more lie at "
                    f"Z[{block.start + on_it[0]}]; log p is +inf there and has no slope"
                )
            towards = self.points_[index[:, -1]].astype(np.float64) - queries[block]
            slopes[block] = d * (towards / sq[:, -1:])
        return slopes

    def _log_density_loo(self) -> Float64:
        """log k - log(N-1) - log V_d - d log r_k(i)."""
        self._require_one_more("score_samples_loo")
        return self._log_density_of(self.points_, "self")[self._stand_in]

    def _self_influence(self) -> Float64:
        self._require_one_more("self_influence")
        radii = self._last_radii_sq(self.points_, "self")
        answer = self._log_share_left() + self._log_ratio(radii)
        return np.asarray(answer[self._stand_in])

    def _influence_blocks(self, Z: Rows) -> Iterator[InfluenceBlock[Float64]]:
        self._require_one_more("influence")
        for block in row_blocks(len(Z), 24 * len(self._stand_in), self.memory):
            sq, index = self._nearest(Z[block], self.k + 1, None)
            scores = np.full((len(sq), len(self.points_)), self._log_share_left())
            near = np.take_along_axis(scores, index[:, :-1], axis=1)
            near += self._log_ratio(sq)[:, None]
            np.put_along_axis(scores, index[:, :-1], near, axis=1)
            merged = len(self.points_) < len(self._stand_in)
            yield InfluenceBlock(block, scores[:, self._stand_in] if merged else scores, None)

    def _log_density_of(self, queries: Rows, skip: Skip) -> Float64:
        radius_sq = self._last_radii_sq(queries, skip)[:, -1]
        d, rows = self.points_.shape[1], np.full(len(queries), len(self.points_), np.float64)
        if isinstance(skip, str):
            rows -= 1
        elif skip is not None:
            rows -= skip >= 0
        with np.errstate(divide="ignore"):
            log_ball = log_unit_ball(d) + 0.5 * d * np.log(radius_sq)
        return np.asarray(np.log(self.k) - np.log(rows) - log_ball)

    def _skip(self, exclude: Exclude, queries: int, method: str) -> Int64 | None:
        skip = super()._skip(exclude, queries, method)
        if skip is not None and (skip >= 0).any():
            self._require_one_more(method)
        return skip

    def _require_one_more(self, method: str) -> None:
        rows, distinct = len(self.points_), "distinct " * (self.duplicates == "distinct")
        if rows <= self.k:
            raise ValueError(
                f"{self._called(method)}: fitted to {rows} {distinct}row{'s' if rows > 1 else ''}, "
                f"of which one is left out; at least k + 1 = {self.k + 1} are wanted"
            )

    def _nearest(self, queries: Rows, k: int, skip: Int64 | None) -> tuple[Float64, Int64]:
        return nearest_sq(
            queries,
            self.points_,
            k,
            exclude=skip,
            memory=self.memory,
            threads=self.threads,
            backend=self.backend,
            assume_finite=True,
        )

    def _last_radii_sq(self, queries: Rows, skip: Skip) -> Float64:
        return last_radii_sq(
            queries,
            self.points_,
            self.k,
            skip,
            memory=self.memory,
            threads=self.threads,
            backend=self.backend,
        )

    def _log_ratio(self, sq: Float64) -> Float64:
        """d log(R_{k+1} / R_k) from squared radii, the last two columns; 0 where they are equal."""
        inner, outer = sq[:, -2], sq[:, -1]
        answer = np.zeros(len(sq))
        apart = outer > inner
        with np.errstate(divide="ignore"):
            log_ratio = np.log(outer[apart]) - np.log(inner[apart])
        answer[apart] = 0.5 * self.points_.shape[1] * log_ratio
        return answer

    def _log_share_left(self) -> float:
        return float(np.log1p(-1.0 / len(self.points_)))


def _refuse_equal(equal: EqualRows, operation: str) -> None:
    if len(equal.first) == len(equal.group):
        return
    most = equal.group[equal.multiplicity.argmax()]
    copies = np.flatnonzero(equal.group == most)
    named = ", ".join(map(str, copies[:5])) + (", ..." if len(copies) > 5 else "")
    raise ValueError(
        f"{operation}: rows {named} of X are equal (multiplicity {len(copies)}), and "
        f"{np.count_nonzero(equal.multiplicity > 1)} of {len(equal.group)} rows have an equal; "
        'none is wanted with duplicates="raise"'
    )
