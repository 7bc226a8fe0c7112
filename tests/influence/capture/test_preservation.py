"""The model and torch's random numbers are left as they were, however the work ends."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
import torch
from torch import Tensor, nn

from genmem.influence import TracIn, capture_factors
from genmem.influence.capture.preservation import preserved, restored
from influence.traps import randn, squares


class Counting(nn.Module):
    """Counts its calls in a buffer that each call replaces; another is written in place."""

    def __init__(self) -> None:
        super().__init__()
        self.layer, self.table = nn.Linear(4, 3), nn.Embedding(5, 3, max_norm=0.5)
        self.norm = nn.InstanceNorm1d(3, affine=True, track_running_stats=True)
        self.register_buffer("calls", torch.zeros(()))
        self.register_buffer("total", torch.zeros(()))

    def forward(self, x: Tensor) -> Tensor:
        self.calls = self.calls + 1
        self.total += 1
        h = self.layer(x) + self.table(torch.arange(5))[:3].sum(0)
        return self.norm(h[:, :, None].expand(-1, -1, 4) * torch.arange(4))


def model() -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(2)
        found = Counting().double()
    with torch.no_grad():
        found.table.weight.mul_(10)
    found.layer.weight.grad = torch.ones(3, 4, dtype=torch.float64)
    return found


@contextmanager
def unchanged(model: nn.Module) -> Iterator[None]:
    held, random = copy.deepcopy(model), torch.get_rng_state()
    tensors = dict(model.named_buffers())
    gradient = model.layer.weight.grad
    value_of_gradient = gradient.clone()
    yield
    for name, value in held.state_dict().items():
        assert torch.equal(value, model.state_dict()[name]), name
    assert all(t is tensors[name] for name, t in model.named_buffers())
    assert model.layer.weight.grad is gradient
    assert torch.equal(gradient, value_of_gradient)
    assert [m.training for m in model.modules()] == [m.training for m in held.modules()]
    assert [p.requires_grad for p in model.parameters()] == [True] * 5
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in model.modules())
    assert torch.equal(torch.get_rng_state(), random)


def wild(calls: int) -> Callable[[nn.Module, Tensor, None], Tensor]:
    """A loss that does whatever a loss may do to a model, and fails at the given call."""
    seen = 0

    def loss(model: nn.Module, x: Tensor, noise: None) -> Tensor:
        nonlocal seen
        seen += 1
        torch.rand(3)
        model.norm.eval().train()
        model.table.requires_grad_(False).requires_grad_(True)
        model.layer.weight.grad = None
        value = squares(model, x, noise)
        if seen == calls:
            raise KeyboardInterrupt
        return value

    return loss


@pytest.mark.parametrize("fails_at", [1, 2, 4, 5, 7, 99])
def test_capture(fails_at: int) -> None:
    net = model()
    with unchanged(net):
        if fails_at < 99:
            with pytest.raises(KeyboardInterrupt):
                capture_factors(net, wild(fails_at), randn(5, 4))
        else:
            capture_factors(net, wild(fails_at), randn(5, 4))


@pytest.mark.parametrize("fails_at", [1, 4, 9, 14, 99])
def test_tracin(fails_at: int) -> None:
    net = model()
    states = [{n: v * s for n, v in net.state_dict().items()} for s in (0.5, 2.0)]
    with unchanged(net):
        traced = TracIn(states, wild(fails_at), model=net, weights=[1.0, 1.0], block=3)
        if fails_at < 99:
            with pytest.raises(KeyboardInterrupt):
                traced.self_influence(randn(5, 4))
        else:
            traced.self_influence(randn(5, 4))


def test_weights_and_gradients_that_were_written_in_place() -> None:
    net = model()
    with unchanged(net), restored(net), torch.no_grad():
        for parameter in net.parameters():
            parameter.add_(1)
        net.layer.weight.grad.zero_()

    def failing() -> None:
        with preserved(net):
            net.total += 5
            raise KeyError

    with unchanged(net), pytest.raises(KeyError):
        failing()
