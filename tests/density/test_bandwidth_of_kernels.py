"""Leave-one-out widths of other kernels and of adaptive densities, against direct search."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import minimize_scalar

from density_oracle import PROFILES, column, log_p
from genmem.density import GaussianKDE, KernelDensity, kernel_terms
from genmem.density import bandwidth as rules
from genmem.density.bandwidth import leave_one_out
from genmem.density.kernel_terms import KernelTerms
from genmem.density.width_search import (
    bounds,
    closest,
    log_likelihoods,
    maxima,
    squares_to_nearest,
    vertex,
)
from genmem.kernels import log_kde


def likelihood(X, h, w=None, **given):
    """sum_i w_i log p_{-i}(x_i; h), each row deleted in turn."""
    scales = given.pop("scales", np.ones(len(X)))
    w = np.ones(len(X)) if w is None else w
    total = 0.0
    for i in np.flatnonzero(w > 0):
        rest = np.delete(np.arange(len(X)), i)
        total += w[i] * log_p(X[rest], h, X[[i]], w[rest], scales=scales[rest], **given)[0]
    return total


def best_by_search(X, w=None, **given):
    """A fine grid, refined by golden section around its best."""
    grid = np.geomspace(3e-2, 3e1, 120)
    values = [likelihood(X, h, w, **given) for h in grid]
    i = int(np.argmax(values))
    found = minimize_scalar(
        lambda t: -likelihood(X, np.exp(t), w, **given),
        bounds=(np.log(grid[i - 1]), np.log(grid[i + 1])),
        method="bounded",
        options={"xatol": 1e-9},
    )
    return float(np.exp(found.x)), max(-float(found.fun), max(values))


@pytest.mark.parametrize("kernel", [k for k in PROFILES if k != "tophat"])
def test_leave_one_out_equals_direct_search(rng, kernel):
    X = rng.standard_normal((18, 2))
    h, value = best_by_search(X, kernel=kernel)
    found = leave_one_out(X, kernel=kernel)
    assert found.log_likelihood >= value - 1e-9
    assert abs(found.log_likelihood - likelihood(X, found.bandwidth, kernel=kernel)) <= 1e-9
    assert abs(found.bandwidth / h - 1) <= 1e-5


def test_tophat_jumps_at_a_distance_between_rows(rng):
    """Between jumps the likelihood falls as h^-d, so the best width is a distance of two rows."""
    X = rng.standard_normal((15, 2))
    found = leave_one_out(X, kernel="tophat")
    distances = np.sqrt(((X[:, None] - X) ** 2).sum(axis=2))[np.triu_indices(15, 1)]
    assert np.abs(distances / found.bandwidth - 1).min() <= 1e-7
    best = max(likelihood(X, h * (1 + 1e-12), kernel="tophat") for h in distances)
    # The scan may settle on a neighbouring jump, never on a width between two.
    assert best - 1.0 <= found.log_likelihood <= best + 1e-9


@pytest.mark.parametrize("kernel", ["gaussian", "exponential", "epanechnikov"])
def test_adaptive_widths_are_held_in_the_search(rng, kernel):
    X, w = rng.standard_normal((18, 2)), rng.integers(0, 3, 18).astype(float)
    density = KernelDensity(kernel=kernel, adaptive=3).fit(X, sample_weight=w)
    given = {"kernel": kernel, "scales": density.scales_}
    h, value = best_by_search(X, w, **given)
    assert density.bandwidth_search_.log_likelihood >= value - 1e-9
    assert abs(density.bandwidth_ / h - 1) <= 1e-5
    assert density.bandwidth_search_.rows.tolist() == np.flatnonzero(w).tolist()


@pytest.mark.parametrize("kernel", ["gaussian", "exponential"])
def test_vertex_and_closing_in_agree(rng, kernel):
    X, rows = rng.standard_normal((40, 5)), np.arange(40)
    terms = KernelTerms(X, kernel)
    (start,) = maxima(terms, rows, *bounds(terms, rows, squares_to_nearest(terms, rows)))
    one, value = vertex(terms, rows, start)
    other, near = closest(terms, rows, start)
    assert abs(other / one - 1) <= 3e-8
    assert abs(value - near) <= 1e-9
    # From far away the vertex climbs.
    assert abs(vertex(terms, rows, 30 * start)[0] / one - 1) <= 1e-9
    assert abs(vertex(terms, rows, start / 30)[0] / one - 1) <= 1e-9


@pytest.mark.parametrize("adaptive", [None, 4])
@pytest.mark.parametrize("d", [1, 4, 60])
@pytest.mark.parametrize("kernel", PROFILES)
def test_bounds_enclose_the_maximum(rng, kernel, d, adaptive):
    X = rng.standard_normal((25, d)) ** 3
    scales = KernelDensity(1.0, adaptive=adaptive).fit(X).scales_
    terms, rows = KernelTerms(X, kernel, scales=scales), np.arange(25)
    low, high = bounds(terms, rows, squares_to_nearest(terms, rows))
    inside = log_likelihoods(terms, rows, np.geomspace(low, high, 400)).max()
    outside = np.append(np.geomspace(low / 50, low * (1 - 1e-9), 40), np.geomspace(high, high * 50))
    assert (log_likelihoods(terms, rows, outside) <= inside + 1e-9).all()


def test_the_scan_is_one_call_with_a_list(rng, monkeypatch):
    calls = []

    def counted(queries, points, bandwidth, **given):
        calls.append(np.shape(bandwidth))
        return log_kde(queries, points, bandwidth, **given)

    monkeypatch.setattr(kernel_terms, "log_kde", counted)
    X = rng.standard_normal((30, 3))
    starts = maxima(KernelTerms(X), np.arange(30), 0.05, 20.0)
    assert len(calls) == 1
    assert calls[0][0] > 20
    assert 0.2 < starts[0] < 2
    leave_one_out(X, kernel="linear")
    assert len(calls) < 20
    assert all(len(shape) == 1 for shape in calls)


def test_a_thinned_scan_ends_at_the_same_width(rng, monkeypatch):
    X = np.vstack([rng.standard_normal((80, 2)), rng.standard_normal((80, 2)) * 3])
    for kernel in ("epanechnikov", "exponential"):
        whole = leave_one_out(X, kernel=kernel)
        monkeypatch.setattr(rules, "_SCAN_PAIRS", 160 * 20)
        thin = leave_one_out(X, kernel=kernel)
        monkeypatch.undo()
        assert abs(thin.log_likelihood - whole.log_likelihood) <= 1e-6


def test_group_and_subsample(rng):
    X = rng.standard_normal((15, 2))
    doubled = np.vstack([X, X])
    with pytest.raises(ValueError, match=r"each of the 30 rows left out has an equal row"):
        leave_one_out(doubled, kernel="epanechnikov")
    grouped = leave_one_out(doubled, kernel="epanechnikov", duplicates="group")
    single = leave_one_out(X, kernel="epanechnikov")
    assert abs(grouped.bandwidth / single.bandwidth - 1) <= 1e-7
    adaptive = GaussianKDE(adaptive=2, duplicates="group").fit(doubled)
    assert abs(adaptive.bandwidth_ / GaussianKDE(adaptive=2).fit(X).bandwidth_ - 1) <= 1e-7
    some = KernelDensity(kernel="linear", bandwidth_rows=6, seed=3).fit(X)
    assert len(some.bandwidth_search_.rows) == 6


def test_threads_do_not_change_the_answer(rng):
    X = rng.standard_normal((40, 3))
    for given in ({"kernel": "cosine"}, {"point_scales": rng.uniform(0.5, 2, 40)}):
        found = leave_one_out(X, **given)
        other = leave_one_out(X, threads=1, **given)
        assert found.bandwidth == other.bandwidth
        assert found.log_likelihood == other.log_likelihood


def test_wrong_arguments_are_refused():
    X = column(0, 1, 3)
    with pytest.raises(ValueError, match="leave_one_out: kernel is 'square'"):
        leave_one_out(X, kernel="square")
    for bad in ([1, 2], [1, 0, 1], [1, np.nan, 1], [1, np.inf, 1], [1, -1, 1]):
        with pytest.raises(ValueError, match=r"leave_one_out: point_scales"):
            leave_one_out(X, point_scales=bad)
