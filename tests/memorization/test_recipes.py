"""Recipes as learners, on a few digits: epochs, seeds, resumption within a unit, executors."""

import multiprocessing
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest

from genmem.datasets import folds, load
from genmem.errors import RunMismatchError
from genmem.memorization import cross_validate, generalization_gap, read_units, trajectory
from genmem.memorization.learners import unit_seed
from genmem.training import Inputs, Recipe, log_prob, train

DIGITS = load("digits", limit=90)
RECIPE = Recipe(
    latent=3,
    hidden=(24,),
    epochs=6,
    checkpoints=(2, 4),
    batch=16,
    lr=5e-3,
    eval_draws=16,
    binarize="threshold",
    seed=11,
)
COLUMNS = ("score", "lower", "upper", "se", "pvalue", "by_epoch", "log_out", "ess_min", "draws_se")


def assert_same(first, second):
    for name in COLUMNS:
        ours, theirs = getattr(first, name), getattr(second, name)
        assert ours.shape == theirs.shape
        assert ours.tobytes() == theirs.tobytes(), name


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    out = tmp_path_factory.mktemp("whole")
    return cross_validate(RECIPE, DIGITS, folds=3, repeats=3, out=out, resamples=200), out


def test_a_recipe_is_scored_at_its_checkpoints(whole):
    scores, out = whole
    assert scores.epochs.tolist() == [2, 4, 6]
    assert scores.by_epoch.shape == (90, 3)
    assert (scores.score == scores.by_epoch[:, -1]).all()
    assert np.isfinite(scores.score).all()
    assert ((scores.ess_min >= 1) & (scores.ess_min <= 16)).all()
    assert (scores.draws_se > 0).all()
    assert trajectory(scores).shape == (9, 5)
    assert generalization_gap(scores).shape == (3,)
    assert sorted(path.name for path in out.iterdir()) == [
        "parts",
        "recipe.toml",
        "scores",
        "units",
    ]
    assert list((out / "parts").iterdir()) == []


def test_each_unit_is_the_recipe_without_its_fold(whole):
    """Train one unit by hand: the rows, the seed and the evaluation noise are those it says."""
    _, out = whole
    held_out = folds(90, 3, 0, 1, index=DIGITS.index)
    recipe = RECIPE.replace(seed=unit_seed(RECIPE.seed, 1, 2))
    run = train(recipe, DIGITS, rows=np.flatnonzero(held_out != 2))
    got = read_units(out).block(0, 90)[:, 1, 2]
    for e in range(3):
        want = log_prob(run.model(e), Inputs(RECIPE, DIGITS)).log_p
        assert got[e].shape == want.shape
        assert got[e].tobytes() == want.tobytes()


def test_a_conditional_recipe_is_scored_given_the_labels(tmp_path):
    """One sample is alone in its class: models that leave it out have not met its label."""
    y = DIGITS.y % 2
    y[11] = 2
    data, recipe = replace(DIGITS, y=y), RECIPE.replace(conditional=True)
    scores = cross_validate(recipe, data, folds=3, repeats=2, out=tmp_path, resamples=50)
    assert np.isfinite(scores.score).all()
    held_out = folds(90, 3, 0, 1, index=data.index)
    assert (data.y[held_out != held_out[11]] < 2).all()
    recipe = recipe.replace(seed=unit_seed(recipe.seed, 1, held_out[11]))
    run = train(recipe, data, rows=np.flatnonzero(held_out != held_out[11]))
    want = log_prob(run.model(), Inputs(recipe, data)).log_p
    assert (read_units(tmp_path).block(0, 90)[-1, 1, held_out[11]] == want).all()


def test_a_longer_training_memorizes_more():
    recipe = RECIPE.replace(epochs=150, checkpoints=(5,), batch=16, lr=1e-2)
    scores = cross_validate(recipe, DIGITS.take(np.arange(45)), folds=3, repeats=2)
    gap = generalization_gap(scores)
    assert gap[1] >= gap[0] + 3
    assert np.median(scores.by_epoch[:, 1]) >= np.median(scores.by_epoch[:, 0]) + 1


