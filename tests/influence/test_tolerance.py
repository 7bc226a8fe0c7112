"""Influence to a tolerance, against float64 autograd."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import torch
from torch import Tensor, nn

from budget import assert_within
from genmem.influence import TracIn, score

Oracle = Callable[..., npt.NDArray[np.float64]]
WEIGHTS, TOL = (2.0, 0.5), 1e-3


def squares(model: nn.Module, x: Tensor, noise: None) -> Tensor:
    return (model(x) ** 2).sum(1)


def network() -> nn.Module:
    torch.manual_seed(1)
    return nn.Sequential(nn.Linear(90, 70), nn.Tanh(), nn.Linear(70, 40))


def states() -> list[dict[str, Tensor]]:
    return [{n: s * v for n, v in network().state_dict().items()} for s in (1.0, 0.6)]


def tracin(tol: float | None) -> TracIn:
    return TracIn(states(), squares, model=network(), weights=WEIGHTS, tol=tol)


def test_every_score_is_within_it(oracle: Oracle, tmp_path: Path) -> None:
    z, x = torch.randn(7, 90), torch.randn(50, 90)
    want, allowed = np.zeros((7, 50)), np.zeros((7, 50))
    for weight, state in zip(WEIGHTS, states(), strict=True):
        exact = network().double()
        exact.load_state_dict(state)
        left, right = (oracle(exact, squares, data.double(), None) for data in (z, x))
        want += weight * left @ right.T
        allowed += weight * np.outer(*(np.linalg.norm(g, axis=1) for g in (left, right)))
    got = tracin(TOL).influence(z, x)
    assert_within(got, want, TOL * allowed)
    top = tracin(TOL).influence(z, x, k=4)
    assert (top.scores == np.take_along_axis(got, top.indices, axis=1)).all()
    stores = tracin(TOL).capture(z, side="test"), tracin(TOL).capture(x, tmp_path)
    assert_within(score(*stores, tol=TOL), want, TOL * allowed)
    # What is not asked to be faster stays as it was.
    plain = tracin(None)
    assert_within(plain.influence(z, x), want, 1e-5 * allowed)
    assert (tracin(TOL).self_influence(x) == plain.self_influence(x)).all()


def test_refused() -> None:
    with pytest.raises(ValueError, match="tol is 1e-06; 1e-4 <= tol < 1 is wanted"):
        tracin(1e-6)
