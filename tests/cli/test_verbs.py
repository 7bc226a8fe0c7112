import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from genmem.cli import app
from genmem.datasets import load
from genmem.influence import TracIn
from genmem.memorization import MemorizationScores, cross_validate
from genmem.studies.presets import preset
from genmem.training import Run

SMOKE = ["--preset", "smoke", "--limit", "60"]
DATA = load("digits", limit=60)


def invoke(*words: str) -> Any:
    return CliRunner().invoke(app, list(words))


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("train") / "run"
    got = invoke("train", "digits", *SMOKE, "--objective", "iwae", "--out", str(out))
    assert got.exit_code == 0, got.output
    return out


def test_train_keeps_a_run_of_the_preset(trained: Path) -> None:
    run = Run.load(trained)
    assert run.recipe == preset("smoke", DATA).recipes["iwae"].replace(checkpoints=(1, 2))
    got = invoke("train", "digits", *SMOKE, "--objective", "iwae", "--out", str(trained))
    assert f"{run.history['train_loss'][-1]:.3f} nats per sample" in got.stdout
    assert "checkpoints after epochs 1, 2: " in got.stdout


def test_train_takes_what_was_asked_for(tmp_path: Path) -> None:
    words = ["--epochs", "3", "--latent", "2", "--lr", "0.01", "--seed", "4"]
    got = invoke("train", "digits", *SMOKE, *words, "--out", str(tmp_path))
    assert got.exit_code == 0, got.output
    recipe = Run.load(tmp_path).recipe
    assert (recipe.epochs, recipe.latent, recipe.lr, recipe.seed) == (3, 2, 0.01, 4)


def test_train_gives_the_model_the_labels(tmp_path: Path) -> None:
    got = invoke("train", "digits", *SMOKE, "--conditional", "--out", str(tmp_path / "run"))
    assert got.exit_code == 0, got.output
    assert "digits: mlp-vae, given the labels, elbo" in got.stdout
    run = Run.load(tmp_path / "run")
    assert run.recipe == preset("smoke", DATA).recipes["elbo"].replace(
        checkpoints=(1, 2), conditional=True
    )
    words = ["--run", str(tmp_path / "run"), "--draws", "2", "--generated", "2"]
    got = invoke("influence", "digits", *SMOKE, *words, "--out", str(tmp_path / "traced"))
    assert got.exit_code == 0, got.output
    own = pd.read_parquet(tmp_path / "traced/scores/self_influence.parquet")["self_influence"]
    assert (np.abs(own - TracIn(run, draws=2).self_influence(DATA)) <= 1e-12).all()
    np.savez(tmp_path / "unlabelled.npz", x=DATA.x)
    words = [str(tmp_path / "unlabelled.npz"), *SMOKE, "--conditional"]
    got = invoke("train", *words, "--out", str(tmp_path / "other"))
    assert got.exit_code == 1
    assert "wants a label for every sample, and unlabelled has none" in got.stderr


def test_train_refuses_a_bad_value_in_one_line(tmp_path: Path) -> None:
    got = invoke("train", "digits", *SMOKE, "--lr", "-1", "--out", str(tmp_path))
    assert got.exit_code == 1
    assert got.stderr == "genmem train: Recipe: lr is -1.0; more than 0 is wanted\n"


