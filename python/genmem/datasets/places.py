"""Where named data sets are looked for: the GENMEM_DATA folder first, the user's cache second."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from genmem.errors import DataError


def cache() -> Path:
    """The folder that `genmem data get` fills; XDG_CACHE_HOME moves it."""
    import pooch

    return Path(pooch.os_cache("genmem"))


def roots() -> tuple[tuple[str, Path], ...]:
    """(what names it, folder), in the order of search; DataError if GENMEM_DATA is no folder."""
    given = os.environ.get("GENMEM_DATA")
    if not given:
        return (("cache", cache()),)
    folder = Path(given)
    if not folder.is_dir():
        raise DataError(f"GENMEM_DATA is {given!r}, which is not a folder")
    return (("GENMEM_DATA", folder), ("cache", cache()))


def folders(name: str) -> Iterator[Path]:
    """The existing folders of one data set, in the order of search."""
    for _, root in roots():
        if (root / name).is_dir():
            yield root / name


def locate(folder: str, names: Sequence[str]) -> Path | None:
    """The first file of one of these names: roots in the order of search, then names as given."""
    for place in folders(folder):
        for name in names:
            if (place / name).is_file():
                return place / name
    return None


def absent(dataset: str, folder: str, wanted: str, hint: str = "") -> DataError:
    """The error that says what was looked for, where, and how to get it."""
    looked = "".join(f"\n  {root / folder} ({title})" for title, root in roots())
    if not os.environ.get("GENMEM_DATA"):
        looked += "\n  (GENMEM_DATA, which would be looked in first, is not set)"
    return DataError(
        f"{dataset}: no {wanted}; looked in{looked}\nfetch it with: genmem data get {dataset}{hint}"
    )
