"""One row per contender: time, ratio to genmem, error against float64, processor per wall time.

The answer is checked before the clock starts. A rival outside the gate is timed and shown as FAIL;
genmem outside the gate fails the test. Nothing here imports numpy: `equal_threads` comes before it.
"""

import datetime
import platform
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest

from equal_threads import THREADS

LIBRARIES = (
    "genmem",
    "numpy",
    "scipy",
    "scikit-learn",
    "torch",
    "faiss-cpu",
    "captum",
    "dattri",
    "dattri-llm",
)


@dataclass
class Row:
    """One contender on one problem."""

    problem: str
    contender: str
    seconds: float
    cpu_per_wall: float
    error: float
    unit: str
    passes: bool


@dataclass
class Rows:
    """What this session measured, in order."""

    rows: list[Row] = field(default_factory=list)


KEY = pytest.StashKey[Rows]()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--results", default=None, help="also write the table to this Markdown file")


def pytest_configure(config: pytest.Config) -> None:
    config.stash[KEY] = Rows()


@pytest.fixture
def threads() -> int:
    return THREADS


@pytest.fixture
def contest(benchmark: Any, request: pytest.FixtureRequest) -> Iterator[Callable[..., None]]:
    """contest(problem, contender, run, error, gate, unit): check the answer, then time `run`."""

    def enter(
        problem: str,
        contender: str,
        run: Callable[[], Any],
        error: Callable[[Any], float],
        gate: float,
        unit: str,
        rounds: int = 5,
    ) -> None:
        wrong = float(error(run()))
        passes = wrong <= gate
        assert passes or not contender.startswith("genmem"), (
            f"error {wrong:.1e} {unit}, gate {gate}"
        )
        started, used = time.perf_counter(), time.process_time()
        benchmark.pedantic(run, rounds=rounds, iterations=1, warmup_rounds=0)
        share = (time.process_time() - used) / (time.perf_counter() - started)
        seconds = benchmark.stats.stats.median
        benchmark.extra_info.update(problem=problem, contender=contender, error=wrong, unit=unit)
        row = Row(problem, contender, seconds, share, wrong, unit, passes)
        request.config.stash[KEY].rows.append(row)

    return enter


def table(rows: list[Row]) -> list[str]:
    """Markdown rows, contenders of a problem together, genmem first with ratio 1."""
    lines = [
        "| problem | contender | median | x genmem's time | error | cpu/wall |",
        "|---|---|---|---|---|---|",
    ]
    for problem in dict.fromkeys(row.problem for row in rows):
        group = [row for row in rows if row.problem == problem]
        ours = [row.seconds for row in group if row.contender == "genmem"]
        for row in group:
            ratio = f"{row.seconds / ours[0]:.2f}" if ours else "-"
            verdict = "" if row.passes else " **FAIL**"
            lines.append(
                f"| {row.problem} | {row.contender} | {row.seconds * 1e3:.1f} ms | {ratio} "
                f"| {row.error:.0e} {row.unit}{verdict} | {row.cpu_per_wall:.2f} |"
            )
    return lines


def heading() -> list[str]:
    """Machine, instruction set, threads, versions."""
    from genmem import config

    said = config()
    versions = ", ".join(
        f"{name} {metadata.version(name)}" for name in LIBRARIES if installed(name)
    )
    return [
        f"{datetime.date.today()}, {processor()}, backend auto = {said['auto']}, "
        f"{THREADS} thread{'s' if THREADS > 1 else ''}, Python {platform.python_version()}.",
        versions + ".",
    ]


def processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return f"{names[0]} x {len(names)}" if names else platform.machine()


def installed(name: str) -> bool:
    try:
        metadata.version(name)
    except metadata.PackageNotFoundError:
        return False
    return True


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    rows = config.stash[KEY].rows
    if not rows:
        return
    lines = [*heading(), "", *table(rows)]
    terminalreporter.section("genmem against its rivals")
    for line in lines:
        terminalreporter.write_line(line)
    if config.getoption("--results"):
        Path(config.getoption("--results")).write_text("\n".join(lines) + "\n", encoding="utf-8")
