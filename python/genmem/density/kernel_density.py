"""Kernel densities with exact leave-one-out and influence."""

from __future__ import annotations

import warnings
from abc import abstractmethod
from collections.abc import Iterator
from typing import Self

import numpy as np
import numpy.typing as npt
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted

from genmem.density.adaptive import neighbor_scales
from genmem.density.bandwidth import LeaveOneOut, leave_one_out, scott, silverman
from genmem.density.kernel_gradient import radial_gradient
from genmem.density.kernel_terms import KernelTerms
from genmem.density.log_density import OfTraining
from genmem.density.logspace import logsumexp_rows, softplus
from genmem.density.parameters import check_choice, check_count, check_width
from genmem.density.radial import KERNELS
from genmem.density.row_density import AbstractRowDensity
from genmem.density.rows import (
    MEMORY,
    Float64,
    Int64,
    Rows,
    Skip,
    check_weights,
    row_blocks,
)
from genmem.density.top import InfluenceBlock
from genmem.kernels.native import Exclude


class AbstractKernelDensity(AbstractRowDensity):
    """A weighted sum of one radial kernel at every training row.

    log p(z) = logsumexp_i a_i - log W - d log h - log c_d,   W = sum w_i
    a_i = log w_i - d log lambda_i + log k(|z - x_i| / (h lambda_i)),   lambda_i = 1 by default
    IF(x_i, z) = log((W - w_i)/W) - log(1 - r_i),   r_i = exp(a_i - logsumexp a)
    M_i = log((W - w_i)/W) + softplus(a_i - s_i),   s_i = logsumexp_{j != i} a_j at z = x_i

    What leaving a row out holds fixed: the bandwidth h and the widths lambda_j of the other rows.
    """

    bandwidth: float | str
    adaptive: int | None
    duplicates: str
    bandwidth_rows: int | None
    seed: int
    memory: int
    threads: int | None
    backend: str

    bandwidth_: float
    bandwidth_search_: LeaveOneOut | None
    points_: Rows
    weights_: Float64 | None
    scales_: Float64 | None

    @property
    @abstractmethod
    def _kernel(self) -> str:
        """A name in KERNELS."""

    def fit(
        self, X: npt.ArrayLike, y: object = None, sample_weight: npt.ArrayLike | None = None
    ) -> Self:
        """Keep the rows and choose the widths.

        X              (N, d) rows, held by reference
        y              ignored
        sample_weight  (N,) weights w_i >= 0, default 1; a row of weight 0 is a row left out

        Raises ValueError for a bandwidth that is neither a rule nor positive, a non-finite row, a
        bad weight, for "loo" as `leave_one_out` and for `adaptive` as `neighbor_scales` does.
        """
        operation = self._called("fit")
        check_count(self.memory, "memory", operation)
        check_choice(self._kernel, "kernel", KERNELS, operation)
        points = self._fit_rows(X)
        weights = None
        if sample_weight is not None:
            weights = check_weights(sample_weight, len(points), operation)
        self.scales_ = None
        if self.adaptive is not None:
            self.scales_ = neighbor_scales(
                points,
                weights,
                check_count(self.adaptive, "adaptive", operation),
                operation,
                memory=self.memory,
                threads=self.threads,
                backend=self.backend,
            )
        self.bandwidth_search_ = None
        self.bandwidth_ = self._chosen_bandwidth(points, weights)
        self.points_, self.weights_ = points, weights
        return self

    @property
    def influence_is_exact(self) -> bool:
        """Whether deleting the row and fitting again with the same `bandwidth_` gives the same.

        False with `adaptive`: in the refit the widths of the row's neighbours would change too.
        """
        return self.adaptive is None

    def sample(
        self, n_samples: int = 1, random_state: int | np.random.RandomState | None = None
    ) -> OfTraining:
        """Draws from the density, (n_samples, d): a row by its weight plus a draw of its kernel."""
        check_is_fitted(self)
        check_count(n_samples, "n_samples", self._called("sample"))
        rng = check_random_state(random_state)
        share = None if self.weights_ is None else self.weights_ / self.weights_.sum()
        rows = rng.choice(len(self.points_), size=n_samples, p=share)
        offsets = KERNELS[self._kernel].draw(rng, n_samples, self.points_.shape[1])
        offsets *= self.bandwidth_
        if self.scales_ is not None:
            offsets *= self.scales_[rows, None]
        return self._of_training(self.points_[rows] + offsets)

    def _training_size(self) -> int:
        return len(self.points_)

    def _log_density(self, queries: Rows, skip: Skip) -> Float64:
        return self._terms().log_density(queries, self.bandwidth_, skip)

    def _log_density_loo(self) -> Float64:
        self._require_two("score_samples_loo")
        return self._log_density(self.points_, "self")

    def _self_influence(self) -> Float64:
        self._require_two("self_influence")
        terms = self._terms()
        slots = terms.slots(self.points_, self.bandwidth_, "self")
        others, own = np.logaddexp(slots.top, slots.rest), terms.log_heights
        # A row of weight 0 leaves the density as it is, also where no other row reaches it.
        present = np.isfinite(own)
        answer = np.zeros(len(own))
        excess = own[present] - others[present]
        answer[present] = terms.log_share_left[present] + softplus(excess)
        return answer

    def _influence_blocks(self, Z: Rows) -> Iterator[InfluenceBlock[Float64]]:
        self._require_two("influence")
        terms = self._terms()
        log_left = terms.log_share_left
        # Exponents, shares, scores and two temporaries of the exponential.
        for block in row_blocks(len(Z), 40 * len(self.points_), self.memory):
            a = terms.exponents(Z[block], self.bandwidth_)
            lost = np.flatnonzero(np.isneginf(a.max(axis=1)))
            if lost.size:
                self._refuse_overflow(lost, block.start, "influence")
                a[lost] = 0.0
            scores, log_share = _influence_of(a, log_left)
            if lost.size:
                present = np.isfinite(terms.log_heights)
                scores[lost] = np.where(present, np.nan, 0.0)
                log_share[lost] = np.where(present, np.nan, -np.inf)
            yield InfluenceBlock(block, scores, log_share)

    def _gradient_at(self, queries: Rows, skip: Int64 | None) -> Float64:
        find = KernelTerms.gradient if self._kernel == "gaussian" else radial_gradient
        slopes = find(self._terms(), queries, self.bandwidth_, skip)
        lost = np.flatnonzero(np.isnan(slopes).any(axis=1))
        if lost.size:
            self._refuse_overflow(lost, 0, "gradient")
            warnings.warn(
                f"{self._called('gradient')}: {lost.size} of {len(queries)} queries are beyond the "
                "reach of every row: log p is -inf there, and its gradient undefined (NaN)",
                RuntimeWarning,
                stacklevel=3,
            )
        return slopes

    def _chosen_bandwidth(self, points: Rows, weights: Float64 | None) -> float:
        rule, operation = self.bandwidth, self._called("fit")
        if rule in ("scott", "silverman") and self._kernel != "gaussian":
            raise ValueError(
                f"{operation}: bandwidth is {rule!r}, a rule for Gaussian kernels, and kernel is "
                f'{self._kernel!r}; "loo" or a positive number is wanted'
            )
        if rule == "scott":
            return scott(points, weights)
        if rule == "silverman":
            return silverman(points, weights)
        if rule == "loo":
            self.bandwidth_search_ = leave_one_out(
                points,
                weights,
                kernel=self._kernel,
                point_scales=self.scales_,
                duplicates=self.duplicates,
                rows=self.bandwidth_rows,
                seed=self.seed,
                memory=self.memory,
                threads=self.threads,
                backend=self.backend,
            )
            return self.bandwidth_search_.bandwidth
        return check_width(rule, "bandwidth", operation, also='"loo", "scott", "silverman" or ')

    def _terms(self) -> KernelTerms:
        check_is_fitted(self)
        return KernelTerms(
            self.points_,
            self._kernel,
            self.weights_,
            self.scales_,
            self.memory,
            self.threads,
            self.backend,
        )

    def _require_two(self, method: str) -> None:
        check_is_fitted(self)
        positive = len(self.points_) if self.weights_ is None else np.count_nonzero(self.weights_)
        if positive < 2:
            raise ValueError(
                f"{self._called(method)}: fitted to {positive} row of positive weight; without it "
                "there is no density, at least 2 are wanted"
            )

    def _refuse_overflow(self, lost: npt.NDArray[np.intp], start: int, method: str) -> None:
        """Raise where every exponent of a kernel without end is -inf."""
        if np.isfinite(KERNELS[self._kernel].power):
            raise ValueError(
                f"{self._called(method)}: Z[{start + lost[0]}] is so far from every row that "
                "log k leaves float64; no row's part in its density can be told"
            )

    def _skip(self, exclude: Exclude, queries: int, method: str) -> Int64 | None:
        skip = super()._skip(exclude, queries, method)
        if skip is not None and (skip >= 0).any():
            self._require_two(method)
        return skip


