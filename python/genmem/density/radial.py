"""The kernels of a kernel density: radial profiles, their normalisers at any d, and draws."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.special import gammaln

from genmem.density.logspace import LOG_2PI, log_unit_ball
from genmem.density.rows import Float64

Draw = Callable[[np.random.RandomState, int, int], Float64]


@dataclass(frozen=True)
class RadialKernel:
    """k(u) of a distance of u >= 0 bandwidths, k(0) = 1.

    p(z) = sum_i w_i k(|z - x_i| / h) / (W h^d c_d),   c_d = integral of k(|z|) over d dimensions

    log_profile     log k(u), elementwise; -inf outside the support
    log_normaliser  log c_d of d
    draw            (rng, n, d) -> points (n, d) of density k(|z|) / c_d
    power           p where k(u) = exp(-u^p / p); infinity where k ends at u = 1
    """

    log_profile: Callable[[Float64], Float64]
    log_normaliser: Callable[[int], float]
    draw: Draw
    power: float = np.inf


def _linear(u: Float64) -> Float64:
    with np.errstate(divide="ignore"):
        return np.asarray(np.log1p(-np.minimum(u, 1.0)))


def _epanechnikov(u: Float64) -> Float64:
    # (1 - u)(1 + u), not 1 - u^2: near u = 1 only the rounding of u^2 would be left.
    return np.asarray(_linear(u) + np.log1p(np.minimum(u, 1.0)))


def _cosine(u: Float64) -> Float64:
    # cos(pi u / 2), in the form that is exactly 0 at u = 1.
    with np.errstate(divide="ignore"):
        return np.asarray(np.log(np.sin(0.5 * np.pi * (1 - np.minimum(u, 1.0)))))


def _log_polynomial(q: int) -> Callable[[int], float]:
    """log c_d of (1 - u^2)^q: (d/2) log pi + lgamma(q + 1) - lgamma(d/2 + q + 1)."""
    return lambda d: float(0.5 * d * np.log(np.pi) + gammaln(q + 1) - gammaln(0.5 * d + q + 1))


def _log_cosine(d: int) -> float:
    """log(d V_d I_d), I_d = integral of u^(d-1) cos(pi u / 2) over 0..1.

    By parts once, then the series of the sine: its terms fall from the first at every d, while the
    usual recurrence from d - 2 to d subtracts nearly equal numbers and is noise from d = 24 on.
    """
    j = np.arange(14)
    sine = (-1.0) ** j * np.exp((2 * j + 1) * np.log(np.pi / 2) - gammaln(2 * j + 2))
    return float(log_unit_ball(d) + np.log(np.pi / 2 * (sine / (d + 2 * j + 2)).sum()))


def _isotropic(radii: Draw) -> Draw:
    """Points of all directions alike, whose distances u have density proportional to u^(d-1) k."""

    def draw(rng: np.random.RandomState, n: int, d: int) -> Float64:
        direction = rng.standard_normal((n, d))
        length = np.sqrt((direction**2).sum(axis=1))
        return np.asarray(direction * (radii(rng, n, d) / length)[:, None])

    return draw


def _cosine_radii(rng: np.random.RandomState, n: int, d: int) -> Float64:
    """From those of `linear`: cos(pi u / 2) / (1 - u) lies in 1..pi/2, so 2/pi or more are kept."""
    kept: Float64 = np.empty(0)
    while len(kept) < n:
        u = rng.beta(d, 2, 2 * (n - len(kept)))
        kept = np.concatenate([kept, u[rng.random_sample(len(u)) < np.sinc(0.5 * (1 - u))]])
    return kept[:n]


KERNELS: dict[str, RadialKernel] = {
    "gaussian": RadialKernel(
        lambda u: -0.5 * u * u,
        lambda d: 0.5 * d * LOG_2PI,
        lambda rng, n, d: np.asarray(rng.standard_normal((n, d))),
        power=2.0,
    ),
    "exponential": RadialKernel(
        lambda u: -u,
        lambda d: log_unit_ball(d) + float(gammaln(d + 1)),
        _isotropic(lambda rng, n, d: rng.gamma(d, 1.0, n)),
        power=1.0,
    ),
    "tophat": RadialKernel(
        lambda u: np.where(u <= 1, 0.0, -np.inf),
        log_unit_ball,
        _isotropic(lambda rng, n, d: rng.beta(d, 1, n)),
    ),
    "linear": RadialKernel(
        _linear,
        lambda d: log_unit_ball(d) - float(np.log(d + 1)),
        _isotropic(lambda rng, n, d: rng.beta(d, 2, n)),
    ),
    "epanechnikov": RadialKernel(
        _epanechnikov,
        _log_polynomial(1),
        _isotropic(lambda rng, n, d: np.sqrt(rng.beta(0.5 * d, 2, n))),
    ),
    "biweight": RadialKernel(
        lambda u: 2 * _epanechnikov(u),
        _log_polynomial(2),
        _isotropic(lambda rng, n, d: np.sqrt(rng.beta(0.5 * d, 3, n))),
    ),
    "cosine": RadialKernel(_cosine, _log_cosine, _isotropic(_cosine_radii)),
}
