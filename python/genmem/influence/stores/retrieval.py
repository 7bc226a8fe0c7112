"""The strongest training samples of a few queries, out of a store that is too large to go through.

Each sample has a short sketch, whose products estimate those of gradients (unbiased, standard
deviation about |g_i| |g_j| / sqrt(dim) or more). The candidates that the sketches find are scored
exactly, and only their factors are read.
"""

from __future__ import annotations

import warnings

import numpy as np
import numpy.typing as npt

from genmem import ledger
from genmem.errors import CheckpointError
from genmem.influence.stores.blocks import take
from genmem.influence.stores.store import FactorStore
from genmem.influence.stores.stored import require_pair
from genmem.kernels import TopInfluences, grad_products, sketch, sketched, top_k

Float32 = npt.NDArray[np.float32]


def sketches(
    store: FactorStore, dim: int = 1024, *, seed: int = 0, threads: int | None = None
) -> Float32:
    """(N, dim): sketches of the gradients of a store, over all its checkpoints.

    The first call reads the whole store once; a directory keeps the answer for the next.
    Sketches of one dim and seed go together, those of others mean nothing to each other.
    """
    path = None
    if store.directory is not None:
        path = store.directory / f"sketch_{dim}_{seed}.safetensors"
        try:
            return np.asarray(ledger.read_unit(path)[0]["sketches"])
        except FileNotFoundError:
            pass
        except CheckpointError as error:
            warnings.warn(f"sketches: made again: {error}", RuntimeWarning, stacklevel=2)
    total = np.zeros((len(store), dim), np.float32)
    for c, weight in zip(store.checkpoints, store.weights, strict=True):
        for rows, factors in store.blocks(c, weight):
            # Signs of their own for each checkpoint: sums of sketches then estimate sums.
            total[rows] += sketch(factors, dim, seed=1_000_003 * seed + c, threads=threads)
    if path is not None:
        ledger.write_unit(path, {"sketches": total})
    return total


def retrieve(
    queries: FactorStore,
    points: FactorStore,
    k: int,
    proponents: bool = True,
    *,
    dim: int = 1024,
    candidates: int | None = None,
    seed: int = 0,
    threads: int | None = None,
) -> TopInfluences:
    """`score(queries, points, k, proponents)` among the points that sketches find.

    candidates  points per query that are scored exactly (None: 5 k + 40)
    dim, seed   of the sketches, which `sketches` makes once per store

    Scores are exact; a point that the sketches rank below the candidates is missed, so the answer
    may lack some of the k strongest. Raises as `score`, and ValueError for k or candidates that do
    not fit.
    """
    require_pair(queries, points)
    n = len(points)
    count = min(n, 5 * k + 40 if candidates is None else candidates)
    if not 1 <= k <= count:
        raise ValueError(
            f"retrieve: k is {k} of {count} candidates; 1 <= k <= candidates is wanted, and at "
            f"most {n}, the number of training samples"
        )
    sign = np.float32(1 if proponents else -1)
    left = sign * sketches(queries, dim, seed=seed, threads=threads)
    right = sketches(points, dim, seed=seed, threads=threads)
    found = sketched(left, right, count)
    chosen, where = np.unique(found, return_inverse=True)
    exact = _products(queries, points, chosen, threads)
    listed = np.take_along_axis(exact, where.reshape(found.shape), axis=1)
    best = top_k(float(sign) * listed, k)
    indices = np.take_along_axis(found, best.indices, axis=1)
    return TopInfluences(indices, float(sign) * best.scores)


def _products(
    queries: FactorStore,
    points: FactorStore,
    chosen: npt.NDArray[np.int64],
    threads: int | None,
) -> npt.NDArray[np.float64]:
    """(Q, chosen) sums over checkpoints, reading the factors of the chosen points only."""
    total = np.zeros((len(queries), len(chosen)))
    for c, weight in zip(queries.checkpoints, queries.weights, strict=True):
        for rows, right in points.blocks(c, weight):
            columns = np.flatnonzero((chosen >= rows.start) & (chosen < rows.stop))
            if not len(columns):
                continue
            some = take(right, chosen[columns] - rows.start)
            for queried, left in queries.blocks(c, weight):
                total[queried, columns] += grad_products(left, some, threads=threads)
    return total
