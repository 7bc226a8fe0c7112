"""Where a model is trained and scored: on a card, if torch sees one, with the CPU's numbers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from genmem.datasets import Dataset
from genmem.errors import BackendError, RunMismatchError
from genmem.models import VAE
from genmem.training import Recipe, Run, train
from pretend_card import CARD, OnCard, pretended_card

KINDS = {
    "adam": {},
    "momentum": {"optimizer": "sgd", "momentum": 0.9, "lr": 1e-3},
    "convolutions, batch norm": {"model": "dcvae", "hidden": (4, 8)},
    "learned variance": {"likelihood": "constant-gaussian", "binarize": None},
    "logit space": {"likelihood": "gaussian-logit", "binarize": None},
    "importance weighted": {"objective": "iwae", "draws": 3},
    "conditional": {"conditional": True},
}


@pytest.fixture
def labelled(data: Dataset) -> Dataset:
    return Dataset("bars", data.x, y=np.arange(len(data)) % 3)


def equal(a: Run, b: Run) -> bool:
    pairs = zip(a.checkpoints, b.checkpoints, strict=True)
    return all(
        torch.equal(value, y.state()[name]) for x, y in pairs for name, value in x.state().items()
    )


@pytest.mark.parametrize("kind", KINDS)
def test_a_card_trains_what_the_processor_does(
    labelled: Dataset, recipe: Recipe, kind: str
) -> None:
    recipe = recipe.replace(epochs=2, checkpoints=(1,), **KINDS[kind])
    here = train(recipe, labelled, device="cpu")
    seen: list[VAE] = []
    with pretended_card():
        there = train(recipe, labelled, on_checkpoint=lambda model, epoch: seen.append(model))
        assert {type(p.data) for p in seen[0].parameters()} == {OnCard}
        kept = there.checkpoints[0].state().values()
        assert {type(value) for value in kept} == {torch.Tensor}
        log_p = there.log_prob(labelled, np.arange(9), 4)
        pictures = there.sample(5, device="cuda")
    assert equal(here, there)
    assert np.array_equal(here.history["train_loss"], there.history["train_loss"])
    want = here.log_prob(labelled, np.arange(9), 4, device="cpu")
    np.testing.assert_allclose(log_p.log_p, want.log_p, rtol=1e-5)
    np.testing.assert_allclose(pictures, here.sample(5), atol=1e-6)


def test_a_batch_that_stays_behind_is_refused(
    data: Dataset, recipe: Recipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("genmem.training.loop.placed", lambda batch, device: batch)
    with pretended_card(), pytest.raises(RuntimeError, match="found at least two devices"):
        train(recipe, data)


def test_the_precision_that_the_caller_allows_does_not_count(data: Dataset, recipe: Recipe) -> None:
    recipe = recipe.replace(hidden=(64, 64), epochs=1, checkpoints=())
    want, before = train(recipe, data, device="cpu"), torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("medium")
    try:
        with torch.autocast("cpu", dtype=torch.bfloat16):
            found = train(recipe, data, device="cpu")
            log_p = found.log_prob(data, device="cpu").log_p
    finally:
        torch.set_float32_matmul_precision(before)
    assert equal(found, want)
    assert (log_p == want.log_prob(data, device="cpu").log_p).all()


def test_a_model_lies_on_the_processor_unless_a_card_is_named(
    data: Dataset, recipe: Recipe
) -> None:
    with pretended_card():
        run = train(recipe.replace(epochs=1, checkpoints=()), data)
        places = [
            next(run.model(**asked).parameters()).device
            for asked in ({}, {"device": "auto"}, {"device": "cuda"})
        ]
    assert places == [torch.device("cpu"), CARD, CARD]


def test_a_card_that_is_absent_is_refused(data: Dataset, recipe: Recipe) -> None:
    if torch.cuda.is_available():
        pytest.skip("this machine has a card")
    with pytest.raises(BackendError, match=r"train: device 'cuda' cannot be used: "):
        train(recipe, data, device="cuda")
    with pytest.raises(ValueError, match=r"train: device is 'tpu'; 'auto', 'cpu'"):
        train(recipe, data, device="tpu")


def test_a_run_keeps_to_its_kind_of_device(data: Dataset, recipe: Recipe, tmp_path: Path) -> None:
    recipe = recipe.replace(epochs=2, checkpoints=())
    here, there = tmp_path / "here", tmp_path / "there"
    train(recipe, data, here, device="cpu")
    assert "device" not in (here / "recipe.toml").read_text()
    with pretended_card():
        train(recipe, data, there)
        with pytest.raises(RunMismatchError, match=r"device: 'cpu' there, 'cuda' now"):
            train(recipe, data, here, device="cuda")
        train(recipe, data, here)  # "auto" goes on where the run was begun
        with pytest.raises(RunMismatchError, match=r"device: 'cuda' there, 'cpu' now"):
            train(recipe, data, there, device="cpu")
    with pytest.raises(RunMismatchError, match=r"device: 'cuda' there, 'cpu' now"):
        train(recipe, data, there, device="cpu")
    assert equal(Run.load(here), Run.load(there))


@pytest.mark.parametrize("kind", ["adam", "momentum", "convolutions, batch norm"])
def test_a_training_cut_short_on_a_card_goes_on_there(
    data: Dataset, recipe: Recipe, tmp_path: Path, kind: str
) -> None:
    recipe = recipe.replace(**KINDS[kind])

    def stop(stage: str, epoch: int, of: int) -> None:
        if epoch == 3:
            raise KeyboardInterrupt

    with pretended_card():
        with pytest.raises(KeyboardInterrupt):
            train(recipe, data, tmp_path, progress=stop)
        epochs: list[int] = []
        run = train(recipe, data, tmp_path, progress=lambda stage, epoch, of: epochs.append(epoch))
    assert epochs[0] == 3
    assert equal(run, train(recipe, data, device="cpu"))
