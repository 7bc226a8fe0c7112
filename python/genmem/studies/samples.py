"""What a page shows of single samples: neighbours, proponents and opponents, pictures."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from genmem.ledger import write_unit
from genmem.studies.correlation import Float64
from genmem.studies.neighbourhood import Neighbours
from genmem.studies.overlap import top
from genmem.studies.stages import write_table

if TYPE_CHECKING:
    from genmem.datasets import Dataset
    from genmem.influence import TracIn

Int64 = npt.NDArray[np.int64]


def either_end(score: Float64, count: int) -> Int64:
    """Positions of the `count` highest scores, highest first, then of the `count` lowest, lowest
    first; each position once."""
    size = min(count, len(score))
    ends = np.concatenate([top(score, size), top(-score, size)])
    _, first = np.unique(ends, return_index=True)
    return ends[np.sort(first)]


def neighbour_table(data: Dataset, near: Neighbours) -> pd.DataFrame:
    """index, rank from 1, neighbour (its identity), distance: k rows per sample."""
    count, k = near.distances.shape
    return pd.DataFrame(
        {
            "index": np.repeat(data.index, k),
            "rank": np.tile(np.arange(1, k + 1), count),
            "neighbour": data.index[near.positions.ravel()],
            "distance": near.distances.ravel(),
        }
    )


def read_neighbours(data: Dataset, table: pd.DataFrame) -> Neighbours:
    """Back from `neighbour_table`."""
    k = len(table) // len(data)
    order = np.argsort(data.index, kind="stable")
    positions = order[np.searchsorted(data.index, table["neighbour"].to_numpy(), sorter=order)]
    distances = table["distance"].to_numpy(np.float64)
    return Neighbours(distances.reshape(-1, k), positions.reshape(-1, k).astype(np.int64))


def write_self_influence(path: Path, tracin: TracIn, data: Dataset) -> Float64:
    """Write index, self_influence (plain), unbiased (two sets of draws); returns the plain one."""
    from genmem.models import single_thread

    with single_thread():
        own = tracin.self_influence(data)
        columns = {"self_influence": own, "unbiased": tracin.self_influence(data, unbiased=True)}
    write_table(path, pd.DataFrame({"index": data.index, **columns}))
    return own


def influence_table(tracin: TracIn, data: Dataset, chosen: Int64, k: int) -> pd.DataFrame:
    """index, side, rank from 1, train_index, score: the k strongest proponents and opponents of
    each chosen position among all samples, by TracIn.

    A side lists only samples whose score has its sign, so it may hold fewer than k.
    """
    from genmem.models import single_thread

    with single_thread():
        matrix = tracin.influence(data.take(chosen), data)
    return strongest_table(data.index[chosen], matrix, data.index, k)


def generated_tables(
    tracin: TracIn, data: Dataset, count: int, k: int, seed: int
) -> tuple[pd.DataFrame, pd.DataFrame, Dataset]:
    """What drives `count` samples that the model of a run draws.

    By training sample: index, influence (mean over the generated ones, in nats: positive raises
    their likelihood), error (its standard error). By generated sample, as in `influence_table`,
    index being its number. And the generated samples.
    """
    from genmem.models import single_thread

    with single_thread():
        found = tracin.influence_on_generated(count, data, sample_seed=seed)
    columns = {"influence": found.overall, "error": found.error}
    overall = pd.DataFrame({"index": data.index, **columns})
    drawn: Any = found.samples
    return overall, strongest_table(drawn.index, np.asarray(found.scores), data.index, k), drawn


def strongest_table(queries: Int64, matrix: Float64, names: Int64, k: int) -> pd.DataFrame:
    """The table of `influence_table` from scores (Q, N) of samples `queries` and `names`."""
    rows = []
    for query, scores in zip(queries, matrix, strict=True):
        for side, signed in (("proponent", scores), ("opponent", -scores)):
            best = top(signed, min(k, len(scores)))
            rows += [
                (query, side, rank, names[other], scores[other])
                for rank, other in enumerate(best, start=1)
                if signed[other] > 0
            ]
    return pd.DataFrame(rows, columns=["index", "side", "rank", "train_index", "score"])


def write_images(path: Path, data: Dataset, positions: Iterable[int]) -> None:
    """A unit with index (S,) and pixels (S, C, H, W) uint8, the value range scaled to 0..255.

    Samples that are no image of 1 or 3 channels become one row of grey values.
    """
    chosen = np.unique(np.fromiter(positions, np.int64))
    pixels = np.rint(255 * data.unit(chosen).astype(np.float64)).astype(np.uint8)
    if len(data.shape) != 3 or data.shape[0] not in (1, 3):
        pixels = pixels.reshape(len(chosen), 1, 1, -1)
    write_unit(path, {"index": data.index[chosen], "pixels": pixels})
