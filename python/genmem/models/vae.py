"""The variational autoencoder: an encoder, a decoder and a likelihood.

q(z | x) = N(mu, diag exp(logvar)),  p(z) = N(0, I),  z = mu + exp(logvar / 2) noise.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from genmem.models.decoders import Decoder
from genmem.models.encoders import Encoder
from genmem.models.likelihoods import Likelihood
from genmem.models.observed import Observed, samples


class VAE(nn.Module):
    """A generative model of samples of one shape, whose noise is given to it and never drawn.

    Source: Kingma & Welling (2014), Auto-encoding variational Bayes.
    """

    def __init__(self, encoder: Encoder, decoder: Decoder, likelihood: Likelihood) -> None:
        super().__init__()
        self._require_fit(encoder, decoder)
        self.encoder = encoder
        self.decoder = decoder
        self.likelihood = likelihood

    @staticmethod
    def _require_fit(encoder: Encoder, decoder: Decoder) -> None:
        there, here = (encoder.shape, encoder.latent), (decoder.shape, decoder.latent)
        if there != here:
            raise ValueError(
                f"VAE: the encoder has (shape, latent) {there}, the decoder {here}; they must agree"
            )

    @property
    def latent(self) -> int:
        """Dimensions of z."""
        return self.encoder.latent

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of one sample."""
        return self.encoder.shape

    @property
    def values(self) -> int:
        """Number of values d of one sample."""
        return math.prod(self.shape)

    def encode(self, x: Observed) -> tuple[Tensor, Tensor]:
        """Mean and log-variance of q(z | x), each (B, latent), of x (B, *shape) in [0, 1]."""
        mu, logvar = self.encoder(self._seen(x)).chunk(2, -1)
        return mu, logvar

    def reparameterise(self, mu: Tensor, logvar: Tensor, noise: Tensor) -> Tensor:
        """Draws z (B, m, latent) of q(z | x), from standard normal noise (B, m, latent)."""
        if noise.dim() != 3 or noise.shape[::2] != mu.shape:
            raise ValueError(
                f"VAE.reparameterise: noise has shape {tuple(noise.shape)}; "
                f"({mu.shape[0]}, draws, {mu.shape[1]}) is wanted"
            )
        return torch.addcmul(mu[:, None], torch.exp(0.5 * logvar)[:, None], noise)

    def decode(self, z: Tensor) -> Tensor:
        """What the likelihood reads, (..., per_value d), of z (..., latent): logits, or means."""
        raw: Tensor = self.decoder(z.reshape(-1, self.decoder.latent))
        return raw.view(*z.shape[:-1], raw.shape[-1])

    def log_likelihood(self, x: Observed, z: Tensor) -> Tensor:
        """log p(x | z) in nats, (B, m): every draw z (B, m, latent) of its own x (B, *shape)."""
        return self.likelihood.log_prob(samples(x).flatten(1), self.decode(self.codes(x, z)))

    def mean(self, z: Tensor) -> Tensor:
        """The pictures that codes z (n, latent) stand for: (n, *shape) in [0, 1]."""
        return self.likelihood.mean(self.decode(z)).view(len(z), *self.shape)

    def codes(self, x: Observed, z: Tensor) -> Tensor:
        """What `decode` takes for draws z (B, ..., latent) of x: z, unless the model is given
        more."""
        _require_alone(x)
        return z

    def _seen(self, x: Observed) -> Tensor:
        """What the encoder reads of x."""
        x = _require_alone(x)
        self._require_shape(x)
        return self.likelihood.space.observe(x)

    def _require_shape(self, x: Tensor) -> None:
        if x.shape[1:] != self.shape:
            raise ValueError(
                f"VAE.encode: x has shape {tuple(x.shape)}; (B, {str(self.shape)[1:]} is wanted"
            )


def _require_alone(x: Observed) -> Tensor:
    if not isinstance(x, Tensor):
        raise ValueError(
            "VAE: x comes with labels, which this model is not given; x alone is wanted, or a "
            "ConditionalVAE"
        )
    return x
