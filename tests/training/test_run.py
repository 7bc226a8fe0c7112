"""Runs: scoring, sampling, and the way to disk and back."""

import warnings
from pathlib import Path

import numpy as np
import pytest
import torch

from genmem.datasets import Dataset
from genmem.objectives import log_marginal
from genmem.training import Inputs, Recipe, Run, log_prob, train
from genmem.training.seeds import evaluation_noise


@pytest.fixture
def run(data: Dataset, recipe: Recipe) -> Run:
    return train(recipe, data)


def test_log_prob_is_the_log_marginal_of_keyed_noise(run: Run, data: Dataset) -> None:
    rows = np.array([4, 60, 7])
    found = run.log_prob(data, rows, draws=9)
    noise = torch.from_numpy(evaluation_noise(0, rows, 9, 2))
    want = log_marginal(run.model(), Inputs(run.recipe, data).batch(rows), noise)
    assert (found.log_p == want.log_p).all()
    assert (found.ess == want.ess).all()
    assert (found.se == want.se).all()
    assert found.log_p.dtype == np.float64


def test_a_sample_has_one_value(run: Run, data: Dataset) -> None:
    """Bit for bit: alone, in any order, in a subset of the data, under other threads."""
    whole = run.log_prob(data)
    assert len(whole) == 70
    rows = np.array([69, 3, 41])
    assert (run.log_prob(data, rows).log_p == whole.log_p[rows]).all()
    assert (run.log_prob(data, [3]).log_p == whole.log_p[[3]]).all()
    assert (run.log_prob(data.take(rows)).log_p == whole.log_p[rows]).all()
    threads = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        assert (run.log_prob(data).log_p == whole.log_p).all()
    finally:
        torch.set_num_threads(threads)


def test_models_of_other_seeds_see_the_same_draws(run: Run, data: Dataset) -> None:
    other = run.recipe.replace(seed=77)
    model = run.model()
    first = log_prob(model, Inputs(run.recipe, data))
    assert (log_prob(model, Inputs(other, data)).log_p == first.log_p).all()
    fresh = log_prob(model, Inputs(run.recipe.replace(common_seed=1), data))
    assert (fresh.log_p != first.log_p).all()


def test_training_raises_the_likelihood(data: Dataset, recipe: Recipe) -> None:
    run = train(recipe.replace(epochs=40, checkpoints=(1,)), data)
    early, late = (run.log_prob(data, checkpoint=c).log_p.mean() for c in (0, -1))
    assert late > early + 5


def test_defaults_come_from_the_recipe(run: Run, data: Dataset) -> None:
    assert (run.log_prob(data).log_p == run.log_prob(data, draws=16).log_p).all()
    assert (run.log_prob(data).log_p != run.log_prob(data, draws=17).log_p).all()
    steps: list[tuple[str, int, int]] = []
    run.log_prob(data, progress=lambda *step: steps.append(step))
    assert steps[-1] == ("score", 70, 70)


def test_many_draws_are_scored_in_pieces(
    run: Run, data: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    import importlib

    whole = run.log_prob(data, draws=33)
    monkeypatch.setattr(importlib.import_module("genmem.training.evaluation"), "_NOISE_VALUES", 500)
    steps: list[int] = []
    pieces = run.log_prob(data, draws=33, progress=lambda stage, done, of: steps.append(done))
    assert steps[:2] == [7, 14]
    assert (pieces.log_p == whole.log_p).all()


def test_grey_values_under_a_bernoulli_are_reported(data: Dataset, recipe: Recipe) -> None:
    grey = train(recipe.replace(binarize=None, epochs=2, checkpoints=()), data)
    with pytest.warns(UserWarning, match="a loss, not a log-density; binarize="):
        grey.log_prob(data)
    error = train(grey.recipe.replace(likelihood="squared-error"), data)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        error.log_prob(data)


def test_samples(run: Run) -> None:
    got = run.sample(5, seed=2)
    assert got.shape == (5, 1, 8, 8)
    assert got.dtype == np.float32
    assert ((got >= 0) & (got <= 1)).all()
    assert np.array_equal(run.sample(100, seed=2)[:5], got)
    assert not np.array_equal(run.sample(5, seed=3), got)
    assert not np.array_equal(run.sample(5, seed=2, checkpoint=0), got)
    assert len(np.unique(got.reshape(5, -1), axis=0)) == 5


def test_the_model_is_the_checkpoint_in_eval_mode(run: Run) -> None:
    for number, checkpoint in enumerate(run.checkpoints):
        model = run.model(number)
        assert not any(module.training for module in model.modules())
        for name, value in checkpoint.state().items():
            assert torch.equal(model.state_dict()[name], value)


def test_to_disk_and_back(data: Dataset, recipe: Recipe, tmp_path: Path) -> None:
    rows = np.arange(3, 60)
    run = train(recipe, data, tmp_path, rows=rows)
    read = Run.load(tmp_path)
    assert read.recipe == recipe
    assert read.data_name == "bars"
    assert read.shape == (1, 8, 8)
    assert read.directory == tmp_path
    assert np.array_equal(read.rows, rows)
    assert read.checkpoints == run.checkpoints
    for name, column in run.history.items():
        assert np.array_equal(read.history[name], column)
        assert read.history[name].dtype == column.dtype
    assert (read.log_prob(data).log_p == run.log_prob(data).log_p).all()
    assert np.array_equal(read.sample(3), run.sample(3))


def test_refusals(run: Run, data: Dataset, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"bars have shape \(64,\), the model was trained on"):
        run.log_prob(Dataset("bars", data.rows))
    with pytest.raises(ValueError, match="draws is 0"):
        run.log_prob(data, draws=0)
    with pytest.raises(ValueError, match="position 70 is not in"):
        run.log_prob(data, [70])
    with pytest.raises(ValueError, match="n is 0; 1 or more"):
        run.sample(0)
    with pytest.raises(IndexError):
        run.model(3)
    with pytest.raises(FileNotFoundError, match="not a run directory"):
        Run.load(tmp_path)


def test_no_rows_no_values(run: Run, data: Dataset) -> None:
    assert run.log_prob(data, []).log_p.shape == (0,)
