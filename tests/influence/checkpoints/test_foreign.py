"""Checkpoints of other trainings: dictionaries, files, load functions; nothing is unpickled."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from genmem.errors import CheckpointError
from genmem.influence import StateCheckpoint, TracIn, load_state, loaded_by, state_checkpoints
from influence.traps import randn

Oracle = Callable[..., npt.NDArray[np.float64]]
RATES, STEPS = (0.1, 0.05), (30, 40)
X, Z = randn(6, 3), randn(4, 3, seed=1)


def net() -> nn.Module:
    return nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2)).double()


def loss(model: nn.Module, x: Tensor, noise: None) -> Tensor:
    return model(x).square().sum(1)


@pytest.fixture
def states() -> list[dict[str, Tensor]]:
    generator = torch.Generator().manual_seed(1)
    return [
        {
            n: torch.rand(v.shape, generator=generator).double()
            for n, v in net().state_dict().items()
        }
        for _ in RATES
    ]


@pytest.fixture
def products(states: list[dict[str, Tensor]], oracle: Oracle) -> list[npt.NDArray[np.float64]]:
    found = []
    for state in states:
        model = net()
        model.load_state_dict(state)
        found.append(oracle(model, loss, Z, None) @ oracle(model, loss, X, None).T)
    return found


def files(folder: Path, states: list[dict[str, Tensor]]) -> list[Path]:
    """One of each kind: bare, nested beside an optimizer, safetensors."""
    torch.save(states[0], folder / "bare.pt")
    save_file(states[1], folder / "second.safetensors")
    return [folder / "bare.pt", folder / "second.safetensors"]


def facts_within(folder: Path, states: list[dict[str, Tensor]]) -> list[str]:
    """Files that hold rate and step beside the weights, one of them in torch's old format."""
    paths = []
    for s, lr, step in zip(states, RATES, STEPS, strict=True):
        held = {"state_dict": s, "lr": lr, "step": step, "batch": 2, "rows": 6}
        path = folder / f"step_{step}.pt"
        torch.save(held, path, _use_new_zipfile_serialization=step == STEPS[0])
        paths.append(str(path))
    return paths


@pytest.mark.parametrize("kind", ["dictionaries", "nested", "files", "beside", "within", "tensors"])
def test_rates_and_steps_beside_states(
    kind: str, states: list[dict[str, Tensor]], products: list[Any], tmp_path: Path
) -> None:
    given: Any = {
        "dictionaries": lambda: state_checkpoints(states, RATES, STEPS, batch=2, rows=6),
        "nested": lambda: state_checkpoints(
            [{"model_state_dict": s, "epoch": 3} for s in states], RATES, STEPS, batch=2, rows=6
        ),
        "files": lambda: state_checkpoints(files(tmp_path, states), RATES, STEPS, batch=2, rows=6),
        "beside": lambda: [
            {"state_dict": s, "learning_rate": lr, "step": step, "batch": 2, "rows": 6}
            for s, lr, step in zip(states, RATES, STEPS, strict=True)
        ],
        "within": lambda: facts_within(tmp_path, states),
        "tensors": lambda: [
            {
                "model": s,
                "lr": torch.tensor(lr, dtype=torch.float64),
                "global_step": np.int64(step),
                "batch": np.float64(2),
                "rows": torch.tensor(6),
            }
            for s, lr, step in zip(states, RATES, STEPS, strict=True)
        ],
    }[kind]()
    for weights, want in (("lr", RATES), ("lr_steps", (1.0, 0.05 * 10 * 2 / 6))):
        traced = TracIn(given, loss, model=net(), weights=weights)
        np.testing.assert_allclose(traced.weights, want, rtol=1e-14)
        truth = sum(w * k for w, k in zip(want, products, strict=True))
        np.testing.assert_allclose(traced.influence(Z, X), truth, rtol=1e-10)


def test_files_alone_take_weights_of_their_own(
    states: list[dict[str, Tensor]], products: list[Any], tmp_path: Path
) -> None:
    paths = files(tmp_path, states)
    got = TracIn([str(paths[0]), paths[1]], loss, model=net(), weights=[2.0, 1.0]).influence(Z, X)
    np.testing.assert_allclose(got, 2 * products[0] + products[1], rtol=1e-10)
    with pytest.raises(ValueError, match="checkpoint 0 has no 'lr'"):
        TracIn(paths, loss, model=net(), weights="lr")


