"""Layers in a row, whose answer to a sample does not know the sample's place in its batch."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

# Numbers: 64 bytes of float32.
_ALIGNED = 16


class Layers(nn.Sequential):
    """`nn.Sequential`; without gradients, rows that go into a linear layer are aligned.

    A product of a narrow matrix (2 to 11 outputs) adds up a row in an order that depends on where
    the row begins in memory: MKL on AMD's processors, for 70 features, not for 64.
    """

    def forward(self, x: Tensor) -> Tensor:
        for layer in self:
            if isinstance(layer, nn.Linear) and not torch.is_grad_enabled():
                x = _aligned(x)
            x = layer(x)
        return x


def _aligned(x: Tensor) -> Tensor:
    """The same numbers, every row beginning at a multiple of 64 bytes."""
    width = x.shape[-1]
    if width % _ALIGNED == 0 or x.device.type != "cpu":
        return x
    return functional.pad(x, (0, -width % _ALIGNED))[..., :width]
