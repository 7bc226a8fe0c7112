"""Self-influence: the product of a sample's gradient with itself, and its noise bias.

    plain     sum_c w_c |g_hat|^2, whose expectation over the draws is |E g|^2 + tr Var(g) / m
    unbiased  sum_c w_c of the mean of g_s . g_t over pairs s != t of independent sets of draws

The unbiased form may be negative; its sign is kept.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import partial
from itertools import combinations

import numpy as np
import numpy.typing as npt

from genmem.influence.products import Settings
from genmem.influence.side import Side
from genmem.kernels import Factors, grad_dot_diagonal

Float64 = npt.NDArray[np.float64]


def mean_product(sets: Sequence[Factors], threads: int | None = None) -> Float64:
    """(n,): mean over pairs s < t of <g_s, g_t> for the same sample; one set: its squared norm.

    With S sets of one draw each this is the U-statistic (|sum g|^2 - sum |g|^2) / (S (S - 1)),
    without its cancellation.
    """
    # A capture refuses what is not finite: nothing is looked at twice.
    own = partial(grad_dot_diagonal, threads=threads, assume_finite=True)
    if len(sets) == 1:
        return own(sets[0], sets[0])
    pairs = [own(left, right) for left, right in combinations(sets, 2)]
    return np.asarray(np.mean(pairs, axis=0))


def add_self_products(
    scores: Float64,
    visits: Iterable[tuple[int, float]],
    count: int,
    sides: Sequence[Side],
    settings: Settings,
) -> None:
    """scores (N,) += sum over the `count` visits of `mean_product` of the sides, block by block.

    As a cosine every gradient but a zero one has the product w_c with itself.
    """
    done, total = 0, count * len(scores)
    for checkpoint, weight in visits:
        streams = [side.blocks(checkpoint, weight) for side in sides]
        for blocks in zip(*streams, strict=True):
            rows = blocks[0][0]
            own = mean_product([factors for _, factors in blocks], settings.threads)
            scores[rows] += weight * (own > 0) if settings.cosine else own
            done += len(blocks[0][1])
            if settings.progress is not None:
                settings.progress("self-influence", done, total)


def divided_draws(draws: int, sets: int) -> list[range]:
    """The draws 0 .. draws - 1 in `sets` equal runs; ValueError if they cannot be."""
    if sets < 2 or draws < sets or draws % sets:
        raise ValueError(
            f"self_influence: {draws} draws cannot be divided into {sets} sets of equal size, at "
            "least 2 of them; the unbiased form needs independent sets, with one draw only the "
            "plain form exists"
        )
    size = draws // sets
    return [range(s * size, (s + 1) * size) for s in range(sets)]
