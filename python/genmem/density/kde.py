"""Gaussian kernel density with exact leave-one-out, influence and gradient."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal, Self

import numpy as np
import numpy.typing as npt
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted

from genmem.density.bandwidth import LeaveOneOut, leave_one_out, scott, silverman
from genmem.density.log_density import AbstractLogDensity
from genmem.density.logspace import log_share_of_others, logsumexp_rows, softplus
from genmem.density.parameters import check_count, check_number
from genmem.density.rows import (
    DEFAULT_MEMORY,
    Float64,
    Int64,
    Rows,
    check_weights,
    row_blocks,
)
from genmem.density.top import InfluenceBlock
from genmem.kernels import kde_slots, log_kde, sq_distances
from genmem.kernels.native import Exclude, excluded

# A pair whose responsibility is below exp(-50) / N of the largest is left out of the gradient.
_GRADIENT_REACH = 50.0
# Differences summed at once: fixed, so that the memory budget does not move the answer.
_DIFFERENCES = 1 << 20


class GaussianKDE(AbstractLogDensity):
    """Log-density under Gaussian kernels of one width, in nats.

    log p(z) = logsumexp_i a_i - log W - d log h - (d/2) log 2 pi,  a_i = log w_i - |z - x_i|^2/2h^2
    IF(x_i, z) = log((W - w_i)/W) - log(1 - r_i),  r_i = exp(a_i - logsumexp a),  W = sum w_i
    M_i = log((W - w_i)/W) + softplus(log w_i - s_i),  s_i = logsumexp_{j != i} a_j at z = x_i

    bandwidth       h in data units, a standard deviation; or how to choose it: "loo" (maximum
                    leave-one-out likelihood), "scott" or "silverman" (by the data's scale)
    duplicates      for "loo": "raise" if every row has an equal, for then h -> 0 is unbounded, or
                    "group": rows are left out together with their equals, in the search only
    bandwidth_rows  for "loo": at most so many rows are left out one at a time, each against all
                    others; None = all. Up to so many rows the search is exact
    seed            seed of the draw of those rows
    memory          working memory in bytes, beyond inputs and answers
    threads         threads of the kernels, None = as many as the process may use
    backend         backend of the kernels

    Fitted: bandwidth_ (float), points_ (N, d), weights_ (N,) or None, n_features_in_, and
    bandwidth_search_, a LeaveOneOut (bandwidth, log_likelihood, rows), None unless "loo".

    Distances are differences first, squares second, in float64, and nothing leaves log space, so
    gaps of hundreds of nats and thousands of dimensions are ordinary. Every influence is at least
    log((W - w_i)/W): a kernel density has no strong opponents.
    Source: Silverman (1986), Density Estimation for Statistics and Data Analysis, ch. 4.
    """

    bandwidth_: float
    bandwidth_search_: LeaveOneOut | None
    points_: Rows
    weights_: Float64 | None

    def __init__(
        self,
        bandwidth: float | str = "loo",
        *,
        duplicates: str = "raise",
        bandwidth_rows: int | None = 2000,
        seed: int = 0,
        memory: int = DEFAULT_MEMORY,
        threads: int | None = None,
        backend: str = "auto",
    ) -> None:
        self.bandwidth = bandwidth
        self.duplicates = duplicates
        self.bandwidth_rows = bandwidth_rows
        self.seed = seed
        self.memory = memory
        self.threads = threads
        self.backend = backend

    def fit(
        self, X: npt.ArrayLike, y: object = None, sample_weight: npt.ArrayLike | None = None
    ) -> Self:
        """Keep the rows and choose the bandwidth.

        X              (N, d) rows, held by reference
        y              ignored
        sample_weight  (N,) weights w_i >= 0, default 1; a row of weight 0 is a row left out

        Raises ValueError for a bandwidth that is neither a rule nor positive, a non-finite row, a
        bad weight, and for "loo" as `leave_one_out` does.
        """
        check_count(self.memory, "memory", self._called("fit"))
        points = self._fit_rows(X)
        weights = None
        if sample_weight is not None:
            weights = check_weights(sample_weight, len(points), self._called("fit"))
        self.bandwidth_search_ = None
        self.bandwidth_ = self._chosen_bandwidth(points, weights)
        self.points_, self.weights_ = points, weights
        return self

    def score_samples(self, Z: npt.ArrayLike, exclude: Exclude = None) -> Float64:
        """log p(z) of each query, in nats.

        Z        (M, d) queries; one that is also a training row counts itself unless excluded
        exclude  None | "self" (query i is training row i) | (M,) integers, -1 = none
        returns  (M,)
        """
        queries = self._query_rows(Z, "score_samples")
        skip = self._skip(exclude, len(queries), "score_samples")
        return self._log_density(queries, skip)

    def score_samples_loo(self) -> Float64:
        """log p(x_i | D without x_i) of every training row (N,), in nats, left out by index."""
        self._require_two("score_samples_loo")
        return self._log_density(self.points_, "self")

    def score(self, X: npt.ArrayLike, y: object = None) -> float:
        """Sum of log p over the rows of X, in nats, as scikit-learn's KernelDensity."""
        return float(self.score_samples(X).sum())

    def self_influence(self) -> Float64:
        """M_i of every training row (N,), in nats; large in sparse regions, 0 for weight 0."""
        self._require_two("self_influence")
        slots = kde_slots(
            self.points_,
            self.points_,
            self.bandwidth_,
            weights=self.weights_,
            exclude="self",
            threads=self.threads,
            backend=self.backend,
        )
        others = np.logaddexp(slots.top, slots.rest)
        return self._log_share_left() + softplus(self._log_weights() - others)

    @property
    def influence_is_exact(self) -> bool:
        """True: the closed form is the refit."""
        return True

    def gradient(self, Z: npt.ArrayLike, exclude: Exclude = None) -> Float64:
        """Gradient of log p at each query: sum_i r_i (x_i - z) / h^2, in nats per data unit.

        Z        (M, d) queries
        exclude  as in `score_samples`: with "self" the leave-one-out gradient at the training rows
        returns  (M, d)
        """
        queries = self._query_rows(Z, "gradient")
        skip = self._skip(exclude, len(queries), "gradient")
        answer = np.empty(queries.shape)
        for block in row_blocks(len(queries), 16 * len(self.points_), self.memory // 2):
            a = self._exponents(queries[block])
            if skip is not None:
                left_out = np.flatnonzero(skip[block] >= 0)
                a[left_out, skip[block][left_out]] = -np.inf
            _require_reach(a, block.start, self._called("gradient"))
            for i, row in enumerate(queries[block]):
                answer[block.start + i] = self._mean_difference(a[i], row)
        return answer / self.bandwidth_**2

    def sample(
        self, n_samples: int = 1, random_state: int | np.random.RandomState | None = None
    ) -> Float64:
        """Draws from the density, (n_samples, d): a row by its weight, plus h standard normals."""
        check_is_fitted(self)
        check_count(n_samples, "n_samples", self._called("sample"))
        rng = check_random_state(random_state)
        share = None if self.weights_ is None else self.weights_ / self.weights_.sum()
        rows = rng.choice(len(self.points_), size=n_samples, p=share)
        noise = rng.standard_normal((n_samples, self.points_.shape[1]))
        return np.asarray(self.points_[rows] + self.bandwidth_ * noise)

    def _training_size(self) -> int:
        return len(self.points_)

    def _influence_blocks(self, Z: Rows) -> Iterator[InfluenceBlock]:
        self._require_two("influence")
        log_left = self._log_share_left()
        # Exponents, shares, scores and two temporaries of the exponential.
        for block in row_blocks(len(Z), 40 * len(self.points_), self.memory):
            a = self._exponents(Z[block])
            _require_reach(a, block.start, self._called("influence"))
            scores, log_share = _influence_of(a, log_left)
            yield InfluenceBlock(block, scores, log_share)

    def _chosen_bandwidth(self, points: Rows, weights: Float64 | None) -> float:
        rule = self.bandwidth
        if rule == "scott":
            return scott(points, weights)
        if rule == "silverman":
            return silverman(points, weights)
        if rule == "loo":
            self.bandwidth_search_ = leave_one_out(
                points,
                weights,
                duplicates=self.duplicates,
                rows=self.bandwidth_rows,
                seed=self.seed,
                memory=self.memory,
                threads=self.threads,
                backend=self.backend,
            )
            return self.bandwidth_search_.bandwidth
        return check_number(
            rule, "bandwidth", self._called("fit"), also='"loo", "scott", "silverman" or '
        )

    def _log_density(self, queries: Rows, skip: Int64 | Literal["self"] | None) -> Float64:
        return np.asarray(
            log_kde(
                queries,
                self.points_,
                self.bandwidth_,
                weights=self.weights_,
                exclude=skip,
                threads=self.threads,
                backend=self.backend,
            )
        )

    def _exponents(self, queries: Rows) -> Float64:
        a = sq_distances(queries, self.points_, threads=self.threads, backend=self.backend)
        with np.errstate(over="ignore"):
            a *= -0.5 / self.bandwidth_**2
        if self.weights_ is not None:
            a += self._log_weights()
        return np.asarray(a)

    def _mean_difference(self, a: Float64, z: Rows) -> Float64:
        # Differences of the pairs that matter: sum_i r_i x_i - z would cancel far from the origin.
        near = np.flatnonzero(a >= a.max() - np.log(len(a)) - _GRADIENT_REACH)
        r = np.exp(a[near] - a.max())
        total = np.zeros(len(z))
        for block in row_blocks(len(near), len(z), _DIFFERENCES):
            total += r[block] @ (self.points_[near[block]].astype(np.float64) - z)
        return np.asarray(total / r.sum())

    def _log_weights(self) -> Float64:
        if self.weights_ is None:
            return np.zeros(len(self.points_))
        with np.errstate(divide="ignore"):
            return np.asarray(np.log(self.weights_))

    def _log_share_left(self) -> Float64:
        rows = len(self.points_)
        return log_share_of_others(np.ones(rows) if self.weights_ is None else self.weights_)

    def _require_two(self, method: str) -> None:
        check_is_fitted(self)
        positive = len(self.points_) if self.weights_ is None else np.count_nonzero(self.weights_)
        if positive < 2:
            raise ValueError(
                f"{self._called(method)}: fitted to {positive} row of positive weight; without it "
                "there is no density, at least 2 are wanted"
            )

    def _skip(self, exclude: Exclude, queries: int, method: str) -> Int64 | None:
        skip = excluded(self._called(method), exclude, queries, len(self.points_))
        if skip is not None and (skip >= 0).any():
            self._require_two(method)
        return skip


def _require_reach(a: Float64, start: int, operation: str) -> None:
    lost = np.flatnonzero(np.isneginf(a.max(axis=1)))
    if lost.size:
        raise ValueError(
            f"{operation}: Z[{start + lost[0]}] is so far from every row that |z - x|^2 / 2h^2 "
            "leaves float64; no row's part in its density can be told"
        )


def _influence_of(a: Float64, log_left: Float64) -> tuple[Float64, Float64]:
    """Influences and log-shares (B, N) from exponents a (B, N), which are overwritten.

    Only the largest exponent can have r > 1/2, where 1 - r loses its digits: for it
    log(1 - r) = -softplus(a_top - rest), with rest the logsumexp of the others.
    """
    rows = np.arange(len(a))
    top = a.argmax(axis=1)
    a_top = a[rows, top]
    a[rows, top] = -np.inf
    rest = logsumexp_rows(a)
    a -= np.logaddexp(a_top, rest)[:, None]
    scores = log_left - np.log1p(-np.exp(a))
    scores[rows, top] = log_left[top] + softplus(a_top - rest)
    a[rows, top] = -softplus(rest - a_top)
    return scores, a
