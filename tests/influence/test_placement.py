"""TracIn on a card: gradients are captured there, scores are those of the processor."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest import mock

import numpy as np
import numpy.typing as npt
import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import TensorDataset

from genmem import kernels
from genmem.datasets import Dataset
from genmem.device import device_of
from genmem.errors import BackendError, RunMismatchError
from genmem.influence import TracIn, capture_factors, products
from genmem.influence.capture import forms
from genmem.influence.tasks import AttributionTask, TracInAttributor, TracInCP
from genmem.kernels import native
from genmem.training import Recipe, Run, train
from influence.small_net import Saved, loss, randn
from pretend_card import CARD, pretended_card

Float64 = npt.NDArray[np.float64]

RECIPES = {
    "mlp": Recipe(latent=2, hidden=(6,), binarize="threshold", checkpoints=(1,)),
    "convolutions, batch norm": Recipe(model="dcvae", latent=2, hidden=(4, 6)),
    "learned variance": Recipe(latent=2, hidden=(6,), likelihood="constant-gaussian"),
    "conditional": Recipe(latent=2, hidden=(6,), conditional=True),
}


@pytest.fixture(scope="module")
def data() -> Dataset:
    rng = np.random.default_rng(0)
    x = rng.integers(0, 256, (24, 1, 8, 8), dtype=np.uint8)
    return Dataset(name="noise", x=x, y=np.arange(24) % 3)


@pytest.fixture(params=RECIPES)
def run(request: pytest.FixtureRequest, data: Dataset) -> Run:
    return train(RECIPES[request.param].replace(epochs=2, batch=8), data, device="cpu")


def answers(tracin: TracIn, data: Dataset, out: Path) -> dict[str, Any]:
    test = data.take(np.arange(5))
    top = tracin.influence(test, data, 3)
    store = tracin.capture(data, out)
    return {
        "influence": tracin.influence(test, data),
        "top": top.indices,
        "self": tracin.self_influence(data),
        "unbiased": tracin.self_influence(data, unbiased=True),
        "generated": tracin.influence_on_generated(4, data).scores,
        "of a store": tracin.influence(test, store),
        **{f"layer {layer.name}": layer.gradients for layer in store.factors().layers},
    }


def test_scores_are_the_processors(run: Run, data: Dataset, tmp_path: Path) -> None:
    want = answers(TracIn(run, draws=4, device="cpu"), data, tmp_path / "here")
    with pretended_card():
        tracin = TracIn(run, draws=4)
        assert device_of(tracin._tracing.trajectory.model) == CARD
        got = answers(tracin, data, tmp_path / "there")
    assert got.keys() == want.keys()
    for name, values in want.items():
        assert isinstance(got[name], np.ndarray)
        np.testing.assert_array_equal(got[name], values, err_msg=name)


@contextmanager
def kernels_on_card() -> Iterator[None]:
    """As if the kernels ran there: those of the emulated card, in memory that "torch" gives."""
    held: dict[int, np.ndarray] = {}

    def allocate(size: int, device: int, stream: int) -> int:
        one = np.empty(size + 256, np.uint8)
        address = -(-one.ctypes.data // 256) * 256
        held[address] = one
        return address

    cuda = {
        "current_stream": lambda device: SimpleNamespace(cuda_stream=0),
        "caching_allocator_alloc": allocate,
        "caching_allocator_delete": held.pop,
    }
    with (
        mock.patch.multiple(torch.cuda, **cuda),
        mock.patch.object(native, "CARD", "cuda-emulated"),
        mock.patch.object(forms, "reads_cards", return_value=True),
    ):
        yield
    assert not held


def test_factors_stay_where_kernels_read_them(run: Run, data: Dataset, tmp_path: Path) -> None:
    """Products are then computed there, as good but not of the same bits."""
    want = answers(TracIn(run, draws=4, device="cpu"), data, tmp_path / "here")
    places: list[str] = []

    def watched(left: Any, right: Any, **how: Any) -> Any:
        for layer in (*left.layers, *right.layers):
            places.extend(str(part.device) for part in (layer.inputs, layer.gradients)
                          if isinstance(part, Tensor))  # fmt: skip
        return kernels.grad_products(left, right, **how)

    with pretended_card(), kernels_on_card(), mock.patch.object(products, "grad_products", watched):
        got = answers(TracIn(run, draws=4), data, tmp_path / "there")
    assert set(places) == {"cuda:0"}
    assert got.keys() == want.keys()
    own = np.sqrt(want["self"])
    for name in ("influence", "of a store"):
        assert np.abs(got[name] - want[name]).max() <= 1e-5 * own.max() ** 2
    assert (got["top"] == want["top"]).all()
    assert np.abs(got["self"] - want["self"]).max() <= 1e-5 * want["self"].max()
    for name in (name for name in want if name.startswith("layer")):
        assert isinstance(got[name], np.ndarray)
        np.testing.assert_array_equal(got[name], want[name])


def test_a_store_keeps_to_its_kind_of_device(data: Dataset, tmp_path: Path) -> None:
    run = train(RECIPES["mlp"].replace(epochs=1, checkpoints=()), data, device="cpu")
    TracIn(run, draws=2, device="cpu").capture(data, tmp_path / "here")
    assert "device" not in (tmp_path / "here" / "recipe.toml").read_text()
    with pretended_card():
        TracIn(run, draws=2).capture(data, tmp_path / "there")
        with pytest.raises(RunMismatchError, match="device: 'cpu' there, 'cuda' now"):
            TracIn(run, draws=2).capture(data, tmp_path / "here")
    with pytest.raises(RunMismatchError, match="device: 'cuda' there, 'cpu' now"):
        TracIn(run, draws=2, device="cpu").capture(data, tmp_path / "there")


def test_a_model_of_another_training_stays_unless_a_device_is_named(
    net: nn.Module, saved: list[Saved], truth: Float64
) -> None:
    """Its bare parameter has gradients that autograd forms, on a card too."""
    x, z = randn(8, 3), randn(6, 3, seed=1)

    def found(**asked: str) -> tuple[Float64, torch.device]:
        tracin = TracIn(saved, loss, model=net, draws=4, **asked)
        return tracin.influence(z, x), device_of(net)

    here, place = found()
    assert place == torch.device("cpu")
    with pretended_card():
        assert found()[1] == torch.device("cpu")
        for asked in ({"device": "cuda"}, {}, {"device": "auto"}):
            there, place = found(**asked)
            assert place == CARD
            np.testing.assert_array_equal(there, here)
        assert found(device="cpu")[1] == torch.device("cpu")
    np.testing.assert_allclose(here, truth, rtol=1e-9)


def test_a_loss_that_leaves_a_tensor_behind_is_refused(net: nn.Module, saved: list[Saved]) -> None:
    offset = torch.zeros(3, dtype=torch.float64)

    def careless(model: nn.Module, x: Tensor, noise: Tensor) -> Tensor:
        return loss(model, x + offset, noise)

    with pretended_card():
        tracin = TracIn(saved, careless, model=net, draws=4, device="cuda")
        with pytest.raises(RuntimeError, match="Expected all tensors to be on the same device"):
            tracin.self_influence(randn(8, 3))


def test_factors_of_a_batch_are_arrays(net: nn.Module) -> None:
    want = capture_factors(net, loss, randn(4, 3), randn(4, 2, 2))
    with pretended_card():
        there = net.to("cuda"), loss, randn(4, 3).to("cuda"), randn(4, 2, 2).to("cuda")
        got = capture_factors(*there)
    for one, other in zip(got.layers, want.layers, strict=True):
        np.testing.assert_array_equal(one.inputs, other.inputs)
        np.testing.assert_array_equal(one.gradients, other.gradients)


def test_the_doors_of_captum_and_dattri(tmp_path: Path) -> None:
    torch.manual_seed(0)
    net, data = nn.Linear(3, 2), TensorDataset(torch.randn(6, 3), torch.arange(6) % 2)
    torch.save(net.state_dict(), tmp_path / "1.pt")

    def each(model: nn.Module, batch: tuple[Tensor, Tensor]) -> Tensor:
        return nn.functional.cross_entropy(model(batch[0]), batch[1], reduction="none")

    task = AttributionTask(each, net, [net.state_dict()])
    criterion, scores = nn.CrossEntropyLoss(reduction="none"), []
    with pretended_card():
        for device in ("cpu", "cuda"):
            attributor = TracInAttributor(task, [1.0], normalized_grad=False, device=device)
            door = TracInCP(net, data, tmp_path, loss_fn=criterion)
            some = data[:2]
            scores.append([door.influence(some), door.self_influence()])
            scores[-1] += [attributor.attribute(data, some), attributor.self_attribute(data)]
            assert device_of(net).type == device
    for here, there in zip(*scores, strict=True):
        assert here.device == there.device == torch.device("cpu")
        assert torch.equal(here, there)


def test_a_card_that_is_absent_is_refused(net: nn.Module, saved: list[Saved]) -> None:
    if torch.cuda.is_available():
        pytest.skip("this machine has a card")
    with pytest.raises(BackendError, match="TracIn: device 'cuda' cannot be used: "):
        TracIn(saved, loss, model=net, device="cuda")
