import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from typer.testing import CliRunner

from genmem.cli import app

WORDS = ["audit", "digits", "--preset", "smoke", "--limit", "80"]
PLANT = ["--plant", "near_duplicates=0.05,outliers=0.05"]


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Any]:
    """One audit as a user runs it: another process, no terminal."""
    directory = tmp_path_factory.mktemp("cli")
    code = "from genmem.cli import main\nif __name__ == '__main__':\n    main()\n"
    script = directory / "run_genmem.py"
    script.write_text(code)
    got = subprocess.run(
        [sys.executable, str(script), *WORDS, *PLANT, "--threads", "1"],
        cwd=directory,
        capture_output=True,
        text=True,
        check=False,
    )
    assert got.returncode == 0, got.stderr
    return directory / "genmem-digits-smoke-planted", got


def test_it_ends_with_the_answer_and_where_the_page_is(done: tuple[Path, Any]) -> None:
    directory, got = done
    said = got.stdout.splitlines()
    assert said[0].startswith("digits+planted: ")
    assert "of 88 samples are memorized" in said[0]
    facts = json.loads((directory / "summary.json").read_text())
    scores = pd.read_parquet(directory / "scores/memorization.parquet")
    most = scores.sort_values("score", ascending=False, kind="stable").iloc[0]
    assert said[2].startswith(f"sample {int(most['index'])} ")
    assert f"{most['score']:.2f}" in said[2]
    assert f"q95 of M: {facts['quantiles']['q95'][0]:.2f} nats" in got.stdout
    assert "planted near duplicates: 100 % of the pairs are named" in said
    assert "planted outliers: M ranks them above the other samples with AUC" in got.stdout
    assert said[-1] == "report: genmem-digits-smoke-planted/report.html"
    assert (directory / "report.html").stat().st_size > 10_000


def test_progress_is_plain_lines_on_stderr(done: tuple[Path, Any]) -> None:
    lines = done[1].stderr.splitlines()
    assert all(line.startswith("[") and " s] " in line for line in lines), done[1].stderr
    assert any("memorization elbo: done" in line for line in lines)
    assert lines[-1].endswith("page: done")
    assert "\r" not in done[1].stderr
    assert "\x1b" not in done[1].stderr


def test_run_again_it_only_says_the_answer(done: tuple[Path, Any]) -> None:
    directory, first = done
    made = {path: path.stat().st_mtime_ns for path in directory.glob("memorization/**/*.*")}
    got = CliRunner().invoke(app, [*WORDS, *PLANT, "--out", str(directory)])
    assert got.exit_code == 0, got.output
    assert made == {path: path.stat().st_mtime_ns for path in directory.glob("memorization/**/*.*")}
    assert got.stdout.splitlines()[:-1] == first.stdout.splitlines()[:-1]


def test_another_audit_in_the_same_place_is_refused(done: tuple[Path, Any]) -> None:
    got = CliRunner().invoke(app, [*WORDS, "--seed", "1", "--out", str(done[0])])
    assert got.exit_code == 1
    assert "audit.seed: 0 there, 1 now" in got.stderr
    assert "data.name: 'digits+planted' there, 'digits' now" in got.stderr


def test_report_makes_the_page_again(done: tuple[Path, Any]) -> None:
    page = done[0] / "report.html"
    before = page.read_text()
    page.unlink()
    got = CliRunner().invoke(app, ["report", str(done[0])])
    assert got.exit_code == 0, got.output
    assert got.stdout == f"report: {page}\n"
    assert page.read_text() == before


@pytest.mark.parametrize("name", ["tables/agreement.parquet", "scores/memorization.parquet"])
def test_a_page_of_broken_tables_is_refused(
    name: str, done: tuple[Path, Any], tmp_path: Path
) -> None:
    import shutil

    copy = Path(shutil.copytree(done[0], tmp_path / "copy"))
    path = copy / name
    path.write_bytes(path.read_bytes()[:100])
    got = CliRunner().invoke(app, ["report", str(copy)])
    assert got.exit_code == 1
    assert "is not a whole parquet file" in got.stderr
