"""The one door: names, paths, splits, limits, and what is said when nothing is there."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from genmem.datasets import load, registry
from genmem.datasets.loading import READERS, where
from genmem.errors import DataError


def test_every_registered_set_has_a_reader_and_the_other_way_round() -> None:
    assert set(READERS) == set(registry.SOURCES)


@pytest.mark.parametrize(
    ("name", "folder", "wanted"),
    [
        ("mnist", "mnist", "train-images-idx3-ubyte.gz or train-images-idx3-ubyte"),
        ("Fashion-MNIST", "fashion-mnist", "train-images-idx3-ubyte.gz"),
        ("cifar-10", "cifar10", "cifar-10-binary.tar.gz, cifar-10-batches-bin/ or train_NN.webp"),
    ],
)
def test_an_absent_set_says_what_where_and_how(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, folder: str, wanted: str
) -> None:
    plain = registry.canonical(name)
    with pytest.raises(DataError, match=r"GENMEM_DATA, .* is not set"):
        load(name)
    monkeypatch.setenv("GENMEM_DATA", str(tmp_path))
    with pytest.raises(DataError) as caught:
        load(name)
    message = str(caught.value)
    assert message.startswith(f"{plain}: no {wanted}")
    assert f"{tmp_path / folder} (GENMEM_DATA)" in message
    assert f"{tmp_path / 'cache' / folder} (cache)" in message
    assert f"genmem data get {plain}" in message
    assert where(name, "train") is None


def test_what_is_no_data_set(tmp_path: Path) -> None:
    for given in ("no-such-thing", tmp_path / "absent", tmp_path / "x.csv"):
        with pytest.raises(DataError, match=r"load: '.*' is neither a known data set \(digits, mn"):
            load(given)


@pytest.mark.parametrize("limit", [0, -1])
def test_a_limit_of_nothing(limit: int) -> None:
    with pytest.raises(ValueError, match=f"limit is {limit}; at least 1"):
        load("digits", limit=limit)


def test_a_split_that_does_not_exist(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="split is 'valid'; 'train' or 'test'"):
        load("digits", split="valid")
    np.savez(tmp_path / "x.npz", x=np.zeros((2, 3), np.uint8))
    with pytest.raises(DataError, match="no split 'test'"):
        load(tmp_path / "x.npz", split="test")


def test_an_npz_file_by_its_path(tmp_path: Path) -> None:
    np.savez(tmp_path / "x.npz", x=np.arange(6, dtype=np.uint8).reshape(3, 2))
    assert len(load(str(tmp_path / "x.npz"), limit=2)) == 2


def test_a_name_wins_over_a_folder_of_that_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "digits").mkdir()
    monkeypatch.chdir(tmp_path)
    assert len(load("digits")) == 1797
    with pytest.raises(DataError, match="holds no images"):
        load("./digits")
