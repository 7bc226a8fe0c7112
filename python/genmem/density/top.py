"""The k strongest influences of each query, ranked."""

from __future__ import annotations

from typing import Any, Generic, NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt

from genmem.density.logspace import logsumexp_rows

A = TypeVar("A")
AnyArray = npt.NDArray[Any]


class TopInfluence(NamedTuple, Generic[A]):
    """The k training rows of strongest influence on each query, strongest first.

    indices        (M, k) positions of training rows, -1 where the influences are undefined
    scores         (M, k) influences, nats; NaN where undefined
    rest_log_mass  (M,) log of the share of p(z) carried by all rows that are not listed, nats
                   (-inf if they carry nothing); None where the density is not a sum over rows
    """

    indices: A
    scores: A
    rest_log_mass: A | None


class InfluenceBlock(NamedTuple, Generic[A]):
    """Influence of all training rows on the queries `queries`.

    scores     (B, N) influences, nats; NaN for a query that no row reaches, where log p is -inf
               with and without any row
    log_share  (B, N) log of the share of p(z) that each row carries, nats, or None
    """

    queries: slice
    scores: A
    log_share: A | None


def top_of_block(
    block: InfluenceBlock[AnyArray], k: int, *, proponents: bool
) -> TopInfluence[AnyArray]:
    """Rank by score, equal scores by share (which does not underflow), then by lower index."""
    sign = 1.0 if proponents else -1.0
    share = block.log_share
    undefined = np.isnan(block.scores).any(axis=1)
    indices = np.zeros((len(block.scores), k), np.int64)
    for i in np.flatnonzero(~undefined):
        keys = sign * block.scores[i]
        # Everything that ties with the k-th is a candidate, or the lower index could be lost.
        candidates = np.flatnonzero(keys >= np.partition(keys, len(keys) - k)[len(keys) - k])
        ranks = [-keys[candidates]]
        if share is not None:
            ranks.insert(0, -sign * share[i, candidates])
        indices[i] = candidates[np.lexsort(ranks)[:k]]
    scores = np.take_along_axis(block.scores, indices, axis=1)
    rest = None
    if share is not None:
        share = share.copy()
        np.put_along_axis(share, indices, -np.inf, axis=1)
        rest = logsumexp_rows(share)
        rest[undefined] = np.nan
    indices[undefined], scores[undefined] = -1, np.nan
    return TopInfluence(indices, scores, rest)
