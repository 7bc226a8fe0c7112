"""Inner products of per-sample gradients from layer factors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, NamedTuple, overload

import numpy as np
import numpy.typing as npt

from genmem import _core
from genmem.arrays import FloatArray
from genmem.kernels.card_arrays import placed, room, sealed
from genmem.kernels.factors import Factors, Sides
from genmem.kernels.native import MEMORY

Float64 = npt.NDArray[np.float64]


class TopInfluences(NamedTuple):
    """Indices (Q, k) int64 and scores (Q, k), strongest first; ties to the lower index."""

    indices: npt.NDArray[np.int64]
    scores: FloatArray


@overload
def grad_dot(
    queries: Factors,
    points: Factors,
    *,
    symmetric: bool = False,
    k: None = None,
    largest: bool = True,
    cosine: bool = False,
    screen: bool = False,
    parts: Sequence[int] | None = None,
    tol: float | None = None,
    backend: str = "auto",
    threads: int | None = None,
    assume_finite: bool = False,
) -> FloatArray: ...
@overload
def grad_dot(
    queries: Factors,
    points: Factors,
    *,
    symmetric: Literal[False] = False,
    k: int,
    largest: bool = True,
    cosine: bool = False,
    screen: bool = False,
    parts: None = None,
    tol: None = None,
    backend: str = "auto",
    threads: int | None = None,
    assume_finite: bool = False,
) -> TopInfluences: ...
def grad_dot(
    queries: Factors,
    points: Factors,
    *,
    symmetric: bool = False,
    k: int | None = None,
    largest: bool = True,
    cosine: bool = False,
    screen: bool = False,
    parts: Sequence[int] | None = None,
    tol: float | None = None,
    backend: str = "auto",
    threads: int | None = None,
    assume_finite: bool = False,
) -> FloatArray | TopInfluences:
    """Inner products of per-sample gradients, from layer factors, without forming the gradients.

    K[i, j] = sum over layers of sum_{t in i, s in j} (a_t . a_s + bias) (g_t . g_s)

    queries    M samples;  points  N samples with the same layers
    symmetric  queries and points are the same samples: half of the work, mirrored
    k          only the k largest of each row; no (M, N) is held
    largest    False: the k smallest, in ascending order
    cosine     K[i, j] / (|g_i| |g_j|), and 0 where a gradient is zero
    screen     with k: products in low precision first (bfloat16 on amx, twice on "cuda"), and in
               float64 those that may be among the k by a proven bound. The answer is that of
               float64, to the index
    parts      per layer the number of the part that it belongs to: a matrix for each part, as for
               layers (range(L)) or checkpoints. Not with k, nor with cosine
    tol        from 1e-4 on, an error that is good enough: |error| <= tol |g_i| |g_j| is proven for
               every entry (tol for a cosine; of parts, that of the part). Products in 16-bit
               integers where they are faster and keep it (avx2; avx512 and amx with VNNI), on
               "cuda" of one (tol from 4e-3 on) or two parts of bfloat16, a sixth or half of the
               work; then in float32, then in float64, whose own rounding is taken for none. On
               processors the layers of the whole call may decide which; on "cuda" an entry depends
               on its two samples alone. Not with k, which has `screen`
    backend    as in `knn`. On "cuda" the products of float32 factors are bfloat16 thrice, on the
               tensor cores; factors that do not fit on the card go through it block by block, and
               up to k = 1024 the k strongest of a row alone leave it
    assume_finite  no factor is looked at first; one that is not finite makes products that are not
    returns    (M, N), or (P, M, N) with parts, or TopInfluences of (M, k); float32 if every factor
               is float32, else float64. Of queries that lie on a card the answer lies there, as in
               `knn`: with assume_finite nobody waits for products, but for k, cosine or tol.
               |error| <= 1e-13 |g_i| |g_j| for float64 factors. Layers whose factors are float32 or
               bytes are multiplied in float32, at 1e-6 (1e-5 at the very worst), and summed over
               layers in float64. Without tol an entry depends on its two samples alone, to the
               last bit

    Raises ValueError for layers or token counts that do not agree, k outside 1..N, tol outside
    1e-4..1 or a non-finite factor (layer and token named), BackendError if the named backend cannot
    run here.
    """
    if symmetric and points is not queries:
        raise ValueError(
            "grad_dot: symmetric=True, but points is not queries; pass the same factors twice"
        )
    if parts is not None and (k is not None or cosine):
        raise ValueError("grad_dot: parts are matrices of products; neither k nor cosine goes with")
    if screen and k is None:
        raise ValueError("grad_dot: screen=True, but k is None; a screen finds the k strongest")
    if tol is not None and k is not None:
        raise ValueError("grad_dot: tol is for all products; the k strongest have screen=True")
    if k is not None and not 1 <= k <= len(points):
        raise ValueError(f"grad_dot: k is {k}; 1..{len(points)} is wanted, the number of points")
    off = checked_tol(tol) or 0.0
    s = Sides.read("grad_dot", queries, points, backend, threads, assume_finite=assume_finite)
    scales = _inverse_norms(s) if cosine else None
    if k is None and s.caller is not None:
        shape = (len(queries), len(points))
        there: FloatArray = _products_on_card(s, shape, symmetric, off, scales, parts)
        return there
    if parts is not None:
        blocks = [_products(some, symmetric, off) for some in s.parts(parts)]
        return np.stack(blocks).astype(s.dtype, copy=False)
    if k is None:
        out = _products(s, symmetric, off)
        if scales is not None:
            out *= scales[0][:, None]
            out *= scales[1]
        return out.astype(s.dtype, copy=False)
    left, right = (None, None) if scales is None else scales
    indices, scores, _ = _core.grad_dot_top(
        s.queries, s.points, k, largest, left, right, screen, s.backend, s.threads, place=s.place
    )
    scores = scores.astype(s.dtype, copy=False)
    if s.caller is None:
        return TopInfluences(indices, scores)
    assert s.place is not None
    found: list[Any] = [placed(s.caller, s.place, s.backend, one) for one in (indices, scores)]
    return TopInfluences(*found)


def grad_products(
    queries: Factors,
    points: Factors,
    *,
    tol: float | None = None,
    backend: str = "auto",
    threads: int | None = None,
    assume_finite: bool = False,
) -> Float64:
    """`grad_dot` before it is rounded to float32, (M, N) float64: for sums of several.

    tol            as in `grad_dot`
    assume_finite  no factor is looked at first; one that is not finite makes products that are not
    """
    s = Sides.read("grad_dot", queries, points, backend, threads, assume_finite=assume_finite)
    return _products(s, False, checked_tol(tol) or 0.0)


def grad_dot_diagonal(
    queries: Factors,
    points: Factors,
    *,
    backend: str = "auto",
    threads: int | None = None,
    assume_finite: bool = False,
) -> Float64:
    """K[i, i] alone, (N,) float64: squared gradient norms when both sides are the same factors.

    assume_finite  as in `grad_products`
    """
    if len(queries) != len(points):
        raise ValueError(
            f"grad_dot_diagonal: queries has {len(queries)} samples and points {len(points)}; "
            "they must agree"
        )
    name = "grad_dot_diagonal"
    s = Sides.read(name, queries, points, backend, threads, assume_finite=assume_finite)
    return _diagonal(s)


def checked_tol(tol: float | None) -> float | None:
    """A tolerance as it was given; ValueError unless 1e-4 <= tol < 1, as float32 proves no less."""
    if tol is not None and not 1e-4 <= tol < 1:
        raise ValueError(f"grad_dot: tol is {tol}; 1e-4 <= tol < 1 is wanted")
    return tol


def pairs_take_tokens(tokens: int, d: int, p: int) -> bool:
    """Whether products of pairs of samples cost less from tokens than from formed gradients.

    By count, tokens cost T^2 (d + p) and formed gradients d p multiply-adds. Measured for d = 17 to
    1153, p = 32 to 784, T = 4 to 16 and Q = 128, they are level at T^2 (d + p) = 1.2 d p to 1.9 d p
    on AMX and 1.0 to 1.6 on AVX-512: formed gradients come from memory, tokens from the cache. To
    form them costs as much again as products with some ten queries.
    """
    return tokens * tokens * (d + p) < 1.6 * d * p


def top_k(products: FloatArray, k: int) -> TopInfluences:
    """The k largest of each row of (M, N), descending; ties to the lower index."""
    rows, n = products.shape
    indices = np.empty((rows, k), np.int64)
    for i, row in enumerate(products):
        # Everything that ties with the k-th largest takes part, so that the index decides.
        bar = np.partition(row, n - k)[n - k]
        candidates = np.flatnonzero(row >= bar)
        indices[i] = candidates[np.argsort(-row[candidates], kind="stable")[:k]]
    return TopInfluences(indices, np.take_along_axis(products, indices, axis=1))


def _inverse_norms(sides: Sides) -> tuple[Float64, Float64]:
    """1 / |g| of every sample of both sides, 0 for a zero gradient."""
    out = []
    both = (sides.queries, sides.points)
    for side in both[:1] if both[0] is both[1] else both:
        norm = np.sqrt(_diagonal(sides.one_side(side)))
        out.append(np.divide(1.0, norm, out=np.zeros_like(norm), where=norm > 0))
    return out[0], out[-1]


def _products(sides: Sides, symmetric: bool, tol: float) -> Float64:
    s = sides
    out: Float64 = _core.grad_dot(
        s.queries, s.points, symmetric, tol, s.backend, s.threads, place=s.place
    )
    return out


def _diagonal(sides: Sides) -> Float64:
    s = sides
    out: Float64 = _core.grad_dot_diagonal(s.queries, s.points, s.backend, s.threads, place=s.place)
    return out


def _products_on_card(
    sides: Sides,
    shape: tuple[int, ...],
    symmetric: bool,
    tol: float,
    scales: tuple[Float64, Float64] | None,
    parts: Sequence[int] | None,
) -> Any:
    """The products beside the queries, (P, M, N) of parts."""
    assert sides.caller is not None
    assert sides.place is not None
    each = [sides] if parts is None else list(sides.parts(parts))
    out = room(
        sides.caller,
        sides.place,
        sides.backend,
        shape if parts is None else (len(each), *shape),
        sides.dtype,
    )
    left, right = (None, None) if scales is None else scales
    for number, s in enumerate(each):
        _core.grad_dot_on_card(
            s.queries, s.points, symmetric, tol, left, right, s.backend, s.threads, MEMORY, s.place,
            out, number,
        )  # fmt: skip
    sealed(out)
    return out
