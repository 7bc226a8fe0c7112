"""The three sets of a copying test as rows of one space, in which a copy is at distance 0."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from genmem.arrays import Readable, read, read_rows
from genmem.density.duplicates import equal_rows
from genmem.kernels.native import check_finite

Float64 = npt.NDArray[np.float64]
Int64 = npt.NDArray[np.int64]
Rows = npt.NDArray[Any]
# None and "pixels": the values as they are; "pca"; a function of one set; or (train, test,
# generated) that were computed before.
Features: TypeAlias = str | Callable[[Any], Any] | tuple[Readable, Readable, Readable] | None

NAMES = ("train", "test", "generated")
COMPONENTS = 64


class Sets(NamedTuple):
    """Rows (N, d), (n, d), (m, d) of the training, held-out and generated samples."""

    train: Rows
    test: Rows
    generated: Rows


def prepare(
    operation: str,
    train: Readable,
    test: Readable,
    generated: Readable,
    features: Features,
    seed: int,
    *,
    pooled: bool = False,
) -> Sets:
    """The three sets in the feature space that was asked for.

    train, test, generated  (N, ...), (n, ...), (m, ...)  numbers, one width; flattened to rows
    features                see `Features`; PCA has min(64, d, N) components, fewer where the rows
                            that it is fitted to vary in fewer directions
    pooled                  fit PCA to train and test together, so that rows of both could change
                            places; else to train only

    Rows that are equal before features are computed are equal after: a product of matrices may
    round one row in two ways, and a copy would no longer be at distance 0.

    Raises ValueError for an empty set, different widths or counts, values that are not finite
    (first row named), and bytes beside floats: 0..255 and 0..1 have no common distance.
    """
    given = Sets(train, test, generated)  # type: ignore[arg-type]  # read in the next line
    flat = Sets(*(_flat(operation, name, value) for name, value in zip(NAMES, given, strict=True)))
    if isinstance(features, tuple):
        return _given(operation, flat, features)
    if callable(features):
        found = (
            read_rows(operation, f"features({name})", features(value))
            for name, value in zip(NAMES, given, strict=True)
        )
        return _tied(flat, _checked(operation, flat, Sets(*found)))
    _one_kind(operation, flat)
    if features is None or features == "pixels":
        return _checked(operation, flat, flat)
    if features != "pca":
        raise ValueError(
            f'{operation}: features is {features!r}; "pixels", "pca", a function or a triple of '
            "arrays is wanted"
        )
    return _tied(flat, _principal(_checked(operation, flat, flat), seed, pooled))


def _flat(operation: str, name: str, value: Readable) -> Rows:
    array = read(operation, name, value)
    if array.ndim < 2 or 0 in array.shape:
        raise ValueError(
            f"{operation}: {name} has shape {array.shape}; (rows, ...) with at least 1 row of at "
            "least 1 value is wanted"
        )
    return array.reshape(len(array), -1)


def _one_kind(operation: str, flat: Sets) -> None:
    kinds = {name: rows.dtype for name, rows in zip(NAMES, flat, strict=True)}
    if len({kind == np.uint8 for kind in kinds.values()}) > 1:
        seen = ", ".join(f"{name} {kind}" for name, kind in kinds.items())
        raise ValueError(
            f"{operation}: {seen}; all uint8 or all float is wanted, on one scale of values"
        )


def _given(operation: str, flat: Sets, features: tuple[Readable, ...]) -> Sets:
    if len(features) != 3:
        raise ValueError(
            f"{operation}: features holds {len(features)} arrays; those of train, test and "
            "generated are wanted"
        )
    named = zip(NAMES, features, strict=True)
    found = Sets(*(read_rows(operation, f"features of {name}", value) for name, value in named))
    _one_kind(operation, found)
    return _checked(operation, flat, found)


def _checked(operation: str, flat: Sets, found: Sets) -> Sets:
    for name, rows, values in zip(NAMES, flat, found, strict=True):
        if len(values) != len(rows):
            raise ValueError(
                f"{operation}: {name} has {len(rows)} rows but its features have {len(values)}"
            )
        if values.shape[1] != found.train.shape[1]:
            raise ValueError(
                f"{operation}: {name} has {values.shape[1]} values per row, train has "
                f"{found.train.shape[1]}; one width is wanted"
            )
        check_finite(operation, name, values)
    return found


def _principal(flat: Sets, seed: int, pooled: bool) -> Sets:
    from sklearn.decomposition import PCA
    from threadpoolctl import threadpool_limits

    own = np.concatenate(flat[:2]) if pooled else flat.train
    # PCA forms sum x x' - n mean mean'; far from the origin it would cancel.
    centre = own.mean(axis=0, dtype=np.float64)
    # One thread: the order of the sums, and with it the last bits, would depend on their number.
    with threadpool_limits(1):
        fitted = PCA(min(COMPONENTS, *own.shape), random_state=seed).fit(own - centre)
        found = [fitted.transform(rows - centre) for rows in flat]
    # A direction in which only rounding varies is any direction: divided by its deviation of 1e-15,
    # one pixel that no training row lights would outweigh all components.
    variance = fitted.singular_values_**2
    kept = variance > variance[0] * max(own.shape) * np.finfo(np.float64).eps
    kept[0] = True
    return Sets(*(rows[:, kept] for rows in found))


def _tied(flat: Sets, found: Sets) -> Sets:
    """Every row with the features of the first row, over the three sets, that equals it."""
    groups = equal_rows(np.concatenate(flat))
    values = np.concatenate(found)[groups.first[groups.group]]
    ends = np.cumsum([len(rows) for rows in flat])
    return Sets(values[: ends[0]], values[ends[0] : ends[1]], values[ends[1] :])
