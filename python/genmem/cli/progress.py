"""How far a verb is, on stderr: bars with the time left on a terminal, plain lines elsewhere."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

Report = Callable[[str, int, int], None]
# A log is read afterwards: one line per stage and ten seconds says all.
_EVERY_SECONDS = 10.0


@contextmanager
def progress() -> Iterator[Report]:
    """A function (stage, done, total) that shows one line per stage."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield Lines(console).report
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console) as bars:
        yield Bars(bars).report


class Bars:
    """One bar per stage."""

    def __init__(self, bars: Progress) -> None:
        self._bars = bars
        self._tasks: dict[str, TaskID] = {}

    def report(self, stage: str, done: int, total: int) -> None:
        if stage not in self._tasks:
            self._tasks[stage] = self._bars.add_task(stage, total=total)
        self._bars.update(self._tasks[stage], completed=done, total=total)


class Lines:
    """A line when a stage begins, when it ends, and every ten seconds between."""

    def __init__(self, console: Console, clock: Callable[[], float] = time.monotonic) -> None:
        self._console = console
        self._clock = clock
        self._start = self._last = clock()
        self._begun: dict[str, tuple[float, int]] = {}
        self._ended: set[str] = set()

    def report(self, stage: str, done: int, total: int) -> None:
        """Say how far a stage is, if it is time to; total 0 has nothing to count."""
        if stage in self._ended:
            return
        now = self._clock()
        if stage not in self._begun:
            self._begun[stage] = (now, done)
            if done < total:
                self._say(now, stage)
        elif done < total and now - self._last >= _EVERY_SECONDS:
            self._say(now, f"{stage}: {done}/{total}{self._left(now, stage, done, total)}")
        if done >= total:
            self._ended.add(stage)
            self._say(now, f"{stage}: done")

    def _left(self, now: float, stage: str, done: int, total: int) -> str:
        began, before = self._begun[stage]
        if done <= before:
            return ""
        return f", about {(now - began) / (done - before) * (total - done):.0f} s left"

    def _say(self, now: float, text: str) -> None:
        self._last = now
        stamp = f"[{now - self._start:6.1f} s] "
        self._console.print(stamp + text, highlight=False, markup=False, soft_wrap=True)
