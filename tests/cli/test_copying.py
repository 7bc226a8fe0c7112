"""genmem copying: a run with and without scores, three sets by name or file, what is refused."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from genmem.cli import app
from genmem.copying import examine
from genmem.datasets import load
from genmem.datasets.npz import save

SMOKE = ["--preset", "smoke", "--threads", "1"]


def invoke(*words: str) -> Any:
    return CliRunner(env={"COLUMNS": "160"}).invoke(app, list(words))


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("copying") / "run"
    got = invoke("train", "digits", "--limit", "120", *SMOKE, "--out", str(out))
    assert got.exit_code == 0, got.output
    return out


@pytest.fixture(scope="module")
def scored(trained: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run directory with a training and memorization scores, as an audit leaves them."""
    import shutil

    out = tmp_path_factory.mktemp("scored") / "run"
    inner = out / "memorization" / "elbo"
    words = ["--model", "knn", "--folds", "3", "--repeats", "2", "--out", str(inner)]
    got = invoke("memorization", "digits", "--limit", "120", *SMOKE, *words)
    assert got.exit_code == 0, got.output
    shutil.copytree(inner / "scores", out / "scores")
    data = '[data]\nname = "digits"\nn = 120\n'
    (out / "recipe.toml").write_text(f'[audit]\nseed = 0\n{data}[recipe]\nobjective = "elbo"\n')
    shutil.copytree(trained, out / "models" / "elbo")
    return out


def test_a_run_without_held_out_rows_trains_a_model_of_its_recipe(trained: Path) -> None:
    got = invoke("copying", str(trained), *SMOKE)
    assert got.exit_code == 0, got.output
    place = trained / "copying"
    summary = json.loads((place / "summary.json").read_text())
    assert summary["counts"] == {"train": 60, "test": 60, "generated": 60}
    assert "kept from a model of the same recipe" in summary["sets"]["test"]
    assert summary["memorization"] is None
    for row in summary["table"]:
        assert row["short"].split(" ")[0] in got.stdout
    assert "note: generated samples are means of the decoder" in got.stdout
    assert got.stdout.splitlines()[-1] == f"tables: {place}"
    made = pd.read_parquet(place / "scores/copying.parquet")
    assert made["index"].tolist() == list(range(60))
    assert {"nearest", "distance", "calibrated_distance", "third_ratio"} <= set(made.columns)
    ratio = pd.read_parquet(place / "scores/nearest_ratio.parquet")
    assert len(ratio) == 60
    again = invoke("copying", str(trained), *SMOKE)
    assert again.stdout == got.stdout
    assert "tests: done" in again.stderr


def test_scores_of_a_run_are_related_to_rho(scored: Path) -> None:
    got = invoke("copying", str(scored), *SMOKE)
    assert got.exit_code == 0, got.output
    assert "rank correlation of log rho with M: " in got.stdout
    summary = json.loads((scored / "copying/summary.json").read_text())
    found = summary["memorization"]
    assert found["models"] == 2
    assert found["correlation"]["n"] + found["left_out"] == 120
    assert -1 <= found["score_reliability"] <= 1
    table = pd.read_parquet(scored / "copying/scores/rho_and_memorization.parquet")
    assert table["index"].tolist() == list(range(120))
    assert table["times"].tolist() == [2] * 120


def test_scores_made_anew_are_related_anew(scored: Path) -> None:
    assert invoke("copying", str(scored), *SMOKE).exit_code == 0
    before = json.loads((scored / "copying/summary.json").read_text())["memorization"]
    from dataclasses import replace

    from genmem.memorization import MemorizationScores

    path = scored / "scores/memorization.parquet"
    kept = path.read_bytes()
    scores = MemorizationScores.load(path)
    replace(scores, score=-scores.score).save(path)
    assert invoke("copying", str(scored), *SMOKE).exit_code == 0
    after = json.loads((scored / "copying/summary.json").read_text())["memorization"]
    path.write_bytes(kept)
    assert np.isclose(after["correlation"]["value"], -before["correlation"]["value"])


