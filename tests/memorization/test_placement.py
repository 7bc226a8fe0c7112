"""Recipes that are cross-validated on a card; other learners compute where they do."""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from genmem.datasets import load
from genmem.density import GaussianKDE
from genmem.errors import BackendError, RunMismatchError
from genmem.memorization import cross_validate
from genmem.training import Recipe
from pretend_card import pretended_card

DIGITS = load("digits", limit=40)
RECIPE = Recipe(latent=2, hidden=(8,), epochs=2, checkpoints=(1,), batch=16, eval_draws=8)


def scores(out: Path, **asked: Any) -> np.ndarray[Any, Any]:
    return cross_validate(RECIPE, DIGITS, 2, 3, out=out, resamples=20, **asked).by_epoch


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_scores_of_a_card(tmp_path: Path) -> None:
    here = scores(tmp_path / "here", device="cpu")
    assert "device" not in (tmp_path / "here" / "recipe.toml").read_text()
    with pretended_card():
        there = scores(tmp_path / "there")
        np.testing.assert_array_equal(scores(tmp_path / "here"), here)
        with pytest.raises(RunMismatchError, match="device: 'cpu' there, 'cuda' now"):
            scores(tmp_path / "here", device="cuda")
    np.testing.assert_allclose(there, here, atol=1e-3)
    with pytest.raises(RunMismatchError, match="device: 'cuda' there, 'cpu' now"):
        scores(tmp_path / "there")


class Told(ThreadPoolExecutor):
    """Notes the device of each learner that is submitted, and makes nothing."""

    devices: list[str]

    def submit(self, work: Any, /, *args: Any, **kwargs: Any) -> Future[Any]:
        self.devices = [*getattr(self, "devices", []), args[0].device]
        future: Future[Any] = Future()
        future.set_exception(KeyError("not made"))
        return future


@pytest.mark.parametrize(
    ("device", "sent"), [("auto", "cuda"), ("cuda", "cuda"), ("cuda:0", "cuda:0"), ("cpu", "cpu")]
)
def test_workers_are_told_the_kind_of_device(device: str, sent: str) -> None:
    with pretended_card(), Told() as pool, pytest.raises(KeyError, match="not made"):
        cross_validate(RECIPE, DIGITS, 2, 1, executor=pool, device=device)
    assert set(pool.devices) == {sent}


def test_a_card_for_another_learner_is_refused() -> None:
    kde = GaussianKDE(0.5)
    with pytest.raises(ValueError, match=r"device is 'cuda', and a GaussianKDE is not put there"):
        cross_validate(kde, DIGITS.rows / 16.0, 2, 1, device="cuda")
    for device in ("auto", "cpu"):
        found = cross_validate(kde, DIGITS.rows / 16.0, 2, 1, device=device)
        assert np.isfinite(found.score).all()


def test_a_card_that_is_absent_is_refused() -> None:
    if torch.cuda.is_available():
        pytest.skip("this machine has a card")
    with pytest.raises(BackendError, match="cross_validate: device 'cuda' cannot be used: "):
        cross_validate(RECIPE, DIGITS, 2, 1, device="cuda")
