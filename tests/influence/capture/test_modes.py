"""No gradients, inference, autocast: whatever the caller's mode, the gradients are the same."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager

import numpy as np
import pytest
import torch

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
