"""Models that hand the samples of a batch to a layer in another order, and data that hide it."""

from __future__ import annotations

from collections.abc import Callable
from itertools import permutations

import numpy as np
import numpy.typing as npt
import pytest
import torch
from torch import Tensor, nn

from genmem.influence import TracIn
from influence.traps import randn, seeded, squares

Oracle = Callable[..., npt.NDArray[np.float64]]


class Sorted(nn.Module):
    """Sorts the samples for its layer, as packed sequences are sorted by length."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        order = x[:, 0].argsort()
        return self.layer(x[order])[order.argsort()]


class Reversed(Sorted):
    def forward(self, x: Tensor) -> Tensor:
        return self.layer(x.flip(0)).flip(0)


class Rolled(Sorted):
    def forward(self, x: Tensor) -> Tensor:
        return self.layer(x.roll(1, 0)).roll(-1, 0)


class TimeFirst(nn.Module):
    """The steps of all samples behind each other, and their mean: steps of one sample are alike."""

    def __init__(self) -> None:
        super().__init__()
        self.layer, self.out = nn.Linear(4, 3), nn.Linear(3, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.out(torch.tanh(self.layer(x.transpose(0, 1))).mean(0))


def influence(model: nn.Module, x: Tensor, **options: object) -> npt.NDArray[np.float64]:
    return TracIn([model.state_dict()], squares, model=model, weights=[1.0], **options).influence(
        x, x
    )


def assert_exact(model: nn.Module, x: Tensor, oracle: Oracle, **options: object) -> None:
    gradients = oracle(model, squares, x, None)
    norms = np.linalg.norm(gradients, axis=1)
    error = np.abs(influence(model, x, **options) - gradients @ gradients.T)
    assert (error <= 1e-11 * np.outer(norms, norms)).all()


@pytest.mark.parametrize("make", [Sorted, Reversed, Rolled])
@pytest.mark.parametrize("count", [3, 4, 9])
def test_another_order_of_the_samples_is_noticed(
    make: Callable[[], nn.Module], count: int, oracle: Oracle
) -> None:
    x = randn(count, 4)
    for order in permutations(range(3)):
        # Whichever of the first three the sorting puts first.
        x[:3, 0] = torch.tensor(order, dtype=x.dtype) - 5
        assert_exact(seeded(make), x, oracle)


@pytest.mark.parametrize("swapped", [(3, 4), (0, 5), (5, 9)])
def test_sorted_samples_do_not_hide_the_order_of_the_others(
    swapped: tuple[int, int], oracle: Oracle
) -> None:
    x = randn(10, 4)
    x = x[x[:, 0].argsort()]
    x[list(swapped)] = x[list(reversed(swapped))]
    for block in (None, 5, 10):
        assert_exact(seeded(Sorted), x, oracle, block=block)


def test_samples_that_are_alike_at_the_start_prove_nothing(oracle: Oracle) -> None:
    x = randn(9, 3, 4)
    x[:3] = 0
    assert_exact(seeded(TimeFirst), x, oracle)
    x[-3:] = 0
    assert_exact(seeded(TimeFirst), x, oracle)


def test_samples_of_several_lengths_are_probed_at_the_start(oracle: Oracle) -> None:
    """A collate function pads to the longest of a batch: distant samples may not fit together."""
    lengths = [5, 5, 5, 4, 5, 3, 2, 5, 4]
    model = seeded(TimeFirst)
    items = [(randn(length, 4, seed=i), i) for i, length in enumerate(lengths)]

    def collate(some: list[tuple[Tensor, int]]) -> Tensor:
        steps = max(len(one) for one, _ in some)
        return torch.stack([torch.nn.functional.pad(x, (0, 0, 0, steps - len(x))) for x, _ in some])

    def loss(model: nn.Module, x: Tensor, noise: None) -> Tensor:
        kept = (x != 0).any(2).to(x.dtype)
        return (torch.tanh(model.layer(x)).sum(2) * kept).sum(1)

    loader = torch.utils.data.DataLoader(items, batch_size=4, collate_fn=collate)
    traced = TracIn([model.state_dict()], loss, model=model, weights=[1.0])
    gradients = oracle(model, loss, collate(items), None)
    want = gradients @ gradients.T
    np.testing.assert_allclose(traced.influence(loader, loader), want, atol=1e-11 * want.max())
