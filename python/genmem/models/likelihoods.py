"""Decoder likelihoods log p(x | z) in nats: sums over the values of a sample, one number per draw.

Every likelihood reads `per_value` outputs of the decoder for each of the d values of a sample. All
of the first outputs come before all of the second ones, so a convolutional decoder emits twice the
channels: means in the first half, log-variances in the second.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn
from torch.nn.functional import softplus

from genmem.models.spaces import PixelSpace, Space

LOG_2PI = math.log(2 * math.pi)


class Likelihood(nn.Module, ABC):
    """What a decoder's outputs say about data in [0, 1]^d."""

    per_value = 1

    def __init__(self, space: Space | None = None) -> None:
        super().__init__()
        self.space: Space = PixelSpace() if space is None else space

    @abstractmethod
    def log_prob(self, x: Tensor, raw: Tensor) -> Tensor:
        """log p(x | z) in nats, (B, m), of x (B, d) given outputs raw (B, m, per_value d)."""

    @abstractmethod
    def mean(self, raw: Tensor) -> Tensor:
        """The picture a decoder's output stands for: (n, d) in [0, 1], of raw (n, per_value d)."""


class Bernoulli(Likelihood):
    """log p(x | z) = sum x s - softplus(s), for logits s.

    A log-probability if every x is 0 or 1. Grey x in [0, 1] gives a loss, not a density. No
    probability is formed, so none is clamped: s = 1000 with x = 0 costs 1000 nats.
    """

    def log_prob(self, x: Tensor, raw: Tensor) -> Tensor:
        # Beyond 40, exp(-s) is below half a unit in the last place of s even in float64. The two
        # terms are joined before the sum: a confident pixel then adds almost nothing to round.
        terms = torch.addcmul(softplus(raw, threshold=40), x[:, None], raw, value=-1)
        return -terms.sum(-1)

    def mean(self, raw: Tensor) -> Tensor:
        return torch.sigmoid(raw)


class Gaussian(Likelihood):
    """log p(x | z) = -1/2 sum [log 2 pi + lv + (y - mu)^2 exp(-lv)], plus the log-volume of y(x).

    min_logvar bounds lv from below (None: no bound); -7 is the bound of van den Burg & Williams
    (2021). Without one, a pixel that is constant in the data drives its lv to minus infinity.
    """

    per_value = 2

    def __init__(self, space: Space | None = None, *, min_logvar: float | None = None) -> None:
        super().__init__(space)
        self.min_logvar = min_logvar

    def log_prob(self, x: Tensor, raw: Tensor) -> Tensor:
        mu, logvar = raw.chunk(2, -1)
        if self.min_logvar is not None:
            logvar = logvar.clamp(min=self.min_logvar)
        residual = self.space.observe(x)[:, None] - mu
        terms = logvar + residual.square() * torch.exp(-logvar)
        log_y = -0.5 * (terms.sum(-1) + x.shape[-1] * LOG_2PI)
        return log_y + self.space.log_volume(x)[:, None]

    def mean(self, raw: Tensor) -> Tensor:
        return self.space.invert(raw.chunk(2, -1)[0]).clamp(0, 1)


class ConstantGaussian(Likelihood):
    """The Gaussian with one learned log-variance for all values, draws and samples; initially -2.

    The log-variance is the weight of a linear layer fed with ones, one per draw, so that whatever
    reads per-sample gradients off the layers of a model reads this one too.
    """

    def __init__(self, space: Space | None = None, *, initial_logvar: float = -2.0) -> None:
        super().__init__(space)
        self.logvar = nn.Linear(1, 1, bias=False)
        nn.init.constant_(self.logvar.weight, initial_logvar)

    def log_prob(self, x: Tensor, raw: Tensor) -> Tensor:
        logvar: Tensor = self.logvar(raw.new_ones(*raw.shape[:2], 1))[..., 0]
        sq_error = (self.space.observe(x)[:, None] - raw).square().sum(-1)
        log_y = -0.5 * (x.shape[-1] * (LOG_2PI + logvar) + sq_error * torch.exp(-logvar))
        return log_y + self.space.log_volume(x)[:, None]

    def mean(self, raw: Tensor) -> Tensor:
        return self.space.invert(raw).clamp(0, 1)


class SquaredError(Likelihood):
    """-log p(x | z) = |x - sigmoid(raw)|^2 + (d/2) log pi: the Gaussian of variance 1/2.

    The summed squared error is the loss of Kong & Chaudhuri (2021) on colour images.
    """

    def log_prob(self, x: Tensor, raw: Tensor) -> Tensor:
        sq_error = (x[:, None] - torch.sigmoid(raw)).square().sum(-1)
        return -sq_error - 0.5 * x.shape[-1] * math.log(math.pi)

    def mean(self, raw: Tensor) -> Tensor:
        return torch.sigmoid(raw)
