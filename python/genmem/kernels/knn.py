"""Exact nearest neighbours."""

from __future__ import annotations

from typing import TYPE_CHECKING, Generic, NamedTuple, TypeVar, overload

import numpy as np
import numpy.typing as npt

from genmem import _core
from genmem.arrays import AnyArray, Readable, answer, float_type, read
from genmem.kernels.native import Exclude, backend_and_threads, excluded, rows_pair

if TYPE_CHECKING:
    from genmem.arrays import Tensor

A = TypeVar("A")


class Neighbors(NamedTuple, Generic[A]):
    """Distances (M, k), ascending, and the indices (M, k) of the points they belong to."""

    distances: A
    indices: A


@overload
def knn(
    queries: Tensor,
    points: Readable,
    k: int,
    *,
    exclude: Exclude = None,
    backend: str = "auto",
    threads: int | None = None,
    assume_finite: bool = False,
) -> Neighbors[Tensor]: ...
@overload
def knn(
    queries: Readable,
    points: Readable,
    k: int,
    *,
    exclude: Exclude = None,
    backend: str = "auto",
    threads: int | None = None,
    assume_finite: bool = False,
) -> Neighbors[AnyArray]: ...
def knn(
    queries: Readable,
    points: Readable,
    k: int,
    *,
    exclude: Exclude = None,
    backend: str = "auto",
    threads: int | None = None,
    assume_finite: bool = False,
) -> Neighbors[Tensor] | Neighbors[AnyArray]:
    """The k nearest points of each query, exactly: Euclidean distances, ascending, and indices.

    D_ij = sum_c (q_ic - x_jc)^2; the k smallest of (D_ij, j) in lexicographic order; sqrt(D_ij)

    queries  (M, d)  float32, float64 or uint8, any strides, memory maps included
    points   (N, d)  N >= k, or N - 1 >= k where a point is left out
    exclude  None, "self" (row i of queries is row i of points), or (M,) indices with -1 for none
    backend  "auto", "serial", "avx2", "avx512", "amx" or "neon"; a named one runs or raises
    threads  default: OMP_NUM_THREADS, else the CPUs this process may use
    returns  distances (M, k) in the float type of queries (float64 for uint8), indices (M, k) int64

    Differences are taken first, in float64: a copy is at distance exactly 0 at any offset, and
    ties go to the lower index. The answer depends neither on threads nor on the batch.

    Raises ValueError for wrong shapes, k out of range or a non-finite value (named by row, unless
    assume_finite), BackendError if the named backend cannot run here.
    """
    sq, indices = nearest_sq(
        queries,
        points,
        k,
        exclude=exclude,
        backend=backend,
        threads=threads,
        assume_finite=assume_finite,
    )
    distances = np.sqrt(sq).astype(float_type(read("knn", "queries", queries)), copy=False)
    return Neighbors(answer(distances, queries), answer(indices, queries))


def nearest_sq(
    queries: Readable,
    points: Readable,
    k: int,
    *,
    exclude: Exclude = None,
    backend: str = "auto",
    threads: int | None = None,
    assume_finite: bool = False,
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.int64]]:
    """`knn` with squared distances, always float64 and NumPy: what log-densities are made of."""
    q, x = rows_pair("knn", queries, points, assume_finite)
    skip = excluded("knn", exclude, len(q), len(x))
    candidates = len(x) - (1 if skip is not None and (skip >= 0).any() else 0)
    if not 1 <= k <= candidates:
        raise ValueError(
            f"knn: k is {k}; 1..{candidates} is wanted, the number of points to choose from"
        )
    chosen, count = backend_and_threads("knn", backend, threads)
    sq, indices, _ = _core.knn(q, x, int(k), skip, chosen, count)
    return sq, indices


def sq_distances(
    queries: Readable,
    points: Readable,
    *,
    backend: str = "auto",
    threads: int | None = None,
    assume_finite: bool = False,
) -> npt.NDArray[np.float64]:
    """All squared Euclidean distances, (M, N) float64, in difference form: copies are at exactly 0.

    For tiles and small sets; `knn` and `log_kde` never hold an M x N array.
    """
    q, x = rows_pair("sq_distances", queries, points, assume_finite)
    chosen, count = backend_and_threads("sq_distances", backend, threads)
    out: npt.NDArray[np.float64] = _core.sq_distances(q, x, chosen, count)
    return out
