"""Verified downloads into the user's cache: several mirrors in order, SHA-256 before use."""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from genmem.datasets import places, registry
from genmem.datasets.registry import RemoteFile, Source
from genmem.errors import DataError

Progress = Callable[[str, int, int], None]

# Seconds without an answer, not seconds for a file.
_TIMEOUT = 30


def fetch(
    name: str, *, mirrors: Sequence[str] | None = None, progress: Progress | None = None
) -> tuple[Path, ...]:
    """Download every file of a named data set into the cache; returns their paths.

    mirrors   base addresses to try, in order, instead of the official ones; default: those in
              GENMEM_MIRRORS (separated by commas or blanks), else the official ones. Below each,
              FOLDER/FILE (the layout of GENMEM_DATA) is tried, then FILE
    progress  called with (file, bytes done, bytes in all)

    A file that is in the cache with the right digest is kept. A download with a wrong digest is
    deleted, never used. Raises DataError with what each mirror answered, or, for a set that cannot
    be fetched, with where to put its files; ValueError for an address that is not http(s).
    """
    source = registry.source(name)
    if not source.files:
        raise DataError(f"{source.name}: nothing to fetch: {source.by_hand}")
    bases = addresses(source, mirrors)
    return tuple(_fetch_file(source, file, bases, progress) for file in source.files)


def addresses(source: Source, mirrors: Sequence[str] | None = None) -> tuple[str, ...]:
    """The base addresses for one data set, in the order they are tried; each ends in a slash."""
    given = mirrors or re.split(r"[,\s]+", os.environ.get("GENMEM_MIRRORS", "").strip())
    bases = [base.rstrip("/") + "/" for base in given if base]
    for base in bases:
        if not re.match(r"https?://[^/]", base):
            raise ValueError(f"mirror {base!r} is not an http:// or https:// address")
    if bases:
        return tuple(each for base in bases for each in (f"{base}{source.folder}/", base))
    return source.mirrors


def _fetch_file(
    source: Source, file: RemoteFile, bases: Sequence[str], progress: Progress | None
) -> Path:
    import pooch

    answers = []
    for base in bases:
        # Without identity, a server may pack the .gz again, and requests would unpack it.
        downloader = pooch.HTTPDownloader(
            progressbar=False if progress is None else _Bar(file, progress),
            chunk_size=1 << 16,
            timeout=_TIMEOUT,
            headers={"Accept-Encoding": "identity"},
        )
        try:
            with _quiet(pooch.get_logger()):
                return Path(
                    pooch.retrieve(
                        base + file.name,
                        known_hash=f"sha256:{file.sha256}",
                        fname=file.name,
                        path=places.cache() / source.folder,
                        downloader=downloader,
                    )
                )
        # requests raises subclasses of OSError, pooch ValueError for a wrong digest.
        except (OSError, ValueError) as error:
            answers.append(f"\n  {base}{file.name}: {error}")
    raise DataError(
        f"{source.name}: could not fetch {file.name} ({file.size} bytes, sha256 {file.sha256}):"
        f"{''.join(answers)}\n"
        f"give another base address with --mirror or GENMEM_MIRRORS, or put the file into "
        f"{places.cache() / source.folder} or into {source.folder}/ of the GENMEM_DATA folder"
    )


class _Bar:
    """What pooch calls a progress bar: it sets `total` and calls these three."""

    def __init__(self, file: RemoteFile, progress: Progress) -> None:
        self.total = file.size
        self.done = 0
        self._name = file.name
        self._progress = progress

    def update(self, size: int) -> None:
        # pooch reports whole chunks, the last one too.
        self.done = min(self.done + size, self.total)
        self._progress(self._name, self.done, self.total)

    def reset(self) -> None:
        self.done = 0

    def close(self) -> None:
        """Nothing is held."""


@contextmanager
def _quiet(logger: logging.Logger) -> Iterator[None]:
    """pooch announces each address on stderr; failures are reported together at the end instead."""
    level = logger.level
    logger.setLevel(logging.WARNING)
    try:
        yield
    finally:
        logger.setLevel(level)
