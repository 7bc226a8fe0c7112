"""No gradients, inference, autocast: whatever the caller's mode, the gradients are the same."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from genmem.influence import TracIn, capture_factors
from genmem.kernels import grad_dot
from influence.traps import Bare, randn, seeded, squares

MODES: dict[str, Callable[[], AbstractContextManager[object]]] = {
    "no gradients": torch.no_grad,
    "inference": torch.inference_mode,
    "autocast": lambda: torch.autocast("cpu", torch.bfloat16),
}


@pytest.mark.parametrize("mode", MODES)
def test_the_mode_of_the_caller_does_not_matter(mode: str) -> None:
    model, x = seeded(Bare).float(), randn(6, 4).float()
    want = TracIn([model.state_dict()], squares, model=model, weights=[1.0])
    scores, own = want.influence(x[:3], x), want.self_influence(x)
    factors = capture_factors(model, squares, x)
    with MODES[mode]():
        got = TracIn([model.state_dict()], squares, model=model, weights=[1.0])
        np.testing.assert_array_equal(got.influence(x[:3], x), scores)
        np.testing.assert_array_equal(got.self_influence(x), own)
        again = capture_factors(model, squares, x)
        assert torch.is_inference_mode_enabled() == (mode == "inference")
        assert torch.is_autocast_enabled("cpu") == (mode == "autocast")
    np.testing.assert_array_equal(grad_dot(again, again), grad_dot(factors, factors))


def test_an_autocast_of_the_loss_is_part_of_it() -> None:
    def rounded(model: nn.Module, x: Tensor, noise: None) -> Tensor:
        with torch.autocast("cpu", torch.bfloat16):
            return squares(model, x, noise).float()

    model, x = nn.Linear(4, 3), randn(6, 4).float()
    full, low = (capture_factors(model, loss, x) for loss in (squares, rounded))
    left, right = grad_dot(full, full), grad_dot(low, low)
    assert (left != right).any()
    np.testing.assert_allclose(left, right, rtol=0.1, atol=0.1 * np.abs(left).max())
