"""A variational autoencoder whose weights and statistics are in general position, and samples."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from genmem.models import build
from genmem.objectives import make
from genmem.training import Recipe


def vae_problem(
    recipe: Recipe,
    shape: tuple[int, ...],
    n: int,
    draws: int,
    dtype: torch.dtype,
    classes: int | None = None,
) -> tuple[nn.Module, object, Tensor, Tensor]:
    """The model in eval mode, its loss, x (n, *shape) and noise (n, draws, latent)."""
    model = build(recipe, shape, classes).to(dtype)
    generator = torch.Generator().manual_seed(2)
    with torch.no_grad():  # running statistics away from 0 and 1, biases away from 0
        for value in model.state_dict().values():
            if value.is_floating_point():
                moved = torch.rand(value.shape, generator=generator, dtype=torch.float64)
                value += 0.1 * moved.to(dtype)
    x = torch.rand(n, *shape, generator=generator, dtype=torch.float64).to(dtype)
    noise = torch.randn(n, draws, recipe.latent, generator=generator, dtype=torch.float64).to(dtype)
    return model.eval(), make(recipe).loss, x, noise
