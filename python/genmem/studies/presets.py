"""The sizes a study comes in: what is trained, how often, and how it is scored."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from genmem.datasets import Dataset
    from genmem.training import Recipe

PRESETS = ("smoke", "quick", "paper")
OBJECTIVES = ("elbo", "beta", "iwae")
CLASSICAL = ("kde", "knn", "gmm")
# Up to so many rows the classical densities are cross-validated like the models; above, where a fit
# costs N^2 d, their self-influence takes the place of M.
CROSS_VALIDATED_ROWS = 5000


@dataclass(frozen=True)
class Preset:
    """What a study of one data set trains and scores.

    recipes         objective -> recipe of its models; "elbo" is the one that is reported
    folds           K of every cross-validation, so that all models leave out the same rows
    repeats         L of the reported model;  other_repeats  L of the models compared with it
    neighbours      k of the k-NN density and of the attributes
    components      of the Gaussian mixture
    shown           samples at either end of the ranking whose neighbours, proponents and opponents
                    are written;  kin  how many of each
    influence_draws latent draws of TracIn
    generated       samples drawn from the reported model, whose influences are written
    """

    name: str
    recipes: dict[str, Recipe]
    folds: int
    repeats: int
    other_repeats: int
    neighbours: int = 10
    components: int = 10
    shown: int = 12
    kin: int = 5
    influence_draws: int = 16
    generated: int = 12

    def learners(self) -> tuple[str, ...]:
        """The models that are compared, the reported one first."""
        return (*self.recipes, *CLASSICAL)


# What suits a kind of data. Pictures of at most 256 values (8 x 8 digits) and rows of numbers are
# learned by one hidden layer; a density over such pictures rests on too few effective draws unless
# they are binary.
_MODELS: dict[str, dict[str, Any]] = {
    "tiny": {
        "model": "mlp-vae",
        "hidden": (256,),
        "likelihood": "bernoulli",
        "binarize": "threshold",
        "lr": 3e-3,
    },
    "vector": {"model": "mlp-vae", "hidden": (256,), "likelihood": "constant-gaussian", "lr": 3e-3},
    "grey": {"model": "mlp-vae", "likelihood": "bernoulli", "binarize": "sample"},
    "colour": {"model": "dcvae", "latent": 64, "likelihood": "gaussian-logit", "batch": 64},
}
_SMOKE: dict[str, dict[str, Any]] = {
    kind: {"epochs": 2, "checkpoints": (1,), "eval_draws": 8, "latent": 4, "hidden": hidden}
    for kind, hidden in (("tiny", (32,)), ("vector", (32,)), ("grey", (32,)), ("colour", (4, 8)))
}
_QUICK: dict[str, dict[str, Any]] = {
    "tiny": {"epochs": 80, "checkpoints": (20, 40, 60), "eval_draws": 128},
    "vector": {"epochs": 60, "checkpoints": (15, 30, 45), "eval_draws": 64},
    "grey": {"epochs": 15, "checkpoints": (5, 10), "eval_draws": 32},
    "colour": {"epochs": 10, "checkpoints": (5,), "eval_draws": 16},
}
# Binarised MNIST and CIFAR-10 as published; the others alike.
_PAPER: dict[str, dict[str, Any]] = {
    "tiny": {"epochs": 100, "checkpoints": tuple(range(5, 100, 5)), "eval_draws": 256},
    "vector": {"epochs": 100, "checkpoints": tuple(range(5, 100, 5)), "eval_draws": 256},
    "grey": {
        "hidden": (1024, 512, 256),
        "batch": 64,
        "epochs": 100,
        "checkpoints": tuple(range(5, 100, 5)),
        "eval_draws": 256,
    },
    "colour": {"epochs": 100, "checkpoints": (50,), "eval_draws": 128},
}
_SIZES = {"smoke": _SMOKE, "quick": _QUICK, "paper": _PAPER}


def kind(data: Dataset) -> str:
    """Which models suit the data: "vector" rows, "tiny", "grey" or "colour" images."""
    if len(data.shape) != 3:
        return "vector"
    if data.rows.shape[1] <= 256:
        return "tiny"
    return "grey" if data.shape[0] == 1 else "colour"


def preset(name: str, data: Dataset, *, seed: int = 0) -> Preset:
    """The preset of this name for this data set.

    smoke  seconds: does all of it work?
    quick  minutes on two cores: digits under 5, MNIST under 40
    paper  the settings of van den Burg & Williams (2021): 10 folds x 10 repeats, 100 epochs; days

    seed   every recipe's seed and common_seed

    Raises ValueError for another name, or if the data have too few rows for the folds.
    """
    from genmem.training import Recipe

    if name not in PRESETS:
        raise ValueError(f"preset: {name!r} is not one of {', '.join(PRESETS)}")
    fields = _MODELS[kind(data)] | _SIZES[name][kind(data)]
    base = Recipe(**fields, seed=seed, common_seed=seed)
    if name == "smoke":
        made = Preset(
            name,
            _recipes(base, draws=2),
            folds=3,
            repeats=2,
            other_repeats=1,
            neighbours=5,
            components=2,
            shown=3,
            kin=3,
            influence_draws=2,
            generated=3,
        )
    elif name == "quick":
        few = len(data) <= CROSS_VALIDATED_ROWS
        folds, repeats, others = (10, 5, 2) if few else (4, 3, 1)
        made = Preset(name, _recipes(base, draws=5), folds, repeats, others, influence_draws=4)
    else:
        made = Preset(name, _recipes(base, draws=5), folds=10, repeats=10, other_repeats=10)
    least = _least_rows(made)
    if len(data) < least:
        raise ValueError(
            f"preset {name}: {data.name} has {len(data)} rows; at least {least} are wanted for "
            f"{made.folds} folds and {made.neighbours} neighbours"
        )
    return made


def _least_rows(made: Preset) -> int:
    """The fewest rows of which each training part, all but the largest fold, fits every model."""
    part = max(made.folds, made.neighbours + 1, made.components)
    least = 2 * made.folds
    while least - -(-least // made.folds) < part:
        least += 1
    return least


def _recipes(base: Recipe, draws: int) -> dict[str, Recipe]:
    # Scoring costs as much as training: the models compared are scored after the last epoch only.
    last = base.replace(checkpoints=())
    return {
        "elbo": base,
        "beta": last.replace(objective="beta", beta=2.0),
        "iwae": last.replace(objective="iwae", draws=draws),
    }
