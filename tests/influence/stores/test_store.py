"""Factor stores: read lazily, killed and resumed, bound to what made them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from genmem import ledger
from genmem.errors import CheckpointError, RunMismatchError
from genmem.influence import FactorStore, TracIn, products, score
from genmem.kernels import grad_dot


def loss(model: nn.Module, x: Tensor, noise: Tensor) -> Tensor:
    return model[2](torch.tanh(model[0](x[:, None] + noise))).square().mean(1).sum(1)


def other_loss(model: nn.Module, x: Tensor, noise: Tensor) -> Tensor:
    return 2 * loss(model, x, noise)


def randn(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def tracin(scale: float = 1.0, function: object = loss, **options: object) -> TracIn:
    generator = torch.Generator().manual_seed(4)
    model = nn.Sequential(nn.Linear(3, 4), nn.PReLU(2), nn.Linear(4, 2)).double()
    model[1].requires_grad_(False)
    states = []
    for _ in range(3):
        drawn = {
            name: scale * torch.rand(value.shape, generator=generator, dtype=torch.float64)
            for name, value in model.state_dict().items()
        }
        states.append(drawn)
    settings = {"draws": 2, "latent": 3, "weights": [1.0, 0.0, 0.5], "block": 3} | options
    return TracIn(states, function, model=model, **settings)


X, Z = randn(8, 3), randn(4, 3, seed=1)


def test_a_store_scores_like_the_data_it_was_captured_from(tmp_path: Path) -> None:
    want = tracin().influence(Z, X)
    train = tracin().capture(X, tmp_path / "train")
    test = tracin().capture(Z, tmp_path / "test", side="test")
    assert len(train) == 8
    assert train.checkpoints == (0, 2)
    for got in (
        tracin().influence(Z, train),
        tracin().influence(test, X),
        tracin().influence(test, train),
        score(test, FactorStore.open(tmp_path / "train")),
        score(FactorStore.open(tmp_path / "test"), train),
    ):
        np.testing.assert_allclose(got, want, rtol=1e-12)
    top = score(test, train, k=2)
    np.testing.assert_array_equal(top.indices, np.argsort(-want, axis=1)[:, :2])


def test_a_store_in_memory_is_the_same() -> None:
    want = tracin().influence(Z, X)
    train, test = tracin().capture(X), tracin().capture(Z, side="test")
    np.testing.assert_allclose(score(test, train), want, rtol=1e-12)
    np.testing.assert_allclose(grad_dot(test.factors(), train.factors()), want, rtol=1e-12)
    names = [layer.name for layer in train.factors().layers]
    assert names == [
        f"{n}.{part} @ {c}" for c in (0, 2) for n in (0, 2) for part in ("weight", "bias")
    ]


def test_blocks_are_files_that_are_read_one_by_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = tracin().capture(X, tmp_path)
    files = sorted(str(p.relative_to(tmp_path)) for p in tmp_path.rglob("*.safetensors"))
    assert files == [
        f"checkpoint_00{c}/block_0000{b}.safetensors" for c in (0, 2) for b in range(3)
    ]
    read: list[str] = []
    true_map = ledger.map_unit

    def spy(path: Path, *, verify: bool) -> object:
        read.append(path.name)
        return true_map(path, verify=verify)

    monkeypatch.setattr(ledger, "map_unit", spy)
    rows, factors = next(store.blocks(2, 0.5))
    assert (rows, len(factors)) == (slice(0, 3), 3)
    assert read == ["block_00000.safetensors"]


def test_a_killed_capture_resumes_where_it_stopped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    want = tracin().capture(X).factors()
    written, true_write = [], ledger.write_unit

    def dying(path: Path, *rest: object) -> None:
        if len(written) == 4:
            raise KeyboardInterrupt
        true_write(path, *rest)
        written.append(path)

    with monkeypatch.context() as patch:
        patch.setattr(ledger, "write_unit", dying)
        with pytest.raises(KeyboardInterrupt):
            tracin().capture(X, tmp_path)
    with pytest.raises(CheckpointError, match="lacks 2 blocks, first block_00001"):
        FactorStore.open(tmp_path)
    stamps = {path: path.stat().st_mtime_ns for path in written}
    # Another memory budget and block size: the blocks of the first capture are kept.
    store = tracin(block=None, memory=1 << 20).capture(X, tmp_path)
    assert {path: path.stat().st_mtime_ns for path in written} == stamps
    for got, true in zip(store.factors().layers, want.layers, strict=True):
        assert got.name == true.name
        np.testing.assert_array_equal(got.inputs, true.inputs)
        np.testing.assert_array_equal(got.gradients, true.gradients)
        np.testing.assert_array_equal(got.offsets, true.offsets)


def test_a_broken_block_is_refused_when_read_and_made_again(tmp_path: Path) -> None:
    want = tracin().influence(Z, X)
    store = tracin().capture(X, tmp_path)
    path = tmp_path / "checkpoint_002" / "block_00001.safetensors"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match="is corrupted"):
        tracin().influence(Z, store)
    with pytest.warns(RuntimeWarning, match=r"block_00001.safetensors is corrupted") as said:
        again = tracin().capture(X, tmp_path)
    assert len(said) == 1
    np.testing.assert_allclose(tracin().influence(Z, again), want, rtol=1e-12)


def test_a_capture_of_something_else_is_refused_with_both_values(tmp_path: Path) -> None:
    tracin().capture(X, tmp_path)
    for other, data, named in (
        (tracin(seed=1), X, "seed: 0 there, 1 now"),
        (tracin(draws=3), X, "draws: 2 there, 3 now"),
        (tracin(weights=[1.0, 0.0, 0.25]), X, "weights: "),
        (tracin(function=other_loss), X, "objective: 'loss' there, 'other_loss' now"),
        (tracin(), X + 1, "data: "),
    ):
        with pytest.raises(RunMismatchError, match=named):
            other.capture(data, tmp_path)
    with pytest.raises(RunMismatchError, match="side: 'train' there, 'test' now"):
        tracin().capture(X, tmp_path, side="test")
    with pytest.raises(RunMismatchError, match="checkpoint 0 was captured from weights of digest"):
        tracin(scale=1.5).capture(X, tmp_path)


def test_a_store_is_not_scored_under_another_model_or_loss(tmp_path: Path) -> None:
    store = tracin().capture(X, tmp_path)
    with pytest.raises(RunMismatchError, match="checkpoint 0 was captured from weights of digest"):
        tracin(scale=1.5).influence(Z, store)
    with pytest.raises(RunMismatchError, match="objective is 'loss' there, 'other_loss' now"):
        tracin(function=other_loss).influence(Z, store)
    with pytest.raises(RunMismatchError, match=r"checkpoint 0 has weight 1\.0 there, 2\.0 now"):
        tracin(weights=[2.0, 0.0, 0.5]).influence(Z, store)
    with pytest.raises(RunMismatchError, match="weights is"):
        score(tracin(weights=[2.0, 0.0, 0.5]).capture(Z, side="test"), store)
    with pytest.raises(ValueError, match="train is a FactorStore, captured with its ids"):
        tracin().influence(Z, store, train_ids=np.arange(8))


def test_a_directory_that_is_no_store_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="is not a run directory"):
        FactorStore.open(tmp_path)
    ledger.bind(tmp_path, {"kind": "training"})
    with pytest.raises(RunMismatchError, match="kind: 'training' there, 'influence factors' now"):
        tracin().capture(X, tmp_path)
    with pytest.raises(RunMismatchError, match="holds no factors: its kind is 'training'"):
        FactorStore.open(tmp_path)


def test_one_sides_draws_are_not_taken_for_both() -> None:
    train = tracin().capture(X)
    with pytest.raises(RunMismatchError, match="side is 'train' there, 'test' now"):
        tracin().influence(train, X)
    with pytest.raises(RunMismatchError, match="side is 'train' there, 'test' now"):
        score(train, train)


@pytest.mark.parametrize(("changed", "value"), [("draws", 4), ("seed", 7)])
def test_other_draws_are_refused(changed: str, value: int) -> None:
    train, test = tracin().capture(X), tracin().capture(Z, side="test")
    other = tracin(**{changed: value})
    with pytest.raises(RunMismatchError, match=f"{changed} is .* there, {value} now"):
        other.influence(Z, train)
    with pytest.raises(RunMismatchError, match=changed):
        score(test, other.capture(X))


def test_threads_reach_the_products(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[object] = []
    real = products.grad_products

    def spy(*sides: object, threads: int | None, **other: object) -> object:
        seen.append(threads)
        return real(*sides, threads=threads, **other)

    monkeypatch.setattr(products, "grad_products", spy)
    got = tracin(threads=3).influence(Z, X)
    assert set(seen) == {3}
    assert (got == tracin(threads=1).influence(Z, X)).all()
