"""Layers of every covered kind with drawn hyper-parameters, and a model that calls one m times."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from hypothesis import assume
from hypothesis import strategies as st
from torch import Tensor, nn

Drawn = tuple[nn.Module, tuple[int, ...]]
Draw = Callable[[Any], Any]

_CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)
_TRANSPOSED = (nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)
_BATCH_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)
_INSTANCE_NORMS = (nn.InstanceNorm1d, nn.InstanceNorm2d, nn.InstanceNorm3d)


def _sizes(draw: Draw, count: int, low: int, high: int) -> tuple[int, ...]:
    return tuple(draw(st.integers(low, high)) for _ in range(count))


def linear(draw: Draw) -> Drawn:
    d, p = _sizes(draw, 2, 1, 6)
    tokens = _sizes(draw, draw(st.integers(0, 2)), 1, 3)
    return nn.Linear(d, p, bias=draw(st.booleans())), (*tokens, d)


def convolution(draw: Draw) -> Drawn:
    axes = draw(st.integers(1, 3))
    groups = draw(st.integers(1, 3))
    before, after = (groups * c for c in _sizes(draw, 2, 1, 2))
    kernel, stride = _sizes(draw, axes, 1, 3), _sizes(draw, axes, 1, 3)
    dilation = _sizes(draw, axes, 1, 2)
    size = tuple(
        max(3, d * (k - 1) + 1 + extra)
        for d, k, extra in zip(dilation, kernel, _sizes(draw, axes, 0, 2), strict=True)
    )
    padding: Any = draw(st.sampled_from(["numbers", "same", "valid"]))
    if padding == "same":
        stride = (1,) * axes
    elif padding == "numbers":
        padding = _sizes(draw, axes, 0, 2)
    layer = _CONVOLUTIONS[axes - 1](
        before,
        after,
        kernel,
        stride,
        padding,
        dilation,
        groups,
        bias=draw(st.booleans()),
        padding_mode=draw(st.sampled_from(["zeros", "reflect", "replicate", "circular"])),
    )
    return layer, (before, *size)


def transposed(draw: Draw) -> Drawn:
    axes = draw(st.integers(1, 3))
    groups = draw(st.integers(1, 3))
    before, after = (groups * c for c in _sizes(draw, 2, 1, 2))
    kernel, stride = _sizes(draw, axes, 1, 3), _sizes(draw, axes, 1, 3)
    dilation, padding = _sizes(draw, axes, 1, 2), _sizes(draw, axes, 0, 2)
    size = _sizes(draw, axes, 1, 3)
    extra = tuple(
        draw(st.integers(0, max(s, d) - 1)) for s, d in zip(stride, dilation, strict=True)
    )
    for n, k, s, p, d, e in zip(size, kernel, stride, padding, dilation, extra, strict=True):
        assume((n - 1) * s - 2 * p + d * (k - 1) + e + 1 >= 1)
    bias = draw(st.booleans())
    layer = _TRANSPOSED[axes - 1](
        before, after, kernel, stride, padding, extra, groups, bias, dilation
    )
    return layer, (before, *size)


def batch_norm(draw: Draw) -> Drawn:
    axes = draw(st.integers(1, 3))
    channels = draw(st.integers(1, 4))
    return _BATCH_NORMS[axes - 1](channels).eval(), (channels, *_sizes(draw, axes, 1, 3))


def layer_norm(draw: Draw) -> Drawn:
    shape = _sizes(draw, draw(st.integers(1, 2)), 2, 4)
    tokens = _sizes(draw, draw(st.integers(0, 2)), 1, 3)
    return nn.LayerNorm(shape, bias=draw(st.booleans())), (*tokens, *shape)


def rms_norm(draw: Draw) -> Drawn:
    shape = _sizes(draw, draw(st.integers(1, 2)), 2, 4)
    tokens = _sizes(draw, draw(st.integers(0, 2)), 1, 3)
    # Without an eps the epsilon of the type is taken, and float32 has another than the truth.
    return nn.RMSNorm(shape, eps=draw(st.sampled_from([1e-5, 1e-3]))), (*tokens, *shape)


def group_norm(draw: Draw) -> Drawn:
    groups, per = _sizes(draw, 2, 1, 3)
    size = _sizes(draw, draw(st.integers(0, 2)), 2, 3)
    assume(per > 1 or size)
    return nn.GroupNorm(groups, groups * per), (groups * per, *size)


def instance_norm(draw: Draw) -> Drawn:
    axes = draw(st.integers(1, 3))
    channels = draw(st.integers(1, 3))
    layer = _INSTANCE_NORMS[axes - 1](
        channels, affine=True, track_running_stats=draw(st.booleans())
    )
    return layer.eval(), (channels, *_sizes(draw, axes, 2, 3))


KINDS: dict[str, Callable[[Draw], Drawn]] = {
    f.__name__: f
    for f in (
        linear,
        convolution,
        transposed,
        batch_norm,
        layer_norm,
        rms_norm,
        group_norm,
        instance_norm,
    )
}


class Shared(nn.Module):
    """A layer that sees m draws of every sample: in one call, or in a loop (cross terms), or in a
    loop of two layers with one weight."""

    def __init__(self, layer: nn.Module, way: str, twin: nn.Module | None = None) -> None:
        super().__init__()
        self.layer, self.way, self.twin = layer, way, twin

    def forward(self, x: Tensor, noise: Tensor) -> Tensor:
        b, m = noise.shape[:2]
        z = torch.tanh(x[:, None] + 0.5 * noise.view(b, m, *x.shape[1:]))
        if self.way == "rows":
            return self.layer(z.flatten(0, 1)).unflatten(0, (b, m))
        layers = [self.layer, self.twin or self.layer]
        return torch.stack([layers[k % 2](z[:, k]) for k in range(m)], 1)


def mean_square(model: nn.Module, x: Tensor, noise: Tensor) -> Tensor:
    """Per sample the mean over draws of sum (y + c)^2 / 2, with c that tells the outputs apart."""
    y = model(x, noise).flatten(2)
    c = torch.cos(torch.arange(y.shape[2], dtype=y.dtype))
    return 0.5 * (y + c).square().sum(2).mean(1)
