"""A Gaussian mixture after one EM step without one row, at fixed responsibilities."""

from __future__ import annotations

import numpy as np

from genmem.density.centered import CenteredRows
from genmem.density.components import Components
from genmem.density.downdated_normals import DOWNDATED, Dot, LeftOut
from genmem.density.logspace import sum_of_others
from genmem.density.rows import Float64


class OneStepDowndate:
    """log p(z; theta_-i), theta_-i = the M-step without row i at the responsibilities of all rows.

    With r = r_ik, n = n_k, n' = n - r, delta = x_i - mu_k:
    pi' = n'/(N-1),  mu' = mu - (r/n') delta,  S' = (n/n') (S - (r/n') delta delta^T),
    diag and spherical: the diagonal and trace/d of the same;
    tied: S' = (N S - sum_k r_k (n_k/n'_k) delta_k delta_k^T) / (N-1);
    reg_covar is taken off S first and put back on S'.

    Approximate: the change of the responsibilities is ignored, which is of the same order 1/n
    when components overlap. Exact for one component. Rows that carry nearly all of a component,
    or of its spread in a direction, get a direct M-step, because there the closed form cancels.

    X           (N, d) training rows near the origin
    components  the M-step of `shares`
    shares      (N, K) responsibilities
    """

    def __init__(
        self, X: CenteredRows, components: Components, shares: Float64, reg_covar: float
    ) -> None:
        self._X, self._components, self._shares = X, components, shares
        self._reg_covar = reg_covar
        self._left = sum_of_others(shares)

    def log_density(self, rows: slice, Z: Float64) -> Float64:
        """log p(z; theta_-i), in nats: Z (B, d) and i in rows -> (B, n)."""
        answer, unsafe = self._closed_form(rows, Z, lambda a, b: a @ b.T)
        for i in unsafe:
            answer[:, i] = self._direct(rows.start + i, Z)
        return answer

    def log_density_at_rows(self, rows: slice) -> Float64:
        """log p(x_i; theta_-i) for i in rows, (n,), in nats."""
        Z = self._X[rows]
        answer, unsafe = self._closed_form(rows, Z, lambda a, b: np.einsum("nf,nf->n", a, b))
        for i in unsafe:
            answer[i] = self._direct(rows.start + i, Z[[i]])[0]
        return answer

    def _closed_form(
        self, rows: slice, Z: Float64, dot: Dot
    ) -> tuple[Float64, np.ndarray[tuple[int], np.dtype[np.intp]]]:
        means, left, taken_out = self._components.means, self._left[rows], self._X[rows]
        left_out = LeftOut(
            deltas=[taken_out - mean for mean in means],
            shares=self._shares[rows],
            left=left,
            counts=self._shares.sum(axis=0),
            reg_covar=self._reg_covar,
        )
        # What overflows here belongs to rows that get the direct M-step.
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            normals, safe = DOWNDATED[type(self._components.covariances)](
                self._components.covariances.values, left_out, [Z - mean for mean in means], dot
            )
            log_weights = np.log(left / (len(self._X) - 1))
            total = np.logaddexp.reduce(
                [normal + log_weights[:, k] for k, normal in enumerate(normals)], axis=0
            )
        return np.asarray(total), np.flatnonzero(~(safe & (left > 0).all(axis=1)))

    def _direct(self, i: int, Z: Float64) -> Float64:
        shares = self._shares.copy()
        shares[i] = 0.0
        return self._components.m_step(self._X, shares, self._reg_covar).log_density(Z)
