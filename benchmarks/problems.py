"""The problems that contenders are given, and the truth about them in float64."""

import functools
import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.special import logsumexp

import genmem
from genmem import datasets, reference
from genmem.errors import DataError

# Queries whose answers are compared with float64, the first of each problem: a third of each kind.
CHECKED = 30
QUERIES = 1000


@dataclass(frozen=True)
class Problem:
    """Queries (M, d) and points (N, d); queries are fresh, copies, near-copies in turn.

    Without copies the table rewards wrong kernels, without fresh points it hides scikit-learn's
    defect above 16 dimensions.
    """

    name: str
    queries: np.ndarray
    points: np.ndarray

    @property
    def d(self) -> int:
        return int(self.points.shape[1])

    @cached_property
    def sq(self) -> np.ndarray:
        """Squared distances of the checked queries in difference form, (min(M, 30), N) float64."""
        some = self.queries[:CHECKED]
        blocks = range(0, len(self.points), 1024)
        parts = [reference.sq_distances(some, self.points[b : b + 1024]) for b in blocks]
        return np.concatenate(parts, axis=1)

    def shape(self, m: int) -> str:
        return f"{self.name} d={self.d} M={m:,} N={len(self.points):,}"

    def floats(self, m: int) -> tuple[np.ndarray, np.ndarray]:
        """The first m queries and the points as the float32 arrays that rivals want."""
        return self.queries[:m].astype(np.float32, copy=False), self._points

    @cached_property
    def _points(self) -> np.ndarray:
        return self.points.astype(np.float32, copy=False)

    @cached_property
    def bandwidth(self) -> float:
        """Of greatest leave-one-out likelihood over 500 of the points, to 3 %."""
        rows = np.linspace(0, len(self.points) - 1, 500).astype(np.int64)
        some = self.points[rows]
        nearest = genmem.knn(some, self.points, 1, exclude=rows).distances.astype(np.float64)
        h, step = float(np.sqrt((nearest**2).mean() / self.d)), 2.0
        for _ in range(3):
            grid = [float(h * step**power) for power in range(-4, 5)]
            likelihood = genmem.log_kde(some, self.points, grid, exclude=rows).mean(1)
            h, step = grid[int(likelihood.argmax())], step**0.3
        return h

    def log_density(self, h: float) -> np.ndarray:
        """log p of the checked queries."""
        constant = math.log(len(self.points)) + self.d * math.log(h * math.sqrt(2 * math.pi))
        return logsumexp(-self.sq / (2 * h * h), axis=1) - constant

    def gradient(self, h: float) -> np.ndarray:
        """The gradient of log p at the checked queries; weights below 1e-20 are left out."""
        exponent = -self.sq / (2 * h * h)
        weight = np.exp(exponent - logsumexp(exponent, axis=1, keepdims=True))
        out = np.empty((len(weight), self.d))
        for i, row in enumerate(weight):
            some = np.flatnonzero(row > 1e-20)
            away = self.points[some].astype(np.float64) - self.queries[i].astype(np.float64)
            out[i] = row[some] @ away / (h * h)
        return out


def mixed(fresh: np.ndarray, points: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Fresh rows, of which every second of three becomes a copy and every third a near-copy."""
    queries = fresh.copy()
    chosen = rng.choice(len(points), len(queries), replace=False)
    copies, near = slice(1, None, 3), slice(2, None, 3)
    queries[copies], queries[near] = points[chosen[copies]], points[chosen[near]]
    if queries.dtype == np.uint8:  # eight pixels off by one
        rows = np.arange(len(queries))[near, None]
        pixels = rng.integers(0, queries.shape[1], (len(rows), 8))
        queries[rows, pixels] = np.where(
            queries[rows, pixels] < 255, queries[rows, pixels] + 1, 254
        )
    else:
        queries[near] += (1e-3 * rng.standard_normal(queries[near].shape)).astype(queries.dtype)
    return queries


@functools.cache
def images(dtype: str = "float32", offset: float = 0.0) -> Problem:
    """MNIST's 60,000 training images; pixels 0..255 as bytes, or in [0, 1] + offset as float32."""
    points, fresh, name = _pixels()
    rng = np.random.default_rng(0)
    if dtype == "uint8":
        return Problem(f"{name} u8", mixed(fresh, points, rng), points)
    scaled = points / np.float32(255) + np.float32(offset)
    queries = mixed(fresh / np.float32(255) + np.float32(offset), scaled, rng)
    return Problem(f"{name} f32 offset {offset:g}", queries, scaled)


@functools.cache
def _pixels() -> tuple[np.ndarray, np.ndarray, str]:
    try:
        train = datasets.load("mnist").x.reshape(-1, 784)
        return (
            train,
            datasets.load("mnist", split="test", limit=QUERIES).x.reshape(-1, 784),
            "MNIST",
        )
    except DataError:
        rng = np.random.default_rng(0)
        # Clusters of few dimensions, three quarters of the pixels 0, as in MNIST.
        axes = rng.standard_normal((20, 784))
        labels = rng.integers(0, 10, 60_000 + QUERIES)
        centres = 2 * rng.standard_normal((10, 20))
        latent = centres[labels] + rng.standard_normal((len(labels), 20))
        rows = np.clip(40 * (latent @ axes) - 60, 0, 255).astype(np.uint8)
        return rows[:-QUERIES], rows[-QUERIES:], "synthetic"


@functools.cache
def gaussian(d: int, offset: float = 0.0, n: int = 60_000) -> Problem:
    """Standard normal points about `offset`, float32."""
    rng = np.random.default_rng(0)
    points = rng.standard_normal((n, d), np.float32) + np.float32(offset)
    fresh = rng.standard_normal((QUERIES, d), np.float32) + np.float32(offset)
    return Problem(f"Gaussian offset {offset:g}", mixed(fresh, points, rng), points)
