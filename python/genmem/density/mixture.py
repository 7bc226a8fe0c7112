"""Gaussian mixture density with leave-one-out and influence."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from typing import TYPE_CHECKING, Self, overload

import numpy as np
import numpy.typing as npt
from sklearn import config_context
from sklearn.exceptions import ConvergenceWarning
from sklearn.mixture import GaussianMixture
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted

from genmem.arrays import Readable, answer
from genmem.density.centered import CenteredRows
from genmem.density.components import Components, FixedPoint, converge, require_regular
from genmem.density.covariances import COVARIANCES
from genmem.density.downdate import OneStepDowndate
from genmem.density.log_density import AbstractLogDensity, OfTraining
from genmem.density.moments import mean_and_squares
from genmem.density.parameters import check_choice, check_count, check_number
from genmem.density.rows import MEMORY, Float64, Int64, Rows, row_blocks
from genmem.density.top import InfluenceBlock

if TYPE_CHECKING:
    from genmem.arrays import Tensor

# A standard deviation this small against that of the data is rounding.
_FLAT = 1e-12
# Values in the rows among which scikit-learn searches; with more, EM over all rows does the rest.
_SEARCHED = 1 << 24
_DEFAULT_TOL = {"one_step": 1e-6, "refit": 1e-12}


class GaussianMixtureDensity(AbstractLogDensity):
    """Log-density of a Gaussian mixture fitted by EM, in nats.

    log p(z) = logsumexp_k [log pi_k - (d/2) log 2 pi - log|C_k| - |C_k^-1 (z - mu_k)|^2 / 2],
    S_k = C_k C_k^T. scikit-learn's GaussianMixture finds the optimum, among rows that random_state
    draws where X has more than 2^24 values; EM in float64 differences over all rows finishes it,
    reading them in blocks.

    n_components     K
    covariance_type  "full" | "tied" | "diag" | "spherical"
    method           how a row is left out: "one_step", the M-step without it at fixed
                     responsibilities: approximate unless K = 1, cheap; or "refit", EM to
                     convergence without it from the fitted parameters: exact, one fit per row
    tol              EM stops when no parameter moves by more (means in standard deviations of the
                     data, covariances in its square); None: 1e-6 for "one_step", 1e-12 for "refit"
    max_iter         EM steps at most; ConvergenceWarning if they do not suffice
    reg_covar        added to the diagonal of every covariance, in squared data units
    n_init, init_params, weights_init, means_init, precisions_init, random_state
                     as in GaussianMixture
    memory           working memory of scores and influences in bytes, beyond inputs and answers.
                     `fit` works in 0.6 GB at most, beyond responsibilities (N, K) and covariances

    Fitted: weights_ (K,), means_ (K, d), covariances_, counts_ (K,) rows per component, n_iter_,
    converged_, points_ (N, d), n_features_in_.

    Unlike a kernel density a mixture has opponents: rows that pull its components off z.
    Source: Dempster, Laird & Rubin (1977), JRSS B 39, 1; the downdate is the M-step itself.
    """

    weights_: Float64
    means_: Float64
    covariances_: Float64
    counts_: Float64
    n_iter_: int
    converged_: bool
    points_: Rows

    def __init__(
        self,
        n_components: int = 1,
        *,
        covariance_type: str = "full",
        method: str = "one_step",
        tol: float | None = None,
        max_iter: int = 10_000,
        reg_covar: float = 1e-6,
        n_init: int = 1,
        init_params: str = "kmeans",
        weights_init: npt.ArrayLike | None = None,
        means_init: npt.ArrayLike | None = None,
        precisions_init: npt.ArrayLike | None = None,
        random_state: int | np.random.RandomState | None = None,
        memory: int = MEMORY,
    ) -> None:
        self.n_components = n_components
        self.covariance_type = covariance_type
        self.method = method
        self.tol = tol
        self.max_iter = max_iter
        self.reg_covar = reg_covar
        self.n_init = n_init
        self.init_params = init_params
        self.weights_init = weights_init
        self.means_init = means_init
        self.precisions_init = precisions_init
        self.random_state = random_state
        self.memory = memory

    def fit(self, X: npt.ArrayLike, y: object = None) -> Self:
        """Fit the mixture to the rows X (N, d), N >= 2; y is ignored.

        Raises ValueError for fewer rows than components or than two, a non-finite row, an unknown
        covariance_type or method, data without variance, and a component that is left with one
        row or a singular covariance while reg_covar is 0.
        """
        operation = self._called("fit")
        self._check_parameters(operation)
        points = self._fit_rows(X)
        if len(points) < max(2, self.n_components):
            raise ValueError(
                f"{operation}: X has {len(points)} sample{'s' if len(points) > 1 else ''}; "
                f"at least {max(2, self.n_components)} are wanted"
            )
        self._offset, squares = mean_and_squares(points, np.ones(len(points)))
        variance = float(squares.mean()) / len(points)
        if not variance + self.reg_covar > 0:
            raise ValueError(f"{operation}: the variance of X is 0 and so is reg_covar")
        self._scale = float(np.sqrt(variance + self.reg_covar))
        centered = CenteredRows(points, self._offset)
        fitted = self._converged(centered, self._start(centered, _FLAT**2 * variance))
        self._components, self._shares = fitted.components, fitted.shares
        self.points_ = points
        self.counts_ = fitted.shares.sum(axis=0)
        self.weights_ = fitted.components.weights
        self.means_ = fitted.components.means + self._offset
        self.covariances_ = fitted.components.covariances.values
        self.n_iter_, self.converged_ = fitted.steps, fitted.change <= self._tol()
        if self.reg_covar == 0 and (self.counts_ <= 1).any():
            k = int(self.counts_.argmin())
            raise ValueError(
                f"{operation}: component {k} is left with {self.counts_[k]:.3g} rows; "
                "fewer components or reg_covar > 0 is wanted"
            )
        if not self.converged_:
            warnings.warn(
                f"{operation}: a parameter still moved by {fitted.change:.1e} after "
                f"{self.n_iter_} EM steps; tol is {self._tol():g}",
                ConvergenceWarning,
                stacklevel=2,
            )
        return self

    def score(self, X: npt.ArrayLike, y: object = None) -> float:
        """Mean of log p over the rows of X, in nats, as scikit-learn's GaussianMixture."""
        return float(self._log_density(self._query_rows(X, "score"), None).mean())

    @property
    def influence_is_exact(self) -> bool:
        """True for "refit" and for one component; one EM step is otherwise an approximation."""
        return self.method == "refit" or self.n_components == 1

    @overload
    def gradient(self, Z: Tensor) -> Tensor: ...
    @overload
    def gradient(self, Z: Readable) -> Float64: ...
    def gradient(self, Z: Readable) -> Tensor | Float64:
        """Gradient of log p at each query: sum_k r_k S_k^-1 (mu_k - z), (M, d) -> (M, d)."""
        found = self._gradient_at(self._query_rows(Z, "gradient"), None)
        gradient: Tensor | Float64 = answer(found, Z)
        return gradient

    def sample(
        self, n_samples: int = 1, random_state: int | np.random.RandomState | None = None
    ) -> OfTraining:
        """Draws from the mixture, (n_samples, d), in random order of components."""
        check_is_fitted(self)
        check_count(n_samples, "n_samples", self._called("sample"))
        rng = check_random_state(random_state)
        labels = rng.choice(len(self.weights_), size=n_samples, p=self.weights_)
        drawn = rng.standard_normal((n_samples, self.means_.shape[1]))
        for k in np.unique(labels):
            drawn[labels == k] = self._components.covariances.color(k, drawn[labels == k])
        return self._of_training(drawn + self.means_[labels])

    def _training_size(self) -> int:
        return len(self.points_)

    def _log_density(self, queries: Rows, skip: Int64 | None) -> Float64:
        log_p = np.empty(len(queries))
        for block in self._query_blocks(len(queries)):
            log_p[block] = self._components.log_density(queries[block] - self._offset)
        return log_p

    def _log_density_loo(self) -> Float64:
        log_p = np.empty(len(self.points_))
        if self.method == "refit":
            for i, components in enumerate(self._refits()):
                log_p[i] = components.log_density(self.points_[[i]] - self._offset)[0]
            return log_p
        downdate = self._downdate()
        for block in self._query_blocks(len(log_p)):
            log_p[block] = downdate.log_density_at_rows(block)
        return log_p

    def _self_influence(self) -> Float64:
        """By `method`; +inf if nothing is left at x_i."""
        return self._log_density(self.points_, None) - self._log_density_loo()

    def _gradient_at(self, queries: Rows, skip: Int64 | None) -> Float64:
        slopes = np.empty(queries.shape)
        for block in self._query_blocks(len(queries)):
            slopes[block] = self._components.gradient(queries[block] - self._offset)
        return slopes

    def _influence_blocks(self, Z: Rows) -> Iterator[InfluenceBlock[Float64]]:
        rows = len(self.points_)
        refits = list(self._refits()) if self.method == "refit" else []
        downdate = self._downdate()
        for block in row_blocks(len(Z), 16 * rows, self.memory // 2):
            queries = Z[block] - self._offset
            without = np.empty((len(queries), rows))
            for i, components in enumerate(refits):
                without[:, i] = components.log_density(queries)
            if self.method == "one_step":
                per_row = 8 * (len(queries) * (self.n_components + 8) + 6 * Z.shape[1])
                for part in row_blocks(rows, per_row, self.memory // 2):
                    without[:, part] = downdate.log_density(part, queries)
            yield InfluenceBlock(
                block, self._components.log_density(queries)[:, None] - without, None
            )

    def _start(self, centered: CenteredRows, floor: float) -> Components:
        """scikit-learn's optimum, found on centred rows, where its squares cancel least."""
        rows, most = np.arange(len(centered)), max(_SEARCHED // len(self._offset), 1)
        if len(rows) > most:
            rng = check_random_state(self.random_state)
            rows = np.sort(rng.choice(len(rows), size=most, replace=False))
        means_init = self.means_init
        if means_init is not None:
            means_init = np.asarray(means_init, np.float64) - self._offset
        search = GaussianMixture(
            self.n_components,
            covariance_type=self.covariance_type,
            reg_covar=self.reg_covar,
            n_init=self.n_init,
            init_params=self.init_params,
            weights_init=self.weights_init,
            means_init=means_init,
            precisions_init=self.precisions_init,
            random_state=self.random_state,
        )
        # The rows are NumPy's whatever the caller's setting, under which k-means would be refused.
        with warnings.catch_warnings(), config_context(array_api_dispatch=False):
            # Its last steps are taken over by `converge`, which reports for itself.
            warnings.filterwarnings("ignore", "Best performing", ConvergenceWarning)
            search.fit(centered[rows])
        weights, means = np.asarray(search.weights_), np.asarray(search.means_)
        kind = COVARIANCES[self.covariance_type]
        covariances = kind(np.asarray(search.covariances_), len(means), means.shape[1], floor)
        return Components(weights, means, covariances)

    def _converged(
        self, X: CenteredRows, start: Components, without: int | None = None
    ) -> FixedPoint:
        require_regular(start)
        return converge(
            X,
            start,
            without=without,
            reg_covar=self.reg_covar,
            scale=self._scale,
            tol=self._tol(),
            max_iter=self.max_iter,
        )

    def _refits(self) -> Iterator[Components]:
        """theta without row i, for every i in order."""
        centered = CenteredRows(self.points_, self._offset)
        moving = 0
        for i in range(len(centered)):
            try:
                fitted = self._converged(centered, self._components, without=i)
            except ValueError as error:
                raise ValueError(f"{error} (refit without row {i})") from error
            moving += fitted.change > self._tol()
            yield fitted.components
        if moving:
            warnings.warn(
                f"{type(self).__name__}: {moving} of {len(centered)} refits still moved by more "
                f"than {self._tol():g} after {self.max_iter} EM steps",
                ConvergenceWarning,
                stacklevel=2,
            )

    def _downdate(self) -> OneStepDowndate:
        centered = CenteredRows(self.points_, self._offset)
        return OneStepDowndate(centered, self._components, self._shares, self.reg_covar)

    def _query_blocks(self, rows: int) -> Iterator[slice]:
        d, components = self.points_.shape[1], len(self.weights_)
        return row_blocks(rows, 8 * (6 * components + (components + 6) * d), self.memory)

    def _tol(self) -> float:
        return _DEFAULT_TOL[self.method] if self.tol is None else self.tol

    def _check_parameters(self, operation: str) -> None:
        check_count(self.memory, "memory", operation)
        check_count(self.n_components, "n_components", operation)
        check_count(self.max_iter, "max_iter", operation)
        check_choice(self.covariance_type, "covariance_type", COVARIANCES, operation)
        check_choice(self.method, "method", _DEFAULT_TOL, operation)
        check_number(self.reg_covar, "reg_covar", operation, zero=True)
        check_number(self._tol(), "tol", operation, also="None or ")
