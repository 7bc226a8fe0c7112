"""Data sets in .npz files: round trip, defaults, and files that are not what they claim."""

from __future__ import annotations

import pickle
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from genmem.datasets import Dataset, load, npz, plant
from genmem.errors import DataError

SHAPES = st.one_of(
    st.tuples(st.integers(1, 6), st.integers(1, 5)),
    st.tuples(st.integers(1, 6), st.integers(1, 3), st.integers(1, 4), st.integers(1, 4)),
)


@settings(max_examples=40)
@example(np.zeros((1, 2, 1, 1), np.uint8), False, 0)  # looks like (N, H, W, C)
@given(
    hnp.arrays(np.uint8, SHAPES)
    | hnp.arrays(np.float32, SHAPES, elements=st.floats(-2, 2, width=32)),
    st.booleans(),
    st.integers(0, 2**31),
)
def test_round_trip(x: np.ndarray, labelled: bool, start: int) -> None:
    data = Dataset(
        "set",
        x,
        y=np.arange(len(x)) % 2 if labelled else None,
        index=start + np.arange(len(x))[::-1],
        value_range=(0, 255) if x.dtype == np.uint8 else (-2, 2),
        classes=("no", "yes") if labelled else None,
        planted={"outliers": np.array([0])},
    )
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "set.npz"
        npz.save(path, data)
        again = npz.load(path)
    assert again.x.dtype == x.dtype
    assert again.fingerprint == data.fingerprint
    assert (again.name, again.classes, again.value_range) == ("set", data.classes, data.value_range)
    assert again.planted["outliers"].tolist() == [0]


def test_planted_truth_survives(tmp_path: Path) -> None:
    data = plant(load("digits", limit=50), duplicates=0.1, near_duplicates=0.1, outliers=0.04)
    npz.save(tmp_path / "p.npz", data)
    again = load(tmp_path / "p.npz")
    assert again.fingerprint == data.fingerprint
    assert again.planted.keys() == data.planted.keys()
    for key, rows in data.planted.items():
        assert np.array_equal(again.planted[key], rows)


def test_defaults(tmp_path: Path) -> None:
    path = tmp_path / "plain.npz"
    np.savez(path, x=np.array([[0.5, -3.0], [2.0, 0.0]]))
    data = load(path)
    assert (data.name, data.y, data.classes) == ("plain", None, None)
    assert data.value_range == (-3.0, 2.0)
    assert data.index.tolist() == [0, 1]
    np.savez(path, x=np.ones((2, 4, 3), np.uint8), y=np.array([0, 1], np.uint8))
    data = load(path)
    assert data.shape == (1, 4, 3)
    assert data.value_range == (0.0, 255.0)
    assert data.y is not None
    assert (data.y.dtype, data.y.tolist()) == (np.int64, [0, 1])


def test_limit(tmp_path: Path) -> None:
    np.savez(tmp_path / "x.npz", x=np.array([[0.0], [1.0], [7.0]]), index=np.array([5, 3, 9]))
    data = load(tmp_path / "x.npz", limit=2)
    assert data.index.tolist() == [5, 3]
    assert data.value_range == (0.0, 7.0)


@pytest.mark.parametrize(
    ("arrays", "wanted"),
    [
        ({"images": np.zeros((2, 3), np.uint8)}, "holds the arrays images; x is wanted"),
        ({}, r"holds the arrays \(none\); x is wanted"),
        ({"x": np.zeros((2, 3), np.uint8), "Y": np.zeros(2, int)}, "holds the arrays Y, x; x is"),
        ({"x": np.zeros((2, 3), np.int64)}, "type int64; uint8, float32 or float64"),
        ({"x": np.zeros((2, 8, 8, 3), np.uint8)}, r"looks like \(N, H, W, C\)"),
        ({"x": np.zeros((2, 3)), "value_range": np.array(1.0)}, "two numbers are wanted"),
        ({"x": np.array([["a"]])}, "type <U1"),
        ({"x": np.zeros((2, 3), np.uint8), "y": np.zeros(3, int)}, r"y has shape \(3,\)"),
        ({"x": np.array([[1.0, np.nan]])}, "row 0 has the value nan"),
    ],
)
def test_contents_that_are_refused(
    tmp_path: Path, arrays: dict[str, np.ndarray], wanted: str
) -> None:
    np.savez(tmp_path / "x.npz", **arrays)
    with pytest.raises(DataError, match=wanted):
        load(tmp_path / "x.npz")


class Trap:
    """What a pickle would run."""

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return (pytest.fail, ("a pickle was run",))


def test_pickles_are_not_run(tmp_path: Path) -> None:
    path = tmp_path / "x.npz"
    np.savez(path, x=np.array([Trap()], object))
    with pytest.raises(DataError, match=r"not a whole .npz file of plain arrays: .*allow_pickle"):
        load(path)
    path.write_bytes(pickle.dumps(Trap()))
    with pytest.raises(DataError, match=r"not a whole .npz file"):
        load(path)


@pytest.mark.parametrize("share", [0.0, 0.3, 0.7, 0.99])
def test_a_truncated_file(tmp_path: Path, share: float) -> None:
    path = tmp_path / "x.npz"
    np.savez_compressed(path, x=np.random.default_rng(0).random((50, 20)))
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    with pytest.raises(DataError, match=r"x.npz is not a whole .npz file"):
        load(path)


def test_a_flipped_bit(tmp_path: Path) -> None:
    path = tmp_path / "x.npz"
    np.savez(path, x=np.random.default_rng(0).random((50, 20)))
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(DataError, match="CRC"):
        load(path)
