"""Training: the steps themselves, what decides them, and what does not."""

import importlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from genmem.datasets import Dataset
from genmem.errors import RunMismatchError
from genmem.models import VAE, build
from genmem.objectives import make
from genmem.training import Inputs, Recipe, Run, train
from genmem.training.seeds import permutation, training_noise


def weights(run: Run, checkpoint: int = -1) -> dict[str, torch.Tensor]:
    return run.checkpoints[checkpoint].state()


def same(a: Run, b: Run) -> bool:
    pairs = zip(a.checkpoints, b.checkpoints, strict=True)
    equal = all(
        x.facts() == y.facts()
        and x.state().keys() == y.state().keys()
        and all(torch.equal(value, y.state()[name]) for name, value in x.state().items())
        for x, y in pairs
    )
    return equal and all((a.history[name] == b.history[name]).all() for name in a.history)


def test_an_epoch_by_hand(data: Dataset, recipe: Recipe) -> None:
    """Plain gradient descent on the mean loss of each batch, in the order and noise of the seed."""
    recipe = recipe.replace(optimizer="sgd", lr=0.05, epochs=2, draws=3, momentum=0.5)
    run = train(recipe, data)
    inputs, model, objective = Inputs(recipe, data), build(recipe, data.shape), make(recipe)
    speed = [torch.zeros_like(p) for p in model.parameters()]
    losses = []
    for epoch in (1, 2):
        order = permutation(3, epoch, np.arange(70))
        noise = torch.from_numpy(training_noise(3, epoch, np.arange(70), 3, 2))
        for start in range(0, 70, 16):
            rows = order[start : start + 16]
            loss = objective.loss(model, inputs.batch(rows), noise[rows])
            gradients = torch.autograd.grad(loss.mean(), list(model.parameters()))
            losses += loss.tolist()
            with torch.no_grad():
                for p, v, g in zip(model.parameters(), speed, gradients, strict=True):
                    v.mul_(0.5).add_(g)
                    p.sub_(0.05 * v)
    for name, value in model.state_dict().items():
        assert ((weights(run)[name] - value).abs() <= 1e-5).all()
    assert run.history["train_loss"].shape == (2,)
    assert abs(run.history["train_loss"][0] - np.mean(losses[:70])) <= 1e-4
    assert abs(run.history["train_loss"][1] - np.mean(losses[70:])) <= 1e-4


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"objective": "iwae", "draws": 5},
        {"objective": "beta", "beta": 2.0},
        {"model": "dcvae", "hidden": (4, 8)},
        {"model": "beta-vae", "hidden": (4, 8, 16)},
        {"likelihood": "gaussian-logit", "binarize": None},
        {"optimizer": "sgd", "lr": 1e-3, "momentum": 0.9},
    ],
    ids=str,
)
def test_training_lowers_the_loss(data: Dataset, recipe: Recipe, fields: dict[str, Any]) -> None:
    run = train(recipe.replace(epochs=15, **fields), data)
    loss = run.history["train_loss"]
    assert np.isfinite(loss).all()
    assert loss[-1] < loss[0] - 2
    assert np.array_equal(run.history["epoch"], np.arange(1, 16))
    assert np.array_equal(run.history["step"], 5 * np.arange(1, 16))


def test_checkpoints_say_what_tracin_needs(data: Dataset, recipe: Recipe) -> None:
    run = train(recipe, data, rows=np.arange(40))
    facts = [(c.epoch, c.step, c.steps_since_previous) for c in run.checkpoints]
    assert facts == [(2, 6, 6), (4, 12, 6), (6, 18, 6)]
    assert all((c.lr, c.batch, c.rows) == (1e-2, 16, 40) for c in run.checkpoints)
    assert [c.train_loss for c in run.checkpoints] == run.history["train_loss"][[1, 3, 5]].tolist()
    assert not torch.equal(weights(run, 0)["encoder.1.weight"], weights(run)["encoder.1.weight"])
    assert np.array_equal(run.rows, np.arange(40))


def test_a_longer_training_passes_through_a_shorter_one(data: Dataset, recipe: Recipe) -> None:
    short, long = train(recipe.replace(epochs=4), data), train(recipe, data)
    for name, value in weights(short).items():
        assert torch.equal(weights(long, 1)[name], value)


def test_the_seed_decides(data: Dataset, recipe: Recipe) -> None:
    assert same(train(recipe, data), train(recipe, data))
    assert not same(train(recipe, data), train(recipe.replace(seed=4), data))


