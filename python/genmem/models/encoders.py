"""Encoders: from a sample to the mean and log-variance of its latent code.

No activation works in place: whoever reads the output of a layer would find it overwritten.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

from torch import nn

from genmem.models.aligned import Layers


class Encoder(Layers):
    """Layers from x (B, *shape) to the pair (mean, log-variance) side by side, (B, 2 latent)."""

    def __init__(self, shape: Sequence[int], latent: int, *layers: nn.Module) -> None:
        super().__init__(*layers)
        self.shape = tuple(shape)
        self.latent = latent


def mlp_encoder(shape: Sequence[int], hidden: Sequence[int], latent: int) -> Encoder:
    """Flatten, then linear layers with ReLU: d, hidden..., 2 latent."""
    layers: list[nn.Module] = [nn.Flatten()]
    widths = [math.prod(shape), *hidden]
    for before, after in pairwise(widths):
        layers += [nn.Linear(before, after), nn.ReLU()]
    return Encoder(shape, latent, *layers, nn.Linear(widths[-1], 2 * latent))


def dc_encoder(
    shape: Sequence[int], channels: Sequence[int], left: tuple[int, int], latent: int
) -> Encoder:
    """4 x 4 convolutions of stride 2, batch norm after all but the first, leaky ReLU 0.2, linear.

    Source: van den Burg & Williams (2021), after Radford, Metz & Chintala (2016).
    """
    layers: list[nn.Module] = []
    for before, after in pairwise([shape[0], *channels]):
        layers.append(nn.Conv2d(before, after, 4, 2, 1, bias=False))
        if len(layers) > 1:
            layers.append(nn.BatchNorm2d(after))
        layers.append(nn.LeakyReLU(0.2))
    head = nn.Linear(channels[-1] * left[0] * left[1], 2 * latent)
    return Encoder(shape, latent, *layers, nn.Flatten(), head)


def beta_encoder(
    shape: Sequence[int], channels: Sequence[int], left: tuple[int, int], width: int, latent: int
) -> Encoder:
    """4 x 4 convolutions of stride 2, one over all that is left, ReLU, linear.

    Source: Higgins et al. (2017), beta-VAE; the widths of Kong & Chaudhuri (2021).
    """
    layers: list[nn.Module] = []
    for before, after in pairwise([shape[0], *channels]):
        layers += [nn.Conv2d(before, after, 4, 2, 1), nn.ReLU()]
    layers += [nn.Conv2d(channels[-1], width, left), nn.ReLU(), nn.Flatten()]
    return Encoder(shape, latent, *layers, nn.Linear(width, 2 * latent))
