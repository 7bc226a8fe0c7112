"""Joining the factors of consecutive samples, and picking some of them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from genmem.kernels import Factors, LayerFactors


class Growing:
    """Factors of `samples` consecutive samples, put together part by part.

    Each part is copied where it belongs as it comes, while it is in the cache, and is not held.
    """

    def __init__(self, samples: int) -> None:
        self._samples = samples
        self._layers: list[_GrowingLayer] = []

    def add(self, part: Factors) -> None:
        """The next samples; every part must have the same layers (ValueError)."""
        if not self._layers:
            self._layers = [_GrowingLayer(layer, self._samples) for layer in part.layers]
        for grown, layer in zip(self._layers, part.layers, strict=True):
            grown.add(layer)

    def factors(self) -> Factors:
        """All that was added."""
        return Factors(tuple(grown.layer() for grown in self._layers))


class _GrowingLayer:
    """One layer, with room for as many tokens as `samples` samples like the first ones have."""

    def __init__(self, first: LayerFactors, samples: int) -> None:
        self._first, self._counts, self._used = first, [np.zeros(1, np.int64)], 0
        known = len(first.offsets) - 1
        tokens = -(-int(first.offsets[-1]) * samples // known)
        self._inputs, self._gradients = (
            _room(rows, tokens) for rows in (first.inputs, first.gradients)
        )

    def add(self, layer: LayerFactors) -> None:
        if layer.name != self._first.name:
            raise ValueError(
                f"influence: layer {layer.name} cannot be joined to layer {self._first.name}"
            )
        end = self._used + int(layer.offsets[-1])
        if end > len(self._inputs):
            self._inputs, self._gradients = (
                _longer(rows, end) for rows in (self._inputs, self._gradients)
            )
        self._inputs[self._used : end] = layer.inputs
        self._gradients[self._used : end] = layer.gradients
        self._counts.append(np.diff(layer.offsets))
        self._used = end

    def layer(self) -> LayerFactors:
        offsets = np.cumsum(np.concatenate(self._counts), dtype=np.int64)
        inputs, gradients = self._inputs[: self._used], self._gradients[: self._used]
        return self._first._replace(inputs=inputs, gradients=gradients, offsets=offsets)


def _room(like: Any, rows: int) -> Any:
    """An array for so many rows, of the same kind and in the same place."""
    if isinstance(like, torch.Tensor):
        return torch.empty((rows, *like.shape[1:]), dtype=like.dtype, device=like.device)
    array = np.asarray(like)
    return np.empty((rows, *array.shape[1:]), array.dtype)


def _longer(rows: Any, count: int) -> Any:
    out = _room(rows, count)
    out[: len(rows)] = rows
    return out


def joined(parts: Iterable[Factors], samples: int) -> Factors:
    """The factors of all `samples` samples of `parts` in order, copied."""
    grown = Growing(samples)
    for part in parts:
        grown.add(part)
    return grown.factors()


def take(factors: Factors, rows: npt.NDArray[np.int64]) -> Factors:
    """The factors of the samples at `rows`, copied; of a mapped block nothing else is read."""
    return Factors(tuple(_taken(layer, rows) for layer in factors.layers))


def _taken(layer: LayerFactors, rows: npt.NDArray[np.int64]) -> LayerFactors:
    first, counts = layer.offsets[rows], np.diff(layer.offsets)[rows]
    offsets = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    # The tokens of a sample lie together: where each begins, and how far into it a token is.
    tokens = np.repeat(first - offsets[:-1], counts) + np.arange(offsets[-1])
    inputs, gradients = np.asarray(layer.inputs)[tokens], np.asarray(layer.gradients)[tokens]
    return LayerFactors(layer.name, inputs, gradients, offsets, layer.bias)