def test_three_sets_by_file(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    sets = [random.random((n, 1, 4, 4)).astype(np.float32) for n in (80, 40, 50)]
    for name, x in zip(("a", "b", "c"), sets, strict=True):
        np.save(tmp_path / f"{name}.npy", x)
    words = [f"--{option}={tmp_path / name}.npy" for option, name in
             (("train", "a"), ("test", "b"), ("generated", "c"))]  # fmt: skip
    got = invoke("copying", *words, *SMOKE, "--out", str(tmp_path / "out"), "--seed", "3")
    assert got.exit_code == 0, got.output
    summary = json.loads((tmp_path / "out/summary.json").read_text())
    many = {"permutations": 99}
    want = examine(
        *sets, seed=3, resamples=100, threads=1, nearest_ratio=many, likelihood_divergence=many
    )
    assert summary["tests"] == [one.summary() for one in want.values()]
    assert summary["notes"] == []
    other = invoke("copying", *words, *SMOKE, "--out", str(tmp_path / "out"))
    assert other.exit_code == 1
    assert "copying.seed: 3 there, 0 now" in other.stderr


def test_bytes_and_floats_are_brought_to_one_scale(tmp_path: Path) -> None:
    digits = load("digits", limit=150)
    save(tmp_path / "train.npz", digits.take(np.arange(100)))
    np.save(tmp_path / "test.npy", digits.unit(np.arange(100, 150)))
    np.save(tmp_path / "copies.npy", digits.unit(np.arange(30)))
    words = ["--train", str(tmp_path / "train.npz"), "--test", str(tmp_path / "test.npy"),
             "--generated", str(tmp_path / "copies.npy")]  # fmt: skip
    got = invoke("copying", *words, *SMOKE, "--out", str(tmp_path / "out"))
    assert got.exit_code == 0, got.output
    assert "exact copies among the generated samples: 30" in got.stdout
    np.save(tmp_path / "copies.npy", 255 * digits.unit(np.arange(30)))
    got = invoke("copying", *words, *SMOKE, "--out", str(tmp_path / "other"))
    assert got.exit_code == 1
    assert "set 3 holds numbers in 0..255 beside bytes" in got.stderr


def test_named_sets(tmp_path: Path) -> None:
    save(tmp_path / "some.npz", load("digits", limit=90))
    words = ["--test", "digits", "--generated", str(tmp_path / "some.npz"), "--features", "pca"]
    train = ["--train", str(tmp_path / "some.npz")]
    got = invoke("copying", *train, *words, *SMOKE, "--out", str(tmp_path / "out"))
    assert got.exit_code == 0, got.output
    summary = json.loads((tmp_path / "out/summary.json").read_text())
    assert summary["counts"]["test"] == 1797
    assert summary["sets"]["test"] == "digits, held-out samples"
    assert summary["tests"][0]["copies"] == 90


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "RUN or --train: exactly one of them is wanted"),
        (["RUN", "--train", "digits"], "RUN or --train: exactly one of them is wanted"),
        (["--train", "digits"], "--train: --test and --generated are wanted"),
        (["RUN", "--generated", "digits"], "--generated: the model of RUN generates"),
        (["RUN", "--features", "inception"], "'inception' is not one of"),
        (["RUN", "--preset", "huge"], "'huge' is not one of"),
    ],
)
def test_wrong_usage(words: list[str], said: str) -> None:
    got = invoke("copying", *words)
    assert got.exit_code == 2
    assert said in " ".join(got.output.replace("│", " ").split())


def test_failures_are_one_line(trained: Path, tmp_path: Path) -> None:
    got = invoke("copying", str(tmp_path))
    assert got.exit_code == 1
    assert "is not a run directory" in got.stderr
    save(tmp_path / "other.npz", load("digits").take(np.arange(120, 240)))
    got = invoke("copying", str(trained), "--data", str(tmp_path / "other.npz"), *SMOKE)
    assert got.exit_code == 1
    assert "was made of digits with fingerprint" in got.stderr
    (tmp_path / "recipe.toml").write_text('[data]\nname = "nosuch"\nn = 5\n')
    got = invoke("copying", str(tmp_path))
    assert got.exit_code == 1
    assert "give the samples with --data" in got.stderr
    assert len(got.stderr.splitlines()) == 1


def test_help_says_where_defaults_come_from() -> None:
    text = " ".join(invoke("copying", "--help").stdout.split())
    for option in ("--out", "--seed", "--threads", "--preset", "--debug", "--features", "--train"):
        assert option in text
    assert "default: RUN/copying" in text.replace("│ │ ", "")
