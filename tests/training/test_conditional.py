"""Training, scoring and sampling of p(x | y)."""

import importlib
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch

from genmem.datasets import Dataset
from genmem.errors import DataError, RunMismatchError
from genmem.models import ConditionalVAE
from genmem.objectives import log_marginal
from genmem.training import Inputs, Recipe, Run, log_prob, train
from genmem.training.seeds import evaluation_noise


@pytest.fixture
def recipe(recipe: Recipe) -> Recipe:
    return recipe.replace(conditional=True)


@pytest.fixture
def data(data: Dataset) -> Dataset:
    """Bars, and whether each lies across."""
    return Dataset("bars", data.x, y=across(data.x).astype(np.int64))


def across(images: npt.NDArray[Any]) -> npt.NDArray[np.bool_]:
    """Whether the brightest line of each image (n, 1, 8, 8) is a row."""
    lines = images[:, 0]
    return lines.mean(2).max(1) > lines.mean(1).max(1)


def same(a: Run, b: Run) -> bool:
    return all(
        x.facts() == y.facts()
        and all(torch.equal(value, y.state()[name]) for name, value in x.state().items())
        for x, y in zip(a.checkpoints, b.checkpoints, strict=True)
    )


def test_inputs_carry_the_labels(data: Dataset, recipe: Recipe) -> None:
    inputs, rows = Inputs(recipe, data), np.array([9, 3, 3])
    x, labels = inputs.batch(rows)
    assert torch.equal(x, Inputs(recipe.replace(conditional=False), data).batch(rows))
    assert torch.equal(x, inputs.samples(rows))
    assert labels.tolist() == data.y[rows].tolist()
    assert inputs.classes == 2
    named = Dataset("bars", data.x, y=data.y, classes=("upright", "across", "neither"))
    assert Inputs(recipe, named).classes == 3


def test_a_sample_is_likelier_under_its_own_label(data: Dataset, recipe: Recipe) -> None:
    run = train(recipe.replace(epochs=40), data)
    assert isinstance(run.model(), ConditionalVAE)
    right = run.log_prob(data).log_p
    wrong = run.log_prob(Dataset("bars", data.x, y=1 - data.y)).log_p
    assert right.mean() > wrong.mean() + 2


def test_log_prob_is_the_log_marginal_of_keyed_noise(data: Dataset, recipe: Recipe) -> None:
    run, rows = train(recipe, data), np.array([4, 60, 7])
    found = run.log_prob(data, rows, draws=9)
    noise = torch.from_numpy(evaluation_noise(0, rows, 9, 2))
    want = log_marginal(run.model(), Inputs(recipe, data).batch(rows), noise)
    assert (found.log_p == want.log_p).all()
    assert (run.log_prob(data, draws=9).log_p[rows] == found.log_p).all()
    assert (run.log_prob(data.take(rows), draws=9).log_p == found.log_p).all()


def test_samples_have_the_labels_that_were_asked_for(data: Dataset, recipe: Recipe) -> None:
    run = train(recipe.replace(epochs=40), data)
    for label in (0, 1):
        asked = run.sample(20, seed=1, labels=np.full(20, label))
        assert (across(asked) == bool(label)).mean() >= 0.8
    drawn = run.sample_labels(30, seed=1)
    assert np.array_equal(run.sample(30, seed=1), run.sample(30, seed=1, labels=drawn))
    assert np.array_equal(run.sample(30, seed=1)[:7], run.sample(7, seed=1))
    assert np.array_equal(run.sample_labels(7, seed=1), drawn[:7])
    assert not np.array_equal(run.sample_labels(30, seed=2), drawn)


def test_labels_are_drawn_as_often_as_they_were_trained(data: Dataset, recipe: Recipe) -> None:
    y = np.repeat([1, 3, 4], [35, 7, 28])
    run = train(recipe.replace(epochs=1, checkpoints=()), Dataset("bars", data.x, y=y))
    assert run.class_counts.tolist() == [0, 35, 0, 7, 28]
    share = np.bincount(run.sample_labels(20_000), minlength=5) / 20_000
    # Five standard errors of a share of 20,000 draws.
    assert (np.abs(share - np.array([0, 0.5, 0, 0.1, 0.4])) <= 5 * 0.5 / np.sqrt(20_000)).all()
    assert (share[[0, 2]] == 0).all()


