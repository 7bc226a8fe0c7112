"""The k strongest influences of each query, ranked."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from genmem.density.logspace import logsumexp_rows
from genmem.density.rows import Float64, Int64


class TopInfluence(NamedTuple):
    """The k training rows of strongest influence on each query, strongest first.

    indices        (M, k) positions of training rows
    scores         (M, k) influences, nats
    rest_log_mass  (M,) log of the share of p(z) carried by all rows that are not listed, nats
                   (-inf if they carry nothing); None where the density is not a sum over rows
    """

    indices: Int64
    scores: Float64
    rest_log_mass: Float64 | None


class InfluenceBlock(NamedTuple):
    """Influence of all training rows on the queries `queries`.

    scores     (B, N) influences, nats
    log_share  (B, N) log of the share of p(z) that each row carries, nats, or None
    """

    queries: slice
    scores: Float64
    log_share: Float64 | None


def top_of_block(block: InfluenceBlock, k: int, *, proponents: bool) -> TopInfluence:
    """Rank by score, equal scores by share (which does not underflow), then by lower index."""
    sign = 1.0 if proponents else -1.0
    share = block.log_share
    indices = np.empty((len(block.scores), k), np.int64)
    for i, scores in enumerate(block.scores):
        keys = sign * scores
        # Everything that ties with the k-th is a candidate, or the lower index could be lost.
        candidates = np.flatnonzero(keys >= np.partition(keys, len(keys) - k)[len(keys) - k])
        ranks = [-keys[candidates]]
        if share is not None:
            ranks.insert(0, -sign * share[i, candidates])
        indices[i] = candidates[np.lexsort(ranks)[:k]]
    scores_listed = np.take_along_axis(block.scores, indices, axis=1)
    if share is None:
        return TopInfluence(indices, scores_listed, None)
    rest = share.copy()
    np.put_along_axis(rest, indices, -np.inf, axis=1)
    return TopInfluence(indices, scores_listed, logsumexp_rows(rest))
