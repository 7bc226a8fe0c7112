"""CIFAR-10 from tiny archives and mosaics of the official form; then the real rows."""

from __future__ import annotations

import hashlib
import io
import tarfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from genmem.datasets import cifar10, load
from genmem.errors import DataError

ROWS = 4


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("GENMEM_DATA", str(tmp_path))
    (tmp_path / "cifar10").mkdir()
    return tmp_path / "cifar10"


def records(rows: int, seed: int) -> np.ndarray:
    random = np.random.default_rng(seed)
    out = random.integers(0, 256, (rows, 3073), dtype=np.uint8)
    out[:, 0] = random.integers(0, 10, rows)
    return out


BATCHES = {f"data_batch_{i}.bin": records(ROWS, i) for i in range(1, 6)}
BATCHES["test_batch.bin"] = records(3, 0)
TRAIN = np.concatenate([BATCHES[f"data_batch_{i}.bin"] for i in range(1, 6)])
# Members come in the archive's own order, not in that of their numbers.
ORDER = [1, 3, 4, 0, 2, 5]


def archive(path: Path, batches: dict[str, np.ndarray]) -> Path:
    names = [f"data_batch_{i}.bin" if i else "test_batch.bin" for i in ORDER]
    with tarfile.open(path, "w:gz") as tar:
        for name in ("batches.meta.txt", *names, "readme.html"):
            content = batches[name].tobytes() if name in batches else b"text"
            if name in batches or not name.endswith(".bin"):
                member = tarfile.TarInfo(f"cifar-10-batches-bin/{name}")
                member.size = len(content)
                tar.addfile(member, io.BytesIO(content))
    return path


def unpacked(path: Path, batches: dict[str, np.ndarray]) -> Path:
    path.mkdir()
    for name, content in batches.items():
        (path / name).write_bytes(content.tobytes())
    return path


@pytest.mark.parametrize("form", ["archive", "unpacked"])
def test_the_binary_version(here: Path, form: str) -> None:
    if form == "archive":
        archive(here / cifar10.ARCHIVE, BATCHES)
    else:
        unpacked(here / cifar10.UNPACKED, BATCHES)
    data = load("cifar10")
    assert data.x.shape == (5 * ROWS, 3, 32, 32)
    assert np.array_equal(data.rows, TRAIN[:, 1:])
    assert data.y is not None
    assert np.array_equal(data.y, TRAIN[:, 0])
    assert data.index.tolist() == list(range(5 * ROWS))
    some = load("cifar10", limit=ROWS + 1)
    assert np.array_equal(some.rows, TRAIN[: ROWS + 1, 1:])
    test = load("cifar-10", split="test")
    assert test.index.tolist() == [50_000, 50_001, 50_002]
    assert np.array_equal(test.rows, BATCHES["test_batch.bin"][:, 1:])


def test_nothing_is_unpacked_to_disk(here: Path) -> None:
    archive(here / cifar10.ARCHIVE, BATCHES)
    load("cifar10")
    assert [path.name for path in here.iterdir()] == [cifar10.ARCHIVE]


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.9, 0.999])
def test_a_truncated_archive(here: Path, share: float) -> None:
    path = archive(here / cifar10.ARCHIVE, BATCHES)
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    with pytest.raises(DataError, match=r"cifar-10-binary.tar.gz(: the archive is trunc| has no)"):
        load("cifar10")


@pytest.mark.parametrize("form", ["archive", "unpacked"])
@pytest.mark.parametrize(
    ("change", "wanted"),
    [
        ({"data_batch_4.bin": None}, r"has no data_batch_4.bin; all of data_batch_1.bin, "),
        (
            {"data_batch_2.bin": np.zeros(3072, np.uint8)},
            r"data_batch_2.bin has 3072 bytes; a multiple of 3073",
        ),
        ({"data_batch_2.bin": np.zeros(0, np.uint8)}, "has 0 bytes"),
        ({"data_batch_2.bin": np.full((1, 3073), 10, np.uint8)}, r"y of row 4 is 10; 0..9"),
    ],
)
def test_batches_that_are_refused(
    here: Path, form: str, change: dict[str, np.ndarray | None], wanted: str
) -> None:
    merged = {**BATCHES, **change}
    batches = {name: value for name, value in merged.items() if value is not None}
    if form == "archive":
        archive(here / cifar10.ARCHIVE, batches)
    else:
        unpacked(here / cifar10.UNPACKED, batches)
    with pytest.raises(DataError, match=wanted):
        load("cifar10")


def test_a_pickle_is_never_opened(here: Path) -> None:
    (here / "cifar-10-python.tar.gz").write_bytes(b"cos\nsystem\n(S'touch owned'\ntR.")
    with pytest.raises(DataError, match=r"cifar-10-python.tar.gz is a pickle, .*: not read"):
        load("cifar10")


