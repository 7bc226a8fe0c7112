import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from genmem.cli import app
from genmem.errors import DataError

VERBS = ("audit", "train", "memorization", "influence", "copying", "report", "config", "data")


@pytest.fixture
def invoke(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    monkeypatch.setenv("COLUMNS", "200")
    return lambda *words: CliRunner().invoke(app, list(words))


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_explains_itself(verb: str, invoke: Callable[..., Any]) -> None:
    got = invoke(verb, "--help")
    assert got.exit_code == 0
    assert verb in got.stdout


@pytest.mark.parametrize("verb", ["audit", "train", "memorization", "influence"])
def test_every_verb_on_data_has_the_same_options(verb: str, invoke: Callable[..., Any]) -> None:
    text = " ".join(invoke(verb, "--help").stdout.split())
    for option in ("--out", "--seed", "--threads", "--preset", "--limit", "--device", "--debug"):
        assert option in text
    assert "smoke|quick|paper" in text
    assert text.count("default") >= 4


def test_out_says_what_is_written_and_that_a_rerun_goes_on(invoke: Callable[..., Any]) -> None:
    for verb in ("audit", "train", "memorization", "influence"):
        text = " ".join(invoke(verb, "--help").stdout.replace("│", "").split())
        told = text[text.index("--out") :].partition(" --")[0]
        assert "is written to" in told
        assert "the same command again goes on with what is missing" in told


def test_the_options_that_readme_names_are_those_of_the_verbs(invoke: Callable[..., Any]) -> None:
    readme = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
    claim = re.search(r"verbs on DATA take (.*?);", readme, re.DOTALL)
    assert claim is not None
    named = {option.split()[0] for option in re.findall(r"`(--[^`]+)`", claim[1])}
    on_data = set(re.findall(r"^genmem (\w+) DATA", readme, re.MULTILINE))
    assert on_data
    assert "`copying` takes them too" in readme
    on_data.add("copying")
    assert named == {"--out", "--seed", "--threads", "--device", "--preset"}
    for verb in VERBS:
        told = set(re.findall(r"--[a-z]+", invoke(verb, "--help").stdout))
        assert (named <= told) == (verb in on_data), verb
        assert verb in on_data or not named & told


def test_no_verb_shows_the_verbs(invoke: Callable[..., Any]) -> None:
    got = invoke()
    assert all(verb in got.output for verb in VERBS)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["audit"], "DATA"),
        (["audit", "digits", "--preset", "huge"], "'huge' is not one of"),
        (["audit", "digits", "--threads", "0"], "0 is not a count"),
        (["audit", "digits", "--seed", "-1"], "--seed"),
        (["audit", "digits", "--limit", "none"], "--limit"),
        (["audit", "digits", "--plant", "ghosts=0.1"], "'ghosts=0.1' is not KIND=SHARE"),
        (["audit", "digits", "--plant", "outliers"], "'outliers' is not KIND=SHARE"),
        (["audit", "digits", "--plant", "outliers=2"], "'outliers=2' is not KIND=SHARE"),
        (["audit", "digits", "--plant", "outliers=0.1,"], "'' is not KIND=SHARE"),
        (["influence", "digits", "--draws", "3"], "3 cannot be halved"),
        (["train", "digits", "--device", "gpu"], "'gpu' is no device"),
        (["copying", "x", "--device", "cuda:"], "'cuda:' is no device"),
        (
            ["memorization", "digits", "--model", "knn", "--device", "cuda"],
            "--device cuda does not apply to --model knn",
        ),
        (["memorization", "digits", "--folds", "1"], "--folds"),
        (["nonsense"], "nonsense"),
    ],
)
def test_wrong_usage_is_exit_code_2(
    words: list[str], said: str, invoke: Callable[..., Any]
) -> None:
    got = invoke(*words)
    assert got.exit_code == 2
    assert said in " ".join(got.output.split())
    assert "Traceback" not in got.output


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["audit", "nosuch"], "genmem audit: load: 'nosuch' is neither a known data set"),
        (["audit", "digits", "--limit", "1"], "digits has 1 rows; at least 20 are wanted"),
        (["report", "nosuch"], "genmem report: report: nosuch is not a directory"),
        (["influence", "digits", "--run", "nosuch"], "nosuch is not a run directory"),
    ],
)
def test_a_failure_is_one_line_and_exit_code_1(
    words: list[str], said: str, invoke: Callable[..., Any], tmp_path: Any, monkeypatch: Any
) -> None:
    monkeypatch.chdir(tmp_path)
    got = invoke(*words)
    assert got.exit_code == 1
    assert said in got.stderr
    assert len(got.stderr.splitlines()) == 1
    assert got.stdout == ""


def test_debug_shows_where_it_failed(invoke: Callable[..., Any]) -> None:
    got = invoke("audit", "nosuch", "--debug")
    assert got.exit_code == 1
    assert isinstance(got.exception, DataError)


def test_an_error_that_is_no_sentence_is_named(
    invoke: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise KeyError("x")

    monkeypatch.setattr("genmem.datasets.load", fail)
    got = invoke("audit", "digits")
    assert (got.exit_code, got.stderr) == (1, "genmem audit: KeyError: 'x'\n")


def test_ctrl_c_says_how_to_go_on(
    invoke: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("genmem.datasets.load", interrupt)
    got = invoke("audit", "digits")
    assert (got.exit_code, got.stderr) == (1, "stopped; the same command goes on from here\n")


def test_config_prints_lines_or_json(invoke: Callable[..., Any]) -> None:
    import json

    import genmem

    got = invoke("config", "--json")
    assert got.exit_code == 0
    assert json.loads(got.stdout)["auto"] == genmem.config()["auto"]
    assert "threads" in invoke("config").stdout


def test_help_does_not_load_torch() -> None:
    code = (
        "import sys; from genmem.cli import app; import typer.testing as t\n"
        "assert t.CliRunner().invoke(app, ['audit', '--help']).exit_code == 0\n"
        "print([m for m in ('torch', 'sklearn', 'matplotlib', 'pandas') if m in sys.modules])"
    )
    environment = {**os.environ, "COLUMNS": "120"}
    got = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=True
    )
    assert got.stdout == "[]\n"