def test_rows_left_out_leave_no_trace(data: Dataset, recipe: Recipe) -> None:
    rows = np.setdiff1d(np.arange(70), [0, 13, 69])
    run = train(recipe, data, rows=rows)
    x = data.x.copy()
    x[[0, 13, 69]] = 255 - x[[0, 13, 69]]
    assert same(run, train(recipe, replace(data, x=x), rows=rows))
    x[14] = 255 - x[14]
    assert not same(run, train(recipe, replace(data, x=x), rows=rows))
    assert not same(run, train(recipe, data))


def test_the_order_of_rows_does_not_matter(data: Dataset, recipe: Recipe) -> None:
    rows = np.array([5, 60, 2, 33, 41])
    assert same(train(recipe, data, rows=rows), train(recipe, data, rows=rows[::-1]))
    assert same(train(recipe, data, rows=np.sort(rows)), train(recipe, data.take(np.sort(rows))))


def test_threads_and_generators_of_the_caller_do_not_matter(
    data: Dataset, recipe: Recipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    threads, want = torch.get_num_threads(), train(recipe, data)
    batch = Inputs.batch

    def one_thread_only(self: Inputs, positions: Any) -> torch.Tensor:
        assert torch.get_num_threads() == 1
        return batch(self, positions)

    monkeypatch.setattr(Inputs, "batch", one_thread_only)
    torch.set_num_threads(2)
    torch.manual_seed(99)
    before = torch.get_rng_state()
    try:
        assert same(train(recipe, data), want)
        assert torch.get_num_threads() == 2
        assert torch.equal(torch.get_rng_state(), before)
    finally:
        torch.set_num_threads(threads)


def test_callbacks(data: Dataset, recipe: Recipe) -> None:
    seen: list[int] = []
    steps: list[tuple[str, int, int]] = []

    def look(model: VAE, epoch: int) -> None:
        assert not any(module.training for module in model.modules())
        seen.append(epoch)
        model.train()  # what a callback leaves behind must not reach the next epoch
        model.log_likelihood(torch.zeros(1, 1, 8, 8), torch.zeros(1, 1, 2)).sum().backward()

    run = train(recipe, data, on_checkpoint=look, progress=lambda *step: steps.append(step))
    assert seen == [2, 4, 6]
    assert steps == [("train", epoch, 6) for epoch in range(1, 7)]
    assert same(run, train(recipe, data))


@pytest.mark.parametrize("in_directory", [False, True])
def test_a_diverged_loss_is_named(
    data: Dataset, recipe: Recipe, tmp_path: Path, in_directory: bool
) -> None:
    wild = recipe.replace(optimizer="sgd", lr=1e30)
    with pytest.raises(FloatingPointError, match=r"loss is .* at epoch 1, step \d of 5; .*1e\+30"):
        train(wild, data, tmp_path / "run" if in_directory else None)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([70], r"position 70 is not in 0..69"),
        ([-1], r"position -1 is not in 0..69"),
        ([], "there is no training row"),
        ([3, 5, 3], "row 3 is listed twice"),
        ([0.5], "a list of integers is wanted"),
        (np.ones(70, bool), "np.flatnonzero"),
    ],
)
def test_refused_rows(data: Dataset, recipe: Recipe, rows: Any, message: str) -> None:
    with pytest.raises(ValueError, match=f"train: .*{message}"):
        train(recipe, data, rows=rows)


def test_a_shape_the_model_cannot_take(recipe: Recipe) -> None:
    vectors = Dataset("vectors", np.zeros((3, 5), np.uint8))
    with pytest.raises(ValueError, match=r"'dcvae' convolves images"):
        train(recipe.replace(model="dcvae", hidden=None), vectors)


def test_a_folder_that_cannot_be_written_fails_before_training(
    data: Dataset, recipe: Recipe, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(OSError, match=r"train: cannot write to .*file"):
        train(recipe, data, tmp_path / "file" / "run", progress=lambda *_: pytest.fail("trained"))
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "models").write_text("not a folder")
    with pytest.raises(OSError, match=r"train: cannot write to .*run"):
        train(recipe, data, tmp_path / "run", progress=lambda *_: pytest.fail("trained"))


