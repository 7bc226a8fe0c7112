"""The kernels of a kernel density: radial profiles, and draws."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from genmem.density.rows import Float64

Draw = Callable[[np.random.RandomState, int, int], Float64]


@dataclass(frozen=True)
class RadialKernel:
    """k(u) of a distance of u >= 0 bandwidths, k(0) = 1.

    log_profile  log k(u) from u^2, elementwise; -inf outside the support
    log_pull     log(-k'(u) / u) from u^2, likewise; -inf also at u = 0 where k has a tip, as a row
                 pulls into no direction there
    draw         (rng, n, d) -> points (n, d) of density k(|z|) / c_d, c_d the integral of k(|z|)
    power        p where k(u) = exp(-u^p / p); infinity where k ends at u = 1
    """

    log_profile: Callable[[Float64], Float64]
    log_pull: Callable[[Float64], Float64]
    draw: Draw
    power: float = np.inf


# As the native kernels: what lies inside is decided by u^2, and in u^2 <= 1 the logarithms take
# what is left of 1.
def _epanechnikov(sq: Float64) -> Float64:
    with np.errstate(divide="ignore"):
        return np.asarray(np.log1p(-np.minimum(sq, 1.0)))


def _linear(sq: Float64) -> Float64:
    return _epanechnikov(np.sqrt(sq))


def _cosine(sq: Float64) -> Float64:
    # cos(pi u / 2), in the form that is exactly 0 at u = 1.
    with np.errstate(divide="ignore"):
        return np.asarray(np.log(np.sin(0.5 * np.pi * (1 - np.sqrt(np.minimum(sq, 1.0))))))


def _inside(sq: Float64, log_pull: Float64 | float) -> Float64:
    return np.where(sq < 1, log_pull, -np.inf)


def _log_reciprocal(sq: Float64) -> Float64:
    """log(1/u), and -inf at u = 0."""
    with np.errstate(divide="ignore"):
        return np.where(sq > 0, -0.5 * np.log(sq), -np.inf)


def _cosine_pull(sq: Float64) -> Float64:
    u = np.sqrt(np.minimum(sq, 1.0))
    return _inside(sq, np.log(0.25 * np.pi**2 * np.sinc(0.5 * u)))


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
        lambda sq: -0.5 * sq,
        lambda sq: -0.5 * sq,
        lambda rng, n, d: np.asarray(rng.standard_normal((n, d))),
        power=2.0,
    ),
    "exponential": RadialKernel(
        lambda sq: -np.sqrt(sq),
        lambda sq: _log_reciprocal(sq) - np.sqrt(sq),
        _isotropic(lambda rng, n, d: rng.gamma(d, 1.0, n)),
        power=1.0,
    ),
    "tophat": RadialKernel(
        lambda sq: np.where(sq <= 1, 0.0, -np.inf),
        lambda sq: np.full(sq.shape, -np.inf),
        _isotropic(lambda rng, n, d: rng.beta(d, 1, n)),
    ),
    "linear": RadialKernel(
        _linear,
        lambda sq: _inside(sq, _log_reciprocal(sq)),
        _isotropic(lambda rng, n, d: rng.beta(d, 2, n)),
    ),
    "epanechnikov": RadialKernel(
        _epanechnikov,
        lambda sq: _inside(sq, np.log(2.0)),
        _isotropic(lambda rng, n, d: np.sqrt(rng.beta(0.5 * d, 2, n))),
    ),
    "biweight": RadialKernel(
        lambda sq: 2 * _epanechnikov(sq),
        lambda sq: np.log(4.0) + _epanechnikov(sq),
        _isotropic(lambda rng, n, d: np.sqrt(rng.beta(0.5 * d, 3, n))),
    ),
    "cosine": RadialKernel(_cosine, _cosine_pull, _isotropic(_cosine_radii)),
}
