"""Log-density under radial kernels centred on points, and its gradient."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, overload

import numpy as np
import numpy.typing as npt

from genmem import _core
from genmem.arrays import Readable, answer
from genmem.kernels.card_arrays import CardRows, on_host, place_of, room, sealed
from genmem.kernels.native import (
    MEMORY,
    Exclude,
    Rows,
    backend_and_threads,
    check_if_strange,
    checked_memory,
    excluded,
    rows_pair,
)
from genmem.kernels.radial import log_normaliser
from genmem.kernels.work import Work

if TYPE_CHECKING:
    from genmem.arrays import Tensor

Float64 = npt.NDArray[np.float64]
Int64 = npt.NDArray[np.int64]
Bandwidth = float | npt.ArrayLike


class Slots(NamedTuple):
    """Per query: the largest exponent, its index, the logsumexp of all the others.

    (M,) each, or (H, M) for H bandwidths. log(1 - r) of the top responsibility r is
    rest - logaddexp(top, rest), at any gap. Without any term: -inf, -1, -inf.
    """

    top: Float64
    top_index: Int64
    rest: Float64


@overload
def log_kde(
    queries: Readable,
    points: Readable,
    bandwidth: Bandwidth,
    *,
    weights: npt.ArrayLike | None = None,
    exclude: Exclude = None,
    kernel: str = "gaussian",
    point_scales: npt.ArrayLike | None = None,
    backend: str = "auto",
    threads: int | None = None,
    assume_finite: bool = False,
    memory: int = MEMORY,
    return_stats: Literal[True],
) -> tuple[Tensor | Float64, Work]: ...
@overload
def log_kde(
    queries: Tensor,
    points: Readable,
    bandwidth: Bandwidth,
    *,
    weights: npt.ArrayLike | None = None,
    exclude: Exclude = None,
    kernel: str = "gaussian",
    point_scales: npt.ArrayLike | None = None,
    backend: str = "auto",
    threads: int | None = None,
    assume_finite: bool = False,
    memory: int = MEMORY,
    return_stats: Literal[False] = False,
) -> Tensor: ...
@overload
def log_kde(
    queries: Readable,
    points: Readable,
    bandwidth: Bandwidth,
    *,
    weights: npt.ArrayLike | None = None,
    exclude: Exclude = None,
    kernel: str = "gaussian",
    point_scales: npt.ArrayLike | None = None,
    backend: str = "auto",
    threads: int | None = None,
    assume_finite: bool = False,
    memory: int = MEMORY,
    return_stats: Literal[False] = False,
) -> Float64: ...
def log_kde(
    queries: Readable,
    points: Readable,
    bandwidth: Bandwidth,
    *,
    weights: npt.ArrayLike | None = None,
    exclude: Exclude = None,
    kernel: str = "gaussian",
    point_scales: npt.ArrayLike | None = None,
    backend: str = "auto",
    threads: int | None = None,
    assume_finite: bool = False,
    memory: int = MEMORY,
    return_stats: bool = False,
) -> Tensor | Float64 | tuple[Tensor | Float64, Work]:
    """Log-density of each query under kernels centred on the points, in nats.

    log p(q) = logsumexp_j a_j - log W - d log h - log c_d
    a_j = log w_j - d log lambda_j + log k(|q - x_j| / (h lambda_j)),   gaussian: k(u) = exp(-u^2/2)

    queries       (M, d)  float32, float64 or uint8, any strides, memory maps included
    points        (N, d)
    bandwidth     h > 0, in data units (gaussian: a standard deviation, not a variance), or several
                  (H,): all in one pass over the distances
    weights       (N,)    w_j >= 0, default 1; W is the sum of those that take part
    exclude       None, "self" (row i of queries is row i of points), or (M,) indices, -1 for none
    kernel        "gaussian", "epanechnikov", "biweight", "tophat", "exponential", "linear",
                  "cosine"; the constant c_d holds at any d
    point_scales  (N,)    lambda_j > 0, default 1: each point has the bandwidth h lambda_j
    backend       as in `knn`
    memory        bytes of working memory beyond inputs and answers, about; points are read where
                  they lie, block by block. "cuda" takes what is free on the card
    return_stats  also return a `Work`: what was computed, and the certified error of each answer
    returns       (M,) or (H, M)  float64 whatever the input: at 1,000 nats neighbouring float32
                  values are 6e-5 apart, more than the error of this sum. -inf where no point is
                  within reach of a kernel that ends. About arrays on a card it lies there, as in
                  `knn`

    A query that is also a point counts itself; exclude="self" gives the leave-one-out density.
    The answer does not depend on threads, memory or batch.
    Raises ValueError for wrong shapes, h out of range, negative or all-zero weights, a non-finite
    value (named by row, unless assume_finite), or a query with no point left; BackendError if the
    named backend cannot run here. Source: Silverman (1986), Density Estimation, section 4.2.
    """
    call = _Call.read("log_kde", queries, points, weights, exclude, point_scales, assume_finite)
    if isinstance(call.queries, CardRows) and not return_stats:
        there: Tensor | Float64 = call.on_card(bandwidth, kernel, backend, threads, memory)
        return there
    slots, work = call.slots(bandwidth, kernel, backend, threads, memory)
    h = np.asarray(bandwidth, np.float64)
    norm = call.norm(h, kernel)
    total = np.logaddexp(slots.top, slots.rest)
    log_p = total - call.log_mass() - (norm[:, None] if h.ndim else norm)
    out: Tensor | Float64 = answer(np.asarray(log_p), queries)
    if not return_stats:
        return out
    error = call.error(total, norm) if kernel == "gaussian" else None
    return out, Work(*work, error=error)


def kde_slots(
    queries: Readable,
    points: Readable,
    bandwidth: Bandwidth,
    *,
    weights: npt.ArrayLike | None = None,
    exclude: Exclude = None,
    kernel: str = "gaussian",
    point_scales: npt.ArrayLike | None = None,
    backend: str = "auto",
    threads: int | None = None,
    assume_finite: bool = False,
    memory: int = MEMORY,
) -> Slots:
    """The exponents a_j of each query as a two-slot logsumexp, in nats.

    Arguments as in `log_kde`; NumPy out. Log-density, leave-one-out density, self-influence and the
    influence of the top contributor all follow from it without losing digits.
    """
    call = _Call.read("kde_slots", queries, points, weights, exclude, point_scales, assume_finite)
    return call.slots(bandwidth, kernel, backend, threads, memory)[0]


def kde_gradient(
    queries: Readable,
    points: Readable,
    bandwidth: float,
    *,
    weights: npt.ArrayLike | None = None,
    exclude: Exclude = None,
    point_scales: npt.ArrayLike | None = None,
    backend: str = "auto",
    threads: int | None = None,
    assume_finite: bool = False,
    memory: int = MEMORY,
) -> Float64:
    """Gradient of the Gaussian `log_kde` with respect to each query, (M, d), in nats per data unit.

    sum_j r_j (x_j - q) / (h lambda_j)^2,   r_j = exp(a_j - logsumexp a)

    Arguments and errors as in `log_kde`; NumPy out. Differences are summed, not means subtracted:
    exact on a point that stands alone, and far from the origin. Terms below e^-36 / N of the sum
    are left out, and exponents of 9 to 64 features may be off by 1e-10 nats, as in `log_kde`.
    NaN where log p is -inf (squares beyond the largest float): it has no slope.
    """
    if np.ndim(bandwidth):
        raise ValueError(
            f"kde_gradient: bandwidth has shape {np.shape(bandwidth)}; one number is wanted"
        )
    call = _Call.read(
        "kde_gradient", queries, points, weights, exclude, point_scales, assume_finite
    )
    call.log_mass()
    slots, _ = call.slots(bandwidth, "gaussian", backend, threads, memory)
    q, x = call.queries, call.points
    chosen, count = backend_and_threads("kde_gradient", backend, threads, q, x)
    total = np.logaddexp(slots.top, slots.rest)
    gradient, _ = _core.kde_gradient(
        q,
        x,
        float(bandwidth) ** 2,
        call.log_heights,
        call.sq_scales,
        np.where(np.isfinite(total), total, np.inf),
        call.exclude,
        chosen,
        count,
        int(memory),
        place_of("kde_gradient", {"queries": q, "points": x}),
    )
    gradient[~np.isfinite(total)] = np.nan
    return gradient


# Queries, points, kernel, squared bandwidths, log-heights, squared scales, exclusions, backend,
# threads, memory.
_Arguments = tuple[
    Rows, Rows, str, list[float], Float64 | None, Float64 | None, Int64 | None, str, int, int
]


@dataclass(frozen=True)
class _Call:
    """Arguments of an operation that were read and checked."""

    operation: str
    queries: Rows
    points: Rows
    weights: Float64 | None
    exclude: Int64 | None
    log_heights: Float64 | None  # log w_j - d log lambda_j
    sq_scales: Float64 | None
    assume_finite: bool

    @classmethod
    def read(
        cls,
        operation: str,
        queries: Readable,
        points: Readable,
        weights: npt.ArrayLike | None,
        exclude: Exclude,
        point_scales: npt.ArrayLike | None,
        assume_finite: bool,
    ) -> _Call:
        q, x = rows_pair(operation, queries, points)
        w = _weights(operation, weights, len(x))
        scales = _scales(operation, point_scales, len(x))
        heights: Float64 | None = None
        if w is not None or scales is not None:
            with np.errstate(divide="ignore"):
                heights = np.zeros(len(x)) if w is None else np.log(w)
            if scales is not None:
                heights = heights - x.shape[1] * np.log(scales)
        skip = excluded(operation, exclude, len(q), len(x))
        with np.errstate(over="ignore"):  # checked with the bandwidth
            squares = None if scales is None else scales**2
        return cls(operation, q, x, w, skip, heights, squares, assume_finite)

    @property
    def d(self) -> int:
        return int(self.points.shape[1])

    def slots(
        self, bandwidth: Bandwidth, kernel: str, backend: str, threads: int | None, memory: int
    ) -> tuple[Slots, tuple[str, bool, int, int, int]]:
        h, common = self._arguments(bandwidth, kernel, backend, threads, memory)
        q, x = self.queries, self.points
        place = place_of(self.operation, {"queries": q, "points": x})
        top, index, rest, done = _core.log_kde(*common, place)
        if not self.assume_finite:
            check_if_strange(self.operation, q, x, done[4], common[7])
        slots = Slots(top, index, rest) if h.ndim else Slots(top[0], index[0], rest[0])
        return slots, (common[7], *done[:4])

    def on_card(
        self, bandwidth: Bandwidth, kernel: str, backend: str, threads: int | None, memory: int
    ) -> Any:
        """The log-densities, beside the queries."""
        assert isinstance(self.queries, CardRows)
        h, common = self._arguments(bandwidth, kernel, backend, threads, memory)
        q, x = self.queries, self.points
        place = place_of(self.operation, {"queries": q, "points": x}, told=not self.assume_finite)
        assert place is not None
        mass = np.asarray(self.log_mass())
        norms = np.atleast_1d(self.norm(h, kernel)).tolist()
        out = room(q, place, common[7], (*h.shape, len(q)), np.float64)
        masses, one = (mass, 0.0) if mass.ndim else (None, float(mass))
        done = _core.log_kde_on_card(*common, place, one, masses, norms, out)
        sealed(out)
        if not self.assume_finite:
            check_if_strange(self.operation, q, x, done[4], common[7])
        return out

    def _arguments(
        self, bandwidth: Bandwidth, kernel: str, backend: str, threads: int | None, memory: int
    ) -> tuple[Float64, _Arguments]:
        """The bandwidths, and what both forms of the kernel take; ValueError for wrong ones."""
        h = np.asarray(bandwidth, np.float64)
        if h.ndim > 1 or h.size == 0:
            raise ValueError(
                f"{self.operation}: bandwidth has shape {h.shape}; a number or (H,) is wanted"
            )
        squares = [_squared(self.operation, float(one)) for one in np.atleast_1d(h)]
        if self.sq_scales is not None:
            self._check_widths(np.atleast_1d(h))
        q, x = self.queries, self.points
        chosen, count = backend_and_threads(self.operation, backend, threads, q, x)
        budget = checked_memory(self.operation, memory)
        heights, scales, skip = self.log_heights, self.sq_scales, self.exclude
        return h, (q, x, kernel, squares, heights, scales, skip, chosen, count, budget)

    def norm(self, h: Float64, kernel: str) -> Float64:
        """The log of the normaliser of each bandwidth."""
        return np.asarray(self.d * np.log(h) + log_normaliser(kernel, self.d))

    def _check_widths(self, h: Float64) -> None:
        """Squares of the widths, and what they are made of, must be normal numbers."""
        assert self.sq_scales is not None
        widths = np.outer(h**2, [self.sq_scales.min(), self.sq_scales.max()]).ravel()
        for square in (self.sq_scales.min(), self.sq_scales.max(), *widths):
            if not (1e-300 < square < 1e300):
                raise ValueError(
                    f"{self.operation}: a width h * point_scales has the square {square}; "
                    "1e-300..1e300 is wanted"
                )

    def log_mass(self) -> Float64 | float:
        """log of the weight that takes part, per query where a point is left out."""
        w, skip, n = self.weights, self.exclude, len(self.points)
        if skip is None:
            return math.log(n) if w is None else math.log(w.sum())
        if w is None:
            mass = np.where(skip >= 0, n - 1.0, float(n))
        else:
            # Sums of the weights before and after: W - w_j loses the rest of a dominating weight.
            before = np.concatenate([[0.0], np.cumsum(w)])
            after = np.concatenate([np.cumsum(w[::-1])[::-1], [0.0]])
            mass = np.where(skip >= 0, before[skip] + after[skip + 1], w.sum())
        if (mass <= 0).any():
            row = int(np.flatnonzero(mass <= 0)[0])
            raise ValueError(
                f"{self.operation}: query {row} has no point of positive weight left once its own "
                "is left out"
            )
        return np.log(mass)

    def error(self, total: Float64, norm: npt.ArrayLike) -> Float64:
        """Certified |error|, in nats, of a log-density: logsumexp `total` less normaliser `norm`.

        Terms left out: at most 8192 e^-36 of each chunk's rest (log_kde.hpp). Roundings, u = 2^-53:
        an exponent -D s is off by (d + 8) u of itself, and sum_j r_j |a_j| <= |total| + log N + the
        largest |log w_j - d log lambda_j|; the sum, its exponentials and its merges by 2,000 u.
        Distances of 9 to 64 features may be expanded about a centre, where it costs at most 1e-10
        (expansion.hpp). The normaliser, of terms d log h and log c_d, the mass of the weights,
        added up one by one where a point is left out, and their difference are rounded too.
        """
        height = 0.0
        if self.log_heights is not None:
            some = self.log_heights[np.isfinite(self.log_heights)]
            height = float(np.abs(some).max(initial=0.0))
        n = len(self.points)
        size = np.where(np.isfinite(total), np.abs(total), 0.0) + math.log(n) + 2 * height
        left_out = 8192 * math.exp(-36) + (1e-10 if 9 <= self.d <= 64 else 0.0)
        norms = np.abs(np.asarray(norm, np.float64))[..., None] + 2 * self.d * math.log(self.d + 2)
        steps = n if self.weights is not None and self.exclude is not None else 0
        rounded = (self.d + 8) * size + 2000 + n / 8192 + 8 * norms + 2 * steps
        return np.asarray(left_out + 2.0**-53 * rounded).reshape(total.shape)


def _squared(operation: str, h: float) -> float:
    if h > 0 and math.isfinite(h):
        square = h * h
        if square > 0 and 0 < 0.5 / square < math.inf:
            return square
    raise ValueError(
        f"{operation}: bandwidth is {h}; a positive number with a finite 1 / h^2 is wanted"
    )


def _weights(operation: str, weights: npt.ArrayLike | None, n: int) -> Float64 | None:
    if weights is None:
        return None
    w = np.ascontiguousarray(on_host(weights), dtype=np.float64)
    wrong = np.flatnonzero(~((w >= 0) & (w < np.inf)))
    if wrong.size:
        raise ValueError(
            f"{operation}: weight {wrong[0]} is {w.flat[wrong[0]]}; finite weights >= 0 are wanted"
        )
    if not (w > 0).any():
        raise ValueError(f"{operation}: all weights are 0; at least one must be positive")
    if w.shape != (n,):
        raise ValueError(f"{operation}: weights has shape {w.shape}; ({n},) is wanted")
    return w


def _scales(operation: str, point_scales: npt.ArrayLike | None, n: int) -> Float64 | None:
    if point_scales is None:
        return None
    scales = np.ascontiguousarray(on_host(point_scales), dtype=np.float64)
    if scales.shape != (n,):
        raise ValueError(f"{operation}: point_scales has shape {scales.shape}; ({n},) is wanted")
    wrong = np.flatnonzero(~((scales > 0) & (scales < np.inf)))
    if wrong.size:
        raise ValueError(
            f"{operation}: point_scales {wrong[0]} is {scales[wrong[0]]}; "
            "positive finite numbers are wanted"
        )
    return scales