def test_default_directory_is_named_after_the_data(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert invoke("train", "digits", *SMOKE).exit_code == 0
    assert Run.load("genmem-digits-smoke-elbo").data_name == "digits"


@pytest.fixture
def threads(monkeypatch: pytest.MonkeyPatch) -> None:
    """Workers of this process: the pool of processes has tests of its own."""
    from concurrent.futures import ThreadPoolExecutor

    monkeypatch.setattr("genmem.studies.executors.processes", lambda _: ThreadPoolExecutor(1))


@pytest.mark.usefixtures("threads")
@pytest.mark.parametrize("model", ["elbo", "knn", "gmm"])
def test_memorization_is_cross_validate(model: str, tmp_path: Path) -> None:
    from genmem.studies.comparison import learner

    words = ["--model", model, "--folds", "4", "--repeats", "2", "--out", str(tmp_path)]
    got = invoke("memorization", "digits", *SMOKE, *words)
    assert got.exit_code == 0, got.output
    want = cross_validate(learner(model, DATA, preset("smoke", DATA), 0), DATA, 4, 2)
    scores = MemorizationScores.load(tmp_path / "scores/memorization.parquet")
    assert (scores.score == want.score).all()
    most = int(np.argmax(want.score))
    assert f"sample {most} " in got.stdout.splitlines()[2]
    assert "warning: two repeats" in got.stdout


@pytest.mark.usefixtures("threads")
def test_memorization_of_a_density_has_no_epochs(tmp_path: Path) -> None:
    words = ["--model", "knn", "--epochs", "3", "--out", str(tmp_path)]
    got = invoke("memorization", "digits", *SMOKE, *words)
    assert got.exit_code == 2
    assert "do not apply to --model knn" in " ".join(got.stderr.replace("│", " ").split())
    words = ["--model", "knn", "--conditional", "--out", str(tmp_path)]
    assert invoke("memorization", "digits", *SMOKE, *words).exit_code == 2


@pytest.fixture(scope="module")
def traced(trained: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Any]:
    out = tmp_path_factory.mktemp("influence")
    words = ["--run", str(trained), "--draws", "2", "--samples", "7,3", "--top", "4"]
    return out, invoke("influence", "digits", *SMOKE, *words, "--out", str(out))


def test_influence_is_tracin(traced: tuple[Path, Any], trained: Path) -> None:
    out, got = traced
    assert got.exit_code == 0, got.output
    tracin = TracIn(Run.load(trained), draws=2)
    own = pd.read_parquet(out / "scores/self_influence.parquet")
    assert (np.abs(own["self_influence"] - tracin.self_influence(DATA)) <= 1e-12).all()
    row = tracin.influence(DATA.take([7]), DATA)[0]
    table = pd.read_parquet(out / "influence/proponents.parquet")
    mine = table[(table["index"] == 7) & (table["side"] == "proponent")]
    want = np.argsort(-row, kind="stable")[:4]
    assert mine["train_index"].tolist() == want.tolist()
    assert got.stdout.splitlines()[1].startswith("7 ")
    assert ", ".join(map(str, want)) in got.stdout


def test_influence_on_generated_samples(trained: Path, tmp_path: Path) -> None:
    from genmem.ledger import read_unit

    words = ["--run", str(trained), "--draws", "2", "--samples", "7", "--top", "2"]
    got = invoke("influence", "digits", *SMOKE, *words, "--generated", "5", "--out", str(tmp_path))
    assert got.exit_code == 0, got.output
    found = TracIn(Run.load(trained), draws=2).influence_on_generated(5, DATA)
    overall = pd.read_parquet(tmp_path / "scores/generated_influence.parquet")
    np.testing.assert_allclose(overall["influence"], found.overall, rtol=1e-5, atol=1e-9)
    np.testing.assert_allclose(overall["error"], found.error, rtol=1e-5, atol=1e-9)
    table = pd.read_parquet(tmp_path / "influence/generated.parquet")
    mine = table[(table["index"] == 3) & (table["side"] == "proponent")]
    want = np.argsort(-found.scores[3], kind="stable")[:2]
    assert mine["train_index"].tolist() == DATA.index[want].tolist()
    assert read_unit(tmp_path / "generated.safetensors")[0]["pixels"].shape == (5, 1, 8, 8)
    most = DATA.index[np.argmax(found.overall)]
    assert "5 generated samples: training samples that raise and lower" in got.stdout
    assert f"raise: {most} (" in got.stdout


def test_influence_does_not_trace_twice(traced: tuple[Path, Any], trained: Path) -> None:
    out, _ = traced
    before = (out / "scores/self_influence.parquet").stat().st_mtime_ns
    words = ["--run", str(trained), "--draws", "2", "--out", str(out)]
    got = invoke("influence", "digits", *SMOKE, *words)
    assert got.exit_code == 0, got.output
    assert len(got.stdout.splitlines()) == 12
    assert (out / "scores/self_influence.parquet").stat().st_mtime_ns == before


def test_influence_of_a_moved_run_goes_on_and_of_another_training_is_refused(
    traced: tuple[Path, Any], trained: Path, tmp_path: Path
) -> None:
    """A run is its weights, not its path."""
    out, _ = traced
    moved = shutil.copytree(trained, tmp_path / "moved")
    words = ["--draws", "2", "--out", str(out), "--run"]
    assert invoke("influence", "digits", *SMOKE, *words, str(moved)).exit_code == 0
    shutil.rmtree(moved)
    assert invoke("train", "digits", *SMOKE, "--lr", "1e-4", "--out", str(moved)).exit_code == 0
    got = invoke("influence", "digits", *SMOKE, *words, str(moved))
    assert got.exit_code == 1
    assert "influence.run.recipe.lr" in got.stderr
    assert "influence.run.weights" in got.stderr


def test_influence_trains_where_there_is_no_run(tmp_path: Path) -> None:
    got = invoke("influence", "digits", *SMOKE, "--draws", "2", "--out", str(tmp_path))
    assert got.exit_code == 0, got.output
    assert Run.load(tmp_path / "model").recipe == preset("smoke", DATA).recipes["elbo"]


@pytest.mark.parametrize(
    ("samples", "said"),
    [
        ("7,x", "'7,x' is not a list of whole numbers"),
        ("60", "digits has no sample 60"),
        ("3,3", "would list a sample twice"),
    ],
)
def test_influence_names_a_bad_sample(samples: str, said: str, tmp_path: Path) -> None:
    got = invoke("influence", "digits", *SMOKE, "--samples", samples, "--out", str(tmp_path))
    assert got.exit_code == 2
    assert said in " ".join(got.stderr.split())
    assert not list(tmp_path.iterdir())


def test_influence_of_another_data_set_is_refused(trained: Path, tmp_path: Path) -> None:
    words = ["--preset", "smoke", "--limit", "59", "--run", str(trained), "--out", str(tmp_path)]
    got = invoke("influence", "digits", *words)
    assert got.exit_code == 1
    assert "was trained on data with fingerprint" in got.stderr


@pytest.mark.parametrize("verb", ["train", "memorization", "influence", "audit"])
def test_a_folder_that_cannot_be_written_is_named(
    verb: str, tmp_path: Path, threads: Callable[..., Any]
) -> None:
    place = tmp_path / "file"
    place.write_text("in the way")
    got = invoke(verb, "digits", *SMOKE, "--out", str(place))
    assert got.exit_code == 1
    assert str(place) in got.stderr.replace("\n", "")
    assert "Traceback" not in got.output


def test_data_that_are_not_numbers_are_named(tmp_path: Path) -> None:
    x = np.random.default_rng(0).random((40, 1, 4, 4))
    x[3, 0, 1, 1] = np.nan
    np.savez(tmp_path / "bad.npz", x=x)
    got = invoke("audit", str(tmp_path / "bad.npz"), "--preset", "smoke")
    assert got.exit_code == 1
    assert len(got.stderr.splitlines()) == 1
    assert "3" in got.stderr
    assert "nan" in got.stderr.lower()
