"""Convolutions and transposed convolutions in one, two and three dimensions.

A convolution multiplies patches of its padded input by a matrix, once per output position:

    a_t = the patch under output position t (C_in/groups * k)
    g_t = the output gradient at t (C_out/groups)

A transposed convolution is its adjoint, so the roles swap: a token is an input position, and its
gradient is the patch of the padded output gradient that the position was spread over. Its bias is
added after the spreading, so it is not one more input.
"""

from __future__ import annotations

from math import prod
from typing import cast

from torch import Tensor, nn
from torch.nn import functional

from genmem.influence.layers.family import TokenFamily, row_axis

Convolution = nn.Conv1d | nn.Conv2d | nn.Conv3d
Transposed = nn.ConvTranspose1d | nn.ConvTranspose2d | nn.ConvTranspose3d


def patches(
    x: Tensor, kernel: tuple[int, ...], stride: tuple[int, ...], dilation: tuple[int, ...]
) -> Tensor:
    """Every patch of x (rows, C, *size) as a view: (rows, *positions, *kernel, C)."""
    # Channels last: what is adjacent in a patch is then adjacent in x, and copied at one go.
    x = x.movedim(1, -1).contiguous()
    for axis, (k, step, spread) in enumerate(zip(kernel, stride, dilation, strict=True)):
        x = x.unfold(1 + axis, spread * (k - 1) + 1, step)[..., ::spread]
    return x.movedim(1 + len(kernel), -1)


def padded(layer: Convolution, x: Tensor) -> Tensor:
    """x with the border that the layer's padding and padding_mode put around it."""
    border: list[int] = []
    for axis in reversed(range(len(layer.kernel_size))):
        border += _sides(layer, axis)
    if layer.padding_mode == "zeros":
        return functional.pad(x, border)
    return functional.pad(x, border, mode=layer.padding_mode)


def _sides(layer: Convolution, axis: int) -> tuple[int, int]:
    if layer.padding == "valid":
        return 0, 0
    if layer.padding == "same":
        total = layer.dilation[axis] * (layer.kernel_size[axis] - 1)
        return total // 2, total - total // 2
    return int(layer.padding[axis]), int(layer.padding[axis])


def _patch_tokens(seen: Tensor, groups: int, axes: int) -> Tensor:
    """(rows, *positions, *kernel, C) to tokens (rows, T, groups, kernel * C/groups)."""
    t = seen.reshape(*seen.shape[:-1], groups, seen.shape[-1] // groups)
    return t.movedim(-2, 1 + axes).flatten(1, axes).flatten(3)


def _channel_tokens(t: Tensor, groups: int) -> Tensor:
    """(rows, C, *positions) to tokens (rows, T, groups, C/groups)."""
    rows, channels = t.shape[:2]
    return t.reshape(rows, groups, channels // groups, -1).permute(0, 3, 1, 2)


def _channels_first(dense: Tensor, channels: int) -> Tensor:
    """(..., kernel * C) to (..., C * kernel), the order of a weight."""
    taps = dense.shape[-1] // channels
    return dense.reshape(*dense.shape[:-1], taps, channels).transpose(-1, -2).flatten(-2)


class ConvolutionFamily(TokenFamily):
    """y = W * pad(x) + b: a token is the patch under an output position."""

    bias_is_an_input = True

    def geometry(self, module: nn.Module) -> tuple[int, int, int]:
        layer = cast(Convolution, module)
        d = layer.in_channels // layer.groups * prod(layer.kernel_size)
        return layer.groups, d, layer.out_channels // layer.groups

    def tokens(self, module: nn.Module, x: Tensor, g: Tensor) -> tuple[Tensor, Tensor]:
        layer = cast(Convolution, module)
        axes = len(layer.kernel_size)
        row_axis(x, axes + 1)
        seen = patches(padded(layer, x), layer.kernel_size, layer.stride, layer.dilation)
        return _patch_tokens(seen, layer.groups, axes), _channel_tokens(g, layer.groups)

    def weight(self, dense: Tensor, shape: tuple[int, ...]) -> Tensor:
        return _channels_first(dense, shape[1]).reshape(-1, *shape)

    def bias(self, module: nn.Module, g: Tensor) -> Tensor:
        return _channel_sums(module, g)


class TransposedFamily(TokenFamily):
    """The adjoint of a convolution: a token is an input position."""

    def geometry(self, module: nn.Module) -> tuple[int, int, int]:
        layer = cast(Transposed, module)
        p = layer.out_channels // layer.groups * prod(layer.kernel_size)
        return layer.groups, layer.in_channels // layer.groups, p

    def tokens(self, module: nn.Module, x: Tensor, g: Tensor) -> tuple[Tensor, Tensor]:
        layer = cast(Transposed, module)
        axes = len(layer.kernel_size)
        row_axis(x, axes + 1)
        sides = cast(tuple[int, ...], layer.padding)
        border = [side for side in reversed(sides) for _ in range(2)]
        spread = patches(functional.pad(g, border), layer.kernel_size, layer.stride, layer.dilation)
        # output_padding of a stride or more leaves positions that no input was spread over.
        for axis, size in enumerate(x.shape[2:]):
            spread = spread.narrow(1 + axis, 0, size)
        return _channel_tokens(x, layer.groups), _patch_tokens(spread, layer.groups, axes)

    def weight(self, dense: Tensor, shape: tuple[int, ...]) -> Tensor:
        return _channels_first(dense.transpose(2, 3), shape[1]).reshape(-1, *shape)

    def bias(self, module: nn.Module, g: Tensor) -> Tensor:
        return _channel_sums(module, g)


def _channel_sums(module: nn.Module, g: Tensor) -> Tensor:
    row_axis(g, len(cast(Convolution | Transposed, module).kernel_size) + 1)
    return g.flatten(2).sum(2)