@pytest.mark.parametrize("kind", ["threads", "processes"])
def test_executors_give_the_same_scores(whole, kind):
    if kind == "threads":
        pool = ThreadPoolExecutor(2)
    else:
        pool = ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("spawn"))
    with pool:
        scores = cross_validate(RECIPE, DIGITS, folds=3, repeats=3, executor=pool, resamples=200)
    assert_same(scores, whole[0])


def test_a_unit_cut_short_keeps_its_epochs(tmp_path, monkeypatch, whole):
    import genmem.training

    scored = []

    def dies(model, inputs):
        scored.append(model)
        if len(scored) == 6:
            raise KeyboardInterrupt
        return log_prob(model, inputs)

    monkeypatch.setattr(genmem.training, "log_prob", dies)
    with pytest.raises(KeyboardInterrupt):
        cross_validate(RECIPE, DIGITS, folds=3, repeats=3, out=tmp_path, resamples=200)
    # The first unit is done, the second has scored two epochs and trained three.
    assert len(list(tmp_path.glob("units/*"))) == 1
    assert len(list(tmp_path.glob("parts/repeat_00_fold_01/epoch_*.safetensors"))) == 2
    scores = cross_validate(RECIPE, DIGITS, folds=3, repeats=3, out=tmp_path, resamples=200)
    assert len(scored) - 6 == 9 * 3 - 5
    assert_same(scores, whole[0])


def test_a_broken_epoch_of_a_unit_is_scored_again(tmp_path, monkeypatch, whole):
    import genmem.training

    scored = []

    def dies(model, inputs):
        scored.append(model)
        if len(scored) == 3:
            raise KeyboardInterrupt
        return log_prob(model, inputs)

    monkeypatch.setattr(genmem.training, "log_prob", dies)
    with pytest.raises(KeyboardInterrupt):
        cross_validate(RECIPE, DIGITS, folds=3, repeats=3, out=tmp_path, resamples=200)
    part = tmp_path / "parts" / "repeat_00_fold_00" / "epoch_000004.safetensors"
    part.write_bytes(part.read_bytes()[:100])
    with pytest.warns(
        RuntimeWarning, match=r"scored again: .*epoch_000004.safetensors is "
    ) as said:
        scores = cross_validate(RECIPE, DIGITS, folds=3, repeats=3, out=tmp_path, resamples=200)
    assert [str(one.message) for one in said] == [one for one in scores.warnings if "again" in one]
    assert str(said[0].message).endswith("(in 1 of 9 models)")
    assert len(scored) - 3 == 9 * 3 - 1
    assert_same(scores, whole[0])


def test_a_changed_recipe_is_refused_with_both_values(whole):
    with pytest.raises(RunMismatchError, match=r"learner\.recipe\.lr: 0\.005 there, 0\.01 now"):
        cross_validate(RECIPE.replace(lr=0.01), DIGITS, folds=3, repeats=3, out=whole[1])


def test_a_diverging_recipe_names_the_unit():
    wild = RECIPE.replace(lr=1e4, optimizer="sgd", likelihood="gaussian", binarize=None)
    match = "the model of repeat 0, fold 0 has diverged: .*at epoch"
    with pytest.raises(FloatingPointError, match=match):
        cross_validate(wild, DIGITS, folds=3, repeats=1)


def test_grey_values_under_a_bernoulli_are_pointed_out():
    grey = RECIPE.replace(binarize=None, epochs=1, checkpoints=())
    with pytest.warns(UserWarning, match=r"log p is a loss.*\(in 2 of 2 models\)") as said:
        scores = cross_validate(grey, DIGITS.take(np.arange(12)), folds=2, repeats=1)
    assert [str(one.message) for one in said] == [one for one in scores.warnings if "loss" in one]
    clean = cross_validate(
        grey.replace(binarize="threshold"), DIGITS.take(np.arange(12)), folds=2, repeats=1
    )
    assert not any("log p is a loss" in one for one in clean.warnings)
