"""Everything that decides a trained model but the data."""

from __future__ import annotations

import dataclasses
import math
import operator
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from genmem.models import LIKELIHOODS, MODELS
from genmem.objectives import OBJECTIVES

OPTIMIZERS = ("adam", "sgd")
BINARIZATIONS = ("threshold", "sample")


@dataclass(frozen=True)
class Recipe:
    """A model, its objective and how it is trained and scored.

    model         "mlp-vae", "mlp-vae-a", "dcvae" or "beta-vae"
    latent        dimensions of the code
    hidden        widths of the model's layers; None: as published
    objective     "elbo", "beta" or "iwae"
    beta          weight of the divergence, for objective "beta"
    draws         codes drawn per sample and step
    likelihood    "bernoulli", "gaussian", "constant-gaussian", "squared-error", or a Gaussian with
                  "-logit" behind it
    binarize      "threshold" (above one half), "sample" (a fixed draw with the grey value as
                  probability) or None: a Bernoulli of grey values is a loss, not a density
    epochs, batch, lr, optimizer ("adam", "sgd"), momentum (of sgd), weight_decay (an L2 penalty)
    conditional   whether the model is given the label of a sample, p(x | y); every model can be
    checkpoints   epochs after which the weights are kept; the last epoch is always among them
    eval_draws    importance draws per sample when log p(x) is estimated
    seed          decides first weights, order of samples and training noise: what differs between
                  two trainings of one learner
    common_seed   decides binarisation, dequantisation and evaluation noise: what all models that
                  are compared with each other should share

    Raises ValueError or TypeError that names the field, the value seen and the value wanted.
    """

    model: str = "mlp-vae"
    latent: int = 16
    hidden: tuple[int, ...] | None = None
    objective: str = "elbo"
    beta: float = 1.0
    draws: int = 1
    likelihood: str = "bernoulli"
    binarize: str | None = None
    epochs: int = 100
    batch: int = 128
    lr: float = 1e-3
    optimizer: str = "adam"
    momentum: float = 0.0
    weight_decay: float = 0.0
    checkpoints: tuple[int, ...] = ()
    eval_draws: int = 256
    seed: int = 0
    common_seed: int = 0
    conditional: bool = False

    def __post_init__(self) -> None:
        for name in ("latent", "draws", "epochs", "batch", "eval_draws"):
            self._set(name, _count(name, getattr(self, name)))
        for name in ("seed", "common_seed"):
            self._set(name, _count(name, getattr(self, name), least=0, most=2**32 - 1))
        for name in ("beta", "lr", "momentum", "weight_decay"):
            self._set(name, _real(name, getattr(self, name)))
        self._set("conditional", _flag("conditional", self.conditional))
        if self.hidden is not None:
            self._set("hidden", _counts("hidden", self.hidden))
        kept = {*_counts("checkpoints", self.checkpoints, most=self.epochs), self.epochs}
        self._set("checkpoints", tuple(sorted(kept)))
        self._check_names()
        self._check_agreement()

    def to_dict(self) -> dict[str, Any]:
        """The fields by name, as Python's plain types; `from_dict` reads them back.

        `conditional` is there only if true: runs from before there was one keep their identity.
        """
        fields = dataclasses.asdict(self)
        if not self.conditional:
            del fields["conditional"]
        return fields

    @classmethod
    def from_dict(cls, fields: Mapping[str, Any]) -> Recipe:
        """The recipe of these fields; those left out take their defaults."""
        known = [field.name for field in dataclasses.fields(cls)]
        unknown = sorted(set(fields) - set(known))
        if unknown:
            raise ValueError(
                f"Recipe: no field is called {unknown[0]!r}; known: {', '.join(known)}"
            )
        return cls(**fields)

    def replace(self, **changes: Any) -> Recipe:
        """The recipe with some fields changed.

        With another number of epochs, checkpoints after the last epoch go, as does the one that
        stood at the old last epoch.
        """
        if "checkpoints" not in changes and changes.get("epochs", self.epochs) != self.epochs:
            last = changes["epochs"]
            kept = (epoch for epoch in self.checkpoints[:-1] if epoch <= last)
            changes = {**changes, "checkpoints": tuple(kept)}
        return Recipe.from_dict({**self.to_dict(), **changes})

    def _set(self, name: str, value: object) -> None:
        object.__setattr__(self, name, value)

    def _check_names(self) -> None:
        choices: dict[str, Sequence[str | None]] = {
            "model": tuple(MODELS),
            "objective": OBJECTIVES,
            "likelihood": tuple(LIKELIHOODS),
            "optimizer": OPTIMIZERS,
            "binarize": (*BINARIZATIONS, None),
        }
        for name, wanted in choices.items():
            seen = getattr(self, name)
            if seen not in wanted:
                listed = ", ".join(repr(choice) for choice in wanted)
                raise ValueError(f"Recipe: {name} is {seen!r}; one of {listed} is wanted")

    def _check_agreement(self) -> None:
        if not self.lr > 0:
            raise ValueError(f"Recipe: lr is {self.lr}; more than 0 is wanted")
        for name in ("beta", "weight_decay"):
            if not getattr(self, name) >= 0:
                raise ValueError(f"Recipe: {name} is {getattr(self, name)}; 0 or more is wanted")
        if not 0 <= self.momentum < 1:
            raise ValueError(f"Recipe: momentum is {self.momentum}; 0 <= momentum < 1 is wanted")
        if self.momentum and self.optimizer != "sgd":
            raise ValueError(
                f"Recipe: momentum is {self.momentum}, which {self.optimizer!r} does not take; "
                "optimizer='sgd' does"
            )
        if self.beta != 1 and self.objective != "beta":
            raise ValueError(
                f"Recipe: beta is {self.beta}, which objective {self.objective!r} does not take; "
                "objective='beta' does"
            )
        if self.binarize and "gaussian" in self.likelihood:
            raise ValueError(
                f"Recipe: binarize is {self.binarize!r} with likelihood {self.likelihood!r}, whose "
                "learned variance collapses on two values; likelihood='bernoulli' is wanted"
            )
        if self.model == "beta-vae" and self.hidden is not None and len(self.hidden) < 2:
            raise ValueError(
                f"Recipe: hidden is {self.hidden}; 'beta-vae' wants the channels of one stage or "
                "more and the width of its dense layer"
            )
        if self.model == "dcvae" and self.hidden == ():
            raise ValueError(
                "Recipe: hidden is (); 'dcvae' wants the channels of one stage or more"
            )


