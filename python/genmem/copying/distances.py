"""Exact nearest neighbours between training, held-out and generated rows, each computed once."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property, partial
from typing import Literal, NamedTuple

import numpy as np

from genmem.arrays import Readable, read
from genmem.copying.chance import subset
from genmem.copying.sets import NAMES, Features, Float64, Int64, Rows, Sets, prepare
from genmem.density.duplicates import equal_rows
from genmem.kernels import nearest_sq

Side = Literal["test", "generated"]
POLICIES = ("keep", "distinct", "raise")


class Near(NamedTuple):
    """Distances (M, k), ascending, and the positions (M, k) of the rows they belong to."""

    distances: Float64
    positions: Int64


class CopyingDistances:
    """The neighbours that the copying tests share; what no test asks for is not computed.

    d(q, A) = distance to the nearest row of A, in difference form with float64 sums: a copy is at
    exactly 0, ties go to the lower position, and nothing depends on the number of threads.

    train, test, generated  (N, ...), (n, ...), (m, ...)  numbers, one width; flattened
    features                "pixels" (default), "pca" (fitted on train; in `pooled` on train and
                            test), a function of one set, or three arrays
    seed                    of PCA, of equal-size subsets and of all that the tests draw
    threads                 of the kernels (default: all that the process may use)

    Holds train, test, generated: the rows in feature space, and equal: the groups of equal training
    rows. Distances are taken to one row of each group, from which both policies on duplicates
    follow.
    """

    def __init__(
        self,
        train: Readable,
        test: Readable,
        generated: Readable,
        *,
        features: Features = None,
        seed: int = 0,
        threads: int | None = None,
        operation: str = "CopyingDistances",
    ) -> None:
        sets = prepare(operation, train, test, generated, features, seed)
        self.train, self.test, self.generated = sets
        self.seed, self.threads = seed, threads
        self._refit: Callable[[], Sets] | None = None
        if isinstance(features, str) and features == "pca":
            self._refit = partial(
                prepare, operation, train, test, generated, features, seed, pooled=True
            )
        self.equal = equal_rows(self.train)
        self._to_train: dict[Side, Near] = {}
        self._from_train: dict[Side, Near] = {}

    @cached_property
    def pooled(self) -> Sets:
        """The rows in a space that treats train and test alike: PCA fitted on both together.

        Training rows vary more along components fitted on them than held-out rows do, copying or
        not: where the labels of train and test are permuted, they have to be rows of this space.
        """
        own = Sets(self.train, self.test, self.generated)
        return own if self._refit is None else self._refit()

    @cached_property
    def distinct(self) -> Rows:
        """One row (G, d) of each group of equal training rows, by first occurrence."""
        whole = len(self.equal.first) == len(self.train)
        return self.train if whole else self.train[self.equal.first]

    @cached_property
    def copies_of(self) -> Int64:
        """How many training rows each distinct row stands for, (G,)."""
        return np.bincount(self.equal.group).astype(np.int64)

    @cached_property
    def matched(self) -> dict[Side, Int64]:
        """Positions of equally many held-out and generated rows: seeded subsets of the larger."""
        size = min(len(self.test), len(self.generated))
        return {side: subset(len(self.rows(side)), size, self.seed, side) for side in _SIDES}

    def rows(self, side: Side) -> Rows:
        """The held-out or the generated rows."""
        return self.test if side == "test" else self.generated

    def weights(self, duplicates: str) -> Int64:
        """How often each distinct training row counts, (G,): once, or as often as it occurs."""
        return self.copies_of if duplicates == "keep" else np.ones_like(self.copies_of)

    def to_train(self, side: Side, k: int, duplicates: str = "distinct") -> Near:
        """The k nearest training rows of each held-out or generated row.

        duplicates  "distinct": equal training rows count once, under the first of their positions;
                    "keep": a row that occurs c times fills c places

        Raises ValueError if there are fewer than k rows to choose from.
        """
        counted = self.weights(duplicates).sum()
        if not 1 <= k <= counted:
            kind = "rows" if duplicates == "keep" else "distinct rows"
            raise ValueError(f"copying: train has {counted} {kind}; at least {k} are wanted")
        needed = min(k, len(self.distinct))
        held = self._to_train.get(side)
        if held is None or held.distances.shape[1] < needed:
            sq, groups = nearest_sq(self.rows(side), self.distinct, needed, threads=self.threads)
            held = self._to_train[side] = Near(np.sqrt(sq), groups)
        if duplicates == "keep":
            held = _repeated(held, self.copies_of, k)
        return Near(held.distances[:, :k], self.equal.first[held.positions[:, :k]])

    def from_train(self, side: Side, k: int) -> Near:
        """The k nearest matched held-out or generated rows of each distinct training row, (G, k).

        positions  places in `matched`
        """
        held = self._from_train.get(side)
        if held is None or held.distances.shape[1] < k:
            rows = self.rows(side)[self.matched[side]]
            sq, found = nearest_sq(self.distinct, rows, k, threads=self.threads)
            held = self._from_train[side] = Near(np.sqrt(sq), found)
        return Near(held.distances[:, :k], held.positions[:, :k])

    @cached_property
    def _spacing(self) -> Float64:
        sq, _ = nearest_sq(self.distinct, self.distinct, 1, exclude="self", threads=self.threads)
        return np.asarray(np.sqrt(sq[:, 0]))

    def spacing(self, duplicates: str = "distinct") -> Float64:
        """Distance of each training row to the nearest other one, (N,).

        "distinct": to the nearest row that differs; "keep": 0 for a row that has an equal.
        Raises ValueError if there is no other row.
        """
        if len(self.distinct) < 2 and (duplicates != "keep" or len(self.train) < 2):
            kind = "row" if duplicates == "keep" else "distinct row"
            raise ValueError(f"copying: train has 1 {kind}; at least 2 are wanted")
        if duplicates == "keep":
            single = self.equal.multiplicity == 1
            apart = self._spacing[self.equal.group] if single.any() else 0.0
            return np.where(single, apart, 0.0)
        return self._spacing[self.equal.group]


_SIDES: tuple[Side, Side] = ("test", "generated")


def gathered(
    operation: str,
    sets: tuple[Readable, Readable, Readable],
    features: Features,
    seed: int,
    threads: int | None,
    distances: CopyingDistances | None,
) -> CopyingDistances:
    """`distances` if it was given and fits the sets, else that of the sets.

    What was given brings its own features and seed; another one beside it is refused.
    """
    if distances is None:
        return CopyingDistances(
            *sets, features=features, seed=seed, threads=threads, operation=operation
        )
    held = (distances.train, distances.test, distances.generated)
    named = zip(NAMES, sets, strict=True)
    counts = [tuple(map(len, held)), tuple(len(read(operation, *one)) for one in named)]
    if counts[0] != counts[1]:
        raise ValueError(
            f"{operation}: distances was computed for {counts[0]} rows of train, test and "
            f"generated, these are {counts[1]}"
        )
    if features is not None or seed not in (0, distances.seed):
        twice = "seed" if features is None else "features"
        raise ValueError(f"{operation}: {twice} is given twice; distances has its own")
    return distances


def _repeated(near: Near, copies: Int64, k: int) -> Near:
    """The first k places of a list in which each row stands as often as it occurs."""
    ends = np.cumsum(copies[near.positions], axis=1)
    column = np.empty((len(ends), k), np.int64)
    for place in range(k):
        column[:, place] = (ends <= place).sum(axis=1)
    return Near(
        np.take_along_axis(near.distances, column, axis=1),
        np.take_along_axis(near.positions, column, axis=1),
    )
