"""Exact nearest neighbours."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, Literal, NamedTuple, TypeVar, overload

import numpy as np
import numpy.typing as npt

from genmem import _core
from genmem.arrays import AnyArray, Readable, answer, float_type
from genmem.kernels.card_arrays import CardRows, Place, on_host, place_of, room, sealed
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
from genmem.kernels.work import Work

if TYPE_CHECKING:
    from genmem.arrays import Tensor

A = TypeVar("A")


class Neighbors(NamedTuple, Generic[A]):
    """Distances (M, k), ascending, and the indices (M, k) of the points they belong to."""

    distances: A
    indices: A


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
    memory: int = MEMORY,
    return_stats: Literal[True],
) -> tuple[Neighbors[Tensor] | Neighbors[AnyArray], Work]: ...
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
    memory: int = MEMORY,
    return_stats: Literal[False] = False,
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
    memory: int = MEMORY,
    return_stats: Literal[False] = False,
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
    memory: int = MEMORY,
    return_stats: bool = False,
) -> Neighbors[Tensor] | Neighbors[AnyArray] | tuple[Neighbors[Tensor] | Neighbors[AnyArray], Work]:
    """The k nearest points of each query, exactly: Euclidean distances, ascending, and indices.

    D_ij = sum_c (q_ic - x_jc)^2; the k smallest of (D_ij, j) in lexicographic order; sqrt(D_ij)

    queries       (M, d)  float32, float64 or uint8, any strides, memory maps included. CUDA
                  tensors, and what has __cuda_array_interface__ or DLPack, are read on their card
    points        (N, d)  N >= k, or N - 1 >= k where a point is left out
    exclude       None, "self" (row i of queries is row i of points), or (M,) indices, -1 for none
    backend       "auto" (of the processor), "serial", "avx2", "avx512", "amx", "neon", "cuda" or
                  "cuda-emulated" (its kernels on the processor: slow); a named one runs or raises
    threads       default: OMP_NUM_THREADS (of a list the first), else the CPUs this process may use
    memory        bytes of working memory beyond inputs and answers, about; points are read where
                  they lie, block by block. "cuda" takes what is free on the card
    return_stats  also return a `Work`: what was computed
    returns       distances (M, k) in the float type of queries (float64 for uint8), indices (M, k)
                  int64. About CUDA tensors they are tensors there; about other arrays of a card
                  objects that its libraries read in place (`__cuda_array_interface__`, DLPack), and
                  np.asarray brings to the host. With assume_finite, and without return_stats, such
                  a call only puts its work into the caller's stream, if points lie there too and
                  k <= 1,024

    Wide rows are screened first, in low precision with a proven bound; whatever may be among the
    nearest is computed by differences in float64. A copy is at distance exactly 0 at any offset,
    ties go to the lower index, and the answer does not depend on threads, memory or batch.

    Raises ValueError for wrong shapes, k out of range or a non-finite value (named by row, unless
    assume_finite: then a row with a NaN is no neighbour, and index 2^63 - 1 stands where fewer than
    k are left), BackendError if the named backend cannot run here.
    """
    call = _Call.read(queries, points, k, exclude, backend, threads, assume_finite, memory)
    if isinstance(call.queries, CardRows):
        there, work = call.on_card(told=return_stats)
        return (there, work) if return_stats else there
    sq, indices, work = call.on_host()
    distances = np.sqrt(sq, out=sq).astype(float_type(call.queries), copy=False)
    found = Neighbors(answer(distances, queries), answer(indices, queries))
    return (found, work) if return_stats else found


def nearest_sq(
    queries: Readable,
    points: Readable,
    k: int,
    *,
    exclude: Exclude = None,
    backend: str = "auto",
    threads: int | None = None,
    assume_finite: bool = False,
    memory: int = MEMORY,
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.int64]]:
    """`knn` with squared distances, always float64 and NumPy: what log-densities are made of."""
    call = _Call.read(queries, points, k, exclude, backend, threads, assume_finite, memory)
    return call.on_host()[:2]


@dataclass(frozen=True)
class _Call:
    """Arguments that were read and checked."""

    queries: Rows
    points: Rows
    k: int
    exclude: npt.NDArray[np.int64] | None
    backend: str
    threads: int
    memory: int
    assume_finite: bool

    @classmethod
    def read(
        cls,
        queries: Readable,
        points: Readable,
        k: int,
        exclude: Exclude,
        backend: str,
        threads: int | None,
        assume_finite: bool,
        memory: int,
    ) -> _Call:
        q, x = rows_pair("knn", queries, points)
        skip = excluded("knn", exclude, len(q), len(x))
        candidates = len(x) - (1 if skip is not None and (skip >= 0).any() else 0)
        if not 1 <= k <= candidates:
            raise ValueError(
                f"knn: k is {k}; 1..{candidates} is wanted, the number of points to choose from"
            )
        chosen, count = backend_and_threads("knn", backend, threads, q, x)
        budget = checked_memory("knn", memory)
        return cls(q, x, int(k), skip, chosen, count, budget, assume_finite)

    def on_host(self) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.int64], Work]:
        """Squared distances and indices, NumPy."""
        sq, indices, done = _core.knn(*self._arguments(), self._place(told=True))
        self._check(done)
        return sq, indices, Work(self.backend, *done[:4])

    def on_card(self, *, told: bool) -> tuple[Neighbors[Any], Work]:
        """Distances and indices beside the queries."""
        assert isinstance(self.queries, CardRows)
        place = self._place(told=told or not self.assume_finite)
        assert place is not None
        shape = (len(self.queries), self.k)
        distances, indices = (
            room(self.queries, place, self.backend, shape, dtype)
            for dtype in (float_type(self.queries), np.int64)
        )
        done = _core.knn_on_card(*self._arguments(), place, distances, indices)
        sealed(distances, indices)
        self._check(done)
        return Neighbors(distances, indices), Work(self.backend, *done[:4])

    def _arguments(self) -> tuple[Rows, Rows, int, npt.NDArray[np.int64] | None, str, int, int]:
        return (
            self.queries,
            self.points,
            self.k,
            self.exclude,
            self.backend,
            self.threads,
            self.memory,
        )

    def _place(self, *, told: bool) -> Place | None:
        return place_of("knn", {"queries": self.queries, "points": self.points}, told=told)

    def _check(self, done: tuple[bool, int, int, int, bool]) -> None:
        if not self.assume_finite:
            check_if_strange("knn", self.queries, self.points, done[4], self.backend)


def radius_counts(
    queries: Readable,
    points: Readable,
    radius: npt.ArrayLike,
    *,
    exclude: Exclude = None,
    backend: str = "auto",
    threads: int | None = None,
    assume_finite: bool = False,
    memory: int = MEMORY,
) -> npt.NDArray[np.int64]:
    """How many points lie within `radius` of each query, border included, (M,) int64, NumPy.

    radius  a number or (M,), >= 0: a Euclidean distance; D_ij <= radius^2 is counted, in float64

    Other arguments and errors as in `knn`; exact, as its distances are.
    """
    q, x = rows_pair("radius_counts", queries, points)
    skip = excluded("radius_counts", exclude, len(q), len(x))
    r = np.asarray(on_host(radius), np.float64)
    if r.shape not in ((), (len(q),)):
        raise ValueError(f"radius_counts: radius has shape {r.shape}; a number or ({len(q)},)")
    wrong = np.flatnonzero(~(r >= 0))
    if wrong.size:
        raise ValueError(f"radius_counts: radius {wrong[0]} is {r.flat[wrong[0]]}; >= 0 is wanted")
    with np.errstate(over="ignore"):
        sq = np.ascontiguousarray(np.broadcast_to(r * r, len(q)))
    chosen, count = backend_and_threads("radius_counts", backend, threads, q, x)
    budget = checked_memory("radius_counts", memory)
    place = place_of("radius_counts", {"queries": q, "points": x})
    counts, done = _core.radius_counts(q, x, sq, skip, chosen, count, budget, place)
    if not assume_finite:
        check_if_strange("radius_counts", q, x, done[4], chosen)
    return counts


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
    q, x = rows_pair("sq_distances", queries, points)
    chosen, count = backend_and_threads("sq_distances", backend, threads, q, x)
    place = place_of("sq_distances", {"queries": q, "points": x})
    out: npt.NDArray[np.float64] = _core.sq_distances(q, x, chosen, count, place)
    if not assume_finite:
        seen = len(q) > 0 and np.isfinite(out[0]).all() and np.isfinite(out[:, 0]).all()
        check_if_strange("sq_distances", q, x, not seen, chosen)
    return out
