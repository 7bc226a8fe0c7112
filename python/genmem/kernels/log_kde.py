"""Log-density under Gaussian kernels."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple, overload

import numpy as np
import numpy.typing as npt

from genmem import _core
from genmem.arrays import Readable, answer
from genmem.kernels.native import Exclude, backend_and_threads, excluded, rows_pair

if TYPE_CHECKING:
    from genmem.arrays import Tensor

Float64 = npt.NDArray[np.float64]
Int64 = npt.NDArray[np.int64]


class Slots(NamedTuple):
    """Per query: the largest exponent, its index, the logsumexp of all the others; (M,) each.

    log(1 - r) of the top responsibility r is rest - logaddexp(top, rest), at any gap.
    Without any term: -inf, -1, -inf.
    """

    top: Float64
    top_index: Int64
    rest: Float64


@overload
def log_kde(
    queries: Tensor,
    points: Readable,
    bandwidth: float,
    *,
    weights: npt.ArrayLike | None = None,
    exclude: Exclude = None,
    backend: str = "auto",
    threads: int | None = None,
    assume_finite: bool = False,
) -> Tensor: ...
@overload
def log_kde(
    queries: Readable,
    points: Readable,
    bandwidth: float,
    *,
    weights: npt.ArrayLike | None = None,
    exclude: Exclude = None,
    backend: str = "auto",
    threads: int | None = None,
    assume_finite: bool = False,
) -> Float64: ...
def log_kde(
    queries: Readable,
    points: Readable,
    bandwidth: float,
    *,
    weights: npt.ArrayLike | None = None,
    exclude: Exclude = None,
    backend: str = "auto",
    threads: int | None = None,
    assume_finite: bool = False,
) -> Tensor | Float64:
    """Log-density of each query under Gaussian kernels centred on the points, in nats.

    log p(q) = logsumexp_j(log w_j - |q - x_j|^2 / 2h^2) - log W - d log(h sqrt(2 pi))

    queries    (M, d)  float32, float64 or uint8, any strides, memory maps included
    points     (N, d)
    bandwidth  h > 0, in data units: a standard deviation, not a variance
    weights    (N,)    w_j >= 0, default 1; W is the sum of those that take part
    exclude    None, "self" (row i of queries is row i of points), or (M,) indices with -1 for none
    returns    (M,)    float64 whatever the input: at 1,000 nats neighbouring float32 values are
                       6e-5 apart, more than the error of this sum (1e-5 nats to d = 3072)

    A query that is also a point counts itself; exclude="self" gives the leave-one-out density.
    Raises ValueError for wrong shapes, h out of range, negative or all-zero weights, a non-finite
    value (named by row, unless assume_finite), or a query with no point left; BackendError if the
    named backend cannot run here. Source: Silverman (1986), Density Estimation, section 4.2.
    """
    w = _weights(weights)
    slots = kde_slots(
        queries,
        points,
        bandwidth,
        weights=w,
        exclude=exclude,
        backend=backend,
        threads=threads,
        assume_finite=assume_finite,
    )
    q, x = rows_pair("log_kde", queries, points, assume_finite=True)
    log_mass = _log_mass(w, excluded("log_kde", exclude, len(q), len(x)), len(x))
    norm = q.shape[1] * (math.log(bandwidth) + 0.5 * math.log(2 * math.pi))
    log_p: Float64 = np.logaddexp(slots.top, slots.rest) - log_mass - norm
    out: Tensor | Float64 = answer(log_p, queries)
    return out


def kde_slots(
    queries: Readable,
    points: Readable,
    bandwidth: float,
    *,
    weights: npt.ArrayLike | None = None,
    exclude: Exclude = None,
    backend: str = "auto",
    threads: int | None = None,
    assume_finite: bool = False,
) -> Slots:
    """The exponents log w_j - |q - x_j|^2 / 2h^2 of each query as a two-slot logsumexp, in nats.

    Arguments as in `log_kde`; NumPy out. Log-density, leave-one-out density, self-influence and the
    influence of the top contributor all follow from it without losing digits.
    """
    q, x = rows_pair("log_kde", queries, points, assume_finite)
    scale = _scale(bandwidth)
    w = _weights(weights)
    if w is not None and w.shape != (len(x),):
        raise ValueError(f"log_kde: weights has shape {w.shape}; ({len(x)},) is wanted")
    with np.errstate(divide="ignore"):
        log_w = None if w is None else np.log(w)
    skip = excluded("log_kde", exclude, len(q), len(x))
    chosen, count = backend_and_threads("log_kde", backend, threads)
    top, index, rest, _ = _core.log_kde(
        q, x, "gaussian", [0.5 / scale], log_w, None, skip, chosen, count
    )
    return Slots(top[0], index[0], rest[0])


def _scale(bandwidth: float) -> float:
    h = float(bandwidth)
    if h > 0 and math.isfinite(h):
        square = 2 * h * h
        if square > 0 and 0 < 1 / square < math.inf:
            return 1 / square
    raise ValueError(
        f"log_kde: bandwidth is {h}; a positive number with a finite 1 / h^2 is wanted"
    )


def _weights(weights: npt.ArrayLike | None) -> Float64 | None:
    if weights is None:
        return None
    w = np.ascontiguousarray(weights, dtype=np.float64)
    wrong = np.flatnonzero(~((w >= 0) & (w < np.inf)))
    if wrong.size:
        raise ValueError(
            f"log_kde: weight {wrong[0]} is {w.flat[wrong[0]]}; finite weights >= 0 are wanted"
        )
    if not (w > 0).any():
        raise ValueError("log_kde: all weights are 0; at least one must be positive")
    return w


def _log_mass(w: Float64 | None, skip: Int64 | None, n: int) -> Float64 | float:
    """log of the weight that takes part, per query where a point is left out."""
    if skip is None:
        return math.log(n) if w is None else math.log(w.sum())
    if w is None:
        mass = np.where(skip >= 0, n - 1.0, float(n))
    else:
        # Sums of the weights before and after: W - w_j would lose the rest of a dominating weight.
        before = np.concatenate([[0.0], np.cumsum(w)])
        after = np.concatenate([np.cumsum(w[::-1])[::-1], [0.0]])
        mass = np.where(skip >= 0, before[skip] + after[skip + 1], w.sum())
    if (mass <= 0).any():
        row = int(np.flatnonzero(mass <= 0)[0])
        raise ValueError(
            f"log_kde: query {row} has no point of positive weight left once its own is excluded"
        )
    return np.log(mass)
