"""What a model sees: scaled, binarised or dequantised once, keyed by the sample."""

import tracemalloc
from dataclasses import replace

import numpy as np
import pytest
import torch

from genmem.datasets import Dataset
from genmem.training import Inputs, Recipe


@pytest.fixture
def grey(rng: np.random.Generator) -> Dataset:
    return Dataset("grey", rng.integers(0, 256, (40, 1, 5, 6), dtype=np.uint8))


def all_of(recipe: Recipe, data: Dataset) -> torch.Tensor:
    inputs = Inputs(recipe, data)
    assert len(inputs) == len(data)
    x = inputs.batch(np.arange(len(data)))
    assert x.dtype == torch.float32
    assert x.shape == (len(data), *inputs.shape)
    return x


def test_scaling(grey: Dataset, rng: np.random.Generator) -> None:
    want = (grey.x.astype(np.float64) / 255).astype(np.float32)
    assert np.array_equal(all_of(Recipe(), grey).numpy(), want)
    floats = Dataset("floats", rng.uniform(-3, 5, (7, 4)), value_range=(-3.0, 5.0))
    got = all_of(Recipe(likelihood="gaussian"), floats).numpy()
    assert (np.abs(got - (floats.x + 3) / 8) <= 1e-7).all()


def test_threshold_is_above_one_half() -> None:
    data = Dataset("ramp", np.arange(256, dtype=np.uint8)[:, None])
    got = all_of(Recipe(binarize="threshold"), data).numpy()[:, 0]
    assert np.array_equal(got, (np.arange(256) >= 128).astype(np.float32))


def test_a_sampled_binarisation_has_the_grey_value_as_probability() -> None:
    data = Dataset("grey", np.repeat(np.array([[0, 51, 204, 255]], np.uint8), 4000, 0))
    x = all_of(Recipe(binarize="sample"), data)
    assert set(x.unique().tolist()) == {0.0, 1.0}
    share = x.mean(0).numpy()
    assert share[0] == 0
    assert share[3] == 1
    assert (np.abs(share[1:3] - [0.2, 0.8]) <= 4 * np.sqrt(0.16 / 4000)).all()


@pytest.mark.parametrize("fields", [{"binarize": "sample"}, {"likelihood": "gaussian-logit"}])
def test_a_sample_is_one_fixed_x(grey: Dataset, fields: dict[str, str]) -> None:
    recipe = Recipe(**fields)
    whole = all_of(recipe, grey)
    inputs = Inputs(recipe.replace(seed=9, epochs=3), grey)
    rows = np.array([31, 4, 4, 17])
    assert torch.equal(inputs.batch(rows), whole[rows])
    assert torch.equal(inputs.batch(rows), whole[rows])
    part = grey.take(np.array([31, 4, 17]))
    assert torch.equal(all_of(recipe, part), whole[[31, 4, 17]])
    assert not torch.equal(all_of(recipe.replace(common_seed=1), grey), whole)


@pytest.mark.parametrize("likelihood", ["gaussian", "constant-gaussian-logit"])
def test_dequantisation_stays_within_the_level(grey: Dataset, likelihood: str) -> None:
    x = all_of(Recipe(likelihood=likelihood), grey).double().numpy()
    assert np.array_equal(np.floor(x * 256), grey.x)
    rest = x * 256 - grey.x
    assert ((rest >= 0) & (rest < 1)).all()
    assert abs(rest.mean() - 0.5) <= 4 / np.sqrt(12 * rest.size)
    assert len(np.unique(rest)) > 0.95 * rest.size


def test_dequantisation_of_a_short_range(grey: Dataset) -> None:
    short = replace(grey, x=grey.x % 5 + 2, value_range=(2.0, 6.0))
    x = all_of(Recipe(likelihood="gaussian"), short).double().numpy()
    assert np.array_equal(np.floor(x * 5 + 2), short.x)
    assert x.max() < 1


def test_what_is_not_dequantised(grey: Dataset, rng: np.random.Generator) -> None:
    assert torch.equal(all_of(Recipe(likelihood="squared-error"), grey), all_of(Recipe(), grey))
    floats = Dataset("floats", rng.random((7, 4), np.float32), value_range=(0.0, 1.0))
    assert torch.equal(
        all_of(Recipe(likelihood="gaussian"), floats), torch.from_numpy(floats.x.copy())
    )


def test_positions_outside_the_data(grey: Dataset) -> None:
    for fields in ({}, {"binarize": "threshold"}):
        with pytest.raises(ValueError, match=r"position 40 is not in 0..39"):
            Inputs(Recipe(**fields), grey).batch([40])
        with pytest.raises(ValueError, match=r"position -1 is not in 0..39"):
            Inputs(Recipe(**fields), grey).batch([-1])


@pytest.mark.parametrize("fields", [{"binarize": "sample"}, {"likelihood": "gaussian-logit"}])
def test_few_large_samples_are_drawn_in_parts(fields: dict[str, str]) -> None:
    """The noise of all 64 images at once would take 25 MB in float64 alone."""
    images = Dataset("large", np.zeros((64, 3, 128, 128), np.uint8))
    Inputs(Recipe(**fields), images.take([0]))  # what is imported on first use is not counted
    tracemalloc.start()
    inputs = Inputs(Recipe(**fields), images)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    kept = 64 * 3 * 128 * 128 * (1 if "binarize" in fields else 2)
    assert peak <= kept + 24 * (1 << 20)
    part = Inputs(Recipe(**fields), images.take([17, 63]))
    assert torch.equal(inputs.batch([17, 63]), part.batch([0, 1]))
