"""The exact influence within spherical clusters, against golden values and refits."""

from __future__ import annotations

import numpy as np
import pytest

from genmem.density import spherical_cluster_influence

A = np.array([(0, 0), (2, 0), (0, 2), (1, 1), (3, 1)], float)
B = A[:, ::-1] * 2 + 1000
X = np.vstack([A, B])
LABELS = np.repeat([0, 1], 5)


def log_p(cluster, total, Z):
    """log(n/N) + log N(z; mu, s I) with the maximum-likelihood mean and variance."""
    n, d = cluster.shape
    mean = cluster.mean(axis=0)
    s = ((cluster - mean) ** 2).sum() / (n * d)
    return (
        np.log(n / total) - d / 2 * np.log(2 * np.pi * s) - ((Z - mean) ** 2).sum(axis=1) / (2 * s)
    )


def close(got, want, tol):
    got, want = np.asarray(got), np.asarray(want)
    assert got.shape == want.shape
    assert (np.abs(got - want) <= tol).all(), np.abs(got - want).max()


def test_golden_values():
    exact = spherical_cluster_influence(X, LABELS, [(1, 0), (3, 1)], [0, 0])
    close(exact[:, 4], [-0.115709631386, 1.802850974675], 1e-11)
    close(exact[:, 9], [-0.105360515658] * 2, 1e-11)
    first = spherical_cluster_influence(X, LABELS, [(1, 0), (3, 1)], [0, 0], first_order=True)
    close(first[:, 4], [-0.099826388889, 0.883680555556], 1e-11)
    close(log_p(A, 10, np.array([(1.0, 0.0)])), [-2.844368919116], 1e-11)


def test_equals_refit(rng):
    rows = np.vstack([rng.standard_normal((9, 4)) * 3, rng.standard_normal((7, 4)) + 50])
    labels = np.repeat([5, -2], [9, 7])
    Z, of = rng.standard_normal((6, 4)) * 2, np.full(6, 5)
    Z[3:] += 50
    of[3:] = -2
    got = spherical_cluster_influence(rows, labels, Z, of)
    for m, (z, label) in enumerate(zip(Z, of, strict=True)):
        members = np.flatnonzero(labels == label)
        full = log_p(rows[members], 16, z[None])[0]
        for i in range(16):
            rest = members[members != i]
            close(got[m, i], full - log_p(rows[rest], 15, z[None])[0], 1e-10)


def test_offset_does_not_cost_digits(rng):
    rows = rng.integers(-40, 40, (12, 3)) / 8
    labels = np.zeros(12, int)
    near = spherical_cluster_influence(rows, labels, rows, labels)
    far = spherical_cluster_influence(rows + 2.0**20, labels, rows + 2.0**20, labels)
    close(far, near, 1e-9)


def test_error_of_the_first_order_falls_with_the_square_of_n(rng):
    worst = []
    for n in (100, 400):
        rows = rng.standard_normal((n, 4))
        labels = np.zeros(n, int)
        exact = spherical_cluster_influence(rows, labels, rows[:20], labels[:20])
        first = spherical_cluster_influence(rows, labels, rows[:20], labels[:20], first_order=True)
        worst.append(np.abs(exact - first).max())
    assert worst[0] < 0.05
    assert worst[1] < worst[0] / 4


def test_a_row_that_carries_nearly_all_of_the_variance():
    rows = np.array([[0.0], [1e-6], [2e-6], [1.0]])
    labels = np.zeros(4, int)
    got = spherical_cluster_influence(rows, labels, [[1e-6]], [0])[0, 3]
    want = log_p(rows, 4, np.array([[1e-6]])) - log_p(rows[:3], 3, np.array([[1e-6]]))
    close(got, want[0], 1e-9)


def test_the_rest_of_the_cluster_is_one_point():
    got = spherical_cluster_influence([[0.0], [0.3]], [0, 0], [[0.3], [0.0], [0.1]], [0, 0, 0])
    # Without row 0 the cluster is the point 0.3, and the other way round.
    assert got[:, 0].tolist() == [-np.inf, np.inf, np.inf]
    assert got[:, 1].tolist() == [np.inf, -np.inf, np.inf]
    copies = spherical_cluster_influence([[0.1], [0.1], [0.7]], [0, 0, 0], [[0.1], [0.7]], [0, 0])
    assert copies[:, 2].tolist() == [-np.inf, np.inf]
    assert np.isfinite(copies[:, :2]).all()


def test_no_density():
    with pytest.raises(ValueError, match=r"cluster 3 has 1 row\(s\), all equal"):
        spherical_cluster_influence([[0.0], [1.0], [9.0]], [0, 0, 3], [[0.0]], [0])
    with pytest.raises(ValueError, match=r"cluster 0 has 3 row\(s\), all equal"):
        spherical_cluster_influence(np.full((3, 2), 0.1), [0, 0, 0], [[0.0, 0.0]], [0])


def test_hostile_input():
    with pytest.raises(ValueError, match=r"X has shape \(10, 2\) and Z \(1, 3\)"):
        spherical_cluster_influence(X, LABELS, [[0.0, 0.0, 0.0]], [0])
    with pytest.raises(ValueError, match=r"labels has shape \(9,\)"):
        spherical_cluster_influence(X, LABELS[:9], A, LABELS[:5])
    with pytest.raises(ValueError, match=r"query_labels has shape \(5,\) and type float64"):
        spherical_cluster_influence(X, LABELS, A, np.zeros(5))
    with pytest.raises(ValueError, match=r"query_labels\[1\] is 7, which is not among labels"):
        spherical_cluster_influence(X, LABELS, A[:2], [0, 7])
    with pytest.raises(ValueError, match=r"Z\[0, 0\] is NaN"):
        spherical_cluster_influence(X, LABELS, [[np.nan, 0.0]], [0])
