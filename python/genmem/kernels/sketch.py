"""Short vectors whose inner products estimate those of gradients: retrieval, then exact products.

    s_i[q] = k^-1/2 sum_layers sum_t ((a_t, 1) . (rho_q, 1)) (g_t . sigma_q),   q = 0 .. k - 1

rho and sigma are vectors of random signs, a pair for each layer and q. E s_i . s_j = <g_i, g_j>,
and the variance is at most (9 |g_i|^2 |g_j|^2 - <g_i, g_j>^2) / k. The bias needs no sign of its
own, as both of a pair may change at once. So a sketch is the product with k samples of one random
token each, and `grad_dot` computes it, at T (d + p) multiply-adds per number.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from genmem import _core, noise
from genmem.arrays import Readable
from genmem.kernels.factors import Factors, LayerFactors, Sides
from genmem.kernels.grad_dot import TopInfluences, grad_products, top_k
from genmem.kernels.native import rows_anywhere

Float32 = npt.NDArray[np.float32]

# Products of sketches that are searched at a time: 16 MiB.
_SEARCHED = 1 << 22


def sketch(
    factors: Factors,
    dim: int,
    *,
    seed: int = 0,
    backend: str = "auto",
    threads: int | None = None,
) -> Float32:
    """Sketches (n, dim) of the gradients of n samples.

    dim   numbers per sample: the error of a product is about 3 |g_i| |g_j| / sqrt(dim) at most
    seed  of the signs, which are keyed by (seed, layer, q): sketches of one seed go together,
          whatever the batch; those of different seeds or layers mean nothing to each other
    """
    if dim < 1:
        raise ValueError(f"sketch: dim is {dim}; at least 1 is wanted")
    layers = []
    for number, layer in enumerate(factors.layers):
        named = (("inputs", layer.inputs), ("gradients", layer.gradients))
        rho, sigma = (
            _signs(seed, dim, _width(side, rows), f"sketch {side} {number}") for side, rows in named
        )
        layers.append(LayerFactors(layer.name, rho, sigma, np.arange(dim + 1), layer.bias))
    products = grad_products(factors, Factors(tuple(layers)), backend=backend, threads=threads)
    out: Float32 = (products / np.sqrt(dim)).astype(np.float32)
    return out


def retrieve(
    queries: Factors,
    points: Factors,
    query_sketches: Float32,
    point_sketches: Float32,
    k: int,
    *,
    candidates: int | None = None,
    backend: str = "auto",
    threads: int | None = None,
) -> TopInfluences:
    """The k largest products of each query among those that its sketch finds; scores are exact.

    candidates  points per query whose products are computed, in float64 (None: 5 k + 40)

    A point that the sketches rank below the candidates is missed: `grad_dot(k=, screen=True)` is
    the certified way.
    """
    n = len(points)
    for side, factors, sketches in (
        ("query", queries, query_sketches),
        ("point", points, point_sketches),
    ):
        if sketches.ndim != 2 or len(sketches) != len(factors):
            raise ValueError(
                f"retrieve: {side}_sketches has shape {sketches.shape}; {len(factors)} rows are "
                "wanted, one per sample"
            )
    if not 1 <= k <= n:
        raise ValueError(f"retrieve: k is {k}; 1..{n} is wanted, the number of points")
    count = min(n, 5 * k + 40 if candidates is None else candidates)
    if count < k:
        raise ValueError(f"retrieve: candidates is {count}; at least k = {k} is wanted")
    found = sketched(query_sketches, point_sketches, count)
    s = Sides.read("retrieve", queries, points, backend, threads)
    exact = _core.grad_dot_listed(s.queries, s.points, found, s.backend, s.threads, place=s.place)
    best = top_k(exact, k)
    return TopInfluences(np.take_along_axis(found, best.indices, axis=1), best.scores)


def sketched(query_sketches: Float32, point_sketches: Float32, count: int) -> npt.NDArray[np.int64]:
    """(Q, count): the points whose sketches have the largest products with a query's.

    Ascending, so that ties among scores of them go to the lower index.
    """
    step = max(1, _SEARCHED // len(point_sketches))
    parts = [
        top_k(query_sketches[at : at + step] @ point_sketches.T, count).indices
        for at in range(0, len(query_sketches), step)
    ]
    return np.sort(np.concatenate(parts), axis=1) if parts else np.empty((0, count), np.int64)


def _width(side: str, rows: Readable) -> int:
    return int(rows_anywhere("sketch", side, rows).shape[1])


def _signs(seed: int, dim: int, width: int, stream: str) -> Float32:
    """(dim, width) of +1 and -1."""
    unit = noise.uniforms(seed, np.arange(dim), [0], width, stream=stream)[:, 0]
    return np.where(unit < 0.5, np.float32(-1), np.float32(1))
