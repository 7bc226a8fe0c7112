"""What a run offers to a copying test: which rows are held out, and on what scale they are."""

from pathlib import Path

import numpy as np
import pytest

from genmem.datasets import Dataset, load
from genmem.errors import DataError, RunMismatchError
from genmem.studies.copying_sets import matched, model_directory, pictures, trained_models
from genmem.training import Recipe, train

DATA = load("digits", limit=60)
RECIPE = Recipe(hidden=(16,), latent=2, epochs=2, checkpoints=(1,), eval_draws=2)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("whole") / "run"
    train(RECIPE, DATA, out)
    return out


def test_a_test_set_is_taken_as_it_is(whole: Path, tmp_path: Path) -> None:
    other = load("digits").take(np.arange(100, 130))
    (found,) = trained_models(whole, DATA, other, out=tmp_path, splits=3, wanted=3, seed=0)
    assert (found.test == other.unit()).all()
    assert (found.train == DATA.unit()).all()
    assert (found.positions == np.arange(60)).all()
    assert "30 samples of its own" in found.heldout
    assert not list(tmp_path.iterdir())


def test_rows_that_a_run_did_not_see_are_held_out(tmp_path: Path) -> None:
    rows = np.arange(0, 60, 2)
    train(RECIPE, DATA, tmp_path / "run", rows=rows)
    (found,) = trained_models(
        tmp_path / "run", DATA, None, out=tmp_path / "out", splits=3, wanted=3, seed=0
    )
    assert (found.positions == rows).all()
    assert (found.test == DATA.unit(np.arange(1, 60, 2))).all()


def test_folds_are_kept_from_models_of_the_same_recipe(whole: Path, tmp_path: Path) -> None:
    seen: list[tuple[str, int, int]] = []
    found = trained_models(
        whole, DATA, None, out=tmp_path, splits=4, wanted=2, seed=1,
        progress=lambda *step: seen.append(step),
    )  # fmt: skip
    assert len(found) == 2
    for number, one in enumerate(found):
        outer = np.setdiff1d(np.arange(60), one.positions)
        assert len(outer) == 15
        assert (one.test == DATA.unit(outer)).all()
        assert one.run.recipe == RECIPE.replace(checkpoints=())
        assert (tmp_path / f"models/split_{number}/history.safetensors").is_file()
    assert len(np.intersect1d(*(np.setdiff1d(np.arange(60), one.positions) for one in found))) == 0
    assert seen[-1] == ("train", 4, 4)
    again = trained_models(whole, DATA, None, out=tmp_path, splits=4, wanted=2, seed=1)
    assert (again[0].generated(5, 3) == found[0].generated(5, 3)).all()
    assert (found[0].generated(5, 3) != found[0].generated(5, 4)).any()


def test_thresholded_models_are_given_thresholded_samples() -> None:
    plain = pictures(RECIPE, DATA, np.arange(5))
    assert (plain == DATA.unit(np.arange(5))).all()
    cut = pictures(RECIPE.replace(binarize="threshold"), DATA, np.arange(5))
    assert (cut == (plain > 0.5)).all()
    drawn = pictures(RECIPE.replace(binarize="sample"), DATA, np.arange(5))
    assert (drawn == plain).all()


def test_at_most_so_many_held_out_rows(whole: Path, tmp_path: Path) -> None:
    other = load("digits").take(np.arange(100, 130))
    (found,) = trained_models(whole, DATA, other, out=tmp_path, splits=2, wanted=2, seed=0)
    assert (matched(found, 50, 0) == np.arange(30)).all()
    assert len(np.unique(matched(found, 10, 0))) == 10
    assert (matched(found, 10, 0) != matched(found, 10, 1)).any()


def test_refusals(whole: Path, tmp_path: Path) -> None:
    with pytest.raises(RunMismatchError, match="was made of digits with fingerprint"):
        trained_models(whole, load("digits", limit=59), None, out=tmp_path, splits=2, wanted=1,
                       seed=0)  # fmt: skip
    flat = Dataset("flat", np.zeros((4, 64), np.uint8), value_range=(0, 16))
    with pytest.raises(ValueError, match=r"held-out samples have shape \(64,\), digits has \(1, 8"):
        trained_models(whole, DATA, flat, out=tmp_path, splits=2, wanted=1, seed=0)
    with pytest.raises(FileNotFoundError, match="is not a run directory"):
        model_directory(tmp_path)
    (tmp_path / "recipe.toml").write_text('[recipe]\nobjective = "elbo"\n')
    with pytest.raises(DataError, match="holds no trained model; a directory that `genmem train`"):
        model_directory(tmp_path)


def test_an_audit_is_told_by_its_reported_model(whole: Path, tmp_path: Path) -> None:
    (tmp_path / "recipe.toml").write_text('[audit]\nseed = 0\n[recipe]\nobjective = "beta"\n')
    (tmp_path / "models").mkdir()
    (tmp_path / "models/beta").symlink_to(whole)
    assert model_directory(tmp_path) == tmp_path / "models/beta"
    assert model_directory(whole) == whole
