"""What samples may be given as, and how their values and identities are read."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from genmem.datasets import Dataset
from genmem.influence.samples import Samples, read_samples

CPU = torch.device("cpu")


def read(data: Any, ids: Any = None, recipe: Any = None) -> Samples:
    return read_samples("train", data, ids, recipe, torch.float64, CPU)


def test_arrays_tensors_and_memory_maps_give_the_same(tmp_path: Path) -> None:
    x = np.random.default_rng(0).normal(size=(5, 2)).astype(np.float32)
    np.save(tmp_path / "x.npy", x)
    mapped = np.load(tmp_path / "x.npy", mmap_mode="r")
    sliced = np.repeat(x, 2, axis=1)[::-1, ::2][::-1]
    digests = set()
    for data in (x, torch.from_numpy(x), mapped, sliced):
        samples = read(data)
        assert len(samples) == 5
        values = samples.values(1, 4)
        assert values.dtype == torch.float64
        np.testing.assert_array_equal(values.numpy(), x[1:4])
        np.testing.assert_array_equal(samples.ids, np.arange(5))
        digests.add(samples.digest())
    assert len(digests) == 1
    assert read(x, ids=[4, 3, 2, 1, 0]).digest() not in digests
    assert read(x + 1).digest() not in digests


def test_tuples_keep_integers_as_they_are() -> None:
    x, y = np.ones((3, 2)), np.array([0, 2, 1])
    batch = read((x, y), ids=np.array([7, 7, 9])).values(0, 2)
    assert isinstance(batch, tuple)
    assert batch[0].dtype == torch.float64
    assert batch[1].dtype == torch.int64
    np.testing.assert_array_equal(batch[1], [0, 2])


def test_bfloat16_is_read() -> None:
    samples = read(torch.ones(3, 2, dtype=torch.bfloat16))
    assert samples.values(0, 3).dtype == torch.float64
    assert samples.digest() == read(np.ones((3, 2), np.float32)).digest()


def test_a_data_set_brings_its_identities_and_unit_values() -> None:
    data = Dataset(name="d", x=np.array([[0, 255], [51, 0]], np.uint8), index=np.array([5, 3]))
    samples = read(data)
    np.testing.assert_array_equal(samples.ids, [5, 3])
    np.testing.assert_allclose(samples.values(0, 2), [[0, 1], [0.2, 0]], rtol=1e-6)
    assert samples.digest() == data.fingerprint
    with pytest.raises(ValueError, match="train is a Dataset, whose index holds the ids"):
        read(data, ids=[0, 1])


def test_a_recipe_decides_what_the_model_sees() -> None:
    from genmem.training import Inputs, Recipe

    x = np.random.default_rng(0).integers(0, 256, (6, 1, 2, 2), dtype=np.uint8)
    data = Dataset(name="d", x=x, index=np.arange(10, 16))
    recipe = Recipe(binarize="sample")
    values = read(data, recipe=recipe).values(2, 5)
    assert set(np.unique(values)) <= {0.0, 1.0}
    np.testing.assert_array_equal(values, Inputs(recipe, data).batch(np.arange(2, 5)))


def test_what_does_not_fit_is_refused() -> None:
    x = np.ones((3, 2))
    with pytest.raises(ValueError, match="train has 0 rows"):
        read(np.ones((0, 2)))
    with pytest.raises(ValueError, match=r"the arrays of train have lengths \[2, 3\]"):
        read((x, np.ones(2)))
    for ids, seen in (
        ([0, 1], r"\(2,\)"),
        ([0.0, 1.0, 2.0], "float64"),
        ([[0, 1, 2]], r"\(1, 3\)"),
    ):
        with pytest.raises(ValueError, match=seen):
            read(x, ids=ids)
    with pytest.raises(ValueError, match=r"lie in -1\.\.2; 0..2\^32-1 is wanted"):
        read(x, ids=[-1, 0, 2])
    x[2, 1] = np.nan
    with pytest.raises(ValueError, match="row 2 of train is not finite"):
        read(x).values(1, 3)
    np.testing.assert_array_equal(read(x).values(0, 2), np.ones((2, 2)))
    with pytest.raises(TypeError, match="train holds a SimpleNamespace; a Dataset, an array"):
        read(SimpleNamespace())


def test_a_block_is_a_copy_that_a_loss_may_change() -> None:
    x = torch.arange(6.0).view(3, 2)
    for data in (x.double(), x.numpy().astype(np.float64)):
        before = data.copy() if isinstance(data, np.ndarray) else data.clone()
        read(data).values(0, 2).zero_()
        np.testing.assert_array_equal(data, before)


def test_tensors_of_inference_mode_and_arrays_of_the_other_byte_order() -> None:
    x = np.arange(6.0).reshape(3, 2)
    with torch.inference_mode():
        held = torch.from_numpy(x) + 0
    found = read(held).values(0, 3)
    assert not found.is_inference()
    np.testing.assert_array_equal(found, x)
    np.testing.assert_array_equal(read(x.astype(">f4")).values(0, 3), x)
    np.testing.assert_array_equal(read(x.astype(">i4")).values(0, 3), x)
