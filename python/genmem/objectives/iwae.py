"""The importance-weighted bound, per sample, in nats."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from genmem.models import VAE, Observed


@dataclass(frozen=True)
class IWAE:
    """loss = -log (1/m) sum_k exp(lw_k), lw_k = log p(x | z_k) + log p(z_k) - log q(z_k | x).

    At m = 1 its expectation is that of the ELBO; it rises towards log p(x) with m.
    Source: Burda, Grosse & Salakhutdinov (2016), Importance weighted autoencoders.
    """

    @property
    def name(self) -> str:
        return "iwae"

    def loss(self, model: VAE, x: Observed, noise: Tensor) -> Tensor:
        """Losses (B,) in nats of x (B, *shape), for noise (B, m, latent)."""
        mu, logvar = model.encode(x)
        z = model.reparameterise(mu, logvar, noise)
        weights = model.log_likelihood(x, z) + log_prior_ratio(logvar, noise, z)
        return math.log(noise.shape[1]) - torch.logsumexp(weights, -1)


def log_prior_ratio(logvar: Tensor, noise: Tensor, z: Tensor) -> Tensor:
    """log p(z_k) - log q(z_k | x) = 1/2 sum_j (lv_j + noise_kj^2 - z_kj^2), (B, m) nats."""
    return 0.5 * (logvar[:, None] + noise.square() - z.square()).sum(-1)
