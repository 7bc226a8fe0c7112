"""Affine parameters of normalisations: y = x_hat * weight + bias.

    gradient of the weight = sum x_hat * g,   of the bias = sum g,   over all but the affine axes

Batch normalisation belongs here only in eval mode, where x_hat is taken with the running
statistics; with batch statistics the loss of one sample depends on the others and has no
per-sample gradient. Instance normalisation takes them only if it tracks them, in eval mode.
"""

from __future__ import annotations

from typing import cast

from torch import Tensor, nn
from torch.nn import functional
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.instancenorm import _InstanceNorm

from genmem.influence.layers.family import ScaleFamily, row_axis


class LayerNormFamily(ScaleFamily):
    """Over the last axes, `normalized_shape`; all other axes are tokens."""

    def scale(self, module: nn.Module, x: Tensor, g: Tensor) -> Tensor:
        layer = cast(nn.LayerNorm, module)
        return self.bias(
            module, functional.layer_norm(x, layer.normalized_shape, eps=layer.eps) * g
        )

    def bias(self, module: nn.Module, g: Tensor) -> Tensor:
        shape = cast(nn.LayerNorm, module).normalized_shape
        return g.reshape(row_axis(g, len(shape)), -1, *shape).sum(1)


class RMSNormFamily(LayerNormFamily):
    """Over the last axes, without a mean and without a bias: x_hat = x / rms(x)."""

    def scale(self, module: nn.Module, x: Tensor, g: Tensor) -> Tensor:
        layer = cast(nn.RMSNorm, module)
        shape = list(layer.normalized_shape)
        return self.bias(module, functional.rms_norm(x, shape, eps=layer.eps) * g)


class ChannelFamily(ScaleFamily):
    """One number per channel of (rows, C, ...)."""

    def bias(self, module: nn.Module, g: Tensor) -> Tensor:
        return g.reshape(row_axis(g, 1), g.shape[1], -1).sum(2)


class GroupNormFamily(ChannelFamily):
    """Over groups of channels."""

    def scale(self, module: nn.Module, x: Tensor, g: Tensor) -> Tensor:
        layer = cast(nn.GroupNorm, module)
        return self.bias(module, functional.group_norm(x, layer.num_groups, eps=layer.eps) * g)


class BatchNormFamily(ChannelFamily):
    """Per channel, with the running mean and variance."""

    def scale(self, module: nn.Module, x: Tensor, g: Tensor) -> Tensor:
        layer = cast(_BatchNorm, module)
        x_hat = functional.batch_norm(x, layer.running_mean, layer.running_var, eps=layer.eps)
        return self.bias(module, x_hat * g)


class InstanceNormFamily(ChannelFamily):
    """Per channel and row, over the other axes of (rows, C, ...): how many is `axes`."""

    def __init__(self, axes: int) -> None:
        self._axes = axes

    def scale(self, module: nn.Module, x: Tensor, g: Tensor) -> Tensor:
        layer = cast(_InstanceNorm, module)
        tracked = not layer.training and layer.running_mean is not None
        # Without the running statistics, which a call in train mode would move.
        mean, variance = (layer.running_mean, layer.running_var) if tracked else (None, None)
        x_hat = functional.instance_norm(
            x, mean, variance, use_input_stats=not tracked, eps=layer.eps
        )
        return self.bias(module, x_hat * g)

    def bias(self, module: nn.Module, g: Tensor) -> Tensor:
        row_axis(g, self._axes + 1)  # (C, ...) is also legal, and has no rows
        return super().bias(module, g)
