"""Factors of drawn numbers, ordinary and hostile, and the norms of their gradients."""

import numpy as np

from genmem.kernels import Factors, LayerFactors
from genmem.reference.grad_dot import gradients


def factors(
    rng: np.random.Generator,
    samples: int,
    layers: list[tuple[int, int, int, bool]],
    *,
    ragged: bool = False,
    dtype: type = np.float64,
) -> Factors:
    """Layers (tokens per sample, d, p, bias); ragged: 0 .. 2 T tokens, some samples without any."""
    out = []
    for number, (tokens, d, p, bias) in enumerate(layers):
        counts = rng.integers(0, 2 * tokens + 1, samples) if ragged else np.full(samples, tokens)
        offsets = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
        total = int(offsets[-1])
        out.append(
            LayerFactors(
                f"layer {number}",
                rng.standard_normal((total, d)).astype(dtype),
                rng.standard_normal((total, p)).astype(dtype),
                offsets,
                bias,
            )
        )
    return Factors(tuple(out))


def norms(of: Factors) -> np.ndarray:
    return np.sqrt(sum((gradients(x) ** 2).sum(1) for x in of.layers))


HOSTILE = {
    # One chain of float32 drifts by its length: every term rounds the same way.
    "constant": lambda rng, shape: np.full(shape, rng.uniform(0.1, 1)),
    "positive": lambda rng, shape: rng.uniform(0, 1, shape),
    # The largest entry decides the scale, the many small ones the sum.
    "peak": lambda rng, shape: np.where(rng.random(shape) < 0.01, 30, rng.uniform(0.1, 0.2)),
    "sparse": lambda rng, shape: rng.standard_normal(shape) * (rng.random(shape) < 0.02),
    "huge": lambda rng, shape: rng.standard_normal(shape) * 1e30,
    "tiny": lambda rng, shape: rng.standard_normal(shape) * 1e-30,
    "denormal": lambda rng, shape: rng.standard_normal(shape) * 1e-41,
    "all sizes of rows": lambda rng, shape: (
        rng.standard_normal(shape) * 10.0 ** rng.integers(-18, 18, (shape[0], 1))
    ),
    "all sizes of entries": lambda rng, shape: (
        rng.standard_normal(shape) * 10.0 ** rng.integers(-18, 18, shape)
    ),
}


def hostile(
    rng: np.random.Generator, samples: int, shape: tuple[int, int, int, bool], kind: str
) -> Factors:
    """One ragged layer in float32, of HOSTILE[kind]."""
    (layer,) = factors(rng, samples, [shape], ragged=True, dtype=np.float32).layers
    a, g = (HOSTILE[kind](rng, np.shape(v)) for v in (layer.inputs, layer.gradients))
    layer = layer._replace(inputs=a.astype(np.float32), gradients=g.astype(np.float32))
    return Factors((layer,))
