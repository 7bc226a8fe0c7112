"""genmem influence RUN: held-out samples by name, what is written, what is refused."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from genmem.cli import app
from genmem.datasets import load
from genmem.datasets.npz import save
from genmem.influence import TracIn
from genmem.training import Run

SMOKE = ["--preset", "smoke", "--threads", "1"]


def invoke(*words: str) -> Any:
    return CliRunner(env={"COLUMNS": "200"}).invoke(app, list(words))


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("influence") / "run"
    got = invoke("train", "digits", "--limit", "120", *SMOKE, "--out", str(out))
    assert got.exit_code == 0, got.output
    return out


@pytest.fixture(scope="module")
def unseen(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("unseen") / "unseen.npz"
    save(path, load("digits").take(np.arange(200, 230)))
    return path


def test_the_table_is_tracin(trained: Path, unseen: Path) -> None:
    words = ["--test", str(unseen), "--samples", "203,201", "--k", "4", "--draws", "2"]
    got = invoke("influence", str(trained), *words, "--threads", "1")
    assert got.exit_code == 0, got.output
    train, test = load("digits").take(np.arange(120)), load(str(unseen))
    table = pd.read_parquet(trained / "influence/heldout.parquet")
    assert table["index"].unique().tolist() == [203, 201]
    scores = TracIn(Run.load(trained), draws=2).influence(test.take([3, 1]), train)
    for row, name in enumerate((203, 201)):
        own = table[(table["index"] == name) & (table["side"] == "proponent")]
        order = np.argsort(-scores[row], kind="stable")[:4]
        assert own["train_index"].tolist() == train.index[order].tolist()
        np.testing.assert_allclose(own["score"], scores[row, order], rtol=1e-5)
        assert (own["train_label"] == train.y[order]).all()
        assert (own["label"] == test.y[[3, 1][row]]).all()
        gap = train.unit(order).astype(float) - test.unit([[3, 1][row]])
        distances = np.sqrt((gap**2).reshape(4, -1).sum(axis=1))
        np.testing.assert_allclose(own["distance"], distances, rtol=1e-12)
        first = f"{train.index[order[0]]} ({scores[row, order[0]]:.3g}"
        assert f"  proponents: {first}" in got.stdout
    asked = json.loads((trained / "influence/heldout.json").read_text())
    assert (asked["queries"], asked["k"], asked["draws"]) == (2, 4, 2)


def test_without_names_the_first_are_traced(trained: Path, unseen: Path) -> None:
    words = ["--test", str(unseen), "--draws", "2", "--threads", "1"]
    got = invoke("influence", str(trained), *words)
    assert got.exit_code == 0, got.output
    table = pd.read_parquet(trained / "influence/heldout.parquet")
    assert table["index"].unique().tolist() == list(range(200, 216))
    assert table["rank"].max() == 5


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["{run}"], "digits has no test split"),
        (["{run}", "--test", "{unseen}", "--samples", "5"], "has no sample 5"),
        (["{run}", "--limit", "5"], "are for DATA"),
        (["{run}", "--preset", "paper"], "are for DATA"),
        (["digits", "--test", "{unseen}"], "are for a RUN"),
    ],
)
def test_refusals(trained: Path, unseen: Path, words: list[str], said: str) -> None:
    given = [word.format(run=trained, unseen=unseen) for word in words]
    got = invoke("influence", *given, "--draws", "2")
    assert got.exit_code == 2
    assert said in " ".join(got.stderr.replace("│", " ").split())


def test_other_samples_than_those_of_the_run(trained: Path, unseen: Path) -> None:
    words = ["--data", str(unseen), "--test", str(unseen), "--draws", "2"]
    got = invoke("influence", str(trained), *words)
    assert got.exit_code == 1
    assert "fingerprint" in got.stderr
