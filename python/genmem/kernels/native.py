"""What the doors share: the choice of backend and threads, and checks of rows and exclusions."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from genmem import _core
from genmem.arrays import AnyArray, Readable, read
from genmem.errors import BackendError
from genmem.kernels.card_arrays import CardRows, card_rows, on_host, place_of

Exclude: TypeAlias = str | npt.ArrayLike | None

# What "auto" is for arrays on a card.
CARD = "cuda"

# Bytes of working memory, beyond inputs and answers, that a call keeps to, about.
MEMORY = 3 << 26


Rows: TypeAlias = AnyArray | CardRows


def backend_and_threads(
    operation: str, backend: str, threads: int | None, *arrays: Rows
) -> tuple[str, int]:
    """The backend that will run and the number of threads; for arrays on a card, "auto" is "cuda".

    Raises ValueError for a name that is no backend, threads < 1 or, where threads is None, an
    OMP_NUM_THREADS that is no number of threads; BackendError for a backend that this machine or
    this build cannot run: an explicit one never falls back.
    """
    try:
        on_card = any(isinstance(rows, CardRows) for rows in arrays)
        chosen = _core.chosen_backend(CARD if on_card and backend == "auto" else backend)
        count = _core.default_threads() if threads is None else int(threads)
    except _core.BackendUnavailable as error:
        raise BackendError(f"{operation}: {error}") from None
    except ValueError as error:
        raise ValueError(f"{operation}: {error}") from None
    if on_card and chosen not in _core.card_states():
        raise BackendError(
            f"{operation}: backend '{chosen}' reads arrays on the CPU; queries or points are on a "
            "card"
        )
    if count < 1:
        raise ValueError(f"{operation}: threads is {threads}; at least 1 is wanted")
    return chosen, count


def checked_memory(operation: str, memory: int) -> int:
    """The bytes of working memory; raises ValueError unless there is one at least."""
    if memory < 1:
        raise ValueError(f"{operation}: memory is {memory}; a number of bytes > 0 is wanted")
    return int(memory)


def rows_anywhere(operation: str, argument: str, value: Readable) -> Rows:
    """A matrix (rows, d), d >= 1, as the kernels can read it, on the CPU or on a card."""
    there = card_rows(operation, argument, value)
    rows = read(operation, argument, value) if there is None else there
    if rows.ndim != 2 or rows.shape[1] == 0:
        raise ValueError(
            f"{operation}: {argument} has shape {rows.shape}; "
            "two axes (rows, d) with d >= 1 are wanted"
        )
    return rows


def rows_pair(operation: str, queries: Readable, points: Readable) -> tuple[Rows, Rows]:
    """Queries and points as readable matrices of one width, points not empty; either may be on a
    card."""
    q = rows_anywhere(operation, "queries", queries)
    x = q if points is queries else rows_anywhere(operation, "points", points)
    check_pair(operation, q, x)
    return q, x


def check_pair(operation: str, q: Rows, x: Rows) -> None:
    """Raises ValueError unless the widths agree and there is a point."""
    if q.shape[1] != x.shape[1]:
        raise ValueError(
            f"{operation}: points has shape {x.shape} but queries has shape {q.shape}; "
            "the last axis (d) must agree"
        )
    if len(x) == 0:
        raise ValueError(f"{operation}: points is empty; at least 1 row is wanted")


def check_if_strange(
    operation: str, q: Rows, x: Rows, strange: bool, backend: str = "auto"
) -> None:
    """`check_finite` of points and queries that a kernel found strange, or did not look at.

    A kernel tells on the way what a scan of its own would read all rows for.
    """
    if strange or len(q) == 0:
        place = place_of(operation, {"queries": q, "points": x})
        for name, rows in (("points", x), ("queries", q)):
            if name == "queries" and q is x:
                continue
            host = _core.on_host(rows, backend, place) if isinstance(rows, CardRows) else rows
            check_finite(operation, name, host)


def check_finite(operation: str, argument: str, rows: AnyArray) -> None:
    """Raises ValueError naming the first row with a NaN or an infinity."""
    row = _core.first_nonfinite_row(rows)
    if row >= 0:
        value = rows[row][~np.isfinite(rows[row])][0]
        raise ValueError(
            f"{operation}: {argument} row {row} holds {value}; finite values are wanted"
        )


def excluded(
    operation: str, exclude: Exclude, queries: int, points: int
) -> npt.NDArray[np.int64] | None:
    """The index left out of each query, -1 for none; None when nothing is left out."""
    if exclude is None:
        return None
    if isinstance(exclude, str):
        if exclude != "self":
            raise ValueError(
                f"{operation}: exclude is '{exclude}'; None, 'self' or indices are wanted"
            )
        if queries != points:
            raise ValueError(
                f"{operation}: exclude='self' with {queries} queries and {points} points; "
                "row i of queries must be row i of points"
            )
        return np.arange(queries, dtype=np.int64)
    given = on_host(exclude)
    if given.shape != (queries,) or given.dtype.kind not in "iu":
        raise ValueError(
            f"{operation}: exclude has shape {given.shape} and type {given.dtype}; "
            f"({queries},) integers are wanted"
        )
    if given.size and (given.min() < -1 or given.max() >= points):
        raise ValueError(
            f"{operation}: exclude lies in {given.min()}..{given.max()}; -1..{points - 1} is wanted"
        )
    return np.ascontiguousarray(given, dtype=np.int64)
