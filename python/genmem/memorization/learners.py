"""What can be cross-validated beside a recipe: an estimator, or a function that trains.

A learner is trained on some rows of the data and gives log p of all rows, at one or more epochs. It
travels to the workers of an executor, so it must be picklable if they are processes.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from genmem.ledger import fingerprint

Int = npt.NDArray[np.int64]


class Data(Protocol):
    """The part of a data set that scoring needs; `genmem.datasets.Dataset` has it."""

    @property
    def name(self) -> str: ...
    @property
    def x(self) -> npt.NDArray[Any]: ...
    @property
    def index(self) -> Int: ...
    @property
    def rows(self) -> npt.NDArray[Any]: ...
    @property
    def fingerprint(self) -> str: ...
    def __len__(self) -> int: ...


@dataclass(frozen=True)
class Evaluation:
    """Log-densities of all N rows under one model, at E epochs, in nats.

    log_p   (E, N), or (N,) for a model scored once
    epochs  (E,) ascending epoch numbers; default 1..E
    se, ess (E, N) Monte Carlo standard error (nats) and effective sample size of log_p, where
    estimated
    """

    log_p: npt.ArrayLike
    epochs: npt.ArrayLike | None = None
    se: npt.ArrayLike | None = None
    ess: npt.ArrayLike | None = None


class Learner(Protocol):
    """Trains on `rows` (positions in data), and scores all rows of data."""

    @property
    def seed(self) -> int:
        """What the seed of each unit is derived from."""

    def identity(self) -> dict[str, Any]:
        """What decides the result, as plain values: a resumed run compares them."""

    def evaluate(self, data: Any, rows: Int, seed: int, parts: Path | None) -> Evaluation:
        """Train and score one unit; `parts`: a folder where a killed unit finds its own pieces."""


Train = Callable[[Any, Int, int], "Evaluation | npt.ArrayLike"]


@dataclass(frozen=True)
class FunctionLearner:
    """`train(data, rows, seed)`, which returns log p of all rows, (N,) or (E, N), or `Evaluation`.

    A function is identified by its module and name, and the arguments of a functools.partial: what
    it captures otherwise is not compared on resuming.
    """

    train: Train
    seed: int

    def identity(self) -> dict[str, Any]:
        bound: dict[str, Any] = {}
        if isinstance(self.train, partial):
            bound = {"args": _plain(self.train.args), "keywords": _plain(self.train.keywords)}
        return {"function": _name(self.train), **bound}

    def evaluate(self, data: Any, rows: Int, seed: int, parts: Path | None) -> Evaluation:
        found = self.train(data, rows, seed)
        return found if isinstance(found, Evaluation) else Evaluation(found)


@dataclass(frozen=True)
class EstimatorLearner:
    """A scikit-learn style density estimator, cloned for each unit.

    It is fitted on data.rows[rows] and asked for score_samples (or log_prob) of data.rows, in
    nats. Rows are given as float64, but to the densities of genmem as they are: these widen single
    values, and need no copy eight times the size of the bytes.

    Every random_state parameter, nested ones too, is set to the seed of the unit.
    """

    estimator: Any
    seed: int

    def identity(self) -> dict[str, Any]:
        params = self.estimator.get_params(deep=True)
        return {
            "estimator": _name(type(self.estimator)),
            "params": {name: _plain(value) for name, value in sorted(params.items())},
        }

    def evaluate(self, data: Any, rows: Int, seed: int, parts: Path | None) -> Evaluation:
        from sklearn.base import clone

        from genmem.density.log_density import AbstractLogDensity

        model = clone(self.estimator)
        states = [name for name in model.get_params(deep=True) if _is_random_state(name)]
        model.set_params(**dict.fromkeys(states, seed))
        own = isinstance(model, AbstractLogDensity)
        points = data.rows if own else np.asarray(data.rows, np.float64)
        model.fit(points[rows])
        score = getattr(model, "score_samples", None) or model.log_prob
        return Evaluation(score(points))


def adapt(learner: Any, seed: int) -> Learner | None:
    """The learner behind an estimator or a function; None if it is neither."""
    if hasattr(learner, "fit") and hasattr(learner, "get_params"):
        if not (hasattr(learner, "score_samples") or hasattr(learner, "log_prob")):
            raise TypeError(
                f"cross_validate: learner {_name(type(learner))} has no score_samples and no"
                " log_prob; an estimator of log-densities is wanted"
            )
        return EstimatorLearner(learner, seed)
    return FunctionLearner(learner, seed) if callable(learner) else None


def unit_seed(seed: int, repeat: int, fold: int) -> int:
    """The seed of one unit, 0..2^31 - 1, a hash of (seed, repeat, fold)."""
    digest = hashlib.sha256(f"unit {seed} {repeat} {fold}".encode()).digest()
    return int.from_bytes(digest[:4], "big") >> 1


def _is_random_state(name: str) -> bool:
    return name == "random_state" or name.endswith("__random_state")


def _name(thing: Any) -> str:
    function = thing.func if isinstance(thing, partial) else thing
    kind = function if hasattr(function, "__qualname__") else type(function)
    return f"{kind.__module__}.{kind.__qualname__}"


def _plain(value: Any) -> Any:
    """A parameter as something TOML can hold; arrays by their content, estimators by their name."""
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or (isinstance(value, float) and not math.isfinite(value)):
        return str(value)  # TOML has no None, and a NaN that is read back differs from itself
    if isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, np.ndarray):
        return f"array {value.shape} sha256 {fingerprint(value)}"
    if isinstance(value, (list, tuple)):
        return [_plain(entry) for entry in value]
    if isinstance(value, Mapping):
        return {str(name): _plain(entry) for name, entry in value.items()}
    return _name(value if callable(value) else type(value))