def _count(name: str, value: Any, *, least: int = 1, most: int | None = None) -> int:
    try:
        count = operator.index(value)
    except TypeError:
        raise TypeError(f"Recipe: {name} is {value!r}; a whole number is wanted") from None
    if count < least or (most is not None and count > most):
        span = f"at least {least}" if most is None else f"{least}..{most}"
        raise ValueError(f"Recipe: {name} is {count}; {span} is wanted")
    return count


def _counts(name: str, values: Any, *, most: int | None = None) -> tuple[int, ...]:
    if isinstance(values, str) or not isinstance(values, Sequence):
        raise TypeError(f"Recipe: {name} is {values!r}; a tuple of whole numbers is wanted")
    return tuple(_count(f"{name}[{i}]", value, most=most) for i, value in enumerate(values))


def _flag(name: str, value: Any) -> bool:
    if not isinstance(value, bool):
        raise TypeError(f"Recipe: {name} is {value!r}; True or False is wanted")
    return value


def _real(name: str, value: Any) -> float:
    if isinstance(value, str | bytes | None):
        raise TypeError(f"Recipe: {name} is {value!r}; a number is wanted")
    number = float(value)
    if not math.isfinite(number):
        raise ValueError(f"Recipe: {name} is {number}; a finite number is wanted")
    return number
