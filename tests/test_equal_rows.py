"""Equal rows by comparison, whatever the digests say; one answer for folds and for densities."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest

from genmem import equal_rows as module
from genmem.datasets import duplicate_groups
from genmem.density.duplicates import equal_rows
from genmem.equal_rows import first_equal


@pytest.fixture
def rows(rng: np.random.Generator) -> np.ndarray:
    return rng.integers(0, 3, (60, 3)).astype(np.float64) * [1, -1, 1]


def by_comparison(rows: np.ndarray) -> list[int]:
    return [next(j for j in range(i + 1) if (rows[j] == rows[i]).all()) for i in range(len(rows))]


def test_digests_that_collide_do_not_join_rows(
    rows: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = hashlib.blake2b
    monkeypatch.setattr(module, "blake2b", lambda data, digest_size: plain(b"", digest_size=1))
    want = by_comparison(rows)
    assert len(set(want)) > 10
    assert first_equal(rows).tolist() == want
    # Folds and densities ask the same question here.
    assert duplicate_groups(rows).tolist() == want
    grouped = equal_rows(rows)
    assert grouped.first[grouped.group].tolist() == want
    assert grouped.multiplicity.tolist() == np.bincount(want)[want].tolist()


def test_a_memory_map_is_read_row_by_row(rows: np.ndarray, tmp_path: Path) -> None:
    np.save(tmp_path / "rows.npy", rows)
    held = np.load(tmp_path / "rows.npy", mmap_mode="r")
    assert first_equal(held).tolist() == by_comparison(rows)


def test_no_rows_and_no_number() -> None:
    assert first_equal(np.empty((0, 3))).shape == (0,)
    assert first_equal(np.full((2, 1), np.nan)).tolist() == [0, 1]
