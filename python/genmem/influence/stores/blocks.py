"""Joining the factors of consecutive samples, and picking some of them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from genmem.kernels import Factors, LayerFactors


def concatenate(parts: Sequence[Factors]) -> Factors:
    """The factors of all samples of `parts` in order; every part must have the same layers."""
    if len(parts) == 1:
        return parts[0]
    columns = zip(*(part.layers for part in parts), strict=True)
    return Factors(tuple(_joined(layers) for layers in columns))


def _joined(layers: Sequence[LayerFactors]) -> LayerFactors:
    first = layers[0]
    odd = next((layer for layer in layers if layer.name != first.name), None)
    if odd is not None:
        raise ValueError(f"influence: layer {odd.name} cannot be joined to layer {first.name}")
    counts = np.concatenate([np.diff(layer.offsets) for layer in layers])
    return LayerFactors(
        first.name,
        np.concatenate([np.asarray(layer.inputs) for layer in layers]),
        np.concatenate([np.asarray(layer.gradients) for layer in layers]),
        np.concatenate([[0], np.cumsum(counts)]).astype(np.int64),
        first.bias,
    )


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
