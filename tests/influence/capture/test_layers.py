"""Every layer kind with odd hyper-parameters, against autograd of one sample at a time."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pytest
import torch
from torch import Tensor, nn

from genmem.influence import Capture
from genmem.kernels import Factors

Oracle = Callable[..., npt.NDArray[np.float64]]
Check = Callable[[Factors, npt.NDArray[np.float64], float], None]

LAYERS: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...]]] = {
    "linear": (lambda: nn.Linear(7, 3), (7,)),
    "linear without bias": (lambda: nn.Linear(7, 3, bias=False), (7,)),
    "linear on tokens": (lambda: nn.Linear(7, 3), (4, 7)),
    "linear on two token axes": (lambda: nn.Linear(3, 5), (2, 3, 3)),
    "conv1d": (lambda: nn.Conv1d(3, 4, 3, stride=2, padding=1, dilation=2), (3, 11)),
    "conv2d": (lambda: nn.Conv2d(3, 4, (3, 2), (2, 1), (1, 2), (1, 2)), (3, 7, 6)),
    "conv2d strided past the edge": (lambda: nn.Conv2d(2, 3, 2, 3), (2, 7, 7)),
    "conv2d of one pixel": (lambda: nn.Conv2d(5, 2, 1), (5, 3, 4)),
    "conv2d same": (lambda: nn.Conv2d(2, 3, (4, 3), padding="same", dilation=(1, 2)), (2, 6, 5)),
    "conv2d valid": (lambda: nn.Conv2d(2, 3, 3, padding="valid", bias=False), (2, 6, 5)),
    "conv2d reflect": (
        lambda: nn.Conv2d(2, 3, 3, padding=(1, 2), padding_mode="reflect"),
        (2, 5, 6),
    ),
    "conv2d replicate": (
        lambda: nn.Conv2d(2, 3, 3, padding=2, padding_mode="replicate"),
        (2, 5, 4),
    ),
    "conv2d circular same": (
        lambda: nn.Conv2d(2, 3, 4, padding="same", padding_mode="circular"),
        (2, 6, 5),
    ),
    "conv2d in groups": (lambda: nn.Conv2d(6, 9, 3, padding=1, groups=3), (6, 4, 5)),
    "conv2d depthwise": (lambda: nn.Conv2d(4, 8, 3, stride=2, groups=4), (4, 7, 5)),
    "conv3d": (lambda: nn.Conv3d(2, 4, (2, 3, 2), (1, 2, 1), (0, 1, 1), groups=2), (2, 3, 5, 4)),
    "transposed 1d": (lambda: nn.ConvTranspose1d(3, 2, 4, 3, 1, output_padding=2), (3, 5)),
    "transposed 2d": (
        lambda: nn.ConvTranspose2d(3, 4, (3, 4), (2, 3), (1, 0), (1, 2)),
        (3, 4, 3),
    ),
    "transposed 2d without bias": (lambda: nn.ConvTranspose2d(5, 3, 4, bias=False), (5, 1, 1)),
    "transposed 2d in groups": (
        lambda: nn.ConvTranspose2d(4, 6, 3, 2, 1, output_padding=1, groups=2),
        (4, 3, 3),
    ),
    # output_padding 2 >= stride 1: the last positions receive nothing from any input.
    "transposed 2d dilated": (
        lambda: nn.ConvTranspose2d(2, 3, 3, 1, 1, output_padding=2, dilation=3),
        (2, 4, 4),
    ),
    "transposed 3d": (lambda: nn.ConvTranspose3d(2, 3, 2, 2, (0, 1, 0)), (2, 2, 3, 2)),
    "layer norm": (lambda: nn.LayerNorm(7), (4, 7)),
    "layer norm on two axes": (lambda: nn.LayerNorm((3, 5)), (2, 3, 5)),
    "layer norm without bias": (lambda: nn.LayerNorm(7, bias=False), (7,)),
    "group norm": (lambda: nn.GroupNorm(2, 6), (6, 3, 2)),
    "group norm of vectors": (lambda: nn.GroupNorm(2, 6), (6,)),
    "batch norm 1d": (lambda: nn.BatchNorm1d(5).eval(), (5,)),
    "batch norm 1d on tokens": (lambda: nn.BatchNorm1d(5).eval(), (5, 3)),
    "batch norm 2d": (lambda: nn.BatchNorm2d(3).eval(), (3, 4, 2)),
    "instance norm": (lambda: nn.InstanceNorm2d(3, affine=True), (3, 4, 2)),
    "instance norm that tracks": (
        lambda: nn.InstanceNorm1d(3, affine=True, track_running_stats=True).eval(),
        (3, 4),
    ),
    "instance norm in train mode": (
        lambda: nn.InstanceNorm1d(3, affine=True, track_running_stats=True),
        (3, 4),
    ),
    "rms norm": (lambda: nn.RMSNorm(7), (4, 7)),
    "prelu": (lambda: nn.PReLU(3), (3, 4)),
    "bilinear": (lambda: Twice(nn.Bilinear(4, 4, 3)), (4,)),
}


UNKNOWN = ("prelu", "bilinear")


class Twice(nn.Module):
    """A layer of two inputs, given the same one twice."""

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, x: Tensor) -> Tensor:
        return self.layer(x, x)


def squares(model: nn.Module, x: Tensor, noise: Tensor | None) -> Tensor:
    y = model(x)
    weights = torch.cos(torch.arange(y[0].numel(), dtype=y.dtype)).view(y[0].shape)
    return (y * weights + y**2).flatten(1).sum(1)


def disturbed(model: nn.Module) -> nn.Module:
    """Weights, and running statistics, that no initialisation would give."""
    generator = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for value in model.state_dict().values():
            if value.is_floating_point():
                value.copy_(torch.rand(value.shape, generator=generator) + 0.2)
    return model.double()


@pytest.mark.filterwarnings("ignore:Using padding='same'")
@pytest.mark.parametrize("form", ["pairs", "norms", "tokens", "dense"])
@pytest.mark.parametrize("kind", LAYERS)
def test_layer_gives_the_products_of_autograd(
    kind: str, form: str, oracle: Oracle, check: Check
) -> None:
    make, shape = LAYERS[kind]
    model = disturbed(make())
    x = torch.randn(5, *shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    capture = Capture(model, squares, form=form)
    check(capture(x), oracle(model, squares, x, None), 1e-12)
    assert bool(capture.materialised) == (kind in UNKNOWN)
