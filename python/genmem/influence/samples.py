"""Samples to trace, from whatever they were given as: values by position, ids for the noise."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.utils.data import DataLoader

from genmem import ledger
from genmem.influence import batches
from genmem.influence.items import Items
from genmem.influence.protocols import Array, Batch

if TYPE_CHECKING:
    from genmem.datasets import Dataset

Data: TypeAlias = (
    "Dataset | Array | tuple[Array, ...] | torch.utils.data.Dataset[Any] | DataLoader[Any]"
)


@dataclass(frozen=True)
class Samples:
    """N samples under the name that errors call them by.

    ids      (N,) int64, 0 <= id < 2^32: what the noise of a sample is keyed by. Equal ids are legal
    values   the samples start .. stop - 1, floats in the model's type and on its device
    digest   of the values and ids
    """

    name: str
    ids: npt.NDArray[np.int64]
    values: Callable[[int, int], Batch]
    digest: Callable[[], str]

    def __len__(self) -> int:
        return len(self.ids)


def read_samples(
    name: str,
    data: Data,
    ids: npt.ArrayLike | None,
    recipe: Any,
    dtype: torch.dtype,
    device: torch.device,
) -> Samples:
    """Samples of a Dataset (as the recipe feeds it to the model, else in [0, 1]), of arrays, or of
    a torch data set or loader.

    Raises ValueError for no samples, arrays of different lengths, ids that are not N integers.
    """
    if _is_dataset(data):
        return _of_dataset(name, data, ids, recipe, dtype, device)
    if isinstance(data, torch.utils.data.Dataset | DataLoader):
        return _of_items(Items.of(name, data), ids, dtype, device)
    arrays: tuple[Any, ...] = data if isinstance(data, tuple) else (data,)
    odd = next((a for a in arrays if not isinstance(a, np.ndarray | Tensor) or a.ndim == 0), None)
    if odd is not None or not arrays:
        raise TypeError(
            f"influence: {name} holds a {type(odd).__name__}; a Dataset, an array, a tensor, a "
            "tuple of them or a torch data set is wanted, with an axis for the samples"
        )
    lengths = {len(array) for array in arrays}
    if len(lengths) != 1:
        raise ValueError(f"influence: the arrays of {name} have lengths {sorted(lengths)}")
    numbers = _checked_ids(name, ids, lengths.pop())

    def values(start: int, stop: int) -> Batch:
        parts = tuple(_tensor(array[start:stop], dtype, device) for array in arrays)
        return _finite(name, start, parts if isinstance(data, tuple) else parts[0])

    return Samples(
        name, numbers, values, lambda: ledger.fingerprint(*map(numpy_of, arrays), numbers)
    )


def _of_dataset(
    name: str, data: Any, ids: object, recipe: Any, dtype: torch.dtype, device: torch.device
) -> Samples:
    if ids is not None:
        raise ValueError(
            f"influence: {name} is a Dataset, whose index holds the ids; pass no others"
        )
    batch: Callable[[npt.NDArray[np.int64]], Any] = data.unit
    if recipe is not None:
        from genmem.training import Inputs

        batch = Inputs(recipe, data).batch

    def values(start: int, stop: int) -> Batch:
        found = batch(np.arange(start, stop))
        if isinstance(found, tuple):  # of a conditional recipe: samples and their labels
            return tuple(_tensor(part, dtype, device) for part in found)
        return _tensor(found, dtype, device)

    return Samples(
        name, _checked_ids(name, data.index, len(data)), values, lambda: data.fingerprint
    )


def _of_items(
    items: Items, ids: npt.ArrayLike | None, dtype: torch.dtype, device: torch.device
) -> Samples:
    numbers = _checked_ids(items.name, ids, items.count)

    def values(start: int, stop: int) -> Batch:
        batch = batches.each(items.values(start, stop), lambda t: _tensor(t, dtype, device))
        return _finite(items.name, start, batch)

    def digest() -> str:
        return ledger.fingerprint(np.frombuffer(items.digest().encode(), np.uint8), numbers)

    return Samples(items.name, numbers, values, digest)


def _is_dataset(data: object) -> bool:
    return all(hasattr(data, name) for name in ("index", "unit", "fingerprint"))


def _checked_ids(name: str, ids: npt.ArrayLike | None, n: int) -> npt.NDArray[np.int64]:
    if n == 0:
        raise ValueError(f"influence: {name} has 0 rows; at least 1 is wanted")
    numbers = np.arange(n) if ids is None else np.asarray(ids)
    if numbers.shape != (n,) or numbers.dtype.kind not in "iu":
        raise ValueError(
            f"influence: the ids of {name} have shape {numbers.shape} and type {numbers.dtype}; "
            f"({n},) integers are wanted"
        )
    if numbers.min() < 0 or numbers.max() >= 1 << 32:
        raise ValueError(
            f"influence: the ids of {name} lie in {numbers.min()}..{numbers.max()}; "
            "0..2^32-1 is wanted"
        )
    return numbers.astype(np.int64)


def _tensor(values: Any, dtype: torch.dtype, device: torch.device) -> Tensor:
    # A copy of a block: a loss may change it in place, autograd takes no tensors of inference mode,
    # and torch neither memory maps and read-only arrays nor the other byte order.
    if isinstance(values, Tensor):
        t = values.detach().clone()
    else:
        held = np.array(values)
        t = torch.from_numpy(held.astype(held.dtype.newbyteorder("="), copy=False))
    return t.to(device, dtype if t.is_floating_point() else t.dtype)


def _finite(name: str, start: int, batch: Batch) -> Batch:
    for t in batch if isinstance(batch, tuple) else (batch,):
        if not batches.all_finite(t):
            bad = torch.nonzero(~torch.isfinite(t.reshape(batches.size(batch), -1)).all(1))
            raise ValueError(f"influence: row {start + int(bad[0])} of {name} is not finite")
    return batch


def numpy_of(array: Any) -> npt.NDArray[Any]:
    """An array or tensor as a NumPy array; bfloat16, which NumPy lacks, as float32."""
    if not isinstance(array, Tensor):
        return np.asarray(array)
    return (array.float() if array.dtype == torch.bfloat16 else array).detach().cpu().numpy()
