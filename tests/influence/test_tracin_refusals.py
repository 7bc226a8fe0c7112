"""What TracIn refuses, and what its messages name."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from genmem.errors import CheckpointError
from genmem.influence import TracIn
from influence.small_net import Saved, loss, randn, states


def test_k_outside_the_training_samples_is_refused(net: nn.Module, saved: list[Saved]) -> None:
    tracin = TracIn(saved, loss, model=net, draws=4)
    for k in (0, -1, 9):
        with pytest.raises(ValueError, match=rf"k is {k}; 1..8 is wanted"):
            tracin.influence(randn(6, 3), randn(8, 3), k=k)
    assert saved[0].loads == 0


def test_empty_data_is_refused(net: nn.Module, saved: list[Saved]) -> None:
    tracin = TracIn(saved, loss, model=net, draws=4)
    with pytest.raises(ValueError, match="test has 0 rows"):
        tracin.influence(randn(0, 3), randn(8, 3))
    with pytest.raises(ValueError, match="train has 0 rows"):
        tracin.self_influence(randn(0, 3))


def test_checkpoints_of_another_model_are_refused(net: nn.Module) -> None:
    x = randn(8, 3)
    other = TracIn([nn.Linear(2, 2).state_dict()], loss, model=net, weights=[1.0])
    with pytest.raises(CheckpointError, match="checkpoint 0 is another model's"):
        other.influence(x, x)
    broken = {name: value * float("nan") for name, value in states(net, 1)[0].items()}
    with pytest.raises(CheckpointError, match=r"checkpoint 0: 'gain' is not finite"):
        TracIn([broken], loss, model=net, weights=[1.0]).influence(x, x)
    assert torch.isfinite(net.gain).all()


def test_what_a_loss_cannot_take_is_named_by_its_position(
    net: nn.Module, saved: list[Saved]
) -> None:
    def broken(model: nn.Module, x: Tensor, noise: Tensor) -> Tensor:
        return loss(model, x, noise) / (x[:, 0] != 7)

    x = randn(8, 3)
    x[6, 0] = 7
    tracin = TracIn(saved, broken, model=net, draws=4, block=4)
    with pytest.raises(ValueError, match="the loss of row 6 of train is inf"):
        tracin.influence(randn(6, 3), x)


def test_arguments_that_do_not_fit_are_refused(net: nn.Module, saved: list[Saved]) -> None:
    with pytest.raises(ValueError, match="exactly one is wanted"):
        TracIn(saved, loss)
    with pytest.raises(ValueError, match="objective is None"):
        TracIn(saved, model=net)
    with pytest.raises(TypeError, match="objective is 3; a function"):
        TracIn(saved, 3, model=net)
    with pytest.raises(ValueError, match="there are no checkpoints"):
        TracIn([], loss, model=net)
    for name in ("draws", "memory", "block"):
        with pytest.raises(ValueError, match=f"{name} is 0; at least 1 is wanted"):
            TracIn(saved, loss, model=net, **{name: 0})
