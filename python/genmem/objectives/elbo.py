"""The evidence lower bound, per sample, in nats."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from genmem.models import VAE, Observed


class Objective(Protocol):
    """A loss per sample, summed over the dimensions of the sample and averaged over its draws.

    For a ConditionalVAE x is the pair (x, labels), and the loss bounds -log p(x | y).
    """

    @property
    def name(self) -> str:
        """The name a recipe calls it by."""
        ...

    def loss(self, model: VAE, x: Observed, noise: Tensor) -> Tensor:
        """Losses (B,) in nats of x (B, *shape), for standard normal noise (B, m, latent)."""
        ...


@dataclass(frozen=True)
class ELBO:
    """loss = KL(q(z|x) || p(z)) - mean_k log p(x | z_k), the encoder run once."""

    @property
    def name(self) -> str:
        return "elbo"

    def loss(self, model: VAE, x: Observed, noise: Tensor) -> Tensor:
        """Losses (B,) in nats of x (B, *shape), for noise (B, m, latent)."""
        return weighted_elbo_loss(model, x, noise, beta=1.0)


def weighted_elbo_loss(model: VAE, x: Observed, noise: Tensor, *, beta: float) -> Tensor:
    """beta KL - mean_k log p(x | z_k): (B,) nats."""
    mu, logvar = model.encode(x)
    z = model.reparameterise(mu, logvar, noise)
    return beta * kl(mu, logvar) - model.log_likelihood(x, z).mean(-1)


def kl(mu: Tensor, logvar: Tensor) -> Tensor:
    """KL(N(mu, diag e^lv) || N(0, I)) = 1/2 sum (mu^2 + e^lv - 1 - lv), (B,) nats.

    expm1(lv) - lv keeps its digits near lv = 0, where e^lv - 1 - lv loses them.
    """
    return 0.5 * (mu.square() + (torch.expm1(logvar) - logvar)).sum(-1)
