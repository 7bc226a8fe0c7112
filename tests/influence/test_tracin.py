"""TracIn against sums of float64 per-sample gradient products over the checkpoints."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
import torch
from torch import Tensor, nn

import genmem
from genmem.influence import TracIn
from influence.small_net import Saved, loss, randn

Float64 = npt.NDArray[np.float64]


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
