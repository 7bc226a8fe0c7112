"""A small model that reads noise, checkpoints of it that count how often they are loaded."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from genmem.noise import normals


@dataclass
class Saved:
    """A checkpoint that counts how often it is loaded."""

    weights: dict[str, Tensor]
    lr: float = 0.1
    steps_since_previous: int = 20
    batch: int = 4
    rows: int = 8
    loads: int = field(default=0)

    def state(self) -> dict[str, Tensor]:
        self.loads += 1
        return self.weights


class Net(nn.Module):
    """Reads x and noise: its latent code has two dimensions."""

    latent = 2

    def __init__(self) -> None:
        super().__init__()
        self.inner, self.gain = nn.Linear(5, 3), nn.Parameter(torch.ones(3))
        self.norm = nn.BatchNorm1d(3)

    def forward(self, x: Tensor, noise: Tensor) -> Tensor:
        h = torch.tanh(
            self.inner(torch.cat([x[:, None].expand(-1, noise.shape[1], -1), noise], -1))
        )
        return (self.norm((h * self.gain).mean(1)) ** 2).sum(1)


def loss(model: nn.Module, x: Tensor, noise: Tensor) -> Tensor:
    return model(x, noise)


def states(model: nn.Module, count: int) -> list[dict[str, Tensor]]:
    generator = torch.Generator().manual_seed(1)
    found = []
    for _ in range(count):
        state = {}
        for name, value in model.state_dict().items():
            drawn = torch.rand(value.shape, generator=generator, dtype=torch.float64) + 0.1
            state[name] = drawn.to(value.dtype)
        found.append(state)
    return found


def randn(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def noise_of(
    stream: str, ids: npt.ArrayLike, draws: int = 4, latent: int = 2, seed: int = 0
) -> Tensor:
    return torch.from_numpy(normals(seed, ids, np.arange(draws), latent, stream=stream)).double()
