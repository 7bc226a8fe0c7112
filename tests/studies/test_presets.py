import dataclasses

import numpy as np
import pytest

from genmem.datasets import Dataset, load
from genmem.studies.presets import PRESETS, kind, preset
from genmem.training import Inputs


def blank(*shape: int) -> Dataset:
    x = np.zeros(shape, np.uint8)
    x[0] = 255
    return Dataset("blank", x)


SHAPES = {
    "vector": (40, 5),
    "tiny": (40, 1, 8, 8),
    "grey": (40, 1, 28, 28),
    "colour": (40, 3, 32, 32),
}


@pytest.mark.parametrize("name", PRESETS)
@pytest.mark.parametrize("which", SHAPES)
def test_every_preset_fits_every_kind_of_data(name: str, which: str) -> None:
    from genmem.models import build

    data = blank(*SHAPES[which])
    assert kind(data) == which
    chosen = preset(name, data, seed=7)
    assert list(chosen.recipes) == ["elbo", "beta", "iwae"]
    assert chosen.learners() == ("elbo", "beta", "iwae", "kde", "knn", "gmm")
    for objective, recipe in chosen.recipes.items():
        assert recipe.objective == objective
        assert (recipe.seed, recipe.common_seed) == (7, 7)
        assert recipe.epochs in recipe.checkpoints
        build(recipe, data.shape)
        x = Inputs(recipe, data).batch([0, 1])
        assert x.shape == (2, *data.shape)
    assert chosen.recipes["beta"].beta > 1
    assert chosen.recipes["iwae"].draws > 1
    shared = {
        dataclasses.replace(recipe, objective="elbo", beta=1.0, draws=1, checkpoints=())
        for recipe in chosen.recipes.values()
    }
    assert len(shared) == 1, "models that are compared differ in their objective only"


def test_the_published_settings() -> None:
    chosen = preset("paper", blank(*SHAPES["grey"]))
    recipe = chosen.recipes["elbo"]
    assert (chosen.folds, chosen.repeats) == (10, 10)
    assert recipe.hidden == (1024, 512, 256)
    assert (recipe.latent, recipe.lr, recipe.batch, recipe.epochs) == (16, 1e-3, 64, 100)
    assert recipe.checkpoints == tuple(range(5, 101, 5))
    assert (recipe.eval_draws, recipe.optimizer, recipe.binarize) == (256, "adam", "sample")
    colour = preset("paper", blank(*SHAPES["colour"])).recipes["elbo"]
    assert (colour.model, colour.latent, colour.eval_draws) == ("dcvae", 64, 128)
    assert colour.checkpoints == (50, 100)


def test_hostile_input() -> None:
    with pytest.raises(ValueError, match="'huge' is not one of smoke, quick, paper"):
        preset("huge", load("digits"))
    with pytest.raises(ValueError, match="digits has 1 rows; at least 9 are wanted for 3 folds"):
        preset("smoke", load("digits", limit=1))
    with pytest.raises(ValueError, match="digits has 19 rows; at least 20"):
        preset("quick", load("digits", limit=19))
