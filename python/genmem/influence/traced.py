"""What is differentiated: a loss per sample, under the name that stores call it by."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from genmem.influence.protocols import Loss


@dataclass(frozen=True)
class Traced:
    """A loss, its name, and whether gradients may be read from the calls of layers.

    A loss that hands the model parameters of its own to compute with (functional style) calls no
    layer in a way that tells samples apart: all of its gradients are formed by autograd.
    """

    name: str
    loss: Loss
    by_layers: bool = True

    @classmethod
    def of(cls, objective: Any, recipe: Any) -> Traced:
        """That of a function, an object with a method .loss, or by None the recipe's objective.

        Raises ValueError for None without a recipe, TypeError for what is no loss.
        """
        if objective is None:
            if recipe is None:
                raise ValueError("TracIn: objective is None; checkpoints without a Run need a loss")
            from genmem.objectives import make

            objective = make(recipe)
        if isinstance(objective, Traced):
            return objective
        function = getattr(objective, "loss", objective)
        if not callable(function):
            raise TypeError(
                f"TracIn: objective is {objective!r}; a function "
                "loss(model, batch, noise) or an object with such a method is wanted"
            )
        name = getattr(objective, "name", None) or getattr(objective, "__qualname__", None)
        return cls(str(name or type(objective).__qualname__), function)
