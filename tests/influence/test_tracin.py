"""TracIn against sums of float64 per-sample gradient products over the checkpoints."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import torch
from torch import Tensor, nn

import genmem
from genmem.datasets import Dataset
from genmem.errors import CheckpointError, RunMismatchError
from genmem.influence import FactorStore, TracIn
from genmem.noise import normals
from genmem.training import Inputs, Recipe, Run, train

Float64 = npt.NDArray[np.float64]
Oracle = Callable[..., Float64]


@dataclass
class Saved:
    """A checkpoint that counts how often it is loaded."""

    weights: dict[str, Tensor]
    lr: float = 0.1
    steps_since_previous: int = 20
    batch: int = 4
    rows: int = 8
    loads: int = field(default=0)

    def state(self) -> dict[str, Tensor]:
        self.loads += 1
        return self.weights


class Net(nn.Module):
    """Reads x and noise: its latent code has two dimensions."""

    latent = 2

    def __init__(self) -> None:
        super().__init__()
        self.inner, self.gain = nn.Linear(5, 3), nn.Parameter(torch.ones(3))
        self.norm = nn.BatchNorm1d(3)

    def forward(self, x: Tensor, noise: Tensor) -> Tensor:
        h = torch.tanh(
            self.inner(torch.cat([x[:, None].expand(-1, noise.shape[1], -1), noise], -1))
        )
        return (self.norm((h * self.gain).mean(1)) ** 2).sum(1)


def loss(model: nn.Module, x: Tensor, noise: Tensor) -> Tensor:
    return model(x, noise)


def states(model: nn.Module, count: int) -> list[dict[str, Tensor]]:
    generator = torch.Generator().manual_seed(1)
    found = []
    for _ in range(count):
        state = {}
        for name, value in model.state_dict().items():
            drawn = torch.rand(value.shape, generator=generator, dtype=torch.float64) + 0.1
            state[name] = drawn.to(value.dtype)
        found.append(state)
    return found


def randn(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def noise_of(
    stream: str, ids: npt.ArrayLike, draws: int = 4, latent: int = 2, seed: int = 0
) -> Tensor:
    return torch.from_numpy(normals(seed, ids, np.arange(draws), latent, stream=stream)).double()


@pytest.fixture
def net() -> nn.Module:
    return Net().double().eval()


@pytest.fixture
def saved(net: nn.Module) -> list[Saved]:
    return [Saved(state, lr) for state, lr in zip(states(net, 3), (0.1, 0.05, 0.02), strict=True)]


@pytest.fixture
def truth(net: nn.Module, saved: list[Saved], oracle: Oracle) -> Float64:
    """(6, 8) with weights lr x 20 steps x 4 / 8, four draws, ids by position."""
    x, z, total = randn(8, 3), randn(6, 3, seed=1), np.zeros((6, 8))
    for checkpoint in saved:
        model = Net().double().eval()
        model.load_state_dict(checkpoint.weights)
        left = oracle(model, loss, z, noise_of("tracin test", np.arange(6)))
        right = oracle(model, loss, x, noise_of("tracin train", np.arange(8)))
        total += checkpoint.lr * 10 * left @ right.T
    return total


def assert_close(got: Float64, want: Float64) -> None:
    assert got.shape == want.shape
    assert (np.abs(got - want) <= 1e-11 * np.abs(want).max()).all()


def test_influence_is_the_weighted_sum_of_products(
    net: nn.Module, saved: list[Saved], truth: Float64
) -> None:
    tracin = TracIn(saved, loss, model=net, draws=4)
    got = tracin.influence(randn(6, 3, seed=1), randn(8, 3))
    assert got.dtype == np.float64
    assert_close(got, truth)
    np.testing.assert_allclose(tracin.weights, [1.0, 0.5, 0.2], rtol=1e-15)


@pytest.mark.parametrize("block", [1, 2, 3, 5, 100])
def test_blocks_do_not_change_the_answer(
    block: int, net: nn.Module, saved: list[Saved], truth: Float64
) -> None:
    tracin = TracIn(saved, loss, model=net, draws=4, block=block)
    assert_close(tracin.influence(randn(6, 3, seed=1), randn(8, 3)), truth)


def test_a_tiny_memory_budget_does_not_change_the_answer(
    net: nn.Module, saved: list[Saved], truth: Float64
) -> None:
    tracin = TracIn(saved, loss, model=net, draws=4, memory=64)
    assert_close(tracin.influence(randn(6, 3, seed=1), randn(8, 3)), truth)
    top = tracin.influence(randn(6, 3, seed=1), randn(8, 3), k=3)
    assert type(top.scores) is np.ndarray  # nothing of the temporary file is left in the answer
    assert_close(top.scores, -np.sort(-truth, axis=1)[:, :3])


def test_order_does_not_change_the_answer_when_ids_follow(
    net: nn.Module, saved: list[Saved], truth: Float64
) -> None:
    order = np.array([5, 2, 7, 0, 1, 6, 3, 4])
    tracin = TracIn(saved, loss, model=net, draws=4)
    got = tracin.influence(randn(6, 3, seed=1).numpy(), randn(8, 3).numpy()[order], train_ids=order)
    assert_close(got, truth[:, order])


def test_duplicates_are_kept_and_equal(net: nn.Module, saved: list[Saved]) -> None:
    x = randn(4, 3)[[0, 1, 1, 3, 1]]
    got = TracIn(saved, loss, model=net, draws=4).influence(
        randn(3, 3, seed=1), x, train_ids=[0, 1, 1, 3, 1]
    )
    assert got.shape == (3, 5)
    np.testing.assert_allclose(got[:, [2, 4]], got[:, [1, 1]], rtol=1e-13)


@pytest.mark.parametrize("proponents", [True, False])
@pytest.mark.parametrize("k", [1, 3, 8])
def test_the_k_strongest_are_those_of_a_stable_argsort(
    k: int, proponents: bool, net: nn.Module, saved: list[Saved], truth: Float64
) -> None:
    tracin = TracIn(saved, loss, model=net, draws=4, block=3)
    top = tracin.influence(randn(6, 3, seed=1), randn(8, 3), k, proponents)
    assert isinstance(top, genmem.TopInfluences)
    order = np.argsort(-truth if proponents else truth, axis=1, kind="stable")[:, :k]
    assert top.indices.dtype == np.int64
    np.testing.assert_array_equal(top.indices, order)
    assert_close(top.scores, np.take_along_axis(truth, order, axis=1))


def test_ties_go_to_the_lower_position() -> None:
    model = nn.Linear(2, 1, bias=False).double()
    tracin = TracIn([model.state_dict()], lambda m, x, _: m(x)[:, 0], model=model, weights=[1.0])
    x = torch.tensor([[1.0, 0], [2, 0], [1, 0], [2, 0], [-1, 0], [-1, 5]])
    z = torch.tensor([[1.0, 0]])
    np.testing.assert_array_equal(tracin.influence(z, x, k=4).indices, [[1, 3, 0, 2]])
    np.testing.assert_array_equal(
        tracin.influence(z, x, k=3, proponents=False).indices, [[4, 5, 0]]
    )


def test_positive_is_a_proponent_and_nats_are_the_decrease_of_the_loss() -> None:
    # One step of gradient descent on the mean loss of all samples, short enough to be linear.
    x, y, z = randn(7, 4), randn(7, 1, seed=2), randn(3, 4, seed=3)
    model, rate = nn.Sequential(nn.Linear(4, 3), nn.Tanh(), nn.Linear(3, 1)).double(), 1e-6

    def error(model: nn.Module, batch: tuple[Tensor, Tensor], noise: None) -> Tensor:
        return ((model(batch[0]) - batch[1]) ** 2).sum(1)

    before = Saved({n: v.clone() for n, v in model.state_dict().items()}, rate, 1, batch=7, rows=7)
    queries = (z, torch.zeros(3, 1))
    start = error(model, queries, None).detach()
    torch.autograd.backward(error(model, (x, y), None).mean())
    torch.optim.SGD(model.parameters(), lr=rate).step()
    decrease = (start - error(model, queries, None).detach()).numpy()
    got = TracIn([before], error, model=model, weights="nats").influence(queries, (x, y))
    assert got.shape == (3, 7)
    np.testing.assert_allclose(got.sum(1), decrease, rtol=1e-4)


def test_each_checkpoint_is_loaded_once_and_those_without_weight_never(
    net: nn.Module, saved: list[Saved]
) -> None:
    tracin = TracIn(saved, loss, model=net, draws=4, weights=[1, 0, 2], block=2)
    tracin.influence(randn(6, 3, seed=1), randn(8, 3))
    assert [checkpoint.loads for checkpoint in saved] == [1, 0, 1]
    tracin.self_influence(randn(8, 3))
    assert [checkpoint.loads for checkpoint in saved] == [2, 0, 2]


def test_queries_take_draws_of_their_own(net: nn.Module, saved: list[Saved]) -> None:
    x = randn(8, 3)
    tracin = TracIn(saved, loss, model=net, draws=4)
    own = np.diagonal(tracin.influence(x, x))
    assert (np.abs(own - tracin.self_influence(x)) > 1e-6).all()


def test_seeds_draws_and_latent_decide_the_noise(net: nn.Module, saved: list[Saved]) -> None:
    x, z = randn(8, 3), randn(6, 3, seed=1)
    base = TracIn(saved, loss, model=net, draws=4).influence(z, x)
    np.testing.assert_array_equal(TracIn(saved, loss, model=net, draws=4).influence(z, x), base)
    assert (TracIn(saved, loss, model=net, draws=4, seed=1).influence(z, x) != base).all()
    assert (TracIn(saved, loss, model=net, draws=5).influence(z, x) != base).all()
    with pytest.raises(RuntimeError, match="mat1 and mat2 shapes"):
        TracIn(saved, loss, model=net, latent=3).influence(z, x)


def test_the_model_is_left_as_it_was_even_after_an_exception(
    net: nn.Module, saved: list[Saved]
) -> None:
    net.inner.weight.grad = torch.ones(3, 5, dtype=torch.float64)
    held = {name: value.clone() for name, value in net.state_dict().items()}
    gradient = net.inner.weight.grad

    def stop(stage: str, done: int, total: int) -> None:
        assert total == 3 * 48
        if done > 48:
            raise KeyboardInterrupt

    def careless(model: nn.Module, x: Tensor, noise: Tensor) -> Tensor:
        model.zero_grad(set_to_none=True)
        return loss(model, x, noise)

    tracin = TracIn(saved, careless, model=net, draws=4, progress=stop)
    with pytest.raises(KeyboardInterrupt):
        tracin.influence(randn(6, 3, seed=1), randn(8, 3))
    for name, value in net.state_dict().items():
        assert torch.equal(value, held[name]), name
    assert net.inner.weight.grad is gradient
    assert not net.inner._forward_hooks
    assert all(p.requires_grad for p in net.parameters())


def test_progress_counts_products(net: nn.Module, saved: list[Saved]) -> None:
    seen: list[tuple[str, int, int]] = []
    tracin = TracIn(
        saved, loss, model=net, draws=4, block=3, progress=lambda *facts: seen.append(facts)
    )
    tracin.influence(randn(6, 3, seed=1), randn(8, 3))
    assert [done for _, done, _ in seen] == sorted({done for _, done, _ in seen})
    assert seen[-1] == ("influence", 144, 144)


# --- runs


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
    traced = tracin._loss(model, x, noise).mean().item()
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


# --- hostile


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


def test_a_run_with_a_model_of_its_own_is_refused(run: Run, net: nn.Module) -> None:
    with pytest.raises(ValueError, match="exactly one is wanted"):
        TracIn(run, model=net)
