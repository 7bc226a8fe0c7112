"""Inner products of per-sample gradients, by forming the gradients."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
import numpy.typing as npt

from genmem.reference.knn import Float64


class Layer(Protocol):
    """Tokens of one layer: inputs (tokens, d), gradients (tokens, p), offsets (n + 1,), bias."""

    @property
    def inputs(self) -> npt.NDArray[np.floating]: ...
    @property
    def gradients(self) -> npt.NDArray[np.floating]: ...
    @property
    def offsets(self) -> npt.NDArray[np.int64]: ...
    @property
    def bias(self) -> bool: ...


def gradients(layer: Layer) -> Float64:
    """(n, p (d + bias)): per sample sum_t g_t (a_t, 1)^T, flattened."""
    a, g = np.asarray(layer.inputs, np.float64), np.asarray(layer.gradients, np.float64)
    if layer.bias:
        a = np.hstack([a, np.ones((len(a), 1))])
    bounds = zip(layer.offsets[:-1], layer.offsets[1:], strict=True)
    return np.stack([(g[i:j].T @ a[i:j]).ravel() for i, j in bounds])


def grad_dot(queries: Sequence[Layer], points: Sequence[Layer]) -> Float64:
    """K[i, j] = sum over layers of <G_i, G_j> with G_i = sum_t g_t (a_t, 1)^T, shape (m, n)."""
    return np.asarray(
        sum(gradients(q) @ gradients(x).T for q, x in zip(queries, points, strict=True))
    )
