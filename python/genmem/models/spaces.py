"""The space a Gaussian decoder lives in: the pixels themselves, or their logits."""

from __future__ import annotations

import math
from typing import Protocol

import torch
from torch import Tensor
from torch.nn.functional import softplus


class Space(Protocol):
    """A map y(x) of the data, and what it does to volumes."""

    def observe(self, x: Tensor) -> Tensor:
        """y of x in [0, 1], same shape."""
        ...

    def log_volume(self, x: Tensor) -> Tensor:
        """log p(x) - log p(y), (B,) nats, for x (B, d)."""
        ...

    def invert(self, y: Tensor) -> Tensor:
        """x of y, same shape."""
        ...


class PixelSpace:
    """y = x: densities are those of x in [0, 1]^d."""

    def observe(self, x: Tensor) -> Tensor:
        return x

    def log_volume(self, x: Tensor) -> Tensor:
        return x.new_zeros(len(x))

    def invert(self, y: Tensor) -> Tensor:
        return y


class LogitSpace:
    """y = logit t, t = lambda + (1 - 2 lambda) x, with x = (v + u) / 256 in [0, 1], lambda = 0.05.

    log p(v + u) = log p(y) + d log(1 - 2 lambda) - d log 256 - sum (y - 2 softplus(y))

    Densities are those of pixel values v + u in [0, 256)^d. A Gaussian in y keeps some mass outside
    that cube, so in pixel units it is sub-normalised (0.99676 for N(0, 1)); that is the model.

    Source: Papamakarios, Pavlakou & Murray (2017), Masked autoregressive flow, equation 27.
    """

    squeeze = 0.05
    levels = 256

    def observe(self, x: Tensor) -> Tensor:
        t = self.squeeze + (1 - 2 * self.squeeze) * x
        return torch.log(t) - torch.log1p(-t)

    def log_volume(self, x: Tensor) -> Tensor:
        # float64: on a colour image the sum is thousands of nats, and a float32 holds it to 5e-4.
        y = self.observe(x.double())
        constant = math.log(1 - 2 * self.squeeze) - math.log(self.levels)
        volume = x.shape[-1] * constant - (y - 2 * softplus(y, threshold=40)).sum(-1)
        return volume.to(x.dtype)

    def invert(self, y: Tensor) -> Tensor:
        return (torch.sigmoid(y) - self.squeeze) / (1 - 2 * self.squeeze)
