"""rho: is a training sample nearer to generated samples than to samples that were held out?"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from genmem.arrays import Readable
from genmem.copying.chance import generator
from genmem.copying.distances import CopyingDistances, Near, Side, gathered
from genmem.copying.exchange import EXCHANGEABLE, permutation_pvalue
from genmem.copying.resampling import check_level, cluster_totals, wilson
from genmem.copying.results import CopyingResult, policy
from genmem.copying.sets import Features, Float64, Int64
from genmem.density.parameters import check_count

# Places of the list in which a relabelled nearest neighbour is looked for. All of them carry the
# other label with probability 2^-40; of the first few, looked at first, with 2^-6.
LIST, HEAD = 40, 6


@dataclass(frozen=True, kw_only=True, eq=False)
class NearestRatio(CopyingResult):
    """rho_i of every training row: `per_sample` (N,); > 1 = a generated sample is the nearer one.

    statistic        share of training rows with rho > 1, ties counting one half
    reference        the same for two halves of the held-out rows; the null value is 1/2
    compared         how many held-out and how many generated rows were compared
    mean_log         mean of log rho over the rows where both distances are positive; infinite says
                     how many rows have only one that is 0
    mean_log_pvalue  its p-value under the same permutations
    """

    name = "nearest_ratio"
    copying_is = "high"

    compared: int
    mean_log: float
    mean_log_pvalue: float
    infinite: int


def nearest_ratio(
    train: Readable,
    test: Readable,
    generated: Readable,
    *,
    features: Features = None,
    seed: int = 0,
    duplicates: str = "distinct",
    distances: CopyingDistances | None = None,
    permutations: int = 999,
    resamples: int = 1000,
    level: float = 0.95,
    threads: int | None = None,
) -> NearestRatio:
    """Distance of each training row to held-out data over its distance to generated data.

    rho_i = d(x_i, test) / d(x_i, generated),  d(q, A) = distance to the nearest row of A

    train, test, generated  (N, ...), (n, ...), (m, ...); of test and generated equally many rows
                            are compared, a seeded subset of the larger
    features    "pixels" (default), "pca", a function of one set, or three arrays
    duplicates  "distinct": equal training rows count once in the share; "keep": each counts;
                "raise": an error that names them
    distances   the neighbours of these three sets, computed before and shared between tests

    p-value: held-out and generated labels are permuted. Interval: held-out and generated rows, in
    clusters of equal nearest training row, are resampled with the training rows that each is the
    nearest to. rho is +inf for a copied row, NaN (counted) for one with a copy in both sets.

    Raises ValueError for wrong shapes, values that are not finite, or an option out of range.
    Source: van den Burg & Williams (2021), On Memorization in Probabilistic Deep Generative Models.
    """
    operation = "nearest_ratio"
    check_level(operation, level, resamples)
    check_count(permutations, "permutations", operation)
    held = gathered(operation, (train, test, generated), features, seed, threads, distances)
    treated = policy(operation, held, duplicates)
    weights = held.weights(duplicates).astype(np.float64)
    size = len(held.matched["test"])
    union = _union(held, size)
    near = {side: held.from_train(side, 1) for side in held.matched}
    apart = near["generated"].distances[:, 0], near["test"].distances[:, 0]
    share, mean_log = _summary(*apart, weights)
    null = np.array(list(_relabelled(union, size, weights, permutations, held.seed)))
    rho = _ratio(apart[1], apart[0])
    copies = held.to_train("generated", 1).distances[:, 0] == 0
    return NearestRatio(
        statistic=share,
        reference=_reference(held, size, weights),
        pvalue=permutation_pvalue(share, null[:, 0], high=True),
        ci=_interval(held, near, apart, weights, (resamples, level)),
        level=level,
        per_sample=rho[held.equal.group],
        null=f"{EXCHANGEABLE}: their labels permuted {permutations} times, null value 1/2",
        copies=int(copies.sum()),
        duplicates=treated,
        notes=_notes(int(np.isnan(rho[held.equal.group]).sum())),
        compared=size,
        mean_log=mean_log,
        mean_log_pvalue=permutation_pvalue(mean_log, null[:, 1], high=True),
        infinite=int(((apart[0] == 0) != (apart[1] == 0)).sum()),
    )


def _notes(undefined: int) -> tuple[str, ...]:
    if not undefined:
        return ()
    have = "row has" if undefined == 1 else "rows have"
    return (f"{undefined} training {have} a copy in both sets: their rho is undefined",)


class Union(NamedTuple):
    """The rows nearest to each distinct training row, (G, K) by distance.

    points  places in `matched`; of both kinds together 0..n-1 are held-out, n..2n-1 generated rows
    """

    distances: Float64
    points: Int64


def _union(held: CopyingDistances, size: int) -> Union:
    """The first K of both lists together; a row beyond the first K of its own is not among them."""
    lists = [held.from_train(side, min(LIST, size)) for side in ("test", "generated")]
    distances = np.concatenate([one.distances for one in lists], axis=1)
    points = np.concatenate([lists[0].positions, lists[1].positions + size], axis=1)
    order = np.argsort(distances, axis=1, kind="stable")[:, : min(LIST, 2 * size)]
    return Union(
        np.take_along_axis(distances, order, axis=1), np.take_along_axis(points, order, axis=1)
    )


def _first(union: Union, label: npt.NDArray[np.int8], wanted: int) -> Float64:
    """Distance (G,) to the nearest point with the label; the last of the list if none has it."""
    head = label[union.points[:, :HEAD]] == wanted
    place = head.argmax(axis=1)
    late = np.flatnonzero(~head[np.arange(len(head)), place])
    if len(late):
        whole = label[union.points[late]] == wanted
        place[late] = np.where(whole.any(axis=1), whole.argmax(axis=1), whole.shape[1] - 1)
    return np.asarray(union.distances[np.arange(len(place)), place])


def _relabelled(
    union: Union, size: int, weights: Float64, permutations: int, seed: int
) -> Iterator[tuple[float, float]]:
    random = generator(seed, "labels of rho")
    for _ in range(permutations):
        label = np.zeros(2 * size, np.int8)
        label[random.permutation(2 * size)[:size]] = 1
        yield _summary(_first(union, label, 1), _first(union, label, 0), weights)


def _reference(held: CopyingDistances, size: int, weights: Float64) -> float:
    """The share for two halves of the held-out rows; NaN if there are no two rows."""
    if size < 2:
        return np.nan
    order = generator(held.seed, "halves of rho").permutation(size)
    label = np.full(size, -1, np.int8)
    label[order[: size // 2]], label[order[size // 2 : 2 * (size // 2)]] = 1, 0
    halves = Union(*held.from_train("test", min(LIST, size)))
    return _summary(_first(halves, label, 1), _first(halves, label, 0), weights)[0]


def _summary(generated: Float64, test: Float64, weights: Float64) -> tuple[float, float]:
    """Share of rows nearer to generated than to held-out rows, and mean log rho."""
    nearer = _nearer(generated, test)
    defined = ~np.isnan(nearer)
    share = _mean(nearer[defined], weights[defined])
    positive = (generated > 0) & (test > 0)
    log_rho = np.log(test[positive]) - np.log(generated[positive])
    return share, _mean(log_rho, weights[positive])


def _nearer(generated: Float64, test: Float64) -> Float64:
    """1 where the generated row is the nearer one, 1/2 at equal distance, NaN at 0 from both."""
    half = np.where(generated == 0, np.nan, 0.5)
    return np.where(generated < test, 1.0, np.where(generated > test, 0.0, half))


def _mean(values: Float64, weights: Float64) -> float:
    total = weights.sum()
    return float((values * weights).sum() / total) if total > 0 else np.nan


def _ratio(above: Float64, below: Float64) -> Float64:
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(above / below)


def _interval(
    held: CopyingDistances,
    near: dict[Side, Near],
    apart: tuple[Float64, Float64],
    weights: Float64,
    options: tuple[int, float],
) -> tuple[float, float]:
    """Wilson's interval of the share, for as many rows as its spread over resamples is worth.

    A training row belongs to the nearer of its nearest generated and held-out row, half to each at
    equal distance. share = g / (g + t), g and t = rows owned per generated and per held-out row;
    resampled are the points with what they own, in clusters of equal nearest training row. To
    search anew in each resample would not do: it lacks 37 % of its points, copies among them.
    """
    resamples, level = options
    nearer = _nearer(*apart)
    defined = ~np.isnan(nearer)
    parts: dict[Side, Float64] = {
        "generated": np.nan_to_num(nearer),
        "test": np.where(defined, 1 - nearer, 0.0),
    }
    rates, owners = [], 0
    for side, part in parts.items():
        matched = held.matched[side]
        place = near[side].positions[:, 0]
        owned = np.bincount(place, weights * part, minlength=len(matched))
        clusters = held.to_train(side, 1).positions[matched, 0]
        values = np.column_stack([owned, np.ones(len(matched))])
        random = generator(held.seed, f"resamples of rho, {side}")
        totals = cluster_totals(values, clusters, resamples, random)
        rates.append(totals[:, 0] / totals[:, 1])
        owners += len(np.unique(clusters[owned > 0]))
    share = _mean(nearer[defined], weights[defined])
    drawn = _ratio(rates[0], rates[0] + rates[1])
    variance = float(np.nanvar(drawn)) if not np.isnan(drawn).all() else 0.0
    rows = share * (1 - share) / variance if variance > 0 else max(owners, 1)
    return wilson(share, rows, level)
