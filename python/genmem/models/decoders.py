"""Decoders: from a latent code to the outputs a likelihood reads; mirrors of the encoders."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

from torch import nn

from genmem.models.aligned import Layers


class Decoder(Layers):
    """Layers from z (n, latent) to raw outputs (n, per_value d), d values per sample."""

    def __init__(self, shape: Sequence[int], latent: int, *layers: nn.Module) -> None:
        super().__init__(*layers)
        self.shape = tuple(shape)
        self.latent = latent


def mlp_decoder(
    shape: Sequence[int], hidden: Sequence[int], latent: int, per_value: int
) -> Decoder:
    """Linear layers with ReLU: latent, hidden reversed..., per_value d."""
    layers: list[nn.Module] = []
    widths = [latent, *reversed(hidden)]
    for before, after in pairwise(widths):
        layers += [nn.Linear(before, after), nn.ReLU()]
    return Decoder(shape, latent, *layers, nn.Linear(widths[-1], per_value * math.prod(shape)))


def dc_decoder(
    shape: Sequence[int],
    channels: Sequence[int],
    left: tuple[int, int],
    latent: int,
    per_value: int,
) -> Decoder:
    """Transposed convolutions without bias, batch norm and ReLU after all but the last.

    The first opens the code to the size the encoder left; the others, 4 x 4, double the sides.
    """
    layers: list[nn.Module] = [
        nn.Unflatten(1, (latent, 1, 1)),
        nn.ConvTranspose2d(latent, channels[-1], left, bias=False),
    ]
    for before, after in pairwise([*reversed(channels), per_value * shape[0]]):
        layers += [
            nn.BatchNorm2d(before),
            nn.ReLU(),
            nn.ConvTranspose2d(before, after, 4, 2, 1, bias=False),
        ]
    return Decoder(shape, latent, *layers, nn.Flatten())


def beta_decoder(
    shape: Sequence[int],
    channels: Sequence[int],
    left: tuple[int, int],
    width: int,
    latent: int,
    per_value: int,
) -> Decoder:
    """Linear, then transposed convolutions with ReLU between, in the mirror of `beta_encoder`."""
    layers: list[nn.Module] = [
        nn.Linear(latent, width),
        nn.ReLU(),
        nn.Unflatten(1, (width, 1, 1)),
        nn.ConvTranspose2d(width, channels[-1], left),
    ]
    for before, after in pairwise([*reversed(channels), per_value * shape[0]]):
        layers += [nn.ReLU(), nn.ConvTranspose2d(before, after, 4, 2, 1)]
    return Decoder(shape, latent, *layers, nn.Flatten())
