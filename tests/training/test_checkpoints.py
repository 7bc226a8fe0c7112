"""Checkpoints on disk: whole, of their model, and as their sidecar says."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from genmem.datasets import Dataset
from genmem.errors import CheckpointError
from genmem.ledger import write_unit
from genmem.models import build
from genmem.training import Checkpoint, Recipe, signature, train

FACTS = {
    "epoch": 3,
    "step": 12,
    "lr": 0.1,
    "steps_since_previous": 4,
    "batch": 8,
    "rows": 30,
    "train_loss": 1 / 3,
}


@pytest.fixture
def model(recipe: Recipe) -> torch.nn.Module:
    return build(recipe.replace(model="dcvae", hidden=(3, 4)), (1, 8, 8))


def test_in_memory_and_on_disk(model: torch.nn.Module, tmp_path: Path) -> None:
    held = Checkpoint.of(model, **FACTS)
    written = held.write(tmp_path)
    read = Checkpoint.read(tmp_path / "epoch_000003.json")
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        "epoch_000003.json",
        "epoch_000003.safetensors",
    ]
    for checkpoint in (held, written, read):
        assert checkpoint == held
        assert checkpoint.facts() == {**FACTS, "signature": signature(model)}
        assert checkpoint.state().keys() == model.state_dict().keys()
        for name, value in model.state_dict().items():
            assert checkpoint.state()[name].shape == value.shape
            assert torch.equal(checkpoint.state()[name], value)
    assert any(value.dim() == 0 for value in read.state().values())  # batch norm's counter


def test_a_checkpoint_is_a_copy(model: torch.nn.Module) -> None:
    held = Checkpoint.of(model, **FACTS)
    name, value = next(iter(model.named_parameters()))
    want = value.detach().clone()
    with torch.no_grad():
        value.zero_()
    held.state()[name].zero_()
    assert torch.equal(held.state()[name], want)


def test_loading(model: torch.nn.Module, recipe: Recipe, tmp_path: Path) -> None:
    written = Checkpoint.of(model, **FACTS).write(tmp_path)
    other = build(recipe.replace(model="dcvae", hidden=(3, 4), seed=8), (1, 8, 8))
    written.load_into(other)
    for name, value in model.state_dict().items():
        assert torch.equal(other.state_dict()[name], value)


def test_another_models_weights_are_refused(
    model: torch.nn.Module, recipe: Recipe, tmp_path: Path
) -> None:
    written = Checkpoint.of(model, **FACTS).write(tmp_path)
    wider = build(recipe.replace(model="dcvae", hidden=(3, 4), latent=5), (1, 8, 8))
    before = {name: value.clone() for name, value in wider.state_dict().items()}
    match = (
        rf"epoch_000003.safetensors holds a model of signature {signature(model)[:12]}, the model "
        rf"to fill has {signature(wider)[:12]}: decoder.1.weight is float32 \(2, 4, 2, 2\) there "
        r"and float32 \(5, 4, 2, 2\) in the model"
    )
    with pytest.raises(CheckpointError, match=match):
        written.load_into(wider)
    assert all(torch.equal(before[name], value) for name, value in wider.state_dict().items())
    with pytest.raises(
        CheckpointError, match=r"bias is float32 \(2,\) there and absent in the model"
    ):
        Checkpoint.of(torch.nn.Linear(2, 2), **FACTS).load_into(model)
    with pytest.raises(CheckpointError, match="checkpoint 3 holds a model of signature"):
        Checkpoint.of(model.double(), **FACTS).load_into(wider)


def test_broken_files_are_named(model: torch.nn.Module, tmp_path: Path) -> None:
    written = Checkpoint.of(model, **FACTS).write(tmp_path)
    path = tmp_path / "epoch_000003.safetensors"
    whole = path.read_bytes()
    for broken in (whole[:-20], whole[:10], b"", whole[:-1] + bytes([whole[-1] ^ 1])):
        path.write_bytes(broken)
        with pytest.raises(CheckpointError, match=r"epoch_000003.safetensors"):
            written.state()
    path.unlink()
    with pytest.raises(FileNotFoundError, match=r"epoch_000003.safetensors"):
        written.load_into(model)
    write_unit(path, {"weight": np.zeros(3)}, {"epoch": 3})
    with pytest.raises(CheckpointError, match="is a unit of something else"):
        written.state()


def test_a_sidecar_of_another_file_is_refused(model: torch.nn.Module, tmp_path: Path) -> None:
    Checkpoint.of(model, **FACTS).write(tmp_path)
    sidecar = tmp_path / "epoch_000003.json"
    facts = json.loads(sidecar.read_text())
    sidecar.write_text(json.dumps({**facts, "lr": 0.2}))
    with pytest.raises(CheckpointError, match=r"'lr': 0.1.*its sidecar says.*'lr': 0.2"):
        Checkpoint.read(sidecar).state()
    for text in ("{}", "[1]", "{", json.dumps({**facts, "extra": 1})):
        sidecar.write_text(text)
        with pytest.raises(CheckpointError, match=r"epoch_000003.json does not describe"):
            Checkpoint.read(sidecar)


def test_signatures_tell_models_apart(recipe: Recipe) -> None:
    base = signature(build(recipe, (8,)))
    assert base == signature(build(recipe.replace(seed=9, lr=1.0), (8,)))
    others = [
        build(recipe.replace(latent=3), (8,)),
        build(recipe, (9,)),
        build(recipe.replace(hidden=(16, 16)), (8,)),
        build(recipe, (8,)).double(),
    ]
    assert len({base, *map(signature, others)}) == 5


def test_a_run_refuses_the_checkpoint_of_another(
    data: Dataset, recipe: Recipe, tmp_path: Path
) -> None:
    run = train(recipe, data, tmp_path / "a")
    train(recipe.replace(latent=3), data, tmp_path / "b")
    for suffix in (".json", ".safetensors"):
        name = f"models/epoch_000006{suffix}"
        (tmp_path / "a" / name).write_bytes((tmp_path / "b" / name).read_bytes())
    with pytest.raises(CheckpointError, match=r"its sidecar says"):
        run.model()
    with pytest.raises(CheckpointError, match=r"holds a model of signature"):
        replace(run, checkpoints=type(run).load(tmp_path / "a").checkpoints).model()
    run.model(0)
