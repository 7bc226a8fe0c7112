"""Influence on what the model draws."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import torch

from genmem.datasets import Dataset
from genmem.influence import TracIn
from genmem.kernels import TopInfluences
from genmem.objectives import ELBO
from genmem.training import Recipe, Run, train
from influence.small_net import Saved, loss, noise_of, randn

Oracle = Callable[..., npt.NDArray[np.float64]]


@pytest.fixture(scope="module", params=[None, "sample"])
def problem(request: pytest.FixtureRequest) -> tuple[Run, Dataset]:
    x = np.random.default_rng(0).integers(0, 256, (20, 1, 4, 4), dtype=np.uint8)
    data = Dataset(name="noise", x=x, index=np.arange(50, 70))
    recipe = Recipe(
        latent=2, hidden=(6,), epochs=4, batch=5, checkpoints=(2, 4), binarize=request.param
    )
    return train(recipe, data), data


def test_samples_of_the_last_model_are_the_queries(
    problem: tuple[Run, Dataset], oracle: Oracle
) -> None:
    run, data = problem
    from genmem.training import Inputs

    tracin = TracIn(run, draws=4)
    got = tracin.influence_on_generated(7, data, sample_seed=3)
    np.testing.assert_array_equal(got.samples.x, run.sample(7, 3))
    # The recipe decides what a model sees: binarised models are asked about binary draws.
    z = torch.from_numpy(run.sample(7, 3)).double()
    if run.recipe.binarize:
        z = Inputs(run.recipe, got.samples).batch(np.arange(7)).double()
        assert set(np.unique(z)) <= {0.0, 1.0}
    x = Inputs(run.recipe, data).batch(np.arange(20)).double()
    want = np.zeros((7, 20))
    for c, weight in enumerate(tracin.weights):
        model = run.model(c).double()
        left = oracle(model, ELBO().loss, z, noise_of("tracin test", np.arange(7)))
        right = oracle(model, ELBO().loss, x, noise_of("tracin train", data.index))
        want += weight * left @ right.T
    assert np.abs(got.scores - want).max() <= 1e-5 * np.abs(want).max()
    np.testing.assert_allclose(got.overall, got.scores.mean(0), rtol=1e-12)
    np.testing.assert_allclose(got.error, got.scores.std(0, ddof=1) / np.sqrt(7), rtol=1e-10)
    # Sample i is the same for every number of them.
    fewer = tracin.influence_on_generated(np.int64(3), data, sample_seed=3)
    np.testing.assert_allclose(fewer.scores, got.scores[:3], rtol=1e-4, atol=1e-6)


def test_the_strongest_of_each_and_a_store(problem: tuple[Run, Dataset], tmp_path: Path) -> None:
    run, data = problem
    tracin = TracIn(run, draws=2, memory=1 << 12)
    whole = tracin.influence_on_generated(5, data)
    for source in (data, tracin.capture(data, tmp_path)):
        for proponents in (True, False):
            top = tracin.influence_on_generated(5, source, k=3, proponents=proponents)
            assert isinstance(top.scores, TopInfluences)
            order = np.argsort(-whole.scores if proponents else whole.scores, axis=1)[:, :3]
            np.testing.assert_array_equal(top.scores.indices, order)
            np.testing.assert_allclose(top.overall, whole.overall, rtol=1e-5, atol=1e-7)


def test_samples_that_were_drawn_elsewhere(net: torch.nn.Module, saved: list[Saved]) -> None:
    drawn, x = randn(4, 3, seed=9), randn(8, 3)
    tracin = TracIn(saved, loss, model=net, draws=4)
    got = tracin.influence_on_generated(drawn, x)
    np.testing.assert_array_equal(got.scores, tracin.influence(drawn, x))
    one = tracin.influence_on_generated(drawn[:1], x)
    assert np.isnan(one.error).all()
    np.testing.assert_allclose(one.overall, got.scores[0])
    with pytest.raises(ValueError, match="generated is 5, but checkpoints without a Run"):
        tracin.influence_on_generated(5, x)
    with pytest.raises(ValueError, match=r"k is 9; 1\.\.8"):
        tracin.influence_on_generated(drawn, x, k=9)


def test_a_training_step_on_a_proponent_raises_the_likelihood_of_the_draws(
    problem: tuple[Run, Dataset],
) -> None:
    run, data = problem
    from genmem.training import Inputs

    tracin = TracIn(run, draws=256, weights=[0.0, 1.0])
    found = tracin.influence_on_generated(12, data)
    best, worst = np.argmax(found.overall), np.argmin(found.overall)
    z = Inputs(run.recipe, found.samples).batch(np.arange(12)).double()
    x = Inputs(run.recipe, data).batch(np.arange(20)).double()
    noise = noise_of("tracin test", np.arange(12), draws=256)
    change = []
    for row in (best, worst):
        model = run.model().double()
        before = ELBO().loss(model, z, noise).mean().item()
        drawn = noise_of("tracin train", data.index[[row]], draws=256)
        torch.autograd.backward(ELBO().loss(model, x[[row]], drawn).sum())
        torch.optim.SGD(model.parameters(), lr=1e-4).step()
        change.append((before - ELBO().loss(model, z, noise).mean().item()) / 1e-4)
    np.testing.assert_allclose(change, found.overall[[best, worst]], rtol=0.02)