def test_a_directory_keeps_to_its_run(data: Dataset, recipe: Recipe, tmp_path: Path) -> None:
    train(recipe, data, tmp_path)
    with pytest.raises(RunMismatchError, match=r"recipe.lr: 0.01 there, 0.02 now"):
        train(recipe.replace(lr=0.02), data, tmp_path)
    with pytest.raises(RunMismatchError, match=r"rows.count: 70 there, 69 now"):
        train(recipe, data, tmp_path, rows=np.arange(69))
    with pytest.raises(RunMismatchError, match=r"data.fingerprint"):
        train(recipe, replace(data, x=255 - data.x), tmp_path)


def test_a_finished_run_is_read_back(data: Dataset, recipe: Recipe, tmp_path: Path) -> None:
    first = train(recipe, data, tmp_path)
    assert not list(tmp_path.glob("resume*"))
    seen: list[int] = []
    again = train(
        recipe,
        data,
        tmp_path,
        on_checkpoint=lambda model, epoch: seen.append(epoch),
        progress=lambda *_: pytest.fail("trained"),
    )
    assert seen == [2, 4, 6]
    assert same(first, again)
    assert same(first, train(recipe, data))


@pytest.fixture
def save_every_epoch(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(importlib.import_module("genmem.training.train"), "SAVE_SECONDS", 0.0)
    return


CUT_SHORT = {
    "adam": {},
    "sgd with momentum": {"optimizer": "sgd", "momentum": 0.9, "weight_decay": 1e-3},
    "plain sgd": {"optimizer": "sgd"},
    "batch norm": {"model": "dcvae", "hidden": (4, 8)},
    "learned variance": {"likelihood": "constant-gaussian", "binarize": None},
    "importance weighted": {"objective": "iwae", "draws": 4},
}


@pytest.mark.usefixtures("save_every_epoch")
@pytest.mark.parametrize("name", CUT_SHORT)
def test_a_training_cut_short_goes_on_bit_for_bit(
    data: Dataset, recipe: Recipe, tmp_path: Path, name: str
) -> None:
    recipe = recipe.replace(**CUT_SHORT[name])
    unbroken = train(recipe, data, tmp_path / "unbroken")
    done: list[int] = []
    for last in (1, 3, 4):

        def stop(stage: str, epoch: int, of: int, last: int = last) -> None:
            done.append(epoch)
            if epoch == last:
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            train(recipe, data, tmp_path / "broken", progress=stop)
        with pytest.raises(FileNotFoundError, match="training that is not finished"):
            Run.load(tmp_path / "broken")
    seen: list[int] = []
    run = train(
        recipe,
        data,
        tmp_path / "broken",
        on_checkpoint=lambda model, epoch: seen.append(epoch),
        progress=lambda stage, epoch, of: done.append(epoch),
    )
    assert done == [1, 2, 3, 4, 5, 6]  # no epoch twice
    assert seen == [2, 4, 6]
    assert same(run, unbroken)
    assert same(Run.load(tmp_path / "broken"), unbroken)


@pytest.mark.parametrize("damage", ["resume.safetensors", "models/epoch_000002.safetensors"])
def test_a_broken_file_is_made_again(
    data: Dataset, recipe: Recipe, tmp_path: Path, damage: str
) -> None:
    def stop(stage: str, epoch: int, of: int) -> None:
        if epoch == 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(recipe, data, tmp_path, progress=stop)
    path = tmp_path / damage
    path.write_bytes(path.read_bytes()[:-7])
    first: list[int] = []
    with pytest.warns(RuntimeWarning, match=f"train: starts over: .*{path.name} is ") as said:
        run = train(recipe, data, tmp_path, progress=lambda stage, epoch, of: first.append(epoch))
    assert [one.filename for one in said] == [__file__]
    assert first[0] == 1
    assert same(run, train(recipe, data))


def test_a_checkpoint_lost_after_the_end_is_made_again(
    data: Dataset, recipe: Recipe, tmp_path: Path
) -> None:
    want = train(recipe, data, tmp_path)
    (tmp_path / "models" / "epoch_000004.json").unlink()
    with pytest.warns(RuntimeWarning, match=r"train: made again: .*epoch_000004.json or its"):
        assert same(train(recipe, data, tmp_path), want)
    assert same(Run.load(tmp_path), want)


def test_a_broken_history_is_made_again(data: Dataset, recipe: Recipe, tmp_path: Path) -> None:
    want = train(recipe, data, tmp_path)
    path = tmp_path / "history.safetensors"
    path.write_bytes(path.read_bytes()[:-7])
    with pytest.warns(RuntimeWarning, match=r"train: made again: .*history.safetensors is "):
        assert same(train(recipe, data, tmp_path), want)
    assert same(Run.load(tmp_path), want)