def mosaics(folder: Path, tiles: np.ndarray, labels: np.ndarray, split: str = "train") -> None:
    """Two rows of three tiles a mosaic, placed one by one."""
    for number in range(len(tiles) // 6):
        canvas = np.zeros((64, 96, 3), np.uint8)
        for tile in range(6):
            top, left = 32 * (tile // 3), 32 * (tile % 3)
            image = tiles[6 * number + tile].transpose(1, 2, 0)
            canvas[top : top + 32, left : left + 32] = image
        Image.fromarray(canvas).save(folder / f"{split}_{number:02d}.webp", lossless=True)
    np.savez(folder / "labels.npz", classes=np.array(cifar10.CLASSES), **{split: labels})


TILES = np.random.default_rng(9).integers(0, 256, (12, 3, 32, 32), dtype=np.uint8)
LABELS = (np.arange(12) % 10).astype(np.uint8)


def test_mosaics(here: Path) -> None:
    mosaics(here, TILES, LABELS)
    data = load("cifar10")
    assert np.array_equal(data.x, TILES)
    assert data.y is not None
    assert np.array_equal(data.y, LABELS)
    some = load("cifar10", limit=7)
    assert np.array_equal(some.x, TILES[:7])
    assert len(load("cifar10", limit=6)) == 6
    assert cifar10.where("train") == here
    assert cifar10.where("test") is None


def test_the_archive_wins_over_mosaics_beside_it(here: Path) -> None:
    mosaics(here, TILES, LABELS)
    archive(here / cifar10.ARCHIVE, BATCHES)
    assert len(load("cifar10")) == 5 * ROWS


def test_mosaics_that_are_refused(here: Path) -> None:
    mosaics(here, TILES, LABELS[:11])
    with pytest.raises(DataError, match=r"train mosaics hold 12 tiles, labels.npz 11 labels"):
        load("cifar10")
    np.savez(here / "labels.npz", train=LABELS, classes=np.array(cifar10.CLASSES[::-1]))
    with pytest.raises(DataError, match=r"with classes \('truck', .* is wanted"):
        load("cifar10")
    np.savez(here / "labels.npz", train=LABELS.astype(float), classes=np.array(cifar10.CLASSES))
    with pytest.raises(DataError, match="train is float64"):
        load("cifar10")
    np.savez(here / "labels.npz", classes=np.array(cifar10.CLASSES))
    with pytest.raises(DataError, match=r"labels.npz: it has no array .*train"):
        load("cifar10")
    (here / "labels.npz").write_bytes(b"PK")
    with pytest.raises(DataError, match=r"labels.npz is not a whole .npz file"):
        load("cifar10")
    (here / "labels.npz").unlink()
    with pytest.raises(DataError, match=r"labels.npz is not there"):
        load("cifar10")


def test_a_broken_or_foreign_mosaic(here: Path) -> None:
    mosaics(here, TILES, LABELS)
    path = here / "train_01.webp"
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DataError, match=r"train_01.webp (is truncated|cannot be read)"):
        load("cifar10")
    Image.new("RGB", (96, 65)).save(path, lossless=True)
    with pytest.raises(DataError, match=r"train_01.webp is 96 x 65 RGB; RGB of multiples of 32"):
        load("cifar10")
    path.rename(here / "train_02.webp")
    with pytest.raises(DataError, match=r"train mosaics are numbered \[0, 2\]"):
        load("cifar10")


def test_the_real_rows_rebuild_the_official_batches(real: Callable[[str, str], Path]) -> None:
    real("cifar10", "train_29.webp")
    real("cifar10", "labels.npz")
    data = load("cifar10")
    assert data.x.shape == (30_000, 3, 32, 32)
    assert data.y is not None
    assert data.y[:10].tolist() == [6, 9, 9, 4, 1, 1, 2, 7, 8, 3]
    # SHA-256 of the three record files of the binary version that these rows make up.
    official = [
        "cee916563c9f80d84e3cc88e17fdc0941787f1244f00a67874d45b261883ada5",
        "a591ca11fa1708a91ee40f54b3da4784ccd871ecf2137de63f51ada8b3fa57ed",
        "bbe8596564c0f86427f876058170b84dac6670ddf06d79402899d93ceea26f67",
    ]
    table = np.concatenate([data.y[:, None].astype(np.uint8), data.rows], axis=1)
    got = [
        hashlib.sha256(table[at : at + 10_000].tobytes()).hexdigest() for at in (0, 10**4, 20_000)
    ]
    assert got == official


def test_the_real_test_rows(real: Callable[[str, str], Path]) -> None:
    real("cifar10", "test_00.webp")
    data = load("cifar10", split="test")
    assert data.x.shape == (1000, 3, 32, 32)
    assert data.y is not None
    assert data.y[:10].tolist() == [3, 8, 8, 0, 6, 6, 1, 6, 3, 1]
