"""The stages of a study: done once, timed, and done again only if an output is not whole."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd

from genmem.heard import listening
from genmem.ledger import write_atomic, write_text

Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Stages:
    """The stages of the run in `directory`; stages/NAME.json holds what each left behind.

    progress is told (stage, 0, 1) when a stage begins and (stage, total, total) when it stands, the
    total being 1 unless the stage counted its own work through `within`.
    """

    directory: Path
    progress: Progress | None = None
    _totals: dict[str, int] = field(default_factory=dict)

    def do(
        self,
        name: str,
        outputs: Iterable[str],
        work: Callable[[], object],
        *,
        last: bool = False,
    ) -> None:
        """Call `work`, which writes `outputs`, unless they stand already.

        outputs  files and folders, as paths below the directory
        last     whether it tells of the stages before it: it stands only while it is the newest

        Warnings of `work` are kept in the record. Raises what `work` raises, with the stage named
        in a note, and FileNotFoundError if it leaves an output out.
        """
        wanted = tuple(outputs)
        newest = not last or [record["name"] for record in self.records()[-1:]] == [name]
        if not newest or not self.stands(name, wanted):
            self.tell(name, 0, 1)
            start = time.perf_counter()
            try:
                with listening() as heard:
                    work()
            except Exception as error:
                error.add_note(f"in the stage {name!r} of {self.directory}")
                raise
            record = {
                "name": name,
                "seconds": time.perf_counter() - start,
                "finished": datetime.now(UTC).isoformat(timespec="milliseconds"),
                "warnings": [text for _, text in heard],
                "outputs": {path: _digest(self.directory / path) for path in wanted},
            }
            write_text(self._place(name), json.dumps(record, indent=1) + "\n")
        total = self._totals.get(name, 1)
        self.tell(name, total, total)

    def stands(self, name: str, outputs: Iterable[str]) -> bool:
        """Whether the stage is done, and each of its outputs has the content it was left with."""
        left = self._record(name).get("outputs")
        return (
            left is not None
            and set(left) == set(outputs)
            and all(
                (self.directory / path).exists() and _digest(self.directory / path) == digest
                for path, digest in left.items()
            )
        )

    def records(self) -> list[dict[str, Any]]:
        """name, seconds (of the attempt that finished), finished, warnings; oldest first."""
        names = (path.stem for path in (self.directory / "stages").glob("*.json"))
        found = [record for record in map(self._record, names) if record]
        return sorted(found, key=lambda record: (record["finished"], record["name"]))

    def tell(self, name: str, done: int, total: int) -> None:
        """Pass on how far a stage is."""
        self._totals[name] = total
        if self.progress is not None:
            self.progress(name, done, total)

    def within(self, name: str) -> Progress:
        """A progress function for the steps of a stage, whatever name the steps give themselves."""
        return lambda _, done, total: self.tell(name, done, total)

    def _place(self, name: str) -> Path:
        return self.directory / "stages" / f"{name.replace(' ', '-')}.json"

    def _record(self, name: str) -> dict[str, Any]:
        """What `do` wrote; empty if it did not, or not as a whole."""
        try:
            record = json.loads(self._place(name).read_text(encoding="utf-8"))
        except (FileNotFoundError, ValueError):
            return {}
        return record if isinstance(record, dict) else {}


def write_table(path: Path, table: pd.DataFrame) -> None:
    """Write a table to a parquet file, whole or not at all; its row labels are not kept."""
    write_atomic(path, lambda file: table.to_parquet(file, index=False))


def _digest(path: Path) -> str:
    """SHA-256 of a file, or of the names and contents of all files below a folder.

    Hidden files and folders are those of work in progress, or what a killed process left of it.
    """
    if path.is_dir():
        inner = ((file.relative_to(path), file) for file in sorted(path.rglob("*")))
        lines = (
            f"{name.as_posix()} {_digest(file)}\n"
            for name, file in inner
            if file.is_file() and not any(part.startswith(".") for part in name.parts)
        )
        return hashlib.sha256("".join(lines).encode()).hexdigest()
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
