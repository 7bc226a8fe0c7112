"""Cosines of gradients, and another objective at test samples, against float64 autograd."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import torch
from torch import Tensor, nn

from genmem.errors import RunMismatchError
from genmem.influence import TracIn, score
from influence.traps import CalledTwice, DrawsFirst, randn, seeded, squares

Oracle = Callable[..., npt.NDArray[np.float64]]
X, Z, WEIGHTS = randn(8, 4), randn(5, 4, seed=1), (2.0, 0.5)


def third(model: nn.Module, x: Tensor, noise: None) -> Tensor:
    """Another function of the output, which reaches the same layers."""
    return torch.tanh(model(x)).sum(1)


def states(model: nn.Module) -> list[dict[str, Tensor]]:
    return [{n: s * v for n, v in model.state_dict().items()} for s in (1.0, 0.6)]


def gradients(
    oracle: Oracle, make: type[nn.Module], loss: object, x: Tensor
) -> list[npt.NDArray[np.float64]]:
    found = []
    for state in states(seeded(make)):
        model = seeded(make)
        model.load_state_dict(state)
        found.append(oracle(model, loss, x, None))
    return found


def tracin(make: type[nn.Module] = CalledTwice, **options: object) -> TracIn:
    model = seeded(make)
    settings = {"weights": WEIGHTS, "block": 3} | options
    return TracIn(states(model), squares, model=model, **settings)


def unit(g: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    return g / np.linalg.norm(g, axis=1, keepdims=True)


def test_each_checkpoint_adds_its_weight_times_the_cosine(oracle: Oracle, tmp_path: Path) -> None:
    left, right = (gradients(oracle, CalledTwice, squares, data) for data in (Z, X))
    want = sum(w * unit(a) @ unit(b).T for w, a, b in zip(WEIGHTS, left, right, strict=True))
    got = tracin(cosine=True)
    np.testing.assert_allclose(got.influence(Z, X), want, rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(got.self_influence(X), np.full(8, 2.5), rtol=1e-12)
    stores = got.capture(Z, side="test"), got.capture(X, tmp_path)
    np.testing.assert_allclose(score(*stores, cosine=True), want, rtol=1e-10, atol=1e-12)
    assert (score(*stores) != want).any()


def test_a_zero_gradient_has_no_direction() -> None:
    model = nn.Linear(4, 1, bias=False).double()
    x = torch.cat([torch.zeros(1, 4).double(), X])
    traced = TracIn(
        [model.state_dict()], lambda m, x, _: m(x)[:, 0], model=model, weights=[2.0], cosine=True
    )
    got = traced.influence(x, x)
    assert (got[0] == 0).all()
    np.testing.assert_allclose(np.diagonal(got)[1:], 2.0, rtol=1e-12)
    np.testing.assert_allclose(traced.self_influence(x), [0.0, *[2.0] * 8], rtol=1e-12)


def test_a_cosine_has_no_unbiased_form() -> None:
    traced = tracin(cosine=True, latent=2)
    with pytest.raises(ValueError, match="a cosine has no unbiased form"):
        traced.self_influence(X, unbiased=True)


@pytest.mark.parametrize("make", [CalledTwice, DrawsFirst])
def test_another_objective_at_test_samples(make: type[nn.Module], oracle: Oracle) -> None:
    left, right = gradients(oracle, make, third, Z), gradients(oracle, make, squares, X)
    want = sum(w * a @ b.T for w, a, b in zip(WEIGHTS, left, right, strict=True))
    got = tracin(make, test_objective=third)
    np.testing.assert_allclose(got.influence(Z, X), want, rtol=1e-10, atol=1e-12)
    own = sum(w * (g**2).sum(1) for w, g in zip(WEIGHTS, right, strict=True))
    np.testing.assert_allclose(got.self_influence(X), own, rtol=1e-10)
    queries, points = got.capture(Z, side="test"), got.capture(X)
    np.testing.assert_allclose(score(queries, points), want, rtol=1e-10, atol=1e-12)
    with pytest.raises(RunMismatchError, match="test_objective is 'third' there, None now"):
        tracin(make).influence(queries, X)


def test_losses_that_use_a_layer_differently_are_refused() -> None:
    def direct(model: nn.Module, x: Tensor, noise: None) -> Tensor:
        return squares(model, x, None) + (model.layer.weight**2).sum()

    same: Callable[..., Tensor] = squares
    model = seeded(CalledTwice)
    # What the test side forms by autograd, the training side forms too.
    ours = TracIn(states(model), same, model=model, weights=WEIGHTS, test_objective=direct)
    assert np.isfinite(ours.influence(Z, X)).all()
    other = TracIn(states(model), direct, model=model, weights=WEIGHTS, test_objective=same)
    with pytest.raises(ValueError, match=r"layer\.bias, layer\.weight cannot be read from layers"):
        other.influence(Z, X)
