"""The study of influence end to end, on a few digits and images that are none."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from genmem import Recipe, datasets
from genmem.datasets import Dataset
from genmem.errors import RunMismatchError
from genmem.studies.influence_study import Sizes, influence_study, joined

SIZES = Sizes(queries=12, k=3, draws=2)
RECIPE = Recipe(latent=4, hidden=(32,), epochs=6, batch=32, lr=3e-3, checkpoints=(2, 4))


@pytest.fixture(scope="module")
def sets() -> tuple[Dataset, Dataset, Dataset]:
    digits = datasets.load("digits")
    rng = np.random.default_rng(0)
    high = digits.value_range[1]
    foreign = rng.choice([0.0, high], (20, *digits.shape)).astype(digits.x.dtype)
    noise = Dataset("noise", foreign, value_range=digits.value_range)
    return digits.take(np.arange(300)), digits.take(np.arange(300, 400)), noise


@pytest.fixture(scope="module")
def done(
    sets: tuple[Dataset, Dataset, Dataset], tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, dict]:
    out = tmp_path_factory.mktemp("study")
    return out, influence_study(*sets, RECIPE, out, sizes=SIZES, threads=1)


def test_every_check_has_its_interval(done: tuple[Path, dict]) -> None:
    _, summary = done
    checks = summary["checks"]
    sides = [
        f"{side}{end}" for side in ("proponents", "opponents") for end in ("", "_k", "_cosine")
    ]
    for name in ("own_top", "own_top_cosine", *sides):
        assert checks[name]["lower"] <= checks[name]["value"] <= checks[name]["upper"]
        assert 0 < checks[name]["chance"] < 1
        assert checks[name]["n"] == 12
    for name in ("r2", "rank_correlation", "auc", "area"):
        assert checks[name]["lower"] <= checks[name]["value"] <= checks[name]["upper"]
    assert checks["auc"]["value"] > 0.9  # black and white noise is like no digit
    assert checks["area"]["chance"] < checks["area"]["value"] <= checks["area"]["best"]


def test_tables(done: tuple[Path, dict], sets: tuple[Dataset, Dataset, Dataset]) -> None:
    out, _ = done
    train, test, _ = sets
    table = pd.read_parquet(out / "influence/proponents.parquet")
    assert 12 * 3 <= len(table) <= 12 * 2 * 3  # a side holds scores of its sign
    first = table.iloc[0]
    assert first["index"] == test.index[0]
    assert first["label"] == test.y[0]
    row = int(np.flatnonzero(train.index == first["train_index"])[0])
    assert first["train_label"] == train.y[row]
    gap = train.unit([row]).astype(float) - test.unit([0])
    assert abs(first["distance"] - np.sqrt((gap**2).sum())) < 1e-12
    for (_, side), rows in table.groupby(["index", "side"]):
        ordered = rows.sort_values("rank")["score"].abs()
        assert ordered.is_monotonic_decreasing
        assert (rows["score"] > 0).all() == (side == "proponent")
    own = pd.read_parquet(out / "scores/self_influence.parquet")
    assert len(own) == 300
    assert (own["self_influence"] > 0).all()


def test_run_again_it_does_nothing(
    done: tuple[Path, dict], sets: tuple[Dataset, Dataset, Dataset]
) -> None:
    out, summary = done
    times = {path: path.stat().st_mtime_ns for path in out.rglob("*") if path.is_file()}
    assert influence_study(*sets, RECIPE, out, sizes=SIZES, threads=1) == summary
    assert {path: path.stat().st_mtime_ns for path in out.rglob("*") if path.is_file()} == times
    with pytest.raises(RunMismatchError):
        influence_study(*sets, RECIPE.replace(lr=1e-3), out, sizes=SIZES)
    assert json.loads((out / "summary.json").read_text())["title"] == "Influence in digits"


def test_joined_sets_keep_their_values(sets: tuple[Dataset, Dataset, Dataset]) -> None:
    train, _, noise = sets
    both = joined(train, noise)
    assert len(both) == 320
    assert len(set(both.index.tolist())) == 320
    assert (both.unit() == np.concatenate([train.unit(), noise.unit()])).all()


def test_refusals(sets: tuple[Dataset, Dataset, Dataset], tmp_path: Path) -> None:
    train, test, noise = sets
    with pytest.raises(ValueError, match="no labels"):
        influence_study(noise, test, None, RECIPE, tmp_path)
    with pytest.raises(ValueError, match="draws is 3"):
        influence_study(train, test, None, RECIPE, tmp_path, sizes=Sizes(draws=3))
    odd = Dataset("odd", np.zeros((3, 5), np.uint8), y=np.zeros(3, np.int64))
    with pytest.raises(ValueError, match="shape"):
        influence_study(train, odd, None, RECIPE, tmp_path)
