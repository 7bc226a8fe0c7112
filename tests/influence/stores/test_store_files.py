"""What a store's files hold: mapped, rounded within a bound, made by several processes."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from genmem import ledger
from genmem.errors import CheckpointError, RunMismatchError
from genmem.influence import FactorStore, TracIn, rounding_bound, score, self_score
from influence.traps import randn

X, Z = randn(20, 2, 6), randn(7, 2, 6, seed=1)


class Mixed(nn.Module):
    """Tokens with a bias, formed gradients, sums, a bare parameter."""

    def __init__(self) -> None:
        super().__init__()
        self.inner, self.norm = nn.Linear(6, 30), nn.LayerNorm(30)
        self.out, self.gain = nn.Linear(30, 2), nn.Parameter(torch.ones(2))

    def forward(self, x: Tensor) -> Tensor:
        return self.out(torch.tanh(self.norm(self.inner(x)))) * self.gain


def loss(model: nn.Module, x: Tensor, noise: None) -> Tensor:
    return (model(x) - 1).square().sum((1, 2))


def tracin(scale: float = 1.0, function: object = loss, **options: object) -> TracIn:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = Mixed().double()
    states = [{n: s * v * scale for n, v in model.state_dict().items()} for s in (1.0, 1.3)]
    settings = {"weights": [1.0, 0.5], "block": 6, "seed": 5} | options
    return TracIn(states, function, model=model, **settings)


def test_the_header_tells_the_model_the_seed_and_the_layers(tmp_path: Path) -> None:
    store = tracin().capture(X, tmp_path)
    header = json.loads((tmp_path / "checkpoint_001" / "header.json").read_text())
    assert header["seed"] == 5
    assert header["weight"] == 0.5
    assert len(header["model"]) == 64
    assert header["columns"] == [
        "name", "inputs", "gradients", "bias", "tokens", "form", "dtype"
    ]  # fmt: skip
    table = {entry.name: entry for entry in store.layers(1)}
    assert set(table) == {
        "inner.weight", "norm.weight", "norm.bias", "out.weight", "out.bias", "gain"
    }  # fmt: skip
    assert table["inner.weight"][1:] == (6, 30, True, 2, "tokens", "float64")
    assert table["out.weight"][1:] == (60, 1, False, 1, "formed", "float64")
    assert table["gain"][1:] == (2, 1, False, 1, "formed", "float64")
    assert tracin().capture(X).layers(1) == store.layers(1)
    assert {e.dtype for e in tracin().capture(X, dtype="bfloat16").layers(0)} == {"bfloat16"}


def test_blocks_are_views_of_their_files(tmp_path: Path) -> None:
    store = tracin().capture(X, tmp_path)
    _, factors = next(FactorStore.open(tmp_path).blocks(0, 1.0))
    for layer in factors.layers:
        for part in (layer.inputs, layer.gradients, layer.offsets):
            assert not part.flags.owndata
            assert not part.flags.writeable
            assert part.flags.aligned
    # The files may go while a block is held, as with any mapping.
    held = np.array(factors.layers[0].inputs)
    next((tmp_path / "checkpoint_000").glob("block_00000*")).unlink()
    np.testing.assert_array_equal(factors.layers[0].inputs, held)
    with pytest.raises(FileNotFoundError, match=r"block_00000\.safetensors: no such file"):
        next(store.blocks(0, 1.0))


def test_checksums_are_verified_once_and_again_when_a_file_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tracin().capture(X, tmp_path)
    store, verified = FactorStore.open(tmp_path), []
    true_map = ledger.map_unit

    def spy(path: Path, *, verify: bool) -> object:
        verified.append(verify)
        return true_map(path, verify=verify)

    monkeypatch.setattr(ledger, "map_unit", spy)
    for _ in range(2):
        list(store.blocks(0, 1.0))
    assert verified == [True] * 4 + [False] * 4
    path = tmp_path / "checkpoint_000" / "block_00002.safetensors"
    content = bytearray(path.read_bytes())
    content[-2] ^= 64
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match=r"block_00002\.safetensors is corrupted"):
        list(store.blocks(0, 1.0))
    path.write_bytes(content[:-5])
    with pytest.raises(CheckpointError, match="is not a whole safetensors file"):
        list(store.blocks(0, 1.0))


def test_scores_and_self_scores_need_no_model(tmp_path: Path) -> None:
    want, own = tracin().influence(Z, X), tracin().self_influence(X)
    tracin().capture(X, tmp_path / "train")
    tracin().capture(Z, tmp_path / "test", side="test")
    train, test = (FactorStore.open(tmp_path / side) for side in ("train", "test"))
    np.testing.assert_allclose(score(test, train), want, rtol=1e-12)
    np.testing.assert_allclose(self_score(train), own, rtol=1e-12)
    assert (rounding_bound(test, train) == 0).all()
    np.testing.assert_allclose(self_score(train, cosine=True), np.full(20, 1.5), rtol=1e-12)


@pytest.mark.parametrize("one_side", [False, True])
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_rounding_is_within_its_bound(dtype: str, one_side: bool, tmp_path: Path) -> None:
    want = tracin().influence(Z, X)
    train = tracin().capture(X, tmp_path, dtype=dtype)
    test = tracin().capture(Z, side="test", dtype=None if one_side else dtype)
    assert train.dtype == dtype
    got, bound = score(test, train), rounding_bound(test, train)
    assert bound.shape == want.shape
    error = np.abs(got - want)
    assert (error > 0).any()
    assert (error <= bound).all()
    # It is a bound on what it says, not on anything: 2^-8 of the magnitudes, four or two times.
    u = {"float32": 2.0**-24, "bfloat16": 2.0**-8}[dtype]
    nu = sum(test.magnitudes(c) @ train.magnitudes(c).T for c in (0, 1))
    np.testing.assert_allclose(bound, ((1 + u) ** (2 if one_side else 4) - 1) * nu, rtol=1e-12)
    # Memory and disk round alike.
    memory = tracin().capture(X, dtype=dtype)
    np.testing.assert_array_equal(score(test, memory), got)
    np.testing.assert_array_equal(memory.magnitudes(1), train.magnitudes(1))


def test_the_bound_of_published_numbers() -> None:
    """Golden values: two samples of a linear layer, bfloat16 on both sides."""
    from genmem.influence.stores.block_files import ROUNDOFF, magnitudes
    from genmem.kernels import Factors, LayerFactors

    a = np.array([[1, 2, 0], [0, 1, -1], [2, 0, 1], [1, 1, 1], [0, -1, 2]], np.float64)
    g = np.array([[0.5, -1], [2, 1], [1, 1], [-1, 0.5], [0, 3]], np.float64)
    nu = magnitudes(Factors((LayerFactors("l", a, g, np.array([0, 2, 5]), True),)))
    np.testing.assert_allclose(nu[:, 0], [6.611596133733, 13.048638820987], rtol=1e-12)
    slack = (1 + ROUNDOFF["bfloat16"]) ** 4 - 1
    np.testing.assert_allclose(slack, 0.015716791386, rtol=1e-9)
    np.testing.assert_allclose(slack * nu[0] * nu[1], 1.355924212651, rtol=1e-9)


def test_a_store_of_bfloat16_is_a_quarter_of_the_float64(tmp_path: Path) -> None:
    def size(folder: Path) -> int:
        return sum(path.stat().st_size for path in folder.rglob("*.safetensors"))

    model = nn.Linear(200, 100).double()
    wide = randn(64, 200)
    settings = {"model": model, "weights": [1.0]}
    traced = TracIn([model.state_dict()], lambda m, x, _: m(x).square().sum(1), **settings)
    traced.capture(wide, tmp_path / "a")
    traced.capture(wide, tmp_path / "b", dtype="bfloat16")
    assert 0.24 < size(tmp_path / "b") / size(tmp_path / "a") < 0.27


def test_numbers_beyond_the_range_are_refused(tmp_path: Path) -> None:
    model = nn.Linear(1, 1).double()
    traced = TracIn(
        [model.state_dict()], lambda m, x, _: 1e60 * m(x)[:, 0], model=model, weights=[1.0]
    )
    with pytest.raises(ValueError, match=r"FactorStore: weight holds 1e\+60, beyond the range of"):
        traced.capture(torch.ones(3, 1), tmp_path, dtype="float32")
    with pytest.raises(ValueError, match="dtype is 'float16'; float32, bfloat16 or None"):
        tracin().capture(X, dtype="float16")


def test_another_dtype_is_another_store(tmp_path: Path) -> None:
    tracin().capture(X, tmp_path, dtype="bfloat16")
    with pytest.raises(RunMismatchError, match="dtype: 'bfloat16' there, None now"):
        tracin().capture(X, tmp_path)
    assert FactorStore.open(tmp_path).dtype == "bfloat16"


def test_parts_are_disjoint_and_make_the_whole(tmp_path: Path) -> None:
    want = tracin().capture(X).factors()
    for i in (2, 0):
        tracin().capture(X, tmp_path, part=(i, 3))
    with pytest.raises(CheckpointError, match="lacks 2 blocks, first block_00001"):
        FactorStore.open(tmp_path)
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.safetensors")}
    assert len(before) == 2 * 3
    store = tracin().capture(X, tmp_path, part=(1, 3))
    assert store.missing() == []
    assert all(path.stat().st_mtime_ns == stamp for path, stamp in before.items())
    for got, true in zip(store.factors().layers, want.layers, strict=True):
        np.testing.assert_array_equal(got.inputs, true.inputs)
        np.testing.assert_array_equal(got.gradients, true.gradients)
    for part, out in (((3, 3), tmp_path), ((0, 0), tmp_path), ((0, 2), None)):
        with pytest.raises(ValueError, match="capture: part is"):
            tracin().capture(X, out, part=part)


@pytest.mark.slow
def test_a_process_that_is_killed_loses_the_block_it_was_at(tmp_path: Path) -> None:
    code = (
        "import sys; sys.path[:0] = sys.argv[2:]; import time; from pathlib import Path\n"
        "from influence.stores.test_store_files import X, loss, tracin\n"
        "def slow(model, x, noise):\n"
        "    time.sleep(0.02)\n"
        "    return loss(model, x, noise)\n"
        "slow.__qualname__ = 'loss'\n"
        "tracin(function=slow, block=1).capture(X, Path(sys.argv[1]))\n"
    )
    process = subprocess.Popen([sys.executable, "-c", code, str(tmp_path), *sys.path])
    end = time.monotonic() + 60
    while len(list(tmp_path.rglob("block_*.safetensors"))) < 5:
        assert time.monotonic() < end
        time.sleep(0.01)
    process.kill()
    process.wait(60)
    left = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("block_*.safetensors")}
    assert 5 <= len(left) < 40
    store = tracin(block=1).capture(X, tmp_path)
    assert all(path.stat().st_mtime_ns == stamp for path, stamp in left.items())
    np.testing.assert_allclose(self_score(store), tracin().self_influence(X), rtol=1e-12)


@pytest.mark.slow
def test_processes_write_one_store_at_a_time(tmp_path: Path) -> None:
    code = (
        "import sys; sys.path[:0] = sys.argv[3:]; import torch; torch.set_num_threads(1)\n"
        "from pathlib import Path\n"
        "from influence.stores.test_store_files import X, tracin\n"
        "tracin().capture(X, Path(sys.argv[1]), part=(int(sys.argv[2]), 2))\n"
    )
    commands = [[sys.executable, "-c", code, str(tmp_path), str(i), *sys.path] for i in range(2)]
    running = [subprocess.Popen(command) for command in commands]
    assert [process.wait(120) for process in running] == [0, 0]
    store = FactorStore.open(tmp_path)
    np.testing.assert_allclose(self_score(store), tracin().self_influence(X), rtol=1e-12)


def test_a_header_of_another_model_or_none_is_refused(tmp_path: Path) -> None:
    store = tracin().capture(X, tmp_path)
    path = tmp_path / "checkpoint_000" / "header.json"
    (tmp_path / "checkpoint_000" / "block_00001.safetensors").unlink()
    header = json.loads(path.read_text())
    path.write_text(json.dumps({**header, "layers": header["layers"][:-1]}))
    with pytest.raises(RunMismatchError, match="the layers of checkpoint 0 differ: 5 there, 6 now"):
        tracin().capture(X, tmp_path)
    path.write_text("{")
    with pytest.raises(CheckpointError, match=r"header\.json is no header"):
        store.layers(0)
    path.unlink()
    with pytest.raises(CheckpointError, match=r"header\.json: no such file"):
        store.layers(0)