def test_a_load_function_tells_the_rate_and_is_called_once_per_pass(
    states: list[dict[str, Tensor]], products: list[Any]
) -> None:
    calls: list[str] = []

    def load(model: nn.Module, place: str) -> float:
        calls.append(place)
        model.load_state_dict(states[int(place)])
        return RATES[int(place)]

    traced = TracIn(loaded_by(["0", "1"], load), loss, model=net(), weights="lr", block=2)
    want = RATES[0] * products[0] + RATES[1] * products[1]
    np.testing.assert_allclose(traced.influence(Z, X), want, rtol=1e-10)
    assert calls == ["0", "1"]
    np.testing.assert_allclose(traced.weights, RATES)
    traced.self_influence(X)
    assert calls == ["0", "1"] * 2
    # A store says its weights before it is filled, so here they are learned first.
    fresh = TracIn(loaded_by(["0", "1"], load), loss, model=net(), weights=lambda c: 2 * c.lr)
    assert fresh.capture(X).weights == (0.2, 0.1)
    sequence = TracIn(loaded_by(["0", "1"], load), loss, model=net(), weights=[0.0, 1.0])
    calls.clear()
    np.testing.assert_allclose(sequence.influence(Z, X), products[1], rtol=1e-10)
    assert calls == ["1"]


def test_a_load_function_may_give_a_module(
    states: list[dict[str, Tensor]], products: list[Any]
) -> None:
    def load(model: nn.Module, state: dict[str, Tensor]) -> nn.Module:
        other = net()
        other.load_state_dict(state)
        return other

    traced = TracIn(loaded_by(states, load), loss, model=net(), weights=[1.0, 0.0])
    np.testing.assert_allclose(traced.influence(Z, X), products[0], rtol=1e-10)
    odd = TracIn(loaded_by(states, lambda m, s: "0.1x"), loss, model=net(), weights="lr")
    with pytest.raises(CheckpointError, match="checkpoints_load_func gave a str"):
        odd.influence(Z, X)


def test_the_default_load_function_reads_what_captum_users_store(
    states: list[dict[str, Tensor]], tmp_path: Path
) -> None:
    torch.save({"model_state_dict": states[0], "learning_rate": 0.3}, tmp_path / "a.pt")
    model = net()
    assert load_state(model, tmp_path / "a.pt") == 0.3
    assert torch.equal(model[0].weight, states[0]["0.weight"])
    assert load_state(model, states[1]) == 1.0
    assert torch.equal(model[0].weight, states[1]["0.weight"])
    with pytest.raises(CheckpointError, match="another model's"):
        load_state(nn.Linear(2, 2), states[0])


class Planted:
    """An object whose unpickling writes a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.touch, (self.path,))


def test_nothing_is_unpickled(tmp_path: Path) -> None:
    trace = tmp_path / "executed"
    torch.save({"state_dict": Planted(trace)}, tmp_path / "bad.pt")
    with pytest.raises(CheckpointError, match=r"bad\.pt cannot be read as weights alone"):
        StateCheckpoint(tmp_path / "bad.pt").state()
    assert not trace.exists()


def test_what_holds_no_weights_is_refused(states: list[dict[str, Tensor]], tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="it holds epoch, optimizer; tensors by name"):
        StateCheckpoint({"epoch": 3, "optimizer": {}}).state()
    with pytest.raises(CheckpointError, match="it holds nothing"):
        StateCheckpoint({}).state()
    with pytest.raises(CheckpointError, match="is no state dictionary: it holds model, weights"):
        StateCheckpoint({"model": states[0], "weights": states[1]}).state()
    with pytest.raises(FileNotFoundError, match=r"none\.pt"):
        StateCheckpoint(tmp_path / "none.pt").state()
    torch.save([1, 2], tmp_path / "list.pt")
    with pytest.raises(CheckpointError, match="holds a list"):
        StateCheckpoint(tmp_path / "list.pt").state()
    (tmp_path / "cut.safetensors").write_bytes(b"abc")
    with pytest.raises(CheckpointError, match="cannot be read as weights alone"):
        StateCheckpoint(tmp_path / "cut.safetensors").state()


def test_entries_that_do_not_match_are_refused(states: list[dict[str, Tensor]]) -> None:
    with pytest.raises(ValueError, match="lr has 1 entries; 2 are wanted"):
        state_checkpoints(states, [0.1])
    with pytest.raises(ValueError, match="steps has 3 entries"):
        state_checkpoints(states, 0.1, [1, 2, 3])
    with pytest.raises(ValueError, match=r"steps\[1\] is 3, less than the one before"):
        state_checkpoints(states, 0.1, [5, 3])


def test_one_checkpoint_needs_no_list(
    states: list[dict[str, Tensor]], products: list[Any], tmp_path: Path
) -> None:
    path = files(tmp_path, states)[0]
    for one in (states[0], path, str(path), StateCheckpoint(states[0]), iter([states[0]])):
        got = TracIn(one, loss, model=net(), weights=[2.0]).influence(Z, X)
        np.testing.assert_allclose(got, 2 * products[0], rtol=1e-10)
    with pytest.raises(ValueError, match=r"TracIn: weights is 2\.0; one of lr, lr_steps, nats, a"):
        TracIn(states[0], loss, model=net(), weights=2.0)
