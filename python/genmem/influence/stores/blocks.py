"""Joining the factors of consecutive samples."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

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
