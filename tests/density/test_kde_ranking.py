"""The k strongest influences of a GaussianKDE."""

from __future__ import annotations

import numpy as np
from scipy.special import logsumexp

from density_oracle import close, column
from genmem.density import GaussianKDE, TopInfluence


def test_top_k_is_the_head_of_the_dense_matrix(rows, queries):
    kde = GaussianKDE(1.5).fit(rows)
    dense = kde.influence(queries)
    top = kde.influence(queries, 7)
    assert isinstance(top, TopInfluence)
    assert top.indices.dtype == np.int64
    close(top.scores, -np.sort(-dense, axis=1)[:, :7])
    close(np.take_along_axis(dense, top.indices, axis=1), top.scores)
    bottom = kde.influence(queries, 7, proponents=False)
    close(bottom.scores, np.sort(dense, axis=1)[:, :7])


def test_top_k_ranks_by_distance_where_the_scores_underflow():
    # Beyond 40 nats every score is log(3/4) to the last bit, and beyond 745 every share is 0.
    kde = GaussianKDE(1.0).fit(column(0, 60, 40, 50))
    top = kde.influence(column(0), 4)
    assert top.indices.tolist() == [[0, 2, 3, 1]]
    assert kde.influence(column(0), 4, proponents=False).indices.tolist() == [[1, 3, 2, 0]]


def test_ties_go_to_the_lower_index():
    kde = GaussianKDE(1.0).fit(column(1, -1, 1, -1))
    assert kde.influence(column(0), 3).indices.tolist() == [[0, 1, 2]]


def test_rest_log_mass_is_the_share_of_the_rows_not_listed(rows, queries):
    kde = GaussianKDE(1.5).fit(rows)
    top = kde.influence(queries, 4)
    sq = ((queries[:, None] - rows) ** 2).sum(axis=2)
    share = -sq / 4.5 - logsumexp(-sq / 4.5, axis=1, keepdims=True)
    want = [logsumexp(np.delete(s, i)) for s, i in zip(share, top.indices, strict=True)]
    close(top.rest_log_mass, np.array(want), 1e-9)
    everything = kde.influence(queries, len(rows)).rest_log_mass
    assert np.isneginf(everything).all()


def test_rest_log_mass_of_a_gap_does_not_round_to_nothing():
    rest = GaussianKDE(1.0).fit(column(0, np.sqrt(1600))).influence(column(0), 1).rest_log_mass
    close(rest, [-800.0])
