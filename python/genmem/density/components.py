"""The parameters of a Gaussian mixture, and their fixed point under EM."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from genmem.density.centered import CenteredRows
from genmem.density.covariances import AbstractCovariances
from genmem.density.logspace import LOG_2PI, logsumexp_rows
from genmem.density.rows import Float64


@dataclass(frozen=True)
class Components:
    """Weights pi (K,), means mu (K, d) and covariances S of a Gaussian mixture."""

    weights: Float64
    means: Float64
    covariances: AbstractCovariances

    def log_joint(self, X: Float64) -> Float64:
        """log pi_k + log N(x; mu_k, S_k) of each row of X (B, d), shape (B, K), in nats.

        log N = -(d/2) log 2 pi - (1/2) log|S_k| - (1/2) |C_k^-1 (x - mu_k)|^2. A component whose
        S_k is singular gives +inf where it has its mass and -inf elsewhere.
        """
        d = X.shape[1]
        answer = np.empty((len(X), len(self.weights)))
        with np.errstate(divide="ignore"):
            log_weights = np.log(self.weights)
        for k, mean in enumerate(self.means):
            if self.weights[k] == 0:
                answer[:, k] = -np.inf
            elif self.covariances.singular[k]:
                away = self.covariances.off_support_sq(k, X - mean) > 100 * self.covariances.floor
                answer[:, k] = np.where(away, -np.inf, np.inf)
            else:
                sq = (self.covariances.whiten(k, X - mean) ** 2).sum(axis=1)
                log_norm = d * LOG_2PI + self.covariances.log_det[k]
                answer[:, k] = log_weights[k] - 0.5 * (log_norm + sq)
        return answer

    def log_density(self, X: Float64) -> Float64:
        """log p(x) = logsumexp_k log_joint of each row, (B, d) -> (B,), in nats."""
        return _log_total(self.log_joint(X))

    def shares(self, X: Float64) -> Float64:
        """Responsibilities r_ik of the components for each row, (B, d) -> (B, K)."""
        joint = self.log_joint(X)
        return np.asarray(np.exp(joint - logsumexp_rows(joint)[:, None]))

    def gradient(self, X: Float64) -> Float64:
        """Gradient of log p: sum_k r_k S_k^-1 (mu_k - x), (B, d) -> (B, d)."""
        shares = self.shares(X)
        total = np.zeros_like(X)
        for k, mean in enumerate(self.means):
            total += shares[:, [k]] * self.covariances.solve(k, mean - X)
        return total

    def m_step(self, X: CenteredRows, shares: Float64, reg_covar: float) -> Components:
        """Weights, means and covariances of the rows X (N, d) under responsibilities (N, K).

        A component that no row belongs to keeps its mean, under weight 0, and a row that belongs
        to none takes no part.
        """
        counts = shares.sum(axis=0)
        steps = np.zeros_like(self.means)
        for part, rows in X.blocks():
            for k, mean in enumerate(self.means):
                # As a step from the old mean: the sum of small differences keeps its digits.
                steps[k] += shares[part, k] @ (rows - mean)
        means = self.means + steps / np.where(counts > 0, counts, 1.0)[:, None]
        kind, floor = type(self.covariances), self.covariances.floor
        covariances = kind.estimate(X, shares, means, reg_covar, floor)
        return Components(counts / counts.sum(), means, covariances)

    def distance(self, other: Components, scale: float) -> float:
        """Largest change of a parameter; means in units of scale, covariances of its square."""
        return float(
            max(
                np.abs(self.weights - other.weights).max(),
                np.abs(self.means - other.means).max() / scale,
                np.abs(self.covariances.values - other.covariances.values).max() / scale**2,
            )
        )


@dataclass(frozen=True)
class FixedPoint:
    """Where EM stopped: the parameters, the responsibilities (N, K) of which they are the M-step,
    the steps taken and the last change."""

    components: Components
    shares: Float64
    steps: int
    change: float


def converge(
    X: CenteredRows,
    start: Components,
    *,
    reg_covar: float,
    scale: float,
    tol: float,
    max_iter: int,
    without: int | None = None,
) -> FixedPoint:
    """EM from `start` until no parameter moves by more than tol, at most max_iter >= 1 steps.

    X        (N, d) rows near the origin
    scale    the unit of length in which changes are measured, as a standard deviation of the data
    without  a row that takes no part: its responsibilities are 0

    Raises ValueError naming the component whose covariance became singular.
    """
    components, steps, change = start, 0, np.inf
    shares = np.empty((len(X), len(start.weights)))
    while change > tol and steps < max_iter:
        for part, rows in X.blocks():
            shares[part] = components.shares(rows)
        if without is not None:
            shares[without] = 0.0
        proposal = components.m_step(X, shares, reg_covar)
        require_regular(proposal)
        change, components = components.distance(proposal, scale), proposal
        steps += 1
    return FixedPoint(components, shares, steps, change)


def require_regular(components: Components) -> None:
    """Raise ValueError if a component that has weight has a singular covariance."""
    present = components.weights > 0
    bad = np.flatnonzero(components.covariances.singular & present)
    if bad.size:
        raise ValueError(
            f"Gaussian mixture: the covariance of component {bad[0]} (weight "
            f"{components.weights[bad[0]]:.3g}) is singular; "
            "fewer components or a larger reg_covar are wanted"
        )


def _log_total(joint: Float64) -> Float64:
    # +inf where the row lies in the support of a component without spread.
    at_infinity = (joint == np.inf).any(axis=1)
    total = logsumexp_rows(np.where(at_infinity[:, None], 0.0, joint))
    return np.where(at_infinity, np.inf, total)
