"""TracIn of runs: the model, the objective, the weights and the inputs they were trained with."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import torch
from torch import nn

from genmem.datasets import Dataset
from genmem.errors import RunMismatchError
from genmem.influence import FactorStore, TracIn
from genmem.noise import normals
from genmem.training import Inputs, Recipe, Run, train
from influence.small_net import noise_of

Float64 = npt.NDArray[np.float64]
Oracle = Callable[..., Float64]


@pytest.fixture(scope="module")
def data() -> Dataset:
    x = np.random.default_rng(0).integers(0, 256, (24, 1, 4, 4), dtype=np.uint8)
    return Dataset(name="noise", x=x, index=np.arange(100, 124))


@pytest.fixture(scope="module")
def run(data: Dataset) -> Run:
    recipe = Recipe(
        model="mlp-vae", latent=2, hidden=(6,), epochs=4, batch=8, checkpoints=(1, 4), lr=0.01,
        optimizer="sgd", binarize="sample", objective="beta", beta=2.0,
    )  # fmt: skip
    return train(recipe, data)


def test_a_run_brings_model_objective_weights_and_inputs(
    run: Run, data: Dataset, oracle: Oracle
) -> None:
    from genmem.objectives import BetaELBO

    test = data.take(np.arange(5))
    tracin = TracIn(run, draws=4, seed=7)
    got = tracin.influence(test, data)
    np.testing.assert_allclose(tracin.weights, [0.01 * 3 * 8 / 24, 0.01 * 9 * 8 / 24])
    x = Inputs(run.recipe, data).batch(np.arange(24)).double()
    want = np.zeros((5, 24))
    for c, weight in enumerate(tracin.weights):
        model = run.model(c).double()
        train_noise = noise_of("tracin train", data.index, seed=7)
        test_noise = noise_of("tracin test", test.index, seed=7)
        left = oracle(model, BetaELBO(2.0).loss, x[:5], test_noise)
        right = oracle(model, BetaELBO(2.0).loss, x, train_noise)
        bound = np.outer(np.linalg.norm(left, axis=1), np.linalg.norm(right, axis=1))
        want += weight * left @ right.T
    assert got.shape == want.shape
    assert (np.abs(got - want) <= 1e-5 * bound).all()


def test_the_traced_loss_is_the_trained_one(run: Run, data: Dataset) -> None:
    # Another loss than the trained one is a known defect of published code.
    tracin = TracIn(run)
    x = Inputs(run.recipe, data).batch(np.arange(24))
    model = run.model()
    noise = torch.from_numpy(normals(3, data.index, np.arange(256), 2, stream="any"))
    traced = tracin._tracing._traced["train"].loss(model, x, noise).mean().item()
    assert abs(traced - run.checkpoints[-1].train_loss) < 0.02 * traced


def test_rows_of_a_data_set_keep_their_noise(run: Run, data: Dataset) -> None:
    tracin, some = TracIn(run, draws=4), np.array([20, 3, 11])
    whole = tracin.influence(data.take(np.arange(5)), data)
    part = tracin.influence(data.take(np.arange(5)), data.take(some))
    np.testing.assert_allclose(part, whole[:, some], rtol=1e-4, atol=1e-6 * np.abs(whole).max())


def test_a_convolutional_run_with_batch_norm(data: Dataset, oracle: Oracle) -> None:
    from genmem.objectives import ELBO

    recipe = Recipe(model="dcvae", latent=2, hidden=(4, 6), epochs=2, batch=8, checkpoints=(1, 2))
    larger = Dataset(name="noise", x=np.tile(data.x, (1, 1, 2, 2))[:9])
    run = train(recipe, larger)
    got = TracIn(run, draws=4, weights="lr", block=4).self_influence(larger)
    x = Inputs(recipe, larger).batch(np.arange(9)).double()
    noise, want = noise_of("tracin train", np.arange(9)), np.zeros(9)
    for c in range(2):
        want += recipe.lr * (oracle(run.model(c).double(), ELBO().loss, x, noise) ** 2).sum(1)
    assert got.shape == (9,)
    assert (np.abs(got - want) <= 1e-5 * want).all()


def test_a_run_is_captured_into_a_directory(run: Run, data: Dataset, tmp_path: Path) -> None:
    tracin, test = TracIn(run, draws=4), data.take(np.arange(5))
    store = tracin.capture(data, tmp_path)
    want = tracin.influence(test, data)
    got = tracin.influence(test, FactorStore.open(tmp_path))
    np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-6 * np.abs(want).max())
    assert store.identity["data"] == data.fingerprint
    other = dataclasses.replace(run, recipe=run.recipe.replace(binarize="threshold"))
    with pytest.raises(RunMismatchError, match="binarize: 'sample' there, 'threshold' now"):
        TracIn(other, draws=4).capture(data, tmp_path)


def test_a_run_with_a_model_of_its_own_is_refused(run: Run, net: nn.Module) -> None:
    with pytest.raises(ValueError, match="exactly one is wanted"):
        TracIn(run, model=net)
