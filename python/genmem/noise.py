"""Counter-based noise: a value depends on (seed, stream, sample, draw), never on when it is asked.

Philox4x32-10 maps a 128-bit counter and a 64-bit key to 128 random bits. The key holds the seed
and the stream (what the noise is for), the counter holds the sample, the draw and the position
within the draw. So the noise of a sample is the same whatever the batch it comes in, the worker
that asks, or the run that was resumed; and two models scored with the same seed see common random
numbers.

Source: Salmon, Moraes, Dror & Shaw (2011), Parallel random numbers: as easy as 1, 2, 3.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

Uint64 = npt.NDArray[np.uint64]

_MULTIPLIERS = (np.uint64(0xD2511F53), np.uint64(0xCD9E8D57))
_WEYL = (0x9E3779B9, 0xBB67AE85)
_LOW = np.uint64(0xFFFFFFFF)
_HALF = np.uint64(32)
# Sixteen thousand counters keep the eight working arrays of the rounds within a core's L2 cache.
_BLOCK = 1 << 14


def philox(
    counter: Sequence[Uint64], key: tuple[int, int]
) -> tuple[Uint64, Uint64, Uint64, Uint64]:
    """Philox4x32-10 of four arrays of 32-bit words (held in uint64) under a key of two words."""
    c0, c1, c2, c3 = counter
    k0, k1 = key
    for _ in range(10):
        p0, p1 = c0 * _MULTIPLIERS[0], c2 * _MULTIPLIERS[1]
        c0, c1 = (p1 >> _HALF) ^ c1 ^ np.uint64(k0), p1 & _LOW
        c2, c3 = (p0 >> _HALF) ^ c3 ^ np.uint64(k1), p0 & _LOW
        k0, k1 = (k0 + _WEYL[0]) & 0xFFFFFFFF, (k1 + _WEYL[1]) & 0xFFFFFFFF
    return c0, c1, c2, c3


def uniforms(
    seed: int, samples: npt.ArrayLike, draws: npt.ArrayLike, dim: int, *, stream: str
) -> npt.NDArray[np.float64]:
    """Uniform noise in the open interval (0, 1), shape (len(samples), len(draws), dim).

    seed     any integer; its low 32 bits are used
    samples  (B,) identities of the samples, not positions in a batch; 0 <= sample < 2^32
    draws    (m,) numbers of the draws, 0 <= draw < 2^32
    dim      values per draw
    stream   what the noise is for ("latent", "binarize", ...): other streams are independent
    """
    bits, _ = _bits(seed, samples, draws, dim, stream)
    return _open_unit(bits)[..., :dim]


def normals(
    seed: int, samples: npt.ArrayLike, draws: npt.ArrayLike, dim: int, *, stream: str
) -> npt.NDArray[np.float32]:
    """Standard normal noise, float32, shape (len(samples), len(draws), dim); see `uniforms`.

    Box and Muller (1958) in float64: one pair of words gives one pair of normals, so the count of
    words per draw is fixed, which a rejection method could not promise.
    """
    bits, words = _bits(seed, samples, draws, dim, stream)
    unit = _open_unit(bits).reshape(*bits.shape[:-1], words // 2, 2)
    radius = np.sqrt(-2.0 * np.log(unit[..., 0]))
    angle = (2.0 * np.pi) * unit[..., 1]
    out = np.empty(unit.shape, np.float32)
    out[..., 0] = radius * np.cos(angle)
    out[..., 1] = radius * np.sin(angle)
    return out.reshape(bits.shape)[..., :dim]


def _bits(
    seed: int, samples: npt.ArrayLike, draws: npt.ArrayLike, dim: int, stream: str
) -> tuple[Uint64, int]:
    sample = _words("samples", samples)
    draw = _words("draws", draws)
    if dim < 1:
        raise ValueError(f"noise: dim is {dim}; at least 1 value per draw is wanted")
    quads = -(-dim // 4)
    shape = (len(sample), len(draw), quads)
    out = np.empty((*shape, 4), np.uint64)
    key = (seed & 0xFFFFFFFF, zlib.crc32(stream.encode()))
    flat = out.reshape(-1, 4)
    for start in range(0, len(flat), _BLOCK):
        position = np.arange(start, min(start + _BLOCK, len(flat)))
        row, column, quad = np.unravel_index(position, shape)
        counter = (
            quad.astype(np.uint64),
            np.zeros(len(position), np.uint64),
            draw[column],
            sample[row],
        )
        for word, value in enumerate(philox(counter, key)):
            flat[start : start + _BLOCK, word] = value
    return out.reshape(len(sample), len(draw), 4 * quads), 4 * quads


def _words(name: str, values: npt.ArrayLike) -> Uint64:
    given = np.atleast_1d(np.asarray(values))
    if given.ndim != 1 or given.dtype.kind not in "iu":
        raise ValueError(
            f"noise: {name} has shape {given.shape} and type {given.dtype}; "
            "a list of integers is wanted"
        )
    if given.size and (given.min() < 0 or given.max() >= 1 << 32):
        raise ValueError(f"noise: {name} lies in {given.min()}..{given.max()}; 0..2^32-1 is wanted")
    return given.astype(np.uint64)


def _open_unit(bits: Uint64) -> npt.NDArray[np.float64]:
    # Half a step off the grid k / 2^32: neither 0 (its logarithm) nor 1 can occur.
    return (bits.astype(np.float64) + 0.5) * 2.0**-32
