"""The traced loss is compared with the loss that the training recorded."""

from __future__ import annotations

import warnings
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from genmem.datasets import Dataset
from genmem.influence import TracIn, state_checkpoints
from genmem.training import Recipe, Run, train
from influence.traps import randn

X = randn(20, 3)


def loss(model: nn.Module, x: Tensor, noise: None) -> Tensor:
    return (model(x) - 3).square().sum(1)


def traced(recorded: float, rows: int | None = 20, **options: object) -> TracIn:
    model = nn.Linear(3, 2).double()
    state = {"weight": torch.zeros(2, 3).double(), "bias": torch.zeros(2).double()}
    held = state_checkpoints([state], 0.1, train_losses=[recorded], rows=rows)
    return TracIn(held, loss, model=model, weights="lr", **options)  # a loss of 18 per sample


@pytest.mark.parametrize("recorded", [18.0, 15.0, 30.0])
def test_a_loss_within_reach_is_not_remarked_on(recorded: float) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        traced(recorded).self_influence(X)
        traced(recorded).influence(X[:3], X)


@pytest.mark.parametrize("recorded", [18 / 3, 18 / 12288, 18 * 3, -18.0])
def test_another_loss_is_named_with_both_values(recorded: float) -> None:
    said = (
        rf"traced loss of the training samples is 18 on average at checkpoint 0, .*{recorded:.6g}"
    )
    calls: list[Callable[[TracIn], object]] = [
        lambda t: t.influence(X[:3], X),
        lambda t: t.self_influence(X),
        lambda t: t.self_influence(X, unbiased=True),
        lambda t: t.capture(X),
    ]
    for call in calls:
        with pytest.warns(UserWarning, match=said) as seen:
            call(traced(recorded, block=3))
        assert len(seen) == 1


def test_other_samples_than_those_of_the_training_say_nothing() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        traced(1.0).self_influence(X[:5])  # not all of its 20 rows
        traced(1.0).capture(X, side="test")
        small = TracIn(
            [nn.Linear(3, 2).double().state_dict()],
            loss,
            model=nn.Linear(3, 2).double(),
            weights=[1.0],
        )
        small.self_influence(X)  # nothing is recorded


@pytest.fixture(scope="module")
def run() -> tuple[Run, Dataset]:
    x = np.random.default_rng(0).integers(0, 256, (48, 1, 4, 4), dtype=np.uint8)
    data = Dataset(name="noise", x=x)
    recipe = Recipe(
        latent=2, hidden=(6,), epochs=4, batch=8, checkpoints=(1, 4), objective="beta", beta=8.0
    )
    return train(recipe, data), data


def test_a_run_is_traced_by_its_own_loss_and_another_one_is_noticed(
    run: tuple[Run, Dataset],
) -> None:
    trained, data = run
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        TracIn(trained, draws=4).self_influence(data)

    def per_value(model: nn.Module, x: Tensor, noise: Tensor) -> Tensor:
        """The reconstruction divided by the number of values: a known defect of published code."""
        mu, logvar = model.encode(x)
        z = model.reparameterise(mu, logvar, noise)
        return -model.log_likelihood(x, z).mean(-1) / x[0].numel()

    with pytest.warns(UserWarning, match="the traced loss of the training samples") as seen:
        TracIn(trained, per_value, draws=4).self_influence(data)
    assert len(seen) == 2  # one per checkpoint
