"""log_kde with every kernel, lists of bandwidths, weights, widths by point; its gradient."""

import math

import numpy as np
import pytest

from budget import assert_within
from genmem import kernels, reference
from genmem.kernels.radial import KERNELS

BACKENDS_SEE = [(300, 3), (2500, 24), (2500, 90)]  # dense; screened narrow rows; screened wide rows


def problem(
    rng: np.random.Generator, n: int, d: int
) -> tuple[np.ndarray, np.ndarray, dict[str, np.ndarray]]:
    points = rng.standard_normal((n, d))
    queries = np.vstack([points[:20], rng.standard_normal((20, d))])
    options = {
        "weights": rng.uniform(0, 2, n) * (rng.uniform(size=n) > 0.1),
        "point_scales": rng.uniform(0.5, 2, n),
        "exclude": np.where(np.arange(40) < 20, np.arange(40), -1),
    }
    return queries, points, options


@pytest.mark.card(when=lambda params: params["shape"] != BACKENDS_SEE[2])
@pytest.mark.parametrize(
    "used", [(), ("weights",), ("weights", "point_scales", "exclude")], ids=str
)
@pytest.mark.parametrize("shape", BACKENDS_SEE, ids=str)
@pytest.mark.parametrize("kernel", KERNELS)
def test_equals_reference(
    backend: str,
    kernel: str,
    shape: tuple[int, int],
    used: tuple[str, ...],
    rng: np.random.Generator,
) -> None:
    queries, points, options = problem(rng, *shape)
    given = {name: options[name] for name in used}
    typical = math.sqrt(np.median(reference.sq_distances(queries, points)))
    bandwidths = [0.2 * typical, 0.8 * typical, 1.5 * typical]
    got = kernels.log_kde(queries, points, bandwidths, kernel=kernel, backend=backend, **given)
    want = reference.log_kde(queries, points, bandwidths, kernel=kernel, **given)
    # An exponent log(1 - u) near the border of the support has the error of u over 1 - u.
    assert_within(got, want, 1e-9)
    one = kernels.log_kde(queries, points, bandwidths[1], kernel=kernel, backend=backend, **given)
    assert (one == got[1]).all()


@pytest.mark.card
def test_the_border_of_the_support(backend: str) -> None:
    """The tophat counts its border, the others are 0 there."""
    for kernel in KERNELS:
        if kernel in ("gaussian", "exponential"):
            continue
        got = kernels.kde_slots([[0.0]], [[2.0], [5.0]], 2.0, kernel=kernel, backend=backend)
        inside = kernel == "tophat"
        assert got.top[0] == (0.0 if inside else -np.inf)
        assert got.top_index[0] == (0 if inside else -1)
        assert got.rest[0] == -np.inf


@pytest.mark.card
def test_no_point_within_reach(backend: str) -> None:
    log_p = kernels.log_kde([[9.0]], [[0.0]], 1.0, kernel="linear", backend=backend)
    assert log_p[0] == -np.inf


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("d", [1, 2, 3, 64, 784, 3072])
def test_normalisers(kernel: str, d: int) -> None:
    want = reference.log_kde(np.zeros((1, d)), np.zeros((1, d)), 1.0, kernel=kernel)
    assert_within(-kernels.log_normaliser(kernel, d), want[0], 1e-12 * max(1, abs(want[0])))


@pytest.mark.card(when=lambda params: params["shape"] != BACKENDS_SEE[2])
@pytest.mark.parametrize(
    "used", [(), ("weights",), ("weights", "point_scales", "exclude")], ids=str
)
@pytest.mark.parametrize("shape", BACKENDS_SEE, ids=str)
def test_gradient_equals_reference(
    backend: str, shape: tuple[int, int], used: tuple[str, ...], rng: np.random.Generator
) -> None:
    queries, points, options = problem(rng, *shape)
    given = {name: options[name] for name in used}
    typical = math.sqrt(np.median(reference.sq_distances(queries, points)))
    for bandwidth in (0.05 * typical, 0.2 * typical, typical):
        got = kernels.kde_gradient(queries, points, bandwidth, backend=backend, **given)
        want = reference.log_kde_gradient(queries, points, bandwidth, **given)
        assert_within(got, want, 1e-10 * np.abs(want).max())


def test_gradient_does_not_depend_on_threads_or_batch(
    backend: str, rng: np.random.Generator
) -> None:
    queries, points, _ = problem(rng, 20_000, 40)
    whole = kernels.kde_gradient(queries, points, 1.0, backend=backend, threads=1)
    for threads in (2, 3, 8):
        again = kernels.kde_gradient(queries, points, 1.0, backend=backend, threads=threads)
        assert (again == whole).all()
    for rows in (slice(0, 1), slice(5, 25)):
        part = kernels.kde_gradient(queries[rows], points, 1.0, backend=backend)
        assert (part == whole[rows]).all()


@pytest.mark.card
def test_gradient_on_a_lonely_point_is_zero(backend: str) -> None:
    points = np.array([[1e6, 1.0], [-1e6, 3.0]])
    got = kernels.kde_gradient(points, points, 1.0, backend=backend)
    assert (got == 0).all()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"bandwidth": [1.0, -1.0]}, "bandwidth is -1"),
        ({"bandwidth": []}, r"bandwidth has shape \(0,\)"),
        ({"bandwidth": [[1.0]]}, r"bandwidth has shape \(1, 1\)"),
        ({"kernel": "box"}, "kernel is 'box'; 'gaussian'"),
        ({"point_scales": [1.0]}, r"point_scales has shape \(1,\); \(4,\) is wanted"),
        ({"point_scales": [1.0, 0.0, 1.0, 1.0]}, "point_scales 1 is 0"),
        ({"weights": [1.0]}, r"weights has shape \(1,\); \(4,\) is wanted"),
    ],
)
def test_refuses(options: dict[str, object], message: str) -> None:
    given = {"bandwidth": 1.0} | options
    with pytest.raises(ValueError, match=message):
        kernels.log_kde(np.zeros((2, 3)), np.zeros((4, 3)), **given)


class TestCertificate:
    @pytest.mark.parametrize("offset", [0.0, 100.0])
    @pytest.mark.parametrize("d", [1, 30, 700])
    def test_bounds_the_error(
        self, backend: str, d: int, offset: float, rng: np.random.Generator
    ) -> None:
        """Against sums in extended precision, from one term that matters to all of them."""
        points = (rng.standard_normal((2200, d)) + offset).astype(np.float32)
        queries = points[:6] + np.float32(0.01)
        wide = points.astype(np.longdouble)
        for bandwidth in (0.05, 1.0, 20.0):
            log_p, work = kernels.log_kde(
                queries, points, bandwidth, backend=backend, return_stats=True
            )
            for query, got, error in zip(queries, log_p, work.error, strict=True):
                a = -((wide - query.astype(np.longdouble)) ** 2).sum(axis=1)
                a /= 2 * np.longdouble(bandwidth) ** 2
                top = a.max()
                norm = np.log(np.longdouble(2200)) + d * (
                    np.log(np.longdouble(bandwidth)) + np.log(2 * np.longdouble(np.pi)) / 2
                )
                truth = top + np.log(np.exp(a - top).sum()) - norm
                # What log_kde adds to its sum, log N and the normaliser, is rounded too.
                assert abs(got - truth) <= error + 4e-16 * (abs(float(norm)) + abs(got))

    def test_only_for_the_gaussian(self) -> None:
        work = kernels.log_kde([[0.0]], [[0.5]], 1.0, kernel="cosine", return_stats=True)[1]
        assert work.error is None
