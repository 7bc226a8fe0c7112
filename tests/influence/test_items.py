"""torch data sets and loaders as data: in order, collated, refused where positions mean nothing."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset, IterableDataset, TensorDataset

from genmem.influence import TracIn, score
from influence.traps import randn

X, Y = randn(7, 3), torch.arange(7) % 2


class Pairs(Dataset[Any]):
    def __len__(self) -> int:
        return 7

    def __getitem__(self, i: int) -> tuple[Tensor, int]:
        return X[i], int(Y[i])


class Stream(IterableDataset[Any]):
    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        return iter(zip(X, Y, strict=True))


def loss(model: nn.Module, batch: tuple[Tensor, Tensor], noise: None) -> Tensor:
    return nn.functional.cross_entropy(model(batch[0]), batch[1], reduction="none")


def tracin() -> TracIn:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = nn.Linear(3, 2).double()
    return TracIn([model.state_dict()], loss, model=model, weights=[1.0], block=3)


DATA = {
    "tensors": TensorDataset(X, Y),
    "pairs": Pairs(),
    "loader of tensors": DataLoader(TensorDataset(X, Y), batch_size=2),
    "loader of pairs": DataLoader(Pairs(), batch_size=3),
    "loader of single items": DataLoader(Pairs(), batch_size=None),
    "loader of a stream": DataLoader(Stream(), batch_size=4),
    "loader of a stream, single": DataLoader(Stream(), batch_size=3, drop_last=False),
}


@pytest.mark.parametrize("kind", DATA)
def test_the_same_samples_in_any_wrapping(kind: str) -> None:
    data = DATA[kind]
    np.testing.assert_array_equal(tracin().self_influence(data), tracin().self_influence((X, Y)))


def test_a_store_is_bound_to_the_items(tmp_path: Path) -> None:
    store = tracin().capture(Pairs(), tmp_path)
    assert store.identity["data"] == tracin().capture(DATA["tensors"]).identity["data"]
    other = tracin().capture(TensorDataset(X + 1, Y))
    assert store.identity["data"] != other.identity["data"]
    queries = tracin().capture(DATA["tensors"], side="test")
    np.testing.assert_allclose(
        score(queries, store), tracin().influence((X, Y), Pairs()), rtol=1e-12
    )


def test_what_has_no_order_is_refused() -> None:
    with pytest.raises(ValueError, match=r"DataLoader with a RandomSampler; .* shuffle=False"):
        tracin().self_influence(DataLoader(Pairs(), shuffle=True))
    with pytest.raises(TypeError, match="train is a Stream without a length"):
        tracin().self_influence(Stream())
    words: Any = [{"x": 1}, {"x": 2}]
    with pytest.raises(TypeError, match="the items of train hold a dict"):
        tracin().self_influence(DataLoader(words))
