"""Files whole or absent, checksummed, bound to the run that made them."""

import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO, ClassVar

import numpy as np
import pytest

from genmem import ledger
from genmem.errors import CheckpointError, RunMismatchError

ARRAYS = {"a": np.arange(12.0).reshape(3, 4), "b": np.array([1, -2], np.int64), "c": np.float64(3)}


@pytest.fixture(params=["read_unit", "map_unit"])
def read(request: pytest.FixtureRequest) -> Callable[..., tuple[ledger.Arrays, dict[str, Any]]]:
    return getattr(ledger, request.param)


Read = Callable[[Path], tuple[ledger.Arrays, dict[str, Any]]]


def test_units_round_trip(tmp_path: Path, read: Read) -> None:
    path = tmp_path / "deep" / "unit.safetensors"
    ledger.write_unit(path, ARRAYS, {"epoch": 3, "name": "x"})
    arrays, meta = read(path)
    assert meta == {"epoch": 3, "name": "x"}
    assert arrays.keys() == ARRAYS.keys()
    for name, value in ARRAYS.items():
        assert arrays[name].dtype == value.dtype
        assert arrays[name].shape == value.shape
        assert (arrays[name] == value).all()


@pytest.mark.parametrize("place", [-1, -40, 9, 200])
def test_an_altered_byte_is_found(tmp_path: Path, place: int, read: Read) -> None:
    path = tmp_path / "unit.safetensors"
    ledger.write_unit(path, ARRAYS, {"epoch": 3})
    content = bytearray(path.read_bytes())
    content[place] ^= 0x11
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match=r"corrupted|not a whole safetensors file"):
        read(path)


@pytest.mark.parametrize("length", [0, 7, 60, -1])
def test_a_truncated_unit_is_found(tmp_path: Path, length: int, read: Read) -> None:
    path = tmp_path / "unit.safetensors"
    ledger.write_unit(path, ARRAYS)
    path.write_bytes(path.read_bytes()[:length])
    with pytest.raises(CheckpointError, match=str(path)):
        read(path)


def test_a_missing_unit(tmp_path: Path, read: Read) -> None:
    with pytest.raises(FileNotFoundError, match="none: no such file"):
        read(tmp_path / "none")


@pytest.mark.parametrize(
    "kind", ["?", "u1", "i1", "u2", "i2", "f2", "u4", "i4", "f4", "u8", "i8", "f8"]
)
def test_a_mapped_unit_holds_views(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "unit.safetensors"
    values = np.arange(15).reshape(3, 5).astype(kind)
    ledger.write_unit(path, {"odd": np.ones(3, np.uint8), "values": values, "none": values[:0]})
    arrays, _ = ledger.map_unit(path)
    for name, want in {"values": values, "none": values[:0]}.items():
        assert arrays[name].dtype == want.dtype
        np.testing.assert_array_equal(arrays[name], want)
    assert not arrays["values"].flags.owndata
    assert not arrays["values"].flags.writeable
    assert arrays["values"].flags.aligned


def test_a_file_that_was_verified_is_not_read_again(tmp_path: Path) -> None:
    path = tmp_path / "unit.safetensors"
    ledger.write_unit(path, ARRAYS)
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match="is corrupted"):
        ledger.map_unit(path)
    ledger.map_unit(path, verify=False)


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "file"
    ledger.write_text(path, "old")

    def fail(file: object) -> None:
        file.write(b"half")
        raise RuntimeError("interrupted")

    with pytest.raises(RuntimeError, match="interrupted"):
        ledger.write_atomic(path, fail)
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["file"]


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match="file"):
        ledger.write_text(tmp_path / "file" / "below", "x")


class TestBind:
    IDENTITY: ClassVar = {
        "seed": 1,
        "name": "digits",
        "epochs": (1, 5),
        "none": None,
        "recipe": {"lr": 1e-3},
    }

    def test_the_same_again(self, tmp_path: Path) -> None:
        ledger.bind(tmp_path, self.IDENTITY)
        ledger.bind(tmp_path, self.IDENTITY)
        assert ledger.read_identity(tmp_path) == {
            "seed": 1,
            "name": "digits",
            "epochs": [1, 5],
            "recipe": {"lr": 1e-3},
        }

    def test_another_is_refused_with_both_values(self, tmp_path: Path) -> None:
        ledger.bind(tmp_path, self.IDENTITY)
        changed = {**self.IDENTITY, "seed": np.int64(2), "recipe": {"lr": 1e-4}}
        with pytest.raises(RunMismatchError) as refusal:
            ledger.bind(tmp_path, changed)
        assert "seed: 1 there, 2 now" in str(refusal.value)
        assert "recipe.lr: 0.001 there, 0.0001 now" in str(refusal.value)

    def test_an_entry_more_is_refused(self, tmp_path: Path) -> None:
        ledger.bind(tmp_path, {"seed": 1})
        with pytest.raises(RunMismatchError, match="beta: None there, 4 now"):
            ledger.bind(tmp_path, {"seed": 1, "beta": 4})

    def test_no_run(self, tmp_path: Path) -> None:
        with pytest.raises(FileNotFoundError, match="not a run directory"):
            ledger.read_identity(tmp_path)


class TestFingerprint:
    def test_tells_apart(self) -> None:
        a = np.arange(12, dtype=np.uint8)
        prints = {
            ledger.fingerprint(x)
            for x in (a, a.reshape(3, 4), a.astype(np.int8), a[::-1], np.delete(a, 3))
        }
        assert len(prints) == 5

    def test_does_not_depend_on_strides(self) -> None:
        a = np.arange(40.0).reshape(8, 5)
        assert ledger.fingerprint(np.asfortranarray(a)) == ledger.fingerprint(a)

    def test_blocks_do_not_show(self, monkeypatch: pytest.MonkeyPatch) -> None:
        a = np.arange(3_000_000, dtype=np.float64)
        assert ledger.fingerprint(a) == ledger.fingerprint(a.copy())
        b = a.copy()
        b[-1] += 1
        assert ledger.fingerprint(b) != ledger.fingerprint(a)

    def test_scalars_and_empty(self) -> None:
        assert ledger.fingerprint(np.float64(1)) != ledger.fingerprint(np.float64(2))
        assert ledger.fingerprint(np.empty((0, 3))) != ledger.fingerprint(np.empty((0, 4)))


def test_temporary_files_of_killed_processes_are_swept(tmp_path: Path) -> None:
    identity = {"kind": "training", "seed": 1}
    ledger.bind(tmp_path, identity)

    def killed(file: BinaryIO) -> None:
        file.write(b"half")
        file.flush()
        (left,) = tmp_path.glob("units/.u.safetensors.*.part")
        shutil.copy(left, tmp_path / "units" / ".u.safetensors.old.part")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        ledger.write_atomic(tmp_path / "units" / "u.safetensors", killed)
    left = tmp_path / "units" / ".u.safetensors.old.part"
    ledger.bind(tmp_path, identity)
    assert left.exists()  # it may be another process at work
    os.utime(left, (0, time.time() - 4000))
    with pytest.raises(RunMismatchError):
        ledger.bind(tmp_path, {**identity, "seed": 2})
    assert left.exists()
    ledger.bind(tmp_path, identity)
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == ["recipe.toml"]
