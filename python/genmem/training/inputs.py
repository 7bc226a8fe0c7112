"""The numbers a model sees: every sample scaled to [0, 1] and made binary or continuous, once.

A sample is one fixed x. Drawing its binarisation or its dequantisation anew at every access would
make the log-densities of one sample under several models those of several images.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import torch

from genmem.datasets import validation
from genmem.errors import DataError
from genmem.models import Observed
from genmem.noise import uniforms
from genmem.training.recipe import Recipe
from genmem.training.seeds import BINARIZATION, DEQUANTIZATION

if TYPE_CHECKING:
    from genmem.datasets import Dataset

# Dequantisation noise is kept in steps of 2^-16: with a byte in front, all of a float32's digits.
_STEPS = 1 << 16
# While they are drawn, a value costs about 20 bytes.
_VALUES_AT_ONCE = 1 << 20


class Inputs:
    """The rows of a data set as a recipe feeds them to a model.

    scaling         (x - lo) / (hi - lo) of the data's value range
    binarize        "threshold": 1 if that exceeds 1/2; "sample": 1 if it exceeds a uniform number
                    keyed by (common_seed, identity of the sample)
    dequantisation  integers under a Gaussian of learned variance become (x - lo + u)/(hi - lo + 1)
                    with u in [0, 1) keyed alike. Floating-point data are taken as continuous
    labels          given beside the samples if the recipe is conditional

    .identities is (N,) int64, the identity of each row; .recipe the recipe they were made for.
    """

    def __init__(self, recipe: Recipe, data: Dataset) -> None:
        self.recipe = recipe
        self.shape: tuple[int, ...] = data.shape
        self.identities = data.index
        self._data = data
        self._bits: npt.NDArray[np.uint8] | None = None
        self._noise: npt.NDArray[np.uint16] | None = None
        if recipe.binarize is not None:
            self._bits = self._binarized(drawn=recipe.binarize == "sample")
        elif data.x.dtype == np.uint8 and "gaussian" in recipe.likelihood:
            self._noise = self._dequantization_noise()

    def __len__(self) -> int:
        return len(self._data)

    @property
    def classes(self) -> int | None:
        """How many classes a model of these inputs is given; None if it is given no labels."""
        return classes_of(self.recipe, self._data)

    def batch(self, positions: npt.ArrayLike) -> Observed:
        """What the model is given of positions (B,): `samples`, and for a conditional recipe their
        labels (B,) int64 beside them.

        Raises DataError if the recipe is conditional and the data have no labels.
        """
        x = self.samples(positions)
        if not self.recipe.conditional:
            return x
        return x, torch.from_numpy(labels_of(self._data)[np.asarray(positions, np.int64)])

    def samples(self, positions: npt.ArrayLike) -> torch.Tensor:
        """Samples at positions (B,) as float32 (B, *shape) in [0, 1]."""
        index = validation.positions("Inputs.batch", positions, len(self))
        if self._bits is not None:
            return torch.from_numpy(self._bits[index]).to(torch.float32)
        if self._noise is not None:
            return self._dequantized(index, self._noise[index])
        return torch.from_numpy(self._data.unit(index))

    def _dequantized(
        self, index: npt.NDArray[np.int64], noise: npt.NDArray[np.uint16]
    ) -> torch.Tensor:
        low, high = self._data.value_range
        steps = torch.from_numpy(self._data.x[index].astype(np.int32)).sub_(int(low)).mul_(_STEPS)
        steps.add_(torch.from_numpy(noise.astype(np.int32)))
        return steps.to(torch.float32).div_((high - low + 1) * _STEPS)

    def _binarized(self, *, drawn: bool) -> npt.NDArray[np.uint8]:
        bits = np.empty(self._data.x.shape, np.uint8)
        for rows in self._blocks():
            bits[rows] = self._data.unit(rows) > (
                self._uniforms(rows, BINARIZATION) if drawn else 0.5
            )
        return bits

    def _dequantization_noise(self) -> npt.NDArray[np.uint16]:
        noise = np.empty(self._data.x.shape, np.uint16)
        for rows in self._blocks():
            noise[rows] = self._uniforms(rows, DEQUANTIZATION) * _STEPS
        return noise

    def _uniforms(self, rows: npt.NDArray[np.int64], stream: str) -> npt.NDArray[np.float64]:
        values = self._data.rows.shape[1]
        drawn = uniforms(self.recipe.common_seed, self.identities[rows], [0], values, stream=stream)
        return drawn.reshape(len(rows), *self.shape)

    def _blocks(self) -> list[npt.NDArray[np.int64]]:
        count, values = self._data.rows.shape
        step = max(1, _VALUES_AT_ONCE // max(1, values))
        return [np.arange(at, min(at + step, count)) for at in range(0, count, step)]


def labels_of(data: Dataset) -> npt.NDArray[np.int64]:
    """The labels (N,) that a conditional recipe needs; DataError if there are none."""
    if data.y is None:
        raise DataError(
            f"a conditional recipe wants a label for every sample, and {data.name} has none "
            "(Dataset(..., y=...))"
        )
    return data.y


def classes_of(recipe: Recipe, data: Dataset) -> int | None:
    """How many classes a model of this data is given, None if its recipe is not conditional.

    As many as the data has names for, else up to the largest label: training rows may lack some.
    """
    if not recipe.conditional:
        return None
    labels = labels_of(data)
    return int(labels.max()) + 1 if data.classes is None else len(data.classes)
