"""The specification of kernel densities: golden values, quadrature, finite differences."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.special import gammaln
from scipy.stats import multivariate_normal

from budget import assert_within
from genmem import reference

LOG_NORMALISERS = {
    "gaussian": (2.75681559961, 58.8120661251, 720.447810032),
    "tophat": (1.4324119583, -44.9266031089, -1503.90530798),
    "epanechnikov": (0.516121226427, -48.4231106704, -1509.87911759),
    "biweight": (-0.0434945615084, -51.2563240145, -1515.16232132),
    "linear": (0.0461175971813, -49.1009903788, -1510.5709917),
    "exponential": (3.22417142753, 160.241596374, 2941.24261331),
    "cosine": (0.415708628248, -48.6499655189, -1510.11941298),
}


@pytest.mark.parametrize("kernel", LOG_NORMALISERS)
def test_golden_normalisers(kernel: str) -> None:
    got = [reference.log_normaliser(kernel, d) for d in (3, 64, 784)]
    assert_within(got, LOG_NORMALISERS[kernel], [5e-11, 5e-10, 5e-9])


@pytest.mark.parametrize("d", [1, 2, 4, 7, 24, 64])
@pytest.mark.parametrize("kernel", LOG_NORMALISERS)
def test_normaliser_equals_quadrature(kernel: str, d: int) -> None:
    """c_d = d V_d times the integral of u^(d-1) k(u), its peak scaled to 1."""

    def log_integrand(u: float) -> float:
        return (d - 1) * np.log(u) + float(reference.log_profile(kernel, np.array([u * u]))[0])

    far = 1.0 if kernel not in ("gaussian", "exponential") else 20.0 + 3 * d
    grid = np.linspace(0, far, 2001)[1:]
    values = [log_integrand(u) for u in grid]
    peak, at = max(values), float(grid[int(np.argmax(values))])
    value, _ = quad(
        lambda u: np.exp(log_integrand(u) - peak), 0, far, points=[at], epsabs=0, epsrel=1e-11,
        limit=400,
    )  # fmt: skip
    log_sphere = np.log(d) + 0.5 * d * np.log(np.pi) - gammaln(0.5 * d + 1)
    assert_within(reference.log_normaliser(kernel, d), log_sphere + peak + np.log(value), 1e-9)


def test_golden_epanechnikov() -> None:
    x = np.array([[0.0], [1.0], [3.0]])
    got = reference.log_kde([[0.5], [4.0], [6.0]], x, 1.5, kernel="epanechnikov")
    assert_within(got, [-1.216395324324, -2.379546134130, -np.inf], 1e-11)


@pytest.mark.parametrize(
    ("kernel", "at_edge"), [("tophat", 0.0), ("linear", -np.inf), ("epanechnikov", -np.inf),
                            ("biweight", -np.inf), ("cosine", -np.inf)],
)  # fmt: skip
def test_support_ends_at_one(kernel: str, at_edge: float) -> None:
    sq = np.array([0.0, 1.0, np.nextafter(1.0, 2.0), 5.0])
    assert_within(reference.log_profile(kernel, sq), [0.0, at_edge, -np.inf, -np.inf], 0.0)


def test_slots_without_any_term() -> None:
    top, index, rest = reference.kde_slots([[9.0]], [[0.0]], 1.0, kernel="tophat")
    assert (top[0], index[0], rest[0]) == (-np.inf, -1, -np.inf)


def test_point_scales_are_a_mixture_of_normals(rng: np.random.Generator) -> None:
    x, q = rng.standard_normal((9, 3)), rng.standard_normal((5, 3))
    scales, w = rng.uniform(0.5, 2, 9), rng.uniform(0.1, 3, 9)
    density = sum(
        weight * multivariate_normal(row, (0.7 * scale) ** 2).pdf(q)
        for row, scale, weight in zip(x, scales, w, strict=True)
    )
    got = reference.log_kde(q, x, 0.7, weights=w, point_scales=scales)
    assert_within(got, np.log(density / w.sum()), 1e-12)


@pytest.mark.parametrize("kernel", LOG_NORMALISERS)
def test_a_list_of_bandwidths_is_one_row_each(rng: np.random.Generator, kernel: str) -> None:
    x = rng.standard_normal((12, 2))
    skip, widths = np.arange(12), [0.4, 1.0, 3.0]
    scales = rng.uniform(0.5, 2, 12)
    given = {"exclude": skip, "kernel": kernel, "point_scales": scales}
    several = reference.log_kde(x, x, widths, **given)
    assert several.shape == (3, 12)
    for h, row in zip(widths, several, strict=True):
        assert (row == reference.log_kde(x, x, h, **given)).all()
    top, index, rest = reference.kde_slots(x, x, widths, **given)
    assert top.shape == index.shape == rest.shape == (3, 12)


@pytest.mark.parametrize("scaled", [False, True])
@pytest.mark.parametrize("left_out", [False, True])
def test_gradient_equals_central_differences(
    rng: np.random.Generator, scaled: bool, left_out: bool
) -> None:
    x = rng.standard_normal((15, 4))
    given = {
        "weights": rng.uniform(0.1, 2, 15),
        "exclude": np.arange(15) if left_out else None,
        "point_scales": rng.uniform(0.5, 2, 15) if scaled else None,
    }
    got = reference.log_kde_gradient(x, x, 0.8, **given)
    steps = 1e-5 * np.eye(4)
    want = [
        (reference.log_kde(x + e, x, 0.8, **given) - reference.log_kde(x - e, x, 0.8, **given))
        / 2e-5
        for e in steps
    ]
    assert_within(got, np.stack(want, axis=1), 1e-7)


def test_golden_gradient_left_out() -> None:
    x = np.array([[0.0], [1.0], [3.0]])
    got = reference.log_kde_gradient(x, x, 1.0, exclude=np.arange(3))
    assert_within(got[:, 0], [1.035972419924, -0.452723428581, -2.075858180021], 1e-11)
    at_query = reference.log_kde_gradient([[0.5]], x, 1.0)
    assert_within(at_query, [[0.060722244198]], 1e-11)
