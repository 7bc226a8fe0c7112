"""The variational autoencoders that genmem ships, with several draws per sample."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pytest
import torch
from torch import Tensor, nn

from genmem.influence import Capture
from genmem.kernels import Factors
from genmem.training import Recipe
from influence.vae_problem import vae_problem

Oracle = Callable[..., npt.NDArray[np.float64]]
Check = Callable[[Factors, npt.NDArray[np.float64], float], None]

N, DRAWS = 6, 4
RECIPES = {
    "mlp": (Recipe(model="mlp-vae", latent=3, hidden=(10, 7)), (1, 4, 5)),
    "mlp gaussian iwae": (
        Recipe(model="mlp-vae", latent=3, hidden=(9,), likelihood="gaussian", objective="iwae"),
        (11,),
    ),
    "mlp one variance": (
        Recipe(model="mlp-vae", latent=2, hidden=(8,), likelihood="constant-gaussian"),
        (11,),
    ),
    "dcvae": (Recipe(model="dcvae", latent=3, hidden=(4, 6)), (2, 8, 8)),
    "beta-vae": (
        Recipe(
            model="beta-vae",
            latent=3,
            hidden=(4, 5, 8),
            objective="beta",
            beta=3.0,
            likelihood="squared-error",
        ),
        (3, 8, 12),
    ),
}


def problem(kind: str, dtype: torch.dtype) -> tuple[nn.Module, object, Tensor, Tensor]:
    return vae_problem(*RECIPES[kind], N, DRAWS, dtype)


@pytest.mark.parametrize("form", ["pairs", "norms", "tokens", "dense"])
@pytest.mark.parametrize("kind", RECIPES)
def test_products_are_autograds_to_1e_9_in_float64(
    kind: str, form: str, oracle: Oracle, check: Check
) -> None:
    model, loss, x, noise = problem(kind, torch.float64)
    capture = Capture(model, loss, form=form)
    check(capture(x, noise), oracle(model, loss, x, noise), 1e-9)
    assert capture.materialised == ()


@pytest.mark.parametrize("form", ["pairs", "tokens", "dense"])
@pytest.mark.parametrize("kind", RECIPES)
def test_products_are_autograds_to_1e_5_in_float32(
    kind: str, form: str, oracle: Oracle, check: Check
) -> None:
    model, loss, x, noise = problem(kind, torch.float32)
    factors = Capture(model, loss, form=form)(x, noise)
    truth = oracle(model.double(), loss, x.double(), noise.double())
    check(factors, truth, 1e-5)


def test_the_encoder_runs_once_and_the_decoder_once_per_draw() -> None:
    model, loss, x, noise = problem("mlp", torch.float64)
    factors = Capture(model, loss, form="tokens")(x, noise)
    tokens = {layer.name: set(np.diff(layer.offsets)) for layer in factors.layers}
    assert all(count == {1} for name, count in tokens.items() if name.startswith("encoder"))
    assert all(count == {DRAWS} for name, count in tokens.items() if name.startswith("decoder"))
    assert sum(name.startswith("decoder") for name in tokens) == 3
