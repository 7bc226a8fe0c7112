"""Random numbers of the copying tests: a generator for each use, keyed by seed and name."""

from __future__ import annotations

import zlib

import numpy as np

from genmem.copying.sets import Int64


def generator(seed: int, purpose: str) -> np.random.Generator:
    """The generator of one use. Two uses share no numbers, so adding a test changes no other."""
    if seed < 0:
        raise ValueError(f"copying: seed is {seed}; a whole number >= 0 is wanted")
    return np.random.default_rng([seed, zlib.crc32(purpose.encode())])


def subset(rows: int, size: int, seed: int, purpose: str) -> Int64:
    """`size` of `rows` positions, ascending, drawn without replacement; all of them if size is."""
    if size >= rows:
        return np.arange(rows, dtype=np.int64)
    drawn = generator(seed, purpose).permutation(rows)[:size]
    return np.sort(drawn).astype(np.int64)
