"""From the name in a recipe to an objective."""

from __future__ import annotations

from typing import Protocol

from genmem.objectives.beta import BetaELBO
from genmem.objectives.elbo import ELBO, Objective
from genmem.objectives.iwae import IWAE

OBJECTIVES = ("elbo", "beta", "iwae")


class Bound(Protocol):
    """What `make` reads of a recipe."""

    @property
    def objective(self) -> str: ...
    @property
    def beta(self) -> float: ...


def make(recipe: Bound) -> Objective:
    """The objective a recipe names; ValueError if there is none of that name."""
    if recipe.objective == "elbo":
        return ELBO()
    if recipe.objective == "beta":
        return BetaELBO(recipe.beta)
    if recipe.objective == "iwae":
        return IWAE()
    raise ValueError(
        f"make: objective is {recipe.objective!r}; one of {', '.join(OBJECTIVES)} is wanted"
    )
