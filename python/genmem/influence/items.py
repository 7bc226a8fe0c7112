"""Samples of torch data sets and loaders: items, collated when their rows are asked for."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from itertools import chain
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import (
    DataLoader,
    IterableDataset,
    SequentialSampler,
    TensorDataset,
    default_collate,
)

from genmem.influence.protocols import Batch
from genmem.ledger import fingerprint

_ROWS_AT_ONCE = 256


@dataclass(frozen=True)
class Items:
    """`count` items of a map-style data set, by position."""

    name: str
    dataset: Any
    collate: Callable[[list[Any]], Any]
    count: int

    @classmethod
    def of(cls, name: str, data: Any) -> Items:
        """Items of a data set, or of a loader that goes through one in order.

        Raises ValueError for a loader that shuffles or samples, since positions would mean
        nothing; TypeError for what has no length.
        """
        if not isinstance(data, DataLoader):
            if not hasattr(data, "__len__"):
                raise TypeError(
                    f"influence: {name} is a {type(data).__name__} without a length; a map-style "
                    "data set is wanted"
                )
            return cls(name, data, default_collate, len(data))
        if isinstance(data.dataset, IterableDataset):
            held = list(
                chain.from_iterable(map(_rows, data))
            )  # a stream cannot be read by position
            return cls(name, held, default_collate, len(held))
        if not isinstance(data.sampler, SequentialSampler):
            raise ValueError(
                f"influence: {name} is a DataLoader with a {type(data.sampler).__name__}; its "
                "positions would mean nothing in an answer. One with shuffle=False is wanted"
            )
        collate = default_collate if data.batch_size is None else data.collate_fn
        dataset: Any = data.dataset
        count, size = len(dataset), data.batch_size
        if data.drop_last and size:
            count -= count % size
        return cls(name, dataset, collate, count)

    def values(self, start: int, stop: int) -> Batch:
        """Items start .. stop - 1 as one batch; TypeError if they are not tensors."""
        if type(self.dataset) is TensorDataset and self.collate is default_collate:
            return tuple(t[start:stop] for t in self.dataset.tensors)
        found = self.collate([self.dataset[i] for i in range(start, stop)])
        parts = found if isinstance(found, tuple | list) else (found,)
        odd = next((part for part in parts if not isinstance(part, Tensor)), None)
        if odd is not None or not parts:
            raise TypeError(
                f"influence: the items of {self.name} hold a {type(odd).__name__}; a tensor or a "
                "tuple of tensors (numbers count as such) is wanted"
            )
        return found if isinstance(found, Tensor) else tuple(found)

    def digest(self) -> str:
        """SHA-256 over all items."""
        total = hashlib.sha256()
        for start in range(0, self.count, _ROWS_AT_ONCE):
            batch = self.values(start, min(start + _ROWS_AT_ONCE, self.count))
            for t in batch if isinstance(batch, tuple) else (batch,):
                wide = t.float() if t.dtype == torch.bfloat16 else t
                total.update(fingerprint(wide.detach().cpu().numpy()).encode())
        return total.hexdigest()


def _rows(batch: Any) -> list[Any]:
    """The items of a collated batch."""
    return list(zip(*batch, strict=True)) if isinstance(batch, tuple | list) else list(batch)
