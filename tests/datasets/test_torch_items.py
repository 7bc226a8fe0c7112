"""Data sets from torch: tensors, arrays and Pillow images, and items that are refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import IterableDataset, TensorDataset

from genmem.datasets import from_torch
from genmem.errors import DataError

X = torch.arange(24, dtype=torch.uint8).reshape(4, 1, 2, 3)
Y = torch.tensor([1, 0, 1, 1])


def test_a_tensor_data_set() -> None:
    data = from_torch(TensorDataset(X, Y))
    assert data.name == "TensorDataset"
    assert np.array_equal(data.x, X.numpy())
    assert data.y is not None
    assert data.y.tolist() == [1, 0, 1, 1]
    assert data.value_range == (0.0, 255.0)
    assert from_torch(TensorDataset(X), name="mine").y is None


@pytest.mark.parametrize(
    ("given", "held"),
    [
        (torch.float32, np.float32),
        (torch.float64, np.float64),
        (torch.float16, np.float32),
        (torch.bfloat16, np.float32),
    ],
)
def test_floats(given: torch.dtype, held: type) -> None:
    x = (X.double() / 16).to(given).requires_grad_()
    data = from_torch(TensorDataset(x))
    assert data.x.dtype == held
    assert np.array_equal(data.x, X.numpy() / 16)
    assert data.value_range == (0.0, 23 / 16)
    assert from_torch(TensorDataset(x), value_range=(0, 2)).value_range == (0.0, 2.0)


class Pictures(list[Any]):
    """What torchvision gives without a transform."""

    classes = ("no", "yes")


def test_pillow_images_and_class_names() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (3, 4, 5, 3), dtype=np.uint8)
    data = from_torch(Pictures((Image.fromarray(each), i % 2) for i, each in enumerate(pixels)))
    assert data.classes == ("no", "yes")
    assert np.array_equal(data.x, pixels.transpose(0, 3, 1, 2))
    grey = from_torch(Pictures(Image.fromarray(each[..., 0]) for each in pixels))
    assert np.array_equal(grey.x[:, 0], pixels[..., 0])
    assert grey.classes is None


def test_arrays_and_vectors() -> None:
    assert from_torch([np.zeros((4, 5), np.uint8)] * 2).shape == (1, 4, 5)
    vectors = from_torch([np.array([0, 1], np.float16), np.array([2, 3], np.float16)])
    assert (vectors.shape, vectors.x.dtype) == ((2,), np.float32)


class Stream(IterableDataset[Any]):
    """A data set without length."""

    def __iter__(self) -> Any:
        return iter(())


@pytest.mark.parametrize(
    ("items", "wanted"),
    [
        (Stream(), "Stream has no length; a map-style"),
        ([{"image": X[0]}], "item 0 is a dict; a tensor, an array or a Pillow image"),
        ([(X[0], 1, 2)], r"item 0 has 3 parts; image or \(image, label\)"),
        ([(X[0], 0.5)], r"the label of item 0 is float64 of shape \(\); one integer"),
        ([(X[0], [0, 1])], r"of shape \(2,\); one integer"),
    ],
)
def test_forms_that_are_refused(items: Any, wanted: str) -> None:
    with pytest.raises(TypeError, match=wanted):
        from_torch(items)


@pytest.mark.parametrize(
    ("items", "wanted"),
    [
        ([], "the set is empty"),
        ([X[0], X[1][:, :1]], r"item 1 is uint8 of shape \(1, 1, 3\), item 0 uint8 of shape"),
        ([X[0], X[1].float()], "item 1 is float32 .* item 0 uint8"),
        ([(X[0], 1), X[1]], "of items 0 and 1 only one has a label"),
        ([X[0].long()], "type int64"),
        ([torch.tensor([0.0, float("nan")])], "row 0 has the value nan"),
    ],
)
def test_items_that_are_refused(items: Any, wanted: str) -> None:
    with pytest.raises(DataError, match=wanted):
        from_torch(items)


class Augmented(TensorDataset):
    """A random transform, as in training pipelines."""

    def __getitem__(self, position: int) -> Any:
        return super().__getitem__(position)[0].float() + torch.rand(1)


def test_a_random_transform_is_noticed() -> None:
    with pytest.raises(DataError, match="item 0 differs when read again; remove the random"):
        from_torch(Augmented(X))
