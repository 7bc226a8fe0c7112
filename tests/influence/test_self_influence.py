"""Self-influence: the diagonal, its noise bias, and the form without it."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pytest
import torch
from torch import Tensor, nn

from genmem.influence import TracIn
from genmem.influence.self_influence import divided_draws, mean_product
from genmem.kernels import Factors, LayerFactors, grad_dot_diagonal
from genmem.noise import normals

Oracle = Callable[..., npt.NDArray[np.float64]]


class Shifted(nn.Module):
    """loss = mean_k w . (x + noise_k): per draw the gradient is x + noise_k, its mean is x."""

    latent = 3

    def __init__(self) -> None:
        super().__init__()
        self.w = nn.Linear(3, 1, bias=False)


def shifted(model: nn.Module, x: Tensor, noise: Tensor) -> Tensor:
    return model.w(x[:, None] + noise)[..., 0].mean(1)


def deterministic(model: nn.Module, x: Tensor, noise: None) -> Tensor:
    assert noise is None
    return model(x).square().sum(1)


def tracin(draws: int, **options: object) -> TracIn:
    model = Shifted().double()
    return TracIn([model.state_dict()], shifted, model=model, draws=draws, weights=[2.0], **options)


def as_factors(*gradients: tuple[float, ...]) -> Factors:
    rows = np.array(gradients, np.float64)
    ones, offsets = np.ones((len(rows), 1)), np.arange(len(rows) + 1)
    return Factors((LayerFactors("g", rows, ones, offsets, False),))


def test_golden_plain_and_u_statistic() -> None:
    draws = [(1.0, 2.0), (2.0, 0.0), (0.0, 1.0)]
    mean = as_factors(tuple(np.mean(draws, axis=0)))
    np.testing.assert_allclose(mean_product([mean]), [2.0], rtol=1e-15)
    unbiased = mean_product([as_factors(g) for g in draws])
    np.testing.assert_allclose(unbiased, [4 / 3], rtol=1e-15)


def test_without_draws_it_is_the_diagonal_of_influence() -> None:
    model = nn.Sequential(nn.Linear(4, 3), nn.Tanh(), nn.Conv1d(3, 2, 1), nn.Flatten()).double()
    states = [{n: v * scale for n, v in model.state_dict().items()} for scale in (1.0, 0.5)]
    x = torch.randn(9, 3, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)

    def loss(model: nn.Module, x: Tensor, noise: None) -> Tensor:
        return model[2](torch.tanh(model[0](x)).transpose(1, 2)).square().flatten(1).sum(1)

    for block in (None, 2):
        traced = TracIn(states, loss, model=model, weights=[1.0, 3.0], block=block)
        want = np.diagonal(traced.influence(x, x))
        got = traced.self_influence(x)
        assert got.shape == (9,)
        assert got.dtype == np.float64
        assert (np.abs(got - want) <= 1e-12 * want).all()
        np.testing.assert_array_equal(traced.self_influence(x, unbiased=True), got)


def test_plain_is_the_squared_norm_under_the_draws_of_training(oracle: Oracle) -> None:
    x = torch.randn(7, 3, dtype=torch.float64)
    noise = torch.from_numpy(normals(0, np.arange(7), np.arange(6), 3, stream="tracin train"))
    truth = oracle(Shifted().double(), shifted, x, noise.double())
    np.testing.assert_allclose(tracin(6).self_influence(x), 2 * (truth**2).sum(1), rtol=1e-12)


@pytest.mark.parametrize("sets", [2, 3, 6])
def test_sets_are_products_of_their_mean_gradients(sets: int) -> None:
    x = torch.randn(7, 3, dtype=torch.float64)
    noise = normals(0, np.arange(7), np.arange(6), 3, stream="tracin train").astype(np.float64)
    g = x.numpy()[:, None] + noise.reshape(7, sets, 6 // sets, 3).mean(2)
    gram = g @ g.transpose(0, 2, 1)
    want = (gram.sum((1, 2)) - np.trace(gram, axis1=1, axis2=2)) / (sets * (sets - 1))
    got = tracin(6, block=3).self_influence(x, unbiased=True, sets=sets)
    np.testing.assert_allclose(got, 2 * want, rtol=1e-10, atol=1e-12)


def test_noise_biases_the_plain_form_by_its_variance_over_m_and_not_the_other() -> None:
    # The same sample under 20,000 identities: a mean over as many seeds.
    x = torch.tensor([[0.3, -0.2, 0.1]], dtype=torch.float64).expand(20_000, 3)
    exact, m, weight = 0.14, 4, 2.0
    plain = tracin(m).self_influence(x) / weight
    unbiased = tracin(m).self_influence(x, unbiased=True) / weight
    each = tracin(m).self_influence(x, unbiased=True, sets=m) / weight
    for values, want in ((plain, exact + 3 / m), (unbiased, exact), (each, exact)):
        se = values.std(ddof=1) / np.sqrt(len(values))
        assert abs(values.mean() - want) <= 4 * se
        assert se < 0.01
    assert (unbiased < 0).any()  # the sign is kept
    assert each.std() < unbiased.std()


def test_draws_that_cannot_be_divided_are_refused() -> None:
    assert divided_draws(6, 2) == [range(3), range(3, 6)]
    x = torch.ones(2, 3)
    for draws, sets in ((1, 2), (5, 2), (4, 3), (4, 1), (4, 8)):
        with pytest.raises(ValueError, match=f"{draws} draws cannot be divided into {sets} sets"):
            tracin(draws).self_influence(x, unbiased=True, sets=sets)


def test_a_store_holds_one_set_of_draws() -> None:
    x = torch.randn(5, 3, dtype=torch.float64)
    traced = tracin(4)
    store = traced.capture(x)
    np.testing.assert_allclose(traced.self_influence(store), traced.self_influence(x), rtol=1e-12)
    with pytest.raises(ValueError, match="holds one set of draws"):
        traced.self_influence(store, unbiased=True)


def test_progress_counts_samples() -> None:
    seen: list[tuple[str, int, int]] = []
    tracin(4, block=2, progress=lambda *facts: seen.append(facts)).self_influence(torch.ones(5, 3))
    assert seen == [("self-influence", done, 5) for done in (2, 4, 5)]


def test_norms_of_large_gradients_keep_their_digits() -> None:
    # A float32 sum of a million squares is off by 4e-4 in a published implementation.
    model = nn.Linear(1024, 1024, bias=False)
    x = torch.rand(2, 1024) + 0.5
    traced = TracIn([model.state_dict()], lambda m, x, _: m(x).sum(1), model=model, weights=[1.0])
    want = 1024 * x.double().square().sum(1).numpy()
    np.testing.assert_allclose(traced.self_influence(x), want, rtol=1e-6)
    dense = as_factors(tuple(np.ones(3)))
    assert grad_dot_diagonal(dense, dense)[0] == 3
