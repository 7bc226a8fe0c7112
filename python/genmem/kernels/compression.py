"""Fewer tokens for the same gradients, to a certified error.

The gradient of one sample in one layer, G = sum_t g_t (a_t, 1)^T, has at most T singular values,
and the draws of a latent variable give tokens that resemble each other: most of its norm is in a
few of them. Those are kept, as tokens of their own, with E = G - G~ what is left out:

    |<G_i, G_j> - <G~_i, G~_j>| <= |E_i| |G_j| + |G_i| |E_j| + |E_i| |E_j|
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from genmem.arrays import float_type, read_rows
from genmem.kernels.card_arrays import on_host
from genmem.kernels.factors import Factors, LayerFactors
from genmem.kernels.grad_dot import grad_dot_diagonal

Float64 = npt.NDArray[np.float64]

# Longer samples are not compressed: their Grams cost more than they save.
_MOST_TOKENS = 64
# Bytes of widened tokens at a time.
_BLOCK_BYTES = 1 << 24
# Of float64 sums over tokens and features, relative to |G|^2, with room to spare.
_ROUNDING = 1e-14


@dataclass(frozen=True)
class Compressed:
    """Factors of fewer tokens, and what they differ by.

    factors  the same samples; a layer with a bias has it as one more input
    errors   (n,) |E_i|, over all layers: no less than the true ones
    norms    (n,) |G_i| of the factors that were compressed
    """

    factors: Factors
    errors: Float64
    norms: Float64


def compress(factors: Factors, tol: float, *, threads: int | None = None) -> Compressed:
    """Per sample, the fewest tokens whose gradient differs by at most tol of its norm.

    tol  at least 1e-6: singular values are found through Grams, which halve the digits

    The singular values of all layers of a sample are pooled, and the smallest left out: a layer
    that has little of the norm keeps few tokens. The error is that of the tokens as they are
    stored, computed afterwards in float64 from |G|^2 - 2 <G, G~> + |G~|^2.
    """
    if not 1e-6 <= tol < 1:
        raise ValueError(f"compress: tol is {tol}; 1e-6 <= tol < 1 is wanted")
    plain = [_plain(layer) for layer in factors.layers]
    most = [np.diff(tokens.offsets).max(initial=0) for tokens in plain]
    found = {
        n: _decompose(tokens) for n, tokens in enumerate(plain) if 2 <= most[n] <= _MOST_TOKENS
    }
    rest = Factors(tuple(tokens.layer() for n, tokens in enumerate(plain) if n not in found))
    squares = np.zeros(len(factors))
    for part in found.values():
        squares += part.squares
    if rest.layers:
        squares = squares + grad_dot_diagonal(rest, rest, threads=threads)
    kept = _kept([part.sq_values for part in found.values()], (0.9 * tol) ** 2 * squares)
    layers = list(plain)
    for n, keep in zip(found, kept, strict=True):
        layers[n] = _rebuilt(plain[n], found[n], keep)
    left = _left_out(plain, layers, found, threads)
    return Compressed(
        Factors(tuple(tokens.layer() for tokens in layers)),
        np.sqrt(left + _ROUNDING * squares),
        np.sqrt(squares),
    )


def compression_bound(queries: Compressed, points: Compressed) -> Float64:
    """(M, N): how far a product of compressed factors may be from that of the factors."""
    e, x = queries.errors[:, None], queries.norms[:, None]
    return np.asarray(e * (points.norms + points.errors) + x * points.errors)


class _Decomposition(NamedTuple):
    """Of each sample, padded to T tokens: |G|^2, squared singular values, falling, and the
    coefficients (n, T, T) that make the tokens of the singular vectors out of the given ones."""

    squares: Float64
    sq_values: Float64
    inputs: Float64
    gradients: Float64


class _Tokens(NamedTuple):
    """A layer without a bias, its arrays contiguous floats."""

    name: str
    inputs: npt.NDArray[np.floating]
    gradients: npt.NDArray[np.floating]
    offsets: npt.NDArray[np.int64]

    def layer(self) -> LayerFactors:
        return LayerFactors(*self, bias=False)

    def blocks(self, tokens: int) -> Iterator[slice]:
        """Runs of samples whose tokens, `tokens` each and widened, take about _BLOCK_BYTES."""
        width = self.inputs.shape[1] + self.gradients.shape[1]
        step = max(1, _BLOCK_BYTES // (8 * tokens * width))
        for start in range(0, len(self.offsets) - 1, step):
            yield slice(start, min(start + step, len(self.offsets) - 1))


def _plain(layer: LayerFactors) -> _Tokens:
    """The bias becomes one more input."""
    inputs = read_rows("compress", f"inputs of {layer.name}", on_host(layer.inputs))
    gradients = read_rows("compress", f"gradients of {layer.name}", on_host(layer.gradients))
    a = inputs.astype(float_type(inputs), copy=False)
    if layer.bias:
        a = np.concatenate([a, np.ones((len(a), 1), a.dtype)], axis=1)
    g = np.ascontiguousarray(gradients.astype(float_type(gradients), copy=False))
    return _Tokens(layer.name, np.ascontiguousarray(a), g, np.asarray(layer.offsets, np.int64))


def _padded(rows: npt.NDArray[np.floating], offsets: npt.NDArray[np.int64], tokens: int) -> Float64:
    """(n, tokens, d) float64, zeros where a sample has fewer tokens."""
    counts = np.diff(offsets)
    if (counts == tokens).all():
        return rows[offsets[0] : offsets[-1]].astype(np.float64).reshape(len(counts), tokens, -1)
    out = np.zeros((len(counts), tokens, rows.shape[1]))
    out[np.arange(tokens) < counts[:, None]] = rows[offsets[0] : offsets[-1]]
    return out


def _decompose(layer: _Tokens) -> _Decomposition:
    """With gradients = L Q, Q of orthonormal rows, G^T = (inputs^T L) Q: the Gram of the small
    factor L^T inputs has the squared singular values, and its vectors turn both into tokens."""
    tokens = int(np.diff(layer.offsets).max())
    parts = []
    for block in layer.blocks(tokens):
        offsets = layer.offsets[block.start : block.stop + 1]
        a, g = _padded(layer.inputs, offsets, tokens), _padded(layer.gradients, offsets, tokens)
        gram, other = g @ g.swapaxes(1, 2), a @ a.swapaxes(1, 2)
        trace = np.trace(gram, axis1=1, axis2=2)
        # Tokens that depend on each other have no factor; the error is measured afterwards.
        ridge = np.where(trace > 0, 1e-15 * trace, 1.0)
        lower = np.linalg.cholesky(gram + ridge[:, None, None] * np.eye(tokens))
        small = lower.swapaxes(1, 2) @ other @ lower
        values, vectors = np.linalg.eigh(small)
        turned = vectors[:, :, ::-1].swapaxes(1, 2)
        parts.append(
            _Decomposition(
                np.einsum("nst,nst->n", gram, other),
                np.maximum(values[:, ::-1], 0) * (trace > 0)[:, None],
                turned @ lower.swapaxes(1, 2),
                np.linalg.solve(lower.swapaxes(1, 2), turned.swapaxes(1, 2)).swapaxes(1, 2),
            )
        )
    return _Decomposition(*(np.concatenate(field) for field in zip(*parts, strict=True)))


def _kept(sq_values: list[Float64], budget: Float64) -> list[npt.NDArray[np.int64]]:
    """Per layer (n,): how many tokens stay when the smallest squares, up to the budget, go."""
    if not sq_values:
        return []
    pool = np.concatenate(sq_values, axis=1)
    order = np.argsort(pool, axis=1, kind="stable")
    gone = np.cumsum(np.take_along_axis(pool, order, axis=1), axis=1) <= budget[:, None]
    stays = np.empty(pool.shape, bool)
    np.put_along_axis(stays, order, ~gone, axis=1)
    ends = np.cumsum([v.shape[1] for v in sq_values])[:-1]
    return [part.sum(axis=1) for part in np.split(stays, ends, axis=1)]


def _rebuilt(layer: _Tokens, found: _Decomposition, keep: npt.NDArray[np.int64]) -> _Tokens:
    tokens = found.sq_values.shape[1]
    parts = []
    for block in layer.blocks(tokens):
        offsets = layer.offsets[block.start : block.stop + 1]
        most = int(keep[block].max())
        here = np.arange(most) < keep[block, None]
        a = found.inputs[block, :most] @ _padded(layer.inputs, offsets, tokens)
        g = found.gradients[block, :most] @ _padded(layer.gradients, offsets, tokens)
        parts.append((a[here].astype(layer.inputs.dtype), g[here].astype(layer.gradients.dtype)))
    inputs, gradients = (np.concatenate(side) for side in zip(*parts, strict=True))
    offsets = np.concatenate([[0], np.cumsum(keep)]).astype(np.int64)
    return layer._replace(inputs=inputs, gradients=gradients, offsets=offsets)


def _left_out(
    plain: list[_Tokens],
    layers: list[_Tokens],
    found: dict[int, _Decomposition],
    threads: int | None,
) -> Float64:
    """(n,) |G - G~|^2 of the layers that were compressed, from the tokens as they are stored."""
    if not found:
        return np.zeros(len(plain[0].offsets) - 1)
    old = Factors(tuple(plain[n].layer() for n in found))
    new = Factors(tuple(layers[n].layer() for n in found))
    cross = grad_dot_diagonal(old, new, threads=threads)
    left = grad_dot_diagonal(new, new, threads=threads) - 2 * cross
    for part in found.values():
        left += part.squares
    return np.maximum(left, 0)
