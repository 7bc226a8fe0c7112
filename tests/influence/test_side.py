"""Blocks and batches keep to the memory budget."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from genmem.influence import Capture
from genmem.influence.samples import read_samples
from genmem.influence.side import LiveSide, Noise, Room
from genmem.kernels import Factors

MODELS: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...]]] = {
    "tokens": (lambda: nn.Sequential(nn.Linear(40, 50), nn.Tanh(), nn.Linear(50, 30)), (2, 40)),
    "dense": (lambda: nn.Sequential(nn.Conv2d(2, 3, 3, groups=1), nn.Flatten()), (2, 12, 12)),
    "sums": (lambda: nn.Sequential(nn.LayerNorm((5, 6)), nn.PReLU(5)), (5, 6)),
}


def side(kind: str, memory: int, seen: list[int]) -> tuple[Capture, LiveSide]:
    make, shape = MODELS[kind]

    def loss(model: nn.Module, x: Tensor, noise: Tensor | None) -> Tensor:
        seen.append(len(x))
        return model(x).square().flatten(1).sum(1)

    capture = Capture(make(), loss)
    x = torch.rand(60, *shape, generator=torch.Generator().manual_seed(0))
    samples = read_samples("train", x, None, None, torch.float32, torch.device("cpu"))
    return capture, LiveSide(capture, samples, Noise(0, "s", range(2), None), Room(memory, memory))


def bytes_of(factors: Factors) -> int:
    return sum(np.asarray(part).nbytes for f in factors.layers for part in (f.inputs, f.gradients))


@pytest.mark.parametrize("kind", MODELS)
def test_a_sample_holds_the_bytes_that_were_counted(kind: str) -> None:
    capture, live = side(kind, 1 << 30, [])
    ((rows, factors),) = live.blocks(0, 1.0)
    assert rows == slice(0, 60)
    held = bytes_of(factors) / 60
    # Dense layers also hold a column of ones.
    assert capture.kept_bytes <= held <= capture.kept_bytes + 4 * len(factors.layers)
    assert capture.working_bytes >= capture.kept_bytes


@pytest.mark.parametrize("kind", MODELS)
def test_batches_hold_what_the_budget_allows(kind: str) -> None:
    seen: list[int] = []
    capture, live = side(kind, 1, seen)
    live.block_rows()
    seen.clear()
    _, live = side(kind, 3 * capture.working_bytes, seen)
    assert sum(len(factors) for _, factors in live.blocks(0, 1.0)) == 60
    assert max(seen) == 3


@pytest.mark.parametrize("kind", MODELS)
def test_blocks_hold_what_the_budget_allows(kind: str) -> None:
    capture, live = side(kind, 1, [])
    live.block_rows()
    _, live = side(kind, 7 * capture.kept_bytes, [])
    assert [len(factors) for _, factors in live.blocks(0, 1.0)] == [7] * 8 + [4]


def test_a_budget_below_one_sample_still_takes_one() -> None:
    seen: list[int] = []
    _, live = side("dense", 1, seen)
    assert [rows.stop - rows.start for rows, _ in live.blocks(0, 1.0)] == [1] * 60
