"""MNIST and Fashion-MNIST: tiny files of the same form, then the real ones where they are."""

from __future__ import annotations

import gzip
import hashlib
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from genmem.datasets import load
from genmem.datasets.idx import read_idx
from genmem.errors import DataError

Folder = Callable[..., tuple[np.ndarray, np.ndarray]]


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("GENMEM_DATA", str(tmp_path))
    return tmp_path


@pytest.mark.parametrize(
    ("name", "folder", "first"),
    [("mnist", "mnist", "0"), ("fashion_mnist", "fashion-mnist", "T-shirt/top")],
)
def test_a_tiny_set(here: Path, mnist_folder: Folder, name: str, folder: str, first: str) -> None:
    images, labels = mnist_folder(here / folder)
    data = load(name)
    assert data.name == name
    assert np.array_equal(data.x, images[:, None])
    assert data.y is not None
    assert data.y.tolist() == labels.tolist()
    assert data.index.tolist() == list(range(7))
    assert data.classes is not None
    assert (len(data.classes), data.classes[0]) == (10, first)
    test = load(name, split="test")
    assert (test.name, len(test)) == (f"{name}-test", 4)
    # Train and test rows never share an identity, hence never share noise.
    assert test.index.tolist() == [60_000, 60_001, 60_002, 60_003]


def test_limit_takes_the_first_rows(here: Path, mnist_folder: Folder) -> None:
    images, labels = mnist_folder(here / "mnist")
    data = load("mnist", limit=3)
    assert np.array_equal(data.x, images[:3, None])
    assert data.y is not None
    assert data.y.tolist() == labels[:3].tolist()
    assert len(load("mnist", limit=100)) == 7


def test_unpacked_files_are_read_too(here: Path, mnist_folder: Folder) -> None:
    images, _ = mnist_folder(here / "mnist")
    for path in list((here / "mnist").iterdir()):
        path.with_suffix("").write_bytes(gzip.decompress(path.read_bytes()))
        path.unlink()
    assert np.array_equal(load("mnist").x, images[:, None])


def test_images_and_labels_must_agree(
    here: Path, mnist_folder: Folder, write_idx: Callable[..., Path]
) -> None:
    mnist_folder(here / "mnist")
    write_idx(here / "mnist" / "train-labels-idx1-ubyte.gz", np.zeros(6))
    with pytest.raises(DataError, match=r"holds 7 images but .*train-labels.* holds 6 labels"):
        load("mnist", limit=2)


def test_a_label_outside_the_classes(
    here: Path, mnist_folder: Folder, write_idx: Callable[..., Path]
) -> None:
    mnist_folder(here / "mnist")
    write_idx(here / "mnist" / "train-labels-idx1-ubyte.gz", np.array([0, 1, 10, 3, 4, 5, 6]))
    with pytest.raises(DataError, match=r"y of row 2 is 10; 0..9"):
        load("mnist")


def digest(path: Path) -> str:
    return hashlib.md5(gzip.decompress(path.read_bytes()), usedforsecurity=False).hexdigest()


@pytest.mark.parametrize(
    ("prefix", "md5", "counts", "starts"),
    [
        (
            "train",
            "6bbc9ace898e44ae57da46a324031adb",
            [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949],
            [5, 0, 4, 1, 9, 2, 1, 3, 1, 4],
        ),
        (
            "t10k",
            "2646ac647ad5339dbf082846283269ea",
            [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009],
            [7, 2, 1, 0, 4, 1, 4, 9, 5, 9],
        ),
    ],
)
def test_the_real_mnist(
    real: Callable[[str, str], Path], prefix: str, md5: str, counts: list[int], starts: list[int]
) -> None:
    path = real("mnist", f"{prefix}-images-idx3-ubyte.gz")
    real("mnist", f"{prefix}-labels-idx1-ubyte.gz")
    assert digest(path) == md5
    data = load("mnist", split="train" if prefix == "train" else "test")
    assert data.x.shape == (sum(counts), 1, 28, 28)
    # The reader against plain slicing of the content.
    content = np.frombuffer(gzip.decompress(path.read_bytes()), np.uint8, offset=16)
    assert np.array_equal(data.x.reshape(-1), content)
    assert data.y is not None
    assert np.bincount(data.y).tolist() == counts
    assert data.y[:10].tolist() == starts


@pytest.mark.parametrize(
    ("prefix", "md5", "count"),
    [
        ("train", "f4a8712d7a061bf5bd6d2ca38dc4d50a", 6000),
        ("t10k", "8181f5470baa50b63fa0f6fddb340f0a", 1000),
    ],
)
def test_the_real_fashion_mnist(
    real: Callable[[str, str], Path], prefix: str, md5: str, count: int
) -> None:
    path = real("fashion-mnist", f"{prefix}-images-idx3-ubyte.gz")
    real("fashion-mnist", f"{prefix}-labels-idx1-ubyte.gz")
    assert digest(path) == md5
    data = load("fashion-mnist", split="train" if prefix == "train" else "test")
    assert data.x.shape == (10 * count, 1, 28, 28)
    assert data.y is not None
    assert np.bincount(data.y).tolist() == [count] * 10
    assert data.y[0] == 9


def test_the_real_fashion_labels_without_their_images(
    real: Callable[[str, str], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = real("fashion-mnist", "train-labels-idx1-ubyte.gz")
    assert np.bincount(read_idx(path, 1)).tolist() == [6000] * 10
    (tmp_path / "fashion-mnist").mkdir()
    shutil.copy(path, tmp_path / "fashion-mnist")
    monkeypatch.setenv("GENMEM_DATA", str(tmp_path))
    with pytest.raises(DataError, match=rf"fashion_mnist: no {IMAGES}.*\n.*GENMEM_DATA"):
        load("fashion_mnist")


IMAGES = "train-images-idx3-ubyte.gz"
