"""Torch in, torch out; gradients through score_samples; tensors that cannot give one refused."""

from __future__ import annotations

import pickle
import subprocess
import sys

import numpy as np
import pytest
from sklearn.base import clone

from density_oracle import close
from genmem import kernels
from genmem.arrays import read
from genmem.density import (
    GaussianKDE,
    GaussianMixtureDensity,
    KernelDensity,
    NearestNeighborDensity,
    TopInfluence,
)
from genmem.errors import BackendError

torch = pytest.importorskip("torch")

DENSITIES = [
    GaussianKDE(0.9),
    GaussianKDE(1.1, adaptive=3),
    GaussianMixtureDensity(2, random_state=0),
    GaussianMixtureDensity(2, covariance_type="tied", random_state=0),
    GaussianMixtureDensity(2, covariance_type="diag", random_state=0),
    GaussianMixtureDensity(2, covariance_type="spherical", random_state=0),
    KernelDensity(2.0),
    KernelDensity(2.0, kernel="exponential", adaptive=3),
    KernelDensity(200.0, kernel="epanechnikov"),
    KernelDensity(200.0, kernel="tophat"),
    NearestNeighborDensity(3),
    NearestNeighborDensity(3, duplicates="distinct"),
]


def fitted(estimator, rows):
    return clone(estimator).fit(rows)


@pytest.mark.parametrize("estimator", DENSITIES, ids=repr)
def test_answers_about_queries_come_in_the_kind_of_the_queries(estimator, rows, queries):
    density, tensor = fitted(estimator, rows), torch.from_numpy(queries)
    for call in (density.score_samples, density.influence, density.gradient):
        got, want = call(tensor), call(queries)
        assert type(want) is np.ndarray
        assert isinstance(got, torch.Tensor)
        assert got.dtype == torch.float64
        assert not got.requires_grad
        assert (got.numpy() == want).all()
    top, want = density.influence(tensor, 4), density.influence(queries, 4)
    assert isinstance(top, TopInfluence)
    assert top.indices.dtype == torch.int64
    assert (top.indices.numpy() == want.indices).all()
    assert (top.scores.numpy() == want.scores).all()
    assert (top.rest_log_mass is None) == (want.rest_log_mass is None)
    block = next(density.influence_blocks(tensor))
    assert isinstance(block.scores, torch.Tensor)
    assert isinstance(density.score(tensor), float)


@pytest.mark.parametrize("estimator", DENSITIES, ids=repr)
def test_answers_about_training_rows_come_in_the_kind_of_the_rows(estimator, rows, queries):
    density, plain = fitted(estimator, torch.from_numpy(rows)), fitted(estimator, rows)
    for name in ("score_samples_loo", "self_influence"):
        got, want = getattr(density, name)(), getattr(plain, name)()
        assert isinstance(got, torch.Tensor)
        assert type(want) is np.ndarray
        assert (got.numpy() == want).all()
    if hasattr(density, "sample"):
        assert (density.sample(3, 0).numpy() == plain.sample(3, 0)).all()
    assert type(density.score_samples(queries)) is np.ndarray
    again = pickle.loads(pickle.dumps(density))
    assert isinstance(again.self_influence(), torch.Tensor)
    assert type(clone(density).fit(rows).self_influence()) is np.ndarray


@pytest.mark.parametrize("dtype", ["float32", "float64", "uint8", "bfloat16", "float16"])
def test_tensors_of_any_type_equal_their_arrays(rng, dtype):
    whole = torch.from_numpy(rng.integers(0, 9, (20, 4))).to(getattr(torch, dtype))
    got = GaussianKDE(2.0).fit(whole).score_samples(whole)
    want = GaussianKDE(2.0).fit(whole.float().numpy()).score_samples(whole.float().numpy())
    assert got.dtype == torch.float64
    close(got.numpy(), want, 1e-12)


def test_a_tensor_that_only_says_it_is_negative():
    """The memory of an imaginary part of conjugates holds it with the other sign."""
    z = torch.tensor([[1 + 2j, 3 - 4j], [2 - 1j, 1 + 1j], [0 + 5j, 1 - 2j]])
    rows = z.conj().imag
    assert rows.is_neg()
    got = kernels.sq_distances(rows, torch.zeros(1, 2))
    assert got.ravel().tolist() == [20.0, 2.0, 29.0]
    assert (read("knn", "queries", rows) == [[-2, 4], [1, -1], [-5, 2]]).all()


def test_rows_of_a_tensor_are_held_in_place(rows):
    tensor = torch.from_numpy(rows.copy())
    density = GaussianKDE(1.0).fit(tensor)
    assert density.points_.__array_interface__["data"][0] == tensor.data_ptr()


def test_exclusions_and_weights_may_be_tensors(rows):
    density = GaussianKDE(1.0).fit(rows, sample_weight=torch.arange(1, 31))
    skip = torch.arange(30)
    skip[3] = -1
    got = density.score_samples(rows, exclude=skip)
    assert (got == density.score_samples(rows, exclude=skip.numpy())).all()
    assert (np.delete(got, 3) == np.delete(density.score_samples_loo(), 3)).all()


def test_what_lies_on_another_device_is_refused_by_name(rows):
    elsewhere = torch.empty(30, 3, device="meta")
    with pytest.raises(BackendError, match=r"GaussianKDE.fit: X is on meta"):
        GaussianKDE(1.0).fit(elsewhere)
    with pytest.raises(BackendError, match=r"GaussianKDE.influence: Z is on meta"):
        GaussianKDE(1.0).fit(rows).influence(elsewhere)


