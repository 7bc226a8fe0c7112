"""The training loop."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from genmem.device import full_precision
from genmem.models import VAE, build, single_thread
from genmem.models.observed import placed
from genmem.objectives import make
from genmem.training.checkpoints import Checkpoint
from genmem.training.history import History
from genmem.training.inputs import Inputs
from genmem.training.recipe import Recipe
from genmem.training.seeds import permutation, training_noise

# One call for the noise of many batches: 16 MB of it at most.
_NOISE_VALUES = 1 << 22


class Trainer:
    """A model in training, between two epochs.

    The state of everything that decides the next epoch is in the model, the optimizer and the
    number of the epoch: order and noise are functions of that number. First weights, order and
    noise are made on the processor, whatever the device that computes.
    """

    def __init__(
        self,
        recipe: Recipe,
        inputs: Inputs,
        rows: npt.NDArray[np.int64],
        device: torch.device,
    ) -> None:
        self.recipe = recipe
        self.inputs = inputs
        self.rows = rows
        self.device = device
        self.model = build(recipe, inputs.shape, inputs.classes).to(device)
        self.optimizer = optimizer_of(recipe, self.model)
        self.objective = make(recipe)
        self.history = History()

    @property
    def epoch(self) -> int:
        """Epochs done."""
        return len(self.history)

    def run_epoch(self) -> None:
        """One pass over the training rows: a step per batch on the mean of its per-sample losses.

        Raises FloatingPointError if a loss is not finite.
        """
        epoch, total, steps = self.epoch + 1, 0.0, 0
        self.model.train()
        with single_thread(), full_precision(self.device):
            for positions, noise in self._batches(epoch):
                self.optimizer.zero_grad()
                batch = placed(self.inputs.batch(positions), self.device)
                losses = self.objective.loss(self.model, batch, noise)
                value = float(losses.detach().sum(dtype=torch.float64))
                steps += 1
                if not math.isfinite(value):
                    raise FloatingPointError(
                        f"train: the loss is {value} at epoch {epoch}, step {steps} of "
                        f"{self.steps_per_epoch}; a smaller lr than {self.recipe.lr} may help"
                    )
                torch.autograd.backward(losses.mean())
                self.optimizer.step()
                total += value
        self.model.eval()
        self.history.add(epoch, self.epoch * steps + steps, total / len(self.rows))

    @property
    def steps_per_epoch(self) -> int:
        """Batches per epoch; the last may be smaller."""
        return -(-len(self.rows) // self.recipe.batch)

    def checkpoint(self, previous: Checkpoint | None) -> Checkpoint:
        """The model as it is now, `previous` being the checkpoint before."""
        step = self.epoch * self.steps_per_epoch
        return Checkpoint.of(
            self.model,
            epoch=self.epoch,
            step=step,
            lr=self.recipe.lr,
            steps_since_previous=step - (previous.step if previous else 0),
            batch=self.recipe.batch,
            rows=len(self.rows),
            train_loss=self.history.last_loss,
        )

    def _batches(self, epoch: int) -> Iterator[tuple[npt.NDArray[np.int64], Tensor]]:
        recipe, identities = self.recipe, self.inputs.identities
        order = self.rows[permutation(recipe.seed, epoch, identities[self.rows])]
        values = recipe.batch * recipe.draws * recipe.latent
        for group in _pieces(order, recipe.batch * max(1, _NOISE_VALUES // values)):
            drawn = training_noise(
                recipe.seed, epoch, identities[group], recipe.draws, recipe.latent
            )
            noises = torch.split(torch.from_numpy(drawn).to(self.device), recipe.batch)
            yield from zip(_pieces(group, recipe.batch), noises, strict=True)


def optimizer_of(recipe: Recipe, model: VAE) -> torch.optim.Optimizer:
    """Adam or SGD, fused: one pass over each weight, a third of the time of the plain form."""
    decay = recipe.weight_decay
    if recipe.optimizer == "adam":
        return torch.optim.Adam(model.parameters(), lr=recipe.lr, weight_decay=decay, fused=True)
    return torch.optim.SGD(
        model.parameters(), lr=recipe.lr, momentum=recipe.momentum, weight_decay=decay, fused=True
    )


def _pieces(values: npt.NDArray[np.int64], size: int) -> Iterator[npt.NDArray[np.int64]]:
    for start in range(0, len(values), size):
        yield values[start : start + size]
