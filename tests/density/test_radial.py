"""Profiles, normalisers and draws of the kernels."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.stats import kstest

from budget import assert_within
from density_oracle import PROFILES
from genmem.density import KernelDensity
from genmem.density.logspace import log_unit_ball
from genmem.density.radial import KERNELS
from genmem.kernels import radial as kernels

# At d = 3, 64 and 784.
GOLDEN = {
    "gaussian": (2.75681559961, 58.8120661251, 720.447810032),
    "tophat": (1.4324119583, -44.9266031089, -1503.90530798),
    "epanechnikov": (0.516121226427, -48.4231106704, -1509.87911759),
    "biweight": (-0.0434945615084, -51.2563240145, -1515.16232132),
    "linear": (0.0461175971813, -49.1009903788, -1510.5709917),
    "exponential": (3.22417142753, 160.241596374, 2941.24261331),
    "cosine": (0.415708628248, -48.6499655189, -1510.11941298),
}


def log_radial_mass(kernel, d, upto=None):
    """log of the integral of d u^(d-1) k(u) over 0..upto, by quadrature around its peak."""
    far = min(1.0 if kernel not in ("gaussian", "exponential") else 20.0 + 3 * d, upto or np.inf)

    def log_integrand(u):
        with np.errstate(divide="ignore"):
            return np.log(d) + (d - 1) * np.log(u) + np.log(PROFILES[kernel](np.float64(u)))

    grid = np.linspace(0, far, 2001)[1:]
    values = log_integrand(grid)
    peak, at = values.max(), grid[values.argmax()]
    points = [at] if at < far else None
    total, _ = quad(
        lambda u: np.exp(log_integrand(u) - peak), 0, far, points=points, epsrel=1e-11, limit=400
    )
    return peak + np.log(total)


def test_every_kernel_is_here():
    assert set(KERNELS) == set(PROFILES) == set(kernels.KERNELS)


def log_c(kernel, d):
    """log c_d of a density: one row of weight 1 has p = 1 / c_d at itself, for k(0) = 1."""
    one = np.zeros((1, d))
    return -KernelDensity(1.0, kernel=kernel).fit(one).score_samples(one)[0]


@pytest.mark.parametrize("kernel", GOLDEN)
def test_golden_normalisers(kernel):
    got = [log_c(kernel, d) for d in (3, 64, 784)]
    assert_within(got, GOLDEN[kernel], [5e-11, 5e-10, 5e-9])


@pytest.mark.parametrize("d", [1, 2, 3, 4, 8, 16, 24, 33, 64])
@pytest.mark.parametrize("kernel", PROFILES)
def test_normalisers_equal_quadrature(kernel, d):
    assert_within(log_c(kernel, d), log_unit_ball(d) + log_radial_mass(kernel, d), 1e-9)


@pytest.mark.parametrize("d", [200, 784, 3072, 100_000])
def test_normalisers_of_high_dimensions_are_ordered_as_the_kernels_are(d):
    """(1 - u^2)^2 <= 1 - u^2 <= 1, 1 - u <= cos(pi u / 2) <= 1 - u^2 and exp(-u) >= 1 - u."""
    c = {kernel: log_c(kernel, d) for kernel in PROFILES}
    assert np.isfinite(list(c.values())).all()
    assert c["biweight"] < c["epanechnikov"] < c["tophat"]
    assert c["linear"] < c["cosine"] < c["epanechnikov"]
    assert c["linear"] < c["exponential"]
    # Near u = 1, where all mass is at high d, cos(pi u / 2) is pi/2 times 1 - u.
    assert abs(c["cosine"] - c["linear"] - np.log(np.pi / 2)) <= 20 / d


@pytest.mark.parametrize("kernel", PROFILES)
def test_profiles(kernel):
    u = np.array([0.0, 1e-9, 0.3, 0.999, 1 - 2.0**-52, 1.0, 1 + 2.0**-52, 7.0])
    got = KERNELS[kernel].log_profile(u * u)
    assert got[0] == 0
    with np.errstate(divide="ignore"):
        want = np.log(PROFILES[kernel](u))
    inside = slice(0, 4)
    assert_within(got[inside], want[inside], 1e-12)
    if kernel in ("gaussian", "exponential"):
        assert_within(got, want, 1e-12)
        return
    assert np.isfinite(got[4])
    assert got[5] == (0.0 if kernel == "tophat" else -np.inf)
    assert np.isneginf(got[6:]).all()


def test_the_edge_of_a_profile_keeps_its_digits():
    gap = 2.0**-40  # u^2 = 1 - gap
    sq = np.array([1 - gap])
    assert_within(KERNELS["epanechnikov"].log_profile(sq), [np.log(gap)], 1e-12)
    assert_within(KERNELS["linear"].log_profile(sq), [np.log(gap / 2)], 1e-4)
    assert_within(KERNELS["cosine"].log_profile(sq), [np.log(np.pi / 4 * gap)], 1e-4)


@pytest.mark.parametrize("d", [1, 2, 5, 64])
@pytest.mark.parametrize("kernel", PROFILES)
def test_draws_follow_the_profile(kernel, d):
    """Distances against the integral of u^(d-1) k(u), directions without a preferred side."""
    n = 4000
    drawn = KERNELS[kernel].draw(np.random.RandomState(3), n, d)
    assert drawn.shape == (n, d)
    u = np.sqrt((drawn**2).sum(axis=1))
    whole = log_radial_mass(kernel, d)
    grid = np.quantile(u, np.linspace(0.02, 1, 50))
    share = np.array([np.exp(log_radial_mass(kernel, d, upto) - whole) for upto in grid])
    # Between the points of the table the distribution function is taken as straight.
    line = lambda x: np.interp(x, np.append(0, grid), np.append(0, share))  # noqa: E731  # argument
    assert kstest(u, line).pvalue > 1e-3
    direction = drawn / u[:, None]
    assert (np.abs(direction.mean(axis=0)) <= 5 / np.sqrt(n * d)).all()
    if d > 1:
        assert (np.abs((direction**2).mean(axis=0) * d - 1) <= 5 * np.sqrt(2 / n)).all()
