"""From the options of a verb to a recipe: the preset's, with what was asked for in its place."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from genmem.datasets import Dataset
    from genmem.training import Recipe


class Objective(StrEnum):
    """What a model maximises."""

    elbo = "elbo"
    beta = "beta"
    iwae = "iwae"


Epochs = Annotated[
    int | None,
    typer.Option(
        "--epochs",
        min=1,
        help="Passes over the training samples (default: the preset's).",
        show_default=False,
    ),
]
Latent = Annotated[
    int | None,
    typer.Option(
        "--latent",
        min=1,
        help="Dimensions of the latent code (default: the preset's).",
        show_default=False,
    ),
]
LearningRate = Annotated[
    float | None,
    typer.Option(
        "--lr",
        help="Step size of the optimizer, per step (default: the preset's).",
        show_default=False,
    ),
]
Conditional = Annotated[
    bool,
    typer.Option(
        "--conditional",
        help="Give the model the labels of DATA: p(x | y) in place of p(x). What does not fit its "
        "label then stands out.",
    ),
]


def recipe_of(
    data: Dataset,
    preset: str,
    objective: str,
    seed: int,
    *,
    epochs: int | None = None,
    latent: int | None = None,
    lr: float | None = None,
    conditional: bool = False,
) -> Recipe:
    """The preset's recipe for this objective, with the checkpoints of the one that is reported; an
    option that is not None replaces its field."""
    from genmem.studies.presets import preset as chosen

    asked = {"epochs": epochs, "latent": latent, "lr": lr}
    recipes = chosen(preset, data, seed=seed).recipes
    kept = next(iter(recipes.values())).checkpoints
    recipe = recipes[objective].replace(checkpoints=kept, conditional=conditional)
    return recipe.replace(**{name: value for name, value in asked.items() if value is not None})