class KernelDensity(AbstractKernelDensity):
    """Log-density under kernels of one shape, in nats.

    log p(z) = log sum_i w_i lambda_i^-d k(|z - x_i| / (h lambda_i)) - log(W h^d c_d)
    grad log p(z) = sum_i w_i lambda_i^-d g(u_i) (x_i - z) / (h lambda_i)^2
                    / sum_i w_i lambda_i^-d k(u_i),   g(u) = -k'(u) / u

    kernel     "gaussian" exp(-u^2/2), "exponential" exp(-u), and of support u <= 1: "tophat" 1,
               "linear" 1 - u, "epanechnikov" 1 - u^2, "biweight" (1 - u^2)^2, "cosine" cos(pi u/2).
               c_d, the integral of k over d dimensions, is taken in log space and holds at any d
    bandwidth  h in data units, or "loo" (maximum leave-one-out likelihood); for "gaussian" also
               "scott" or "silverman". The unit differs by kernel: h is the radius of a compact one
    others     as in GaussianKDE

    A kernel of compact support gives log p = -inf where no row is within reach, influence +inf of
    the only row within reach, and an undefined influence and gradient (NaN, counted in a warning)
    where none is. The gradient of tophat is 0, a row at the tip of an exponential or linear kernel
    adds none, and on a rim, where a slope breaks off, it is that from outside.
    Fitted attributes as GaussianKDE's. Tophat counts a row at u = 1 (of u^2 in float64), the
    others are 0 there.
    Source: Silverman (1986), Density Estimation for Statistics and Data Analysis, ch. 3, 4.
    """

    def __init__(
        self,
        bandwidth: float | str = "loo",
        *,
        kernel: str = "gaussian",
        adaptive: int | None = None,
        duplicates: str = "group",
        bandwidth_rows: int | None = 2000,
        seed: int = 0,
        memory: int = MEMORY,
        threads: int | None = None,
        backend: str = "auto",
    ) -> None:
        self.bandwidth = bandwidth
        self.kernel = kernel
        self.adaptive = adaptive
        self.duplicates = duplicates
        self.bandwidth_rows = bandwidth_rows
        self.seed = seed
        self.memory = memory
        self.threads = threads
        self.backend = backend

    @property
    def _kernel(self) -> str:
        return self.kernel


def _influence_of(a: Float64, log_left: Float64) -> tuple[Float64, Float64]:
    """Influences and log-shares (B, N) from exponents a (B, N), which are overwritten.

    Only the largest exponent can have r > 1/2, where 1 - r loses its digits: for it
    log(1 - r) = -softplus(a_top - rest), with rest the logsumexp of the others.
    """
    rows, top = np.arange(len(a)), a.argmax(axis=1)
    a_top = a[rows, top]
    # Rows that tie with the largest get its very bits, so that ranking leaves ties to the index.
    row, tied = np.nonzero(a == a_top[:, None])
    a[rows, top] = -np.inf
    rest = logsumexp_rows(a)
    a -= np.logaddexp(a_top, rest)[:, None]
    scores = log_left - np.log1p(-np.exp(a))
    scores[row, tied] = log_left[tied] + softplus(a_top - rest)[row]
    a[row, tied] = -softplus(rest - a_top)[row]
    return scores, a
