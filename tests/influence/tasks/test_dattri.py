"""The dattri-shaped door: dattri's own answers without projection, and what it does not do."""

from __future__ import annotations

import warnings
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.utils.data import DataLoader, TensorDataset

from genmem.influence.tasks import AttributionTask, TracInAttributor
from influence.traps import randn

N, Q, WEIGHTS = 9, 5, (0.3, 0.1)


def net() -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(1)
        return nn.Sequential(nn.Linear(4, 6), nn.Tanh(), nn.LayerNorm(6), nn.Linear(6, 3)).eval()


MODEL = net()


def loss(params: dict[str, Tensor], batch: tuple[Tensor, Tensor]) -> Tensor:
    x, y = batch
    output = functional_call(MODEL, params, (x[None],))
    return nn.functional.cross_entropy(output, y[None])


def target(params: dict[str, Tensor], batch: tuple[Tensor, Tensor]) -> Tensor:
    x, y = batch
    return -functional_call(MODEL, params, (x[None],)).softmax(1).gather(1, y.view(1, 1)).sum()


def batched(model: nn.Module, batch: tuple[Tensor, Tensor]) -> Tensor:
    x, y = batch
    return nn.functional.cross_entropy(model(x), y, reduction="none")


@pytest.fixture
def checkpoints() -> list[dict[str, Tensor]]:
    return [{n: s * v for n, v in net().state_dict().items()} for s in (0.7, 1.5)]


def loader(n: int, seed: int, size: int = 4) -> DataLoader[Any]:
    return DataLoader(TensorDataset(randn(n, 4, seed=seed).float(), torch.arange(n) % 3), size)


@pytest.fixture(autouse=True)
def _quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TQDM_DISABLE", "1")


def rival(task_arguments: dict[str, Any], **options: Any) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        task = pytest.importorskip("dattri.task")
        tracin = pytest.importorskip("dattri.algorithm.tracin")
    exact = {"proj_type": "identity"}
    found = tracin.TracInAttributor(
        task.AttributionTask(**task_arguments),
        weight_list=torch.tensor(WEIGHTS),
        projector_kwargs=exact,
        **options,
    )
    # An argument of None leaves the projection on; exactness is what is compared here.
    found.projector_kwargs = None
    return found


def close(got: Tensor, want: Tensor) -> None:
    assert got.dtype == want.dtype
    assert got.shape == want.shape
    assert (got - want).abs().max() <= 2e-5 * want.abs().max()


@pytest.mark.parametrize("normalized", [False, True])
@pytest.mark.parametrize("target_func", [None, target])
def test_scores_are_those_of_dattri(
    checkpoints: list[dict[str, Tensor]], normalized: bool, target_func: Any
) -> None:
    arguments = {
        "loss_func": loss,
        "model": MODEL,
        "checkpoints": checkpoints,
        "target_func": target_func,
    }
    theirs = rival(arguments, normalized_grad=normalized)
    ours = TracInAttributor(AttributionTask(**arguments), torch.tensor(WEIGHTS), normalized)
    train, test = loader(N, 0), loader(Q, 5, 2)
    ours.cache()
    got = ours.attribute(train, test)
    assert got.shape == (N, Q)
    close(got, theirs.attribute(train, test))
    close(ours.self_attribute(train), theirs.self_attribute(train))


def test_a_loss_of_the_model_reads_layers(checkpoints: list[dict[str, Tensor]]) -> None:
    train, test = loader(N, 0), loader(Q, 5)
    want = TracInAttributor(AttributionTask(loss, MODEL, checkpoints), WEIGHTS, False)
    got = TracInAttributor(AttributionTask(batched, MODEL, checkpoints), WEIGHTS, False)
    close(got.attribute(train, test), want.attribute(train, test))
    close(got.self_attribute(train), want.self_attribute(train))


def test_one_layer_and_one_checkpoint(checkpoints: list[dict[str, Tensor]]) -> None:
    arguments = {"loss_func": loss, "model": MODEL, "checkpoints": checkpoints}
    train, test = loader(N, 0), loader(Q, 5)
    for chosen in (["3.weight"], ["0.weight", "0.bias"]):
        theirs = rival(arguments, normalized_grad=False, layer_name=chosen)
        ours = TracInAttributor(AttributionTask(**arguments), WEIGHTS, False, layer_name=chosen)
        close(ours.attribute(train, test), theirs.attribute(train, test))
    one = TracInAttributor(AttributionTask(loss, MODEL, checkpoints[0]), [1.0], False)
    two = TracInAttributor(AttributionTask(loss, MODEL, checkpoints), [1.0, 0.0], False)
    close(one.attribute(train, test), two.attribute(train, test))


def test_what_was_cached_is_not_captured_again(checkpoints: list[dict[str, Tensor]]) -> None:
    seen: list[int] = []

    def counting(model: nn.Module, batch: tuple[Tensor, Tensor]) -> Tensor:
        seen.append(len(batch[0]))
        return batched(model, batch)

    ours = TracInAttributor(AttributionTask(counting, MODEL, checkpoints), WEIGHTS, False)
    train, test = loader(N, 0), loader(Q, 5)
    want = ours.attribute(train, test)
    with pytest.raises(ValueError, match="nothing was cached"):
        ours.attribute(None, test)
    ours.cache(train)
    seen.clear()
    close(ours.attribute(None, test), want)
    assert max(seen) == Q


def test_a_load_function_that_gives_a_module(checkpoints: list[dict[str, Tensor]]) -> None:
    def load(model: nn.Module, state: dict[str, Tensor]) -> nn.Module:
        other = net()
        other.load_state_dict(state)
        return other

    arguments = (loss, MODEL, checkpoints)
    train, test = loader(N, 0), loader(Q, 5)
    got = TracInAttributor(AttributionTask(*arguments, checkpoints_load_func=load), WEIGHTS, False)
    want = TracInAttributor(AttributionTask(*arguments), WEIGHTS, False)
    close(got.attribute(train, test), want.attribute(train, test))


def test_the_task_may_be_dattris_own(checkpoints: list[dict[str, Tensor]]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        task = pytest.importorskip("dattri.task")
    theirs = task.AttributionTask(loss, MODEL, checkpoints, target)
    train, test = loader(N, 0), loader(Q, 5)
    got = TracInAttributor(theirs, WEIGHTS, False).attribute(train, test)
    want = TracInAttributor(AttributionTask(loss, MODEL, checkpoints, target), WEIGHTS, False)
    close(got, want.attribute(train, test))


def test_what_is_not_taken_is_said(checkpoints: list[dict[str, Tensor]]) -> None:
    task = AttributionTask(loss, MODEL, checkpoints)
    assert task.get_checkpoints() == checkpoints
    with pytest.warns(UserWarning, match="projector_kwargs has no effect"):
        TracInAttributor(task, WEIGHTS, False, {"proj_dim": 512})
    with pytest.raises(ValueError, match="weight_list has 1 entries; 2 are wanted"):
        TracInAttributor(task, [1.0], False)
