"""Inner products of per-sample gradients from layer factors."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple, TypeAlias, overload

import numpy as np
import numpy.typing as npt

from genmem import _core
from genmem.arrays import AnyArray, FloatArray, Readable, float_type, read_rows
from genmem.kernels.native import backend_and_threads, check_finite

Float64 = npt.NDArray[np.float64]
_NativeLayer: TypeAlias = tuple[AnyArray, AnyArray, AnyArray, bool]


class LayerFactors(NamedTuple):
    """One layer's gradient of every sample, as tokens: G_i = sum_{t in i} g_t (a_t, 1)^T.

    name       of the layer, for messages
    inputs     (tokens, d)  a_t
    gradients  (tokens, p)  g_t
    offsets    (n + 1,) int64: the tokens of sample i are offsets[i] .. offsets[i + 1]
    bias       whether the 1 takes part: the layer has a bias fed by the same output gradients

    A gradient that is held as it is, is one token with g = (1,).
    """

    name: str
    inputs: Readable
    gradients: Readable
    offsets: npt.NDArray[np.int64]
    bias: bool


@dataclass(frozen=True)
class Factors:
    """The layers of n samples; a checkpoint's weight w is folded in as sqrt(w) on the gradients."""

    layers: tuple[LayerFactors, ...]

    def __len__(self) -> int:
        return len(self.layers[0].offsets) - 1 if self.layers else 0

    def samples(self, start: int, stop: int) -> Factors:
        """The factors of samples start .. stop - 1, as views."""
        return Factors(tuple(_slice(layer, start, stop) for layer in self.layers))


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
    returns    (M, N), or (P, M, N) with parts, or TopInfluences of (M, k); float32 if every factor
               is float32, else float64.
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
    off = checked_tol(tol) or 0.0
    q, x, dtype = _sides(queries, points)
    chosen, count = backend_and_threads("grad_dot", backend, threads)
    if parts is not None:
        blocks = [
            _core.grad_dot(*some, symmetric, off, chosen, count) for some in _divided(q, x, parts)
        ]
        return np.stack(blocks).astype(dtype, copy=False)
    scales = _inverse_norms(q, x, chosen, count) if cosine else None
    if k is None:
        out = _core.grad_dot(q, x, symmetric, off, chosen, count)
        if scales is not None:
            out *= scales[0][:, None]
            out *= scales[1]
        return np.asarray(out).astype(dtype, copy=False)
    if not 1 <= k <= len(points):
        raise ValueError(f"grad_dot: k is {k}; 1..{len(points)} is wanted, the number of points")
    left, right = (None, None) if scales is None else scales
    indices, scores, _ = _core.grad_dot_top(q, x, k, largest, left, right, screen, chosen, count)
    return TopInfluences(indices, scores.astype(dtype, copy=False))


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
    q, x, _ = _sides(queries, points, assume_finite)
    chosen, count = backend_and_threads("grad_dot", backend, threads)
    out: Float64 = _core.grad_dot(q, x, False, checked_tol(tol) or 0.0, chosen, count)
    return out


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
    q, x, _ = _sides(queries, points, assume_finite)
    chosen, count = backend_and_threads("grad_dot_diagonal", backend, threads)
    out: Float64 = _core.grad_dot_diagonal(q, x, chosen, count)
    return out


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


def _divided(
    q: list[_NativeLayer], x: list[_NativeLayer], parts: Sequence[int]
) -> Iterator[tuple[list[_NativeLayer], list[_NativeLayer]]]:
    """Both sides of the layers of part 0, 1, ..."""
    of = np.asarray(parts)
    if of.shape != (len(q),) or of.dtype.kind not in "iu" or of.min() < 0:
        raise ValueError(
            f"grad_dot: parts is {parts!r}; {len(q)} numbers from 0 on are wanted, one per layer"
        )
    for part in range(int(of.max()) + 1):
        at = np.flatnonzero(of == part)
        if not len(at):
            raise ValueError(f"grad_dot: parts has no layer of part {part}, but later ones")
        yield [q[layer] for layer in at], [x[layer] for layer in at]


def _inverse_norms(
    q: list[_NativeLayer], x: list[_NativeLayer], backend: str, threads: int
) -> tuple[Float64, Float64]:
    """1 / |g| of every sample of both sides, 0 for a zero gradient."""
    out = []
    for side in (q,) if x is q else (q, x):
        norm = np.sqrt(_core.grad_dot_diagonal(side, side, backend, threads))
        out.append(np.divide(1.0, norm, out=np.zeros_like(norm), where=norm > 0))
    return out[0], out[-1]


def _slice(layer: LayerFactors, start: int, stop: int) -> LayerFactors:
    first, last = int(layer.offsets[start]), int(layer.offsets[stop])
    inputs = read_rows("grad_dot", f"inputs of {layer.name}", layer.inputs)
    gradients = read_rows("grad_dot", f"gradients of {layer.name}", layer.gradients)
    return LayerFactors(
        layer.name,
        inputs[first:last],
        gradients[first:last],
        layer.offsets[start : stop + 1] - first,
        layer.bias,
    )


def factor_sides(
    queries: Factors, points: Factors
) -> tuple[list[_NativeLayer], list[_NativeLayer]]:
    """Both sides as the native module takes them, checked."""
    q, x, _ = _sides(queries, points)
    return q, x


def _sides(
    queries: Factors, points: Factors, assume_finite: bool = False
) -> tuple[list[_NativeLayer], list[_NativeLayer], np.dtype[np.floating]]:
    """Both sides as the native module takes them, and the float type of an answer about them."""
    q, dtype = _native(queries, "queries", assume_finite)
    x, other = (q, dtype) if points is queries else _native(points, "points", assume_finite)
    return q, x, np.promote_types(dtype, other)


def _native(
    factors: Factors, side: str, assume_finite: bool
) -> tuple[list[_NativeLayer], np.dtype[np.floating]]:
    if not factors.layers:
        raise ValueError(f"grad_dot: {side} has no layers; at least 1 is wanted")
    layers: list[_NativeLayer] = []
    dtype: np.dtype[np.floating] = np.dtype(np.float32)
    for layer in factors.layers:
        inputs = read_rows("grad_dot", f"{side}: inputs of {layer.name}", layer.inputs)
        gradients = read_rows("grad_dot", f"{side}: gradients of {layer.name}", layer.gradients)
        for part, rows in (("inputs", inputs), ("gradients", gradients)):
            if not assume_finite:
                check_finite("grad_dot", f"{side}: {part} of {layer.name}", rows)
            dtype = np.promote_types(dtype, float_type(rows))
        offsets = np.ascontiguousarray(layer.offsets, dtype=np.int64)
        layers.append((inputs, gradients, offsets, bool(layer.bias)))
    return layers, dtype