@pytest.mark.parametrize(
    "fields",
    [{}, {"model": "dcvae", "hidden": (4, 8)}, {"objective": "iwae", "draws": 4}],
    ids=str,
)
def test_a_training_cut_short_goes_on_bit_for_bit(
    data: Dataset,
    recipe: Recipe,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    fields: dict[str, Any],
) -> None:
    monkeypatch.setattr(importlib.import_module("genmem.training.train"), "SAVE_SECONDS", 0.0)
    recipe = recipe.replace(**fields)
    unbroken = train(recipe, data)

    def stop(stage: str, epoch: int, of: int) -> None:
        if epoch == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(recipe, data, tmp_path, progress=stop)
    assert same(train(recipe, data, tmp_path), unbroken)
    read = Run.load(tmp_path)
    assert same(read, unbroken)
    assert read.recipe == recipe
    assert read.class_counts.tolist() == np.bincount(data.y).tolist()
    assert (read.log_prob(data).log_p == unbroken.log_prob(data).log_p).all()
    assert np.array_equal(read.sample(5), unbroken.sample(5))
    moved = data.y.copy()
    moved[3] = 1 - moved[3]
    with pytest.raises(RunMismatchError, match=r"rows\.classes"):
        train(recipe, Dataset("bars", data.x, y=moved), tmp_path)


def test_a_run_without_labels_is_written_as_ever(
    data: Dataset, recipe: Recipe, tmp_path: Path
) -> None:
    plain = recipe.replace(conditional=False)
    assert "conditional" not in plain.to_dict()
    assert recipe.to_dict()["conditional"] is True
    assert Recipe.from_dict(recipe.to_dict()) == recipe
    run = train(plain, data, tmp_path / "plain")
    text = (tmp_path / "plain" / "recipe.toml").read_text()
    assert "conditional" not in text
    assert "classes" not in text
    assert run.class_counts is Run.load(tmp_path / "plain").class_counts is None
    # Labels that the model is not given decide nothing.
    assert same(run, train(plain, Dataset("bars", data.x)))
    with pytest.raises(RunMismatchError, match="conditional"):
        train(recipe, data, tmp_path / "plain")


def test_refusals(data: Dataset, recipe: Recipe) -> None:
    unlabelled = Dataset("bars", data.x)
    with pytest.raises(DataError, match="wants a label for every sample, and bars has none"):
        train(recipe, unlabelled)
    run = train(recipe.replace(epochs=1, checkpoints=()), data)
    with pytest.raises(DataError, match="bars has none"):
        run.log_prob(unlabelled)
    with pytest.raises(DataError, match="bars has none"):
        log_prob(run.model(), Inputs(run.recipe, unlabelled))
    odd = Dataset("bars", data.x, y=np.where(np.arange(70) == 9, 5, data.y))
    with pytest.raises(ValueError, match=r"a label is 5; one of the classes .*: 0, 1"):
        run.log_prob(odd)
    assert len(run.log_prob(odd, [8, 10])) == 2
    assert len(run.log_prob(odd, [])) == 0
    with pytest.raises(ValueError, match="position 70 is not in"):
        run.log_prob(data, [70])
    with pytest.raises(ValueError, match="a label is 2; one of the classes that were trained"):
        run.sample(3, labels=[0, 1, 2])
    with pytest.raises(ValueError, match=r"labels have shape \(2,\) .*; \(3,\) integers"):
        run.sample(3, labels=[0, 1])
    with pytest.raises(TypeError, match="conditional is 'yes'; True or False is wanted"):
        Recipe(conditional="yes")  # type: ignore[arg-type]
    plain = train(run.recipe.replace(conditional=False), data)
    with pytest.raises(ValueError, match="the recipe is not conditional"):
        plain.sample(3, labels=[0, 1, 1])
    with pytest.raises(ValueError, match="the recipe is not conditional"):
        plain.sample_labels(3)
