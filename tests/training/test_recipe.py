"""Recipes: defaults, what they refuse and in which words, and the way to a file and back."""

import tomllib
from typing import Any

import numpy as np
import pytest
import tomli_w

from genmem.models import MODELS, build
from genmem.training import Recipe


def test_every_default_model_builds() -> None:
    for name in MODELS:
        assert build(Recipe(model=name), (1, 16, 16)).latent == 16


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"model": "gan"}, r"model is 'gan'; one of 'mlp-vae'"),
        ({"objective": "vae"}, r"objective is 'vae'; one of 'elbo', 'beta', 'iwae'"),
        ({"likelihood": "poisson"}, "likelihood is 'poisson'"),
        ({"optimizer": "lbfgs"}, "optimizer is 'lbfgs'; one of 'adam', 'sgd'"),
        ({"binarize": "half"}, "binarize is 'half'; one of 'threshold', 'sample', None"),
        ({"latent": 0}, "latent is 0; at least 1 is wanted"),
        ({"epochs": -1}, "epochs is -1; at least 1"),
        ({"batch": 0}, "batch is 0"),
        ({"draws": 0}, "draws is 0"),
        ({"eval_draws": 0}, "eval_draws is 0"),
        ({"seed": -1}, "seed is -1; 0..4294967295"),
        ({"common_seed": 2**32}, "common_seed is 4294967296; 0..4294967295"),
        ({"lr": 0.0}, "lr is 0.0; more than 0"),
        ({"lr": float("nan")}, "lr is nan; a finite number"),
        ({"lr": float("inf")}, "lr is inf; a finite number"),
        ({"weight_decay": -0.1}, "weight_decay is -0.1; 0 or more"),
        ({"objective": "beta", "beta": -1.0}, "beta is -1.0; 0 or more"),
        ({"beta": 4.0}, "beta is 4.0, which objective 'elbo' does not take"),
        ({"momentum": 0.9}, "momentum is 0.9, which 'adam' does not take"),
        ({"optimizer": "sgd", "momentum": 1.0}, "momentum is 1.0; 0 <= momentum < 1"),
        ({"hidden": (3, 0)}, r"hidden\[1\] is 0; at least 1"),
        ({"checkpoints": (5, 101)}, r"checkpoints\[1\] is 101; 1..100"),
        ({"checkpoints": (0,)}, r"checkpoints\[0\] is 0"),
        ({"binarize": "sample", "likelihood": "gaussian"}, "learned variance collapses"),
        ({"model": "beta-vae", "hidden": (4,)}, "'beta-vae' wants the channels"),
        ({"model": "dcvae", "hidden": ()}, "'dcvae' wants the channels"),
    ],
)
def test_refused_values(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=f"Recipe: .*{message}"):
        Recipe(**fields)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"latent": 2.5}, "latent is 2.5; a whole number"),
        ({"epochs": "ten"}, "epochs is 'ten'; a whole number"),
        ({"lr": "fast"}, "lr is 'fast'; a number"),
        ({"lr": None}, "lr is None; a number"),
        ({"checkpoints": 5}, "checkpoints is 5; a tuple"),
        ({"hidden": "512"}, "hidden is '512'; a tuple"),
    ],
)
def test_refused_types(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(TypeError, match=f"Recipe: {message}"):
        Recipe(**fields)


def test_the_last_epoch_is_a_checkpoint() -> None:
    assert Recipe(epochs=10).checkpoints == (10,)
    assert Recipe(epochs=10, checkpoints=(7, 3, 7)).checkpoints == (3, 7, 10)


def test_replace() -> None:
    recipe = Recipe(epochs=10, checkpoints=(3, 7))
    assert recipe.replace(seed=4) == Recipe(epochs=10, checkpoints=(3, 7), seed=4)
    assert recipe.replace(epochs=5).checkpoints == (3, 5)
    assert recipe.replace(epochs=20).checkpoints == (3, 7, 20)
    assert recipe.replace(epochs=20, checkpoints=(4,)).checkpoints == (4, 20)
    with pytest.raises(ValueError, match="no field is called 'layers'; known: model, latent"):
        recipe.replace(layers=3)


@pytest.mark.parametrize(
    "recipe",
    [
        Recipe(),
        Recipe(hidden=(3, 2), binarize="sample", checkpoints=(2, 4), lr=1 / 3),
        Recipe(objective="beta", beta=0.1, optimizer="sgd", momentum=0.9, likelihood="gaussian"),
    ],
)
def test_to_a_file_and_back(recipe: Recipe) -> None:
    assert Recipe.from_dict(recipe.to_dict()) == recipe
    present = {name: value for name, value in recipe.to_dict().items() if value is not None}
    assert Recipe.from_dict(tomllib.loads(tomli_w.dumps(present))) == recipe


def test_numbers_of_numpy_become_plain() -> None:
    recipe = Recipe(latent=np.int64(3), lr=np.float32(0.5), checkpoints=tuple(np.array([2, 3])))
    assert type(recipe.latent) is int
    assert type(recipe.lr) is float
    assert all(type(epoch) is int for epoch in recipe.checkpoints)


def test_recipes_are_values() -> None:
    assert hash(Recipe(hidden=(2,))) == hash(Recipe(hidden=[2]))  # a list is taken as a tuple
    with pytest.raises(AttributeError):
        Recipe().seed = 3  # type: ignore[misc]  # the assignment is the test
