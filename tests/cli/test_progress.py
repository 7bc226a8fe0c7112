import io

import pytest
from rich.console import Console

from genmem.cli.progress import Lines, progress


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def stream() -> io.StringIO:
    return io.StringIO()


@pytest.fixture
def lines(stream: io.StringIO, clock: Clock) -> Lines:
    return Lines(Console(file=stream, width=200), clock)


def test_a_stage_has_a_first_and_a_last_line(
    lines: Lines, stream: io.StringIO, clock: Clock
) -> None:
    lines.report("train", 0, 3)
    clock.now = 2.5
    for done in (1, 2, 3, 3):
        lines.report("train", done, 3)
    assert stream.getvalue().splitlines() == ["[   0.0 s] train", "[   2.5 s] train: done"]


def test_a_long_stage_says_every_ten_seconds_how_long_it_takes(
    lines: Lines, stream: io.StringIO, clock: Clock
) -> None:
    lines.report("folds", 10, 50)
    for done in range(11, 41):
        clock.now += 1
        lines.report("folds", done, 50)
    assert stream.getvalue().splitlines() == [
        "[   0.0 s] folds",
        "[  10.0 s] folds: 20/50, about 30 s left",
        "[  20.0 s] folds: 30/50, about 20 s left",
        "[  30.0 s] folds: 40/50, about 10 s left",
    ]


def test_a_stage_that_stands_already_has_one_line(lines: Lines, stream: io.StringIO) -> None:
    lines.report("folds", 50, 50)
    lines.report("folds", 50, 50)
    assert stream.getvalue().splitlines() == ["[   0.0 s] folds: done"]


def test_no_progress_means_no_time_left(lines: Lines, stream: io.StringIO, clock: Clock) -> None:
    lines.report("folds", 0, 50)
    clock.now = 11
    lines.report("folds", 0, 50)
    assert stream.getvalue().splitlines()[-1] == "[  11.0 s] folds: 0/50"


def test_names_are_not_markup(lines: Lines, stream: io.StringIO) -> None:
    lines.report("[red]x[/red]", 1, 1)
    assert "[red]x[/red]: done" in stream.getvalue()


def test_elsewhere_than_on_a_terminal_it_goes_to_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    with progress() as tell:
        tell("train", 1, 1)
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "train: done" in captured.err


def test_bars_on_a_terminal(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "100")
    with progress() as tell:
        tell("train", 1, 4)
        tell("score", 2, 2)
    shown = capsys.readouterr().err
    assert "train" in shown
    assert "1/4" in shown
    assert "2/2" in shown
    assert "left" in shown
