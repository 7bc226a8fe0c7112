"""The evidence lower bound with a weight on its divergence, per sample, in nats."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from genmem.models import VAE, Observed
from genmem.objectives.elbo import weighted_elbo_loss


@dataclass(frozen=True)
class BetaELBO:
    """loss = beta KL(q(z|x) || p(z)) - mean_k log p(x | z_k); beta = 1 is the ELBO.

    Source: Higgins et al. (2017), beta-VAE.
    """

    beta: float

    @property
    def name(self) -> str:
        return "beta"

    def loss(self, model: VAE, x: Observed, noise: Tensor) -> Tensor:
        """Losses (B,) in nats of x (B, *shape), for noise (B, m, latent)."""
        return weighted_elbo_loss(model, x, noise, beta=self.beta)
