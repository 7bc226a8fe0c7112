"""Data sets from torch: anything with a length whose items are images, with labels or without."""

from __future__ import annotations

import math
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from genmem.datasets.dataset import Dataset
from genmem.errors import DataError

# Items read twice at the start: a random transform shows itself unless it leaves all of them alone.
_PROBES = 8


class Items(Protocol):
    """A map-style torch.utils.data.Dataset, or anything of that shape."""

    def __len__(self) -> int: ...

    def __getitem__(self, position: int, /) -> Any: ...


def from_torch(
    dataset: Items, *, name: str | None = None, value_range: tuple[float, float] | None = None
) -> Dataset:
    """Read every item of a torch data set once, in order, into memory.

    dataset      items are image, (image,) or (image, label); an image is a tensor or an array,
                 (d,), (H, W) or (C, H, W), or a Pillow image, (H, W) or (H, W, C). uint8, float32
                 and float64 are kept, float16 and bfloat16 become float32
    name         default: the class of `dataset`
    value_range  default: 0..255 for uint8, the least and the greatest value for floats

    Identities are positions. Class names are those of `dataset.classes` if it is a list of strings.
    Raises TypeError for a data set without length or an item of another form, DataError for items
    of several shapes or types, labels on some items only, or an item that differs when read again
    (a random transform: sample identity would be lost).
    """
    if not hasattr(dataset, "__len__"):
        raise TypeError(
            f"from_torch: {type(dataset).__name__} has no length; a map-style data set is wanted"
        )
    title = name or type(dataset).__name__
    count = len(dataset)
    if count == 0:
        raise DataError(f"Dataset {title!r}: the set is empty")
    first, labelled = _item(0, dataset[0])
    x = np.empty((count, *first.shape), first.dtype)
    y = np.empty(count, np.int64)
    for position in range(count):
        image, label = _item(position, dataset[position])
        if image.shape != first.shape or image.dtype != first.dtype:
            raise DataError(
                f"from_torch: item {position} is {image.dtype} of shape {image.shape}, item 0 "
                f"{first.dtype} of shape {first.shape}; one form is wanted"
            )
        if (label is None) != (labelled is None):
            raise DataError(f"from_torch: of items 0 and {position} only one has a label")
        x[position] = image
        y[position] = 0 if label is None else label
    for position in range(min(_PROBES, count)):
        again, _ = _item(position, dataset[position])
        if not np.array_equal(again, x[position], equal_nan=True):
            raise DataError(
                f"from_torch: item {position} differs when read again; remove the random transform"
            )
    return Dataset(
        name=title,
        x=x,
        y=None if labelled is None else y,
        value_range=value_range or (math.nan, math.nan),
        classes=_classes(dataset) if labelled is not None else None,
    )


def _item(position: int, item: Any) -> tuple[npt.NDArray[Any], int | None]:
    if not isinstance(item, (tuple, list)):
        return _image(position, item), None
    if len(item) == 1:
        return _image(position, item[0]), None
    if len(item) != 2:
        raise TypeError(
            f"from_torch: item {position} has {len(item)} parts; image or (image, label) is wanted"
        )
    label = np.asarray(item[1].cpu() if hasattr(item[1], "cpu") else item[1])
    if label.size != 1 or label.dtype.kind not in "iu":
        raise TypeError(
            f"from_torch: the label of item {position} is {label.dtype} of shape {label.shape}; "
            "one integer is wanted"
        )
    return _image(position, item[0]), int(label.reshape(()))


def _image(position: int, value: Any) -> npt.NDArray[Any]:
    if hasattr(value, "detach"):
        tensor = value.detach().cpu()
        # NumPy has no bfloat16; every half-precision value is a float32 value.
        narrow = tensor.is_floating_point() and tensor.element_size() < 4
        array = np.asarray((tensor.float() if narrow else tensor).numpy())
    elif isinstance(value, np.ndarray):
        array = value.astype(np.float32) if value.dtype == np.float16 else value
    elif hasattr(value, "getbands"):
        array = np.asarray(value)
        array = array.transpose(2, 0, 1) if array.ndim == 3 else array
    else:
        raise TypeError(
            f"from_torch: item {position} is a {type(value).__name__}; a tensor, an array or a "
            "Pillow image is wanted, alone or with a label"
        )
    return array[None] if array.ndim == 2 else array


def _classes(dataset: Items) -> tuple[str, ...] | None:
    names = getattr(dataset, "classes", None)
    if isinstance(names, (list, tuple)) and names and all(isinstance(each, str) for each in names):
        return tuple(names)
    return None
