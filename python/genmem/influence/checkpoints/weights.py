"""How much each checkpoint counts in TracIn.

    "lr"        w_c = eta_c                                         (TracInCP)
    "lr_steps"  w_c = eta_c (steps since the previous checkpoint) B / N
                            = eta x epochs where every epoch takes whole batches only
    "nats"      lr_steps / B: the first-order decrease of the loss at z, in nats, that training on
                x_i caused, for steps on the mean loss of a batch

The reading in nats is exact to first order for plain stochastic gradient descent; with momentum or
Adam all three are heuristics.

Source: Pruthi et al. (2020), Estimating training data influence by tracing gradient descent; Kong &
Chaudhuri (2021), Understanding instance-based interpretability of variational auto-encoders.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

Weights: TypeAlias = str | Sequence[float] | npt.NDArray[np.floating] | Callable[[Any], float]

_NAMED: dict[str, tuple[str, ...]] = {
    "lr": ("lr",),
    "lr_steps": ("lr", "steps_since_previous", "batch", "rows"),
    "nats": ("lr", "steps_since_previous", "rows"),
}
_WANTED = f"one of {', '.join(_NAMED)}, a sequence or a callable is wanted"


def checkpoint_weights(weights: Weights, checkpoints: Sequence[Any]) -> npt.NDArray[np.float64]:
    """(C,) weights, each finite and not negative, at least one positive; ValueError otherwise."""
    if isinstance(weights, int | float):
        raise ValueError(f"TracIn: weights is {weights}; {_WANTED}")
    if not isinstance(weights, str) and not callable(weights) and len(weights) != len(checkpoints):
        raise ValueError(
            f"TracIn: weights has {len(weights)} entries; {len(checkpoints)} are wanted, one per "
            "checkpoint"
        )
    values = [checkpoint_weight(weights, held, c) for c, held in enumerate(checkpoints)]
    found = np.array(values, np.float64)
    if not found.any():
        raise ValueError("TracIn: the weight of every checkpoint is 0; one must be positive")
    return found


def checkpoint_weight(weights: Weights, checkpoint: Any, position: int) -> float:
    """The weight of one checkpoint, finite and not negative; ValueError otherwise."""
    if isinstance(weights, str):
        value = _named(weights, checkpoint, position)
    else:
        value = float(weights(checkpoint) if callable(weights) else weights[position])
    if not (math.isfinite(value) and value >= 0):
        raise ValueError(
            f"TracIn: the weight of checkpoint {position} is {value}; "
            "a finite number of 0 or more is wanted"
        )
    return value


def _named(weights: str, checkpoint: Any, position: int) -> float:
    if weights not in _NAMED:
        raise ValueError(f"TracIn: weights is {weights!r}; {_WANTED}")
    for name in _NAMED[weights]:
        if getattr(checkpoint, name, None) is None:
            raise ValueError(
                f"TracIn: checkpoint {position} has no {name!r}, which weights={weights!r} reads; "
                "give it one, or pass the weights as a sequence"
            )
    if weights == "lr":
        return float(checkpoint.lr)
    per_sample = float(checkpoint.lr * checkpoint.steps_since_previous / checkpoint.rows)
    return per_sample if weights == "nats" else per_sample * float(checkpoint.batch)
