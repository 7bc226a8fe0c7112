"""The conditional variational autoencoder: labels y are given, to the encoder and the decoder.

p(x | y) = int p(x | z, y) p(z) dz,  q(z | x, y) = N(mu, diag exp(logvar)),  p(z) = N(0, I).

The likelihood is of x alone. Where a label and its picture disagree, log p(x | y) is low and the
gradient of the loss is large: self-influence then finds mislabeled and ambiguous samples, which a
model of x alone cannot tell from others.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from genmem.models.decoders import Decoder
from genmem.models.encoders import Encoder
from genmem.models.observed import Observed
from genmem.models.vae import VAE


class ConditionalVAE(VAE):
    """A generative model of samples given their labels 0..K-1, each a vector of K with a single 1.

    encoder  of (d + K,): values of a sample, then its label; or of (C + K, H, W): an image, then a
             plane of ones or zeros for each class
    decoder  of codes (latent + K): z, then the label

    What `VAE` takes as x is here the pair of x (B, *shape) and labels (B,) int64; what it decodes
    is made by `labelled`.
    Source: Kingma, Rezende, Mohamed & Welling (2014), Semi-supervised learning with deep generative
    models, model M2 with every label given; Sohn, Lee & Yan (2015), here with one prior for all y.
    """

    @staticmethod
    def _require_fit(encoder: Encoder, decoder: Decoder) -> None:
        classes = decoder.latent - encoder.latent
        shapes = [labelled_shape(decoder.shape, classes, flat=flat) for flat in (True, False)]
        if classes < 1 or encoder.shape not in shapes:
            raise ValueError(
                f"ConditionalVAE: the encoder has (shape, latent) {encoder.shape, encoder.latent}, "
                f"the decoder {decoder.shape, decoder.latent}; with K >= 1 classes, latent + K and "
                "one of the shapes with K values or K planes added are wanted"
            )

    @property
    def classes(self) -> int:
        """Number of classes K."""
        return self.decoder.latent - self.encoder.latent

    @property
    def shape(self) -> tuple[int, ...]:
        return self.decoder.shape

    def labelled(self, z: Tensor, labels: Tensor) -> Tensor:
        """Codes z (B, ..., latent) with the labels (B,) behind them: (B, ..., latent + K)."""
        marks = self._marks(labels, z).view(len(z), *[1] * (z.dim() - 2), self.classes)
        return torch.cat([z, marks.expand(*z.shape[:-1], -1)], -1)

    def codes(self, x: Observed, z: Tensor) -> Tensor:
        return self.labelled(z, self._pair(x)[1])

    def _seen(self, x: Observed) -> Tensor:
        pictures, labels = self._pair(x)
        self._require_shape(pictures)
        seen = self.likelihood.space.observe(pictures)
        marks = self._marks(labels, seen)
        if len(self.encoder.shape) == 1:
            return torch.cat([seen.flatten(1), marks], 1)
        return torch.cat([seen, marks[:, :, None, None].expand(-1, -1, *seen.shape[2:])], 1)

    def _pair(self, x: Observed) -> tuple[Tensor, Tensor]:
        if isinstance(x, Tensor):
            raise ValueError(
                "ConditionalVAE: x comes without labels; a pair (x, labels) is wanted, as "
                "Inputs.batch makes it of a data set with y"
            )
        return x

    def _marks(self, labels: Tensor, like: Tensor) -> Tensor:
        """(B, K) in the type of `like`: 1 at the label, 0 elsewhere."""
        if labels.shape != like.shape[:1] or labels.is_floating_point():
            raise ValueError(
                f"ConditionalVAE: labels have shape {tuple(labels.shape)} and type {labels.dtype}; "
                f"({len(like)},) integers are wanted"
            )
        odd = (labels < 0) | (labels >= self.classes)
        if odd.any():
            raise ValueError(
                f"ConditionalVAE: a label is {int(labels[odd][0])}; the model knows the classes "
                f"0..{self.classes - 1} of the data it was made for"
            )
        return (labels[:, None] == torch.arange(self.classes, device=labels.device)).to(like)


def labelled_shape(shape: Sequence[int], classes: int, *, flat: bool) -> tuple[int, ...]:
    """Shape of a sample with its label: values behind the d values, or planes behind the channels.

    Planes only of images (C, H, W).
    """
    if flat or len(shape) != 3:
        return (math.prod(shape) + classes,)
    return (shape[0] + classes, *shape[1:])
