"""Affine parameters of normalisations: y = x_hat * weight + bias.

    gradient of the weight = sum x_hat * g,   of the bias = sum g,   over all but the affine axes

Batch normalisation belongs here only in eval mode, where x_hat is taken with the running
statistics; with batch statistics the loss of one sample depends on the others and has no
per-sample gradient.
"""

from __future__ import annotations

from typing import cast

from torch import Tensor, nn
from torch.nn import functional
from torch.nn.modules.batchnorm import _BatchNorm

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


class GroupNormFamily(ScaleFamily):
    """Over groups of channels of (rows, C, ...)."""

    def scale(self, module: nn.Module, x: Tensor, g: Tensor) -> Tensor:
        layer = cast(nn.GroupNorm, module)
        return self.bias(module, functional.group_norm(x, layer.num_groups, eps=layer.eps) * g)

    def bias(self, module: nn.Module, g: Tensor) -> Tensor:
        return g.reshape(row_axis(g, 1), g.shape[1], -1).sum(2)


class BatchNormFamily(ScaleFamily):
    """Per channel of (rows, C, ...), with the running mean and variance."""

    def scale(self, module: nn.Module, x: Tensor, g: Tensor) -> Tensor:
        layer = cast(_BatchNorm, module)
        x_hat = functional.batch_norm(x, layer.running_mean, layer.running_var, eps=layer.eps)
        return self.bias(module, x_hat * g)

    def bias(self, module: nn.Module, g: Tensor) -> Tensor:
        return g.reshape(row_axis(g, 1), g.shape[1], -1).sum(2)