def test_any_library_that_lends_its_memory_is_read_in_place(rows):
    class Lender:
        def __init__(self, array):
            self.array = array

        def __dlpack__(self, **given):
            return self.array.__dlpack__(**given)

        def __dlpack_device__(self):
            return self.array.__dlpack_device__()

    density = GaussianKDE(1.0).fit(Lender(rows))
    assert np.shares_memory(density.points_, rows)
    assert type(density.score_samples(Lender(rows))) is np.ndarray


# Autograd


@pytest.mark.parametrize("estimator", DENSITIES, ids=repr)
def test_gradcheck(estimator, rows, queries):
    density = fitted(estimator, rows)
    near = torch.from_numpy(queries[:6]).requires_grad_()
    assert torch.autograd.gradcheck(density.score_samples, near, eps=1e-6, atol=1e-6, rtol=1e-6)


def test_gradcheck_of_the_leave_one_out_density(rows):
    density = GaussianKDE(1.2).fit(rows, sample_weight=np.arange(30) % 4)
    # Copies: gradcheck moves its input in place, and the density holds its rows by reference.
    some = torch.from_numpy(rows[:7].copy()).requires_grad_()
    skip = np.array([0, -1, 2, 3, 29, 5, 17])

    def left_out(z):
        return density.score_samples(z, exclude=skip)

    assert torch.autograd.gradcheck(left_out, some, eps=1e-6, atol=1e-6, rtol=1e-6)
    whole = torch.from_numpy(rows.copy()).requires_grad_()
    density.score_samples(whole, exclude="self").sum().backward()
    close(whole.grad.numpy(), density.gradient(rows, exclude="self"), 0)


@pytest.mark.parametrize("estimator", DENSITIES, ids=repr)
def test_the_chain_rule_goes_through(estimator, rows, queries):
    density = fitted(estimator, rows)
    z = torch.from_numpy(queries).requires_grad_()
    weight = torch.linspace(-1, 2, len(queries), dtype=torch.float64)
    (weight * density.score_samples(2 * z + 1)).sum().backward()
    close(z.grad.numpy(), 2 * weight.numpy()[:, None] * density.gradient(2 * queries + 1), 1e-12)


def test_ascent_climbs_to_a_mode(rows):
    density = GaussianKDE(1.0).fit(rows)
    z = torch.tensor([[3.0, 3.0, 3.0]], dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.SGD([z], lr=0.5)
    for _ in range(80):
        optimizer.zero_grad()
        (-density.score_samples(z)).sum().backward()
        optimizer.step()
    assert np.abs(density.gradient(z.detach().numpy())).max() <= 1e-3


def test_float32_gets_a_float32_gradient(rows, queries):
    density = GaussianKDE(1.0).fit(rows)
    z = torch.from_numpy(queries.astype(np.float32)).requires_grad_()
    scores = density.score_samples(z)
    assert scores.dtype == torch.float64
    scores.sum().backward()
    assert z.grad.dtype == torch.float32
    close(z.grad.numpy(), density.gradient(z.detach().numpy()).astype(np.float32), 0)


def test_nothing_is_recorded_without_grad(rows, queries):
    z = torch.from_numpy(queries).requires_grad_()
    for estimator in DENSITIES:
        density = fitted(estimator, rows)
        with torch.no_grad():
            assert not density.score_samples(z).requires_grad
            density.influence(z)


def test_a_second_derivative_is_refused_where_it_is_asked_for(rows, queries):
    density = GaussianKDE(1.0).fit(rows)
    z = torch.from_numpy(queries).requires_grad_()
    outer = torch.ones(len(queries), dtype=torch.float64, requires_grad=True)
    (slope,) = torch.autograd.grad((outer * density.score_samples(z)).sum(), z, create_graph=True)
    assert slope.requires_grad
    # The gradient is linear in what comes from outside, and that derivative is there.
    (back,) = torch.autograd.grad(slope.sum(), outer, retain_graph=True)
    close(back.numpy(), density.gradient(queries).sum(axis=1), 1e-12)
    with pytest.raises(NotImplementedError, match="second derivative with respect to Z"):
        slope.sum().backward()


def test_a_gradient_that_would_be_lost_is_refused(rows, queries):
    z, x = torch.from_numpy(queries).requires_grad_(), torch.from_numpy(rows).requires_grad_()
    with pytest.raises(ValueError, match=r"GaussianKDE.fit: X requires grad.*X.detach\(\)"):
        GaussianKDE(1.0).fit(x)
    density = GaussianKDE(1.0).fit(rows)
    for name in ("influence", "gradient", "score", "influence_blocks"):
        with pytest.raises(ValueError, match=rf"GaussianKDE.{name}: Z requires grad"):
            getattr(density, name)(z)


def test_a_changed_query_is_noticed_before_backward(rows, queries):
    leaf = torch.from_numpy(queries).requires_grad_()
    z = leaf * 1
    scores = GaussianKDE(1.0).fit(rows).score_samples(z)
    z.data_ptr()
    z.mul_(2)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        scores.sum().backward()


def test_torch_is_not_imported_for_arrays():
    code = (
        "import sys, numpy as np, genmem\n"
        "x = np.random.default_rng(0).standard_normal((20, 2))\n"
        "kde = genmem.GaussianKDE(1.0).fit(x)\n"
        "kde.score_samples(x), kde.influence(x, 2), kde.gradient(x), kde.self_influence()\n"
        "print('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
