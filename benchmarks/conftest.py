"""One table of all duels, printed at the end.

The answer is checked before any clock starts. A rival outside the gate is timed and shown as FAIL;
genmem outside the gate fails the test. Nothing here imports numpy: `equal_threads` comes before it.
"""

import datetime
import os
import platform
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest

from duels import HEADINGS, Clocked, Contender, Row, clocked, duel_rows
from equal_threads import THREADS

LIBRARIES = (
    *("genmem", "numpy", "scipy", "scikit-learn", "torch", "faiss-cpu", "usearch", "pykeops"),
    *("captum", "dattri", "dattri-llm", "kronfluence"),
)
ROWS = pytest.StashKey[list[Row]]()
LOAD = pytest.StashKey[float]()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--results", default=None, help="also write the table to this Markdown file")
    parser.addoption(
        "--cpu-clock",
        action="store_true",
        help="times of one thread are processor seconds: for a machine that others use too",
    )


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    config.stash[ROWS] = []
    config.stash[LOAD] = os.getloadavg()[0]
    config.option.benchmark_quiet = True  # its table knows neither rivals nor errors


@pytest.fixture
def duel(benchmark: Any, request: pytest.FixtureRequest) -> Callable[..., None]:
    """duel(op, shape, threads, ours, rivals): errors, then least times, then rows.

    products  multiply-adds of the whole problem: the table says their rate and share of the peak
    """
    from yardsticks import peaks, shares

    def enter(
        op: str,
        shape: str,
        threads: int,
        ours: list[Contender],
        rivals: list[Contender],
        products: float | None = None,
        remark: Callable[[Clocked], str] = lambda one: "",
    ) -> None:
        cpu_clock = request.config.getoption("--cpu-clock")
        yardsticks = peaks() if products else []
        all_ = clocked([*ours, *rivals, *yardsticks], threads, benchmark, cpu_clock)
        ours_, rest = all_[: len(ours)], all_[len(ours) :]
        for one in ours_:
            assert one.error is not None
            assert one.error <= one.contender.gate, f"{one.contender.name}: {one.verdict}"

        def seen(one: Clocked) -> str:
            rate = shares(one, products, rest[len(rivals) :]) if products else ""
            return "; ".join(note for note in (rate, remark(one), one.remark) if note)

        rows = duel_rows(op, shape, threads, ours_, rest[: len(rivals)], seen)
        request.config.stash[ROWS].extend(rows)
        benchmark.extra_info.update(
            op=op, shape=shape, threads=threads, rows=[row.cells() for row in rows]
        )

    return enter


@pytest.fixture
def put(request: pytest.FixtureRequest) -> Callable[[Row], None]:
    """A row that is no duel: growth, memory."""
    return request.config.stash[ROWS].append


def table(rows: list[Row]) -> list[str]:
    lines = [HEADINGS, ["---"] * len(HEADINGS), *(row.cells() for row in rows)]
    return ["| " + " | ".join(cells) + " |" for cells in lines]


def heading(load: float, cpu_clock: bool) -> list[str]:
    """Machine, instruction set, threads, versions."""
    from genmem import config

    versions = ", ".join(
        f"{name} {metadata.version(name)}" for name in LIBRARIES if installed(name)
    )
    return [
        f"{datetime.datetime.now():%Y-%m-%d %H:%M}, {processor()}, load {load:.1f} before "
        f"the start, backend auto = {config()['auto']}, {' and '.join(map(str, THREADS))} threads, "
        f"least {'processor time at one thread, else wall time' if cpu_clock else 'wall time'}, "
        f"Python {platform.python_version()}.",
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
    rows = config.stash[ROWS]
    if not rows:
        return
    lines = [*heading(config.stash[LOAD], config.getoption("--cpu-clock")), "", *table(rows)]
    terminalreporter.section("genmem against its rivals")
    for line in lines:
        terminalreporter.write_line(line)
    if config.getoption("--results"):
        Path(config.getoption("--results")).write_text("\n".join(lines) + "\n", encoding="utf-8")
