"""Capture on models whose structure is a trap, against autograd of one sample at a time."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import numpy as np
import numpy.typing as npt
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional

from genmem.influence import Capture, capture_factors
from genmem.kernels import Factors, grad_dot
from influence.traps import (
    FORMS,
    MODELS,
    Branching,
    CalledTwice,
    TiedKinds,
    randn,
    seeded,
    squares,
)

Oracle = Callable[..., npt.NDArray[np.float64]]
Check = Callable[[Factors, npt.NDArray[np.float64], float], None]


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("kind", MODELS)
def test_structure_gives_the_products_of_autograd(
    kind: str, form: str, oracle: Oracle, check: Check
) -> None:
    make, shape, materialised = MODELS[kind]
    model, x = seeded(make), randn(6, *shape)
    capture = Capture(model, squares, form=form)
    check(capture(x), oracle(model, squares, x, None), 1e-11)
    assert set(capture.materialised) == materialised


def test_branching_on_data_is_captured_sample_by_sample(oracle: Oracle, check: Check) -> None:
    model, x = seeded(Branching), randn(6, 4)
    assert (x[:, 0] > 0).any()
    assert (x[:, 0] < 0).any()
    capture = Capture(model, squares)
    check(capture(x), oracle(model, squares, x, None), 1e-11)


@pytest.mark.parametrize("form", FORMS)
def test_embedding_and_tie_of_embedding_to_linear(form: str, oracle: Oracle, check: Check) -> None:
    ids = torch.tensor([[0, 1, 2], [3, 3, 5], [2, 2, 4], [5, 1, 1]])
    tied = seeded(TiedKinds)
    capture = Capture(tied, squares, form=form)
    check(capture(ids), oracle(tied, squares, ids, None), 1e-11)
    assert capture.materialised == ("table.weight",)
    plain = seeded(
        lambda: nn.Sequential(
            nn.Embedding(6, 3, padding_idx=2, sparse=True), nn.Tanh(), nn.Linear(3, 2)
        )
    )
    capture = Capture(plain, squares, form=form)
    check(capture(ids), oracle(plain, squares, ids, None), 1e-11)
    assert capture.materialised == ()


def test_an_embedding_with_a_norm_limit_is_materialised(oracle: Oracle, check: Check) -> None:
    ids = torch.tensor([[0, 1], [3, 3], [2, 4]])
    model = seeded(lambda: nn.Sequential(nn.Embedding(6, 3, max_norm=0.5), nn.Linear(3, 2)))
    model(ids)  # the first call rewrites the rows; then they stay
    capture = Capture(model, squares)
    check(capture(ids), oracle(model, squares, ids, None), 1e-11)
    assert capture.materialised == ("0.weight",)


def penalised(model: nn.Module, x: Tensor, noise: None) -> Tensor:
    """A penalty on the weight that some samples carry, and only batches that hold one compute."""
    losses = squares(model, x, noise)
    marked = x[:, 0] == 7
    return losses + marked * (model.weight**2).sum() if marked.any() else losses


def test_direct_use_by_one_sample_of_the_probe_is_found(oracle: Oracle, check: Check) -> None:
    model, x = seeded(lambda: nn.Linear(4, 3)), randn(9, 4)
    x[4, 0] = 7
    capture = Capture(model, penalised)
    check(capture(x), oracle(model, penalised, x, None), 1e-12)
    assert capture.materialised == ("weight", "bias")


def test_direct_use_beyond_the_probe_is_refused() -> None:
    x = randn(9, 4)
    x[5, 0] = 7
    with pytest.raises(ValueError, match="the gradients of weight differ from autograd's"):
        capture_factors(seeded(lambda: nn.Linear(4, 3)), penalised, x)


def test_tokens_in_another_order_than_alone_are_the_same_gradient(
    oracle: Oracle, check: Check
) -> None:
    # Beyond the probe of three, tokens differ from those of a sample alone; gradients do not.
    def turned(model: nn.Module, x: Tensor, noise: None) -> Tensor:
        y = model(x.flip(1)).flip(1) if len(x) > 3 else model(x)
        return (y.square() * torch.arange(1, 3)[:, None]).sum((1, 2))

    model, x = seeded(lambda: nn.Linear(4, 3)), randn(6, 2, 4)
    capture = Capture(model, turned, form="tokens")
    check(capture(x), oracle(model, turned, x, None), 1e-12)
    assert capture.materialised == ()


def test_cross_terms_between_calls_are_kept(oracle: Oracle) -> None:
    # Dropping them is a known error of 70 %: the test must be able to see it.
    model, x = seeded(CalledTwice), randn(5, 4)
    truth = oracle(model, squares, x, None)
    layer = next(f for f in capture_factors(model, squares, x, form="tokens").layers if f.bias)
    assert (np.diff(layer.offsets) == 2).all()
    same_call = np.zeros((5, 5))
    a, g = layer.inputs.reshape(5, 2, 4), layer.gradients.reshape(5, 2, 4)
    for call in range(2):
        same_call += (a[:, call] @ a[:, call].T + 1) * (g[:, call] @ g[:, call].T)
    assert np.abs(same_call - truth @ truth.T).max() > 0.1 * np.abs(truth @ truth.T).max()


def test_forms_are_the_same_numbers_and_different_shapes() -> None:
    model, x = (
        seeded(lambda: nn.Sequential(nn.Conv2d(2, 6, 3, groups=2), nn.Flatten())),
        randn(4, 2, 5, 5),
    )
    tokens = capture_factors(model, squares, x, form="tokens")
    dense = capture_factors(model, squares, x, form="dense")
    assert [layer.name for layer in tokens.layers] == ["0.weight[0]", "0.weight[1]"]
    assert [layer.name for layer in dense.layers] == ["0.weight", "0.bias"]
    assert [layer.inputs.shape for layer in dense.layers] == [(4, 6 * 9), (4, 6)]
    np.testing.assert_allclose(grad_dot(tokens, tokens), grad_dot(dense, dense), rtol=1e-12)


def test_tuple_batches_reach_the_loss_as_tuples(oracle: Oracle, check: Check) -> None:
    def cross_entropy(model: nn.Module, batch: tuple[Tensor, Tensor], noise: None) -> Tensor:
        x, y = batch
        return functional.cross_entropy(model(x), y, reduction="none")

    model = seeded(lambda: nn.Sequential(nn.Linear(4, 5), nn.PReLU(), nn.Linear(5, 3)))
    batch = (randn(6, 4), torch.tensor([0, 1, 2, 0, 1, 2]))
    check(
        capture_factors(model, cross_entropy, batch),
        oracle(model, cross_entropy, batch, None),
        1e-12,
    )


def test_float32_stays_float32_and_half_is_widened() -> None:
    model, x = seeded(lambda: nn.Linear(4, 3)).float(), randn(3, 4).float()
    assert capture_factors(model, squares, x).layers[0].inputs.dtype == np.float32
    wide = capture_factors(model, squares, x)
    half = capture_factors(model.bfloat16(), squares, x.bfloat16())
    assert half.layers[0].inputs.dtype == np.float32
    np.testing.assert_allclose(grad_dot(half, half), grad_dot(wide, wide), rtol=0.1, atol=0.5)


@settings(deadline=None, max_examples=40)
@given(
    widths=st.lists(st.integers(1, 6), min_size=2, max_size=4),
    tokens=st.integers(0, 3),
    bias=st.booleans(),
    form=st.sampled_from(FORMS),
    n=st.integers(1, 5),
    seed=st.integers(0, 1000),
)
def test_random_perceptrons(
    widths: list[int], tokens: int, bias: bool, form: str, n: int, seed: int
) -> None:
    layers: list[nn.Module] = []
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        for before, after in pairwise(widths):
            layers += [nn.Linear(before, after, bias=bias), nn.LayerNorm(after), nn.Tanh()]
    model = nn.Sequential(*layers).double()
    x = randn(n, *([tokens] if tokens else []), widths[0], seed=seed)
    factors = capture_factors(model, squares, x, form=form)
    parameters = list(model.parameters())
    truth = np.stack(
        [
            torch.cat(
                [
                    g.flatten()
                    for g in torch.autograd.grad(squares(model, x[i : i + 1], None)[0], parameters)
                ]
            ).numpy()
            for i in range(n)
        ]
    )
    norms = np.linalg.norm(truth, axis=1)
    error = np.abs(grad_dot(factors, factors) - truth @ truth.T)
    assert (error <= 1e-9 * np.outer(norms, norms) + 1e-20).all()
