"""Ours against rivals on one problem: answers first, then clocks in turn, then a row each pair."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from equal_threads import equal
from genmem.kernels.work import Work


@dataclass(frozen=True)
class Contender:
    """A way to answer a problem, or a yardstick that answers nothing.

    run      the call that is timed
    check    (error, remark) of its answer; None for a yardstick
    gate     the greatest error that passes
    share    the part of the problem that run() answers; times are divided by it
    target   by backend of ours: how many times our time this one should take
    """

    name: str
    run: Callable[[], Any]
    check: Callable[[Any], tuple[float, str]] | None = None
    gate: float = 0.0
    share: float = 1.0
    target: Mapping[str, float] = field(default_factory=dict)


@dataclass
class Row:
    """One line of the table: ours, a rival or none, and what else was seen."""

    op: str
    shape: str
    backend: str
    threads: int
    seconds: float | None
    rival: str = "-"
    rival_seconds: float | None = None
    error: str = "-"
    rival_error: str = "-"
    notes: str = ""

    def cells(self) -> list[str]:
        ratio = "-"
        if self.seconds and self.rival_seconds:
            ratio = f"{self.rival_seconds / self.seconds:.2f}"
        ours, its = span(self.seconds), span(self.rival_seconds)
        return [
            *(self.op, self.shape, self.backend, str(self.threads), ours, self.rival, its, ratio),
            *(self.error, self.rival_error, self.notes),
        ]


HEADINGS = (
    *("op", "shape", "backend", "t", "ours", "rival", "its time", "ratio", "our error"),
    *("its error", "notes"),
)


def span(seconds: float | None) -> str:
    if seconds is None:
        return "-"
    return f"{seconds:.2f} s" if seconds >= 1 else f"{seconds * 1e3:.3g} ms"


# A contender that takes less than 0.3 s is in all of them, a slower one in two.
ROUNDS = 4


@dataclass
class Clocked:
    """What became of a contender."""

    contender: Contender
    error: float | None = None
    remark: str = ""
    seconds: float = float("inf")
    cores: float = 0.0  # processor time over wall time

    def time_once(self, cpu_clock: bool) -> None:
        wall, cpu = time.perf_counter(), time.process_time()
        self.contender.run()
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
        self.took(wall, cpu, cpu_clock)

    def took(self, wall: float, cpu: float, cpu_clock: bool) -> None:
        seconds = cpu if cpu_clock else wall
        if seconds < self.seconds:
            self.seconds, self.cores = seconds, cpu / wall

    @property
    def whole(self) -> float:
        """Seconds for the whole problem."""
        return self.seconds / self.contender.share

    @property
    def verdict(self) -> str:
        if self.error is None:
            return "-"
        passes = self.error <= self.contender.gate
        return f"{self.error:.0e}" + ("" if passes else " **FAIL**")

    def first(self, cpu_clock: bool) -> None:
        """The answer, before any clock that counts; a slow one is not run again for its time."""
        wall, cpu = time.perf_counter(), time.process_time()
        answer = self.contender.run()
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
        self.took(wall, cpu, cpu_clock)
        if self.contender.check is not None:
            self.error, self.remark = self.contender.check(answer)

    def rounds(self) -> int:
        return (
            5 if self.seconds < 0.25 else 3 if self.seconds < 1 else 1 if self.seconds < 10 else 0
        )

    def repeats(self) -> int:
        return min(10, max(1, int(0.03 / max(self.seconds, 1e-6))))


def clocked(
    contenders: list[Contender], threads: int, benchmark: Any, cpu_clock: bool
) -> list[Clocked]:
    """Errors and least times. In each round everybody runs once: what else the machine does then
    falls on all. pytest-benchmark's own clock times the first contender, last in each round."""
    # With several threads processor time would hide what only one of them does.
    clock = cpu_clock and threads == 1
    all_ = [Clocked(one) for one in contenders]
    with equal(threads):
        for one in all_:
            one.first(clock)
    plan = [(one, one.rounds(), one.repeats()) for one in all_]
    at = 0

    def one_round() -> None:
        nonlocal at
        for one, rounds, repeats in plan:
            for _ in range(repeats if at < rounds else 0):
                one.time_once(clock)
        at += 1

    with equal(threads):  # again: by now everybody has loaded its libraries
        ours = all_[0]
        benchmark.pedantic(
            ours.contender.run, setup=one_round, rounds=max(1, ours.rounds()), iterations=1
        )
        while at < ROUNDS:
            one_round()
    return all_


def duel_rows(
    op: str,
    shape: str,
    threads: int,
    ours: list[Clocked],
    rivals: list[Clocked],
    remarks: Callable[[Clocked], str],
) -> list[Row]:
    """A row for each of ours against each rival: the first of ours meets all rivals, the others
    those that are a target."""
    rows = []
    for place, one in enumerate(ours):
        said = False
        for rival in rivals:
            if place > 0 and one.contender.name not in rival.contender.target:
                continue
            notes = [] if said else [remarks(one)]
            said = True
            notes += [*goal(one, rival), *about(rival, threads)]
            rows.append(
                Row(
                    *(op, shape, one.contender.name, threads, one.whole),
                    *(rival.contender.name, rival.whole, one.verdict, rival.verdict),
                    "; ".join(note for note in notes if note),
                )
            )
        if not said:
            notes = [remarks(one), *cores(one, threads)]
            rows.append(
                Row(
                    *(op, shape, one.contender.name, threads, one.whole),
                    error=one.verdict,
                    notes="; ".join(note for note in notes if note),
                )
            )
    return rows


def goal(ours: Clocked, rival: Clocked) -> list[str]:
    wanted = rival.contender.target.get(ours.contender.name)
    if wanted is None:
        return []
    met = rival.whole / ours.whole >= wanted
    return [f"target {wanted:g}: {'met' if met else 'MISSED'}"]


def reranked(work: Work, queries: int) -> str:
    """How many distances a query needed after the screen."""
    if not work.screened:
        return "no screen"
    each = work.distances / queries
    return f"{each:.1f} reranked a query" if each < 1000 else f"{each:,.0f} computed a query"


def about(rival: Clocked, threads: int) -> list[str]:
    notes = [rival.remark]
    if rival.contender.share < 1:
        notes.append(f"timed on 1/{1 / rival.contender.share:.3g} of it")
    return notes + cores(rival, threads)


def cores(one: Clocked, threads: int) -> list[str]:
    return [f"UNFAIR: used {one.cores:.1f} cores"] if one.cores > threads + 0.15 else []
