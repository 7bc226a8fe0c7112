"""Ground truth to find again: exact copies, near-copies and outliers appended to a data set."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from genmem import noise
from genmem.datasets.dataset import Dataset
from genmem.datasets.validation import Int64, Values


def plant(
    data: Dataset,
    *,
    duplicates: float = 0.0,
    near_duplicates: float = 0.0,
    outliers: float = 0.0,
    amplitude: float = 0.05,
    seed: int = 0,
) -> Dataset:
    """Append copies, near-copies and outliers; the rows that were there stay as they are.

    duplicates       exact copies, as a fraction of N
    near_duplicates  copies with normal noise, as a fraction of N
    outliers         rows of uniform noise over the value range, as a fraction of N
    amplitude        standard deviation of the near-copies' noise, as a fraction of hi - lo
    seed             of the choice of originals and of all noise

    A fraction plants round(fraction N) rows. No row is the original of two. A near-copy is
    x + amplitude (hi - lo) e, e ~ N(0, 1), put back to the nearer end where it leaves the value
    range, rounded for uint8; if nothing is left of the noise, its pixel of largest |e| is moved by
    one step, so that it differs from its original. A copy has the label of its original, an outlier
    that of a random class. New identities follow the greatest one. `planted` of the result lists
    positions: "duplicates" and "near_duplicates" (P, 2) of [copy, original], "outliers" (P,).

    Raises ValueError for a fraction outside 0..1, a fraction > 0 of less than half a row, more
    originals than rows, or an amplitude <= 0.
    """
    count = len(data)
    sizes = [
        _rows(name, fraction, count)
        for name, fraction in (
            ("duplicates", duplicates),
            ("near_duplicates", near_duplicates),
            ("outliers", outliers),
        )
    ]
    if not (amplitude > 0 and math.isfinite(amplitude)):
        raise ValueError(f"plant: amplitude is {amplitude}; a number > 0 is wanted")
    exact, near = sizes[:2]
    if exact + near > count:
        raise ValueError(
            f"plant: {exact} duplicates and {near} near_duplicates want {exact + near} distinct "
            f"originals; there are {count} rows"
        )
    fresh = int(data.index.max()) + 1 + np.arange(sum(sizes), dtype=np.int64)
    chance = noise.uniforms(seed, data.index, [0], 1, stream="plant-originals")[:, 0, 0]
    originals = np.lexsort((data.index, chance))[: exact + near].astype(np.int64)
    copies = data.x[originals[:exact]]
    perturbed = _near(data, originals[exact:], fresh[exact : exact + near], amplitude, seed)
    noisy = _outliers(data, fresh[exact + near :], seed)
    at = count + np.arange(sum(sizes), dtype=np.int64)
    pairs = np.stack([at[: exact + near], originals], axis=1)
    return Dataset(
        name=f"{data.name}+planted",
        x=np.concatenate([data.x, copies, perturbed, noisy]),
        y=_labels(data, originals, fresh[exact + near :], seed),
        index=np.concatenate([data.index, fresh]),
        value_range=data.value_range,
        classes=data.classes,
        planted=_merge(data, pairs[:exact], pairs[exact:], at[exact + near :]),
    )


def _rows(name: str, fraction: float, count: int) -> int:
    if not 0 <= fraction <= 1:
        raise ValueError(f"plant: {name} is {fraction}; a fraction in 0..1 is wanted")
    rows = math.floor(fraction * count + 0.5)
    if fraction > 0 and rows == 0:
        raise ValueError(f"plant: {name} is {fraction} of {count} rows, less than half a row")
    return rows


def _near(data: Dataset, originals: Int64, fresh: Int64, amplitude: float, seed: int) -> Values:
    low, high = data.value_range
    dim = data.rows.shape[1]
    out = data.rows[originals]
    # Row by row: noise in float64 for all of them at once would be eight times the images.
    for row, identity in enumerate(fresh):
        e = noise.normals(seed, [identity], [0], dim, stream="plant-near")[0, 0].astype(np.float64)
        moved = np.clip(out[row] + amplitude * (high - low) * e, low, high)
        moved = np.rint(moved) if out.dtype == np.uint8 else moved
        original = out[row].copy()
        out[row] = moved.astype(out.dtype)
        if (out[row] == original).all():
            pixel = int(np.abs(e).argmax())
            out[row, pixel] = _step(original[pixel], low, high)
    return out.reshape(-1, *data.shape)


def _step(value: np.generic, low: float, high: float) -> float:
    """The next value of this type, upwards unless that leaves the range."""
    number = float(value)
    up = number < high
    if value.dtype == np.uint8:
        return number + 1.0 if up else number - 1.0
    return float(np.nextafter(value, value.dtype.type(high if up else low)))


def _outliers(data: Dataset, fresh: Int64, seed: int) -> Values:
    low, high = data.value_range
    dim = data.rows.shape[1]
    out = np.empty((len(fresh), dim), data.x.dtype)
    for row, identity in enumerate(fresh):
        u = noise.uniforms(seed, [identity], [0], dim, stream="plant-outliers")[0, 0]
        # u < 1, so the floor is at most high - low: each integer of the range is equally likely.
        integral = out.dtype == np.uint8
        out[row] = low + (np.floor(u * (high - low + 1)) if integral else u * (high - low))
    return out.reshape(-1, *data.shape)


def _labels(data: Dataset, originals: Int64, odd: Int64, seed: int) -> Int64 | None:
    if data.y is None:
        return None
    kinds = np.unique(data.y) if data.classes is None else np.arange(len(data.classes))
    u = noise.uniforms(seed, odd, [0], 1, stream="plant-labels")[:, 0, 0]
    random: npt.NDArray[np.int64] = kinds[np.floor(u * len(kinds)).astype(np.int64)]
    return np.concatenate([data.y, data.y[originals], random])


def _merge(data: Dataset, exact: Int64, near: Int64, odd: Int64) -> dict[str, Int64]:
    """What was planted before and what is planted now; a kind without rows is left out."""
    merged = dict(data.planted)
    for name, rows in (("duplicates", exact), ("near_duplicates", near), ("outliers", odd)):
        if len(rows):
            merged[name] = np.concatenate([merged[name], rows]) if name in merged else rows
    return merged
