"""Stores of other weights, blocks in another's place, headers that were lost."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from genmem.errors import CheckpointError, RunMismatchError
from genmem.influence import FactorStore, retrieve, rounding_bound, score
from influence.stores.test_store_files import X, Z, tracin


@pytest.mark.parametrize("on_disk", [False, True])
def test_stores_of_other_weights_do_not_belong_together(on_disk: bool, tmp_path: Path) -> None:
    test = tracin().capture(Z, tmp_path / "test" if on_disk else None, side="test")
    other = tracin(scale=1.1).capture(X, tmp_path / "train" if on_disk else None)
    assert other.checkpoints == test.checkpoints
    assert other.weights == test.weights
    for ask in (score, rounding_bound, lambda q, x: retrieve(q, x, 2)):
        with pytest.raises(RunMismatchError, match="checkpoint 0 was captured from weights of"):
            ask(test, other)


def test_a_block_of_another_store_is_not_taken_for_its_own(tmp_path: Path) -> None:
    tracin().capture(X, tmp_path / "a")
    tracin().capture(X.flip(0), tmp_path / "b")
    tracin(scale=1.1).capture(X, tmp_path / "c")
    test = tracin().capture(Z, side="test")
    want = score(test, FactorStore.open(tmp_path / "a"))
    place = tmp_path / "a" / "checkpoint_000" / "block_00001.safetensors"
    for source in (
        "a/checkpoint_000/block_00002.safetensors",
        "a/checkpoint_001/block_00001.safetensors",
        "b/checkpoint_000/block_00001.safetensors",
    ):
        shutil.copy(tmp_path / source, place)
        with pytest.raises(CheckpointError, match=r"block_00001\.safetensors holds the block"):
            score(test, FactorStore.open(tmp_path / "a"))
        with pytest.warns(RuntimeWarning, match="the block is captured again"):
            store = tracin().capture(X, tmp_path / "a")
        np.testing.assert_array_equal(score(test, store), want)
    shutil.copy(tmp_path / "c/checkpoint_000/block_00001.safetensors", place)
    with pytest.raises(RunMismatchError, match="captured from weights of digest"):
        score(test, FactorStore.open(tmp_path / "a"))


@pytest.mark.parametrize("content", [None, "", "{", "{}", "[]", '{"model": 3}'])
def test_a_header_that_is_lost_or_broken_is_written_again(
    content: str | None, tmp_path: Path
) -> None:
    store = tracin().capture(X, tmp_path)
    path = tmp_path / "checkpoint_001" / "header.json"
    whole = path.read_text()
    path.unlink() if content is None else path.write_text(content)
    with pytest.raises(CheckpointError, match=r"header\.json"):
        store.layers(1)
    with pytest.raises(CheckpointError, match="capture into the same directory again"):
        tracin().influence(Z, FactorStore.open(tmp_path))
    stamps = {p: p.stat().st_mtime_ns for p in tmp_path.rglob("*.safetensors")}
    store = tracin().capture(X, tmp_path)
    assert path.read_text() == whole
    assert {p: p.stat().st_mtime_ns for p in stamps} == stamps
    np.testing.assert_allclose(tracin().influence(Z, store), tracin().influence(Z, X), rtol=1e-12)


def test_a_recipe_that_is_cut_is_named(tmp_path: Path) -> None:
    tracin().capture(X, tmp_path)
    path = tmp_path / "recipe.toml"
    path.write_text(path.read_text()[:30])
    for ask in (lambda: FactorStore.open(tmp_path), lambda: tracin().capture(X, tmp_path)):
        with pytest.raises(CheckpointError, match=r"recipe\.toml cannot be read"):
            ask()
