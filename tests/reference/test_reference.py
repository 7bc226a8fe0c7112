"""The specification itself, against closed forms and other people's code."""

import numpy as np
from scipy.spatial.distance import cdist
from sklearn.neighbors import KernelDensity

from budget import assert_within
from genmem import reference
from genmem.kernels import LayerFactors


def test_sq_distances_equal_scipy(rng: np.random.Generator) -> None:
    q, x = rng.standard_normal((7, 5)), rng.standard_normal((9, 5))
    assert_within(reference.sq_distances(q, x), cdist(q, x, "sqeuclidean"), 1e-14)


def test_knn_by_hand() -> None:
    distances, indices = reference.knn([[0.0]], [[2.0], [-1.0], [1.0]], 3)
    assert indices.tolist() == [[1, 2, 0]]
    assert distances.tolist() == [[1.0, 1.0, 2.0]]


def test_log_kde_equals_scikit_learn_with_one_leaf(rng: np.random.Generator) -> None:
    x, q = rng.standard_normal((200, 20)), rng.standard_normal((30, 20))
    w = rng.uniform(0.1, 2, 200)
    theirs = KernelDensity(bandwidth=0.8, leaf_size=201).fit(x, sample_weight=w).score_samples(q)
    assert_within(reference.log_kde(q, x, 0.8, weights=w), theirs, 1e-10)


def test_leave_one_out_equals_deleting(rng: np.random.Generator) -> None:
    x = rng.standard_normal((20, 3))
    w = rng.uniform(0.1, 2, 20)
    got = reference.log_kde(x, x, 0.5, weights=w, exclude=np.arange(20))
    for i in range(20):
        rest = np.delete(x, i, axis=0)
        want = reference.log_kde(x[i : i + 1], rest, 0.5, weights=np.delete(w, i))
        assert_within(got[i : i + 1], want, 1e-12)


def test_slots_add_up(rng: np.random.Generator) -> None:
    x, q = rng.standard_normal((40, 2)), rng.standard_normal((10, 2))
    top, index, rest = reference.kde_slots(q, x, 0.3)
    exponents = -reference.sq_distances(q, x) / (2 * 0.3**2)
    assert (exponents.argmax(1) == index).all()
    assert_within(np.exp(np.logaddexp(top, rest)), np.exp(exponents).sum(1), 1e-12)


def test_grad_dot_by_hand() -> None:
    a = np.array([[1, 2, 0], [0, 1, -1], [2, 0, 1], [1, 1, 1], [0, -1, 2]], float)
    g = np.array([[0.5, -1], [2, 1], [1, 1], [-1, 0.5], [0, 3]])
    layer = LayerFactors("linear", a, g, np.array([0, 2, 5]), True)
    assert_within(reference.grad_dot([layer], [layer]), [[22.5, -10], [-10, 91]], 1e-14)
