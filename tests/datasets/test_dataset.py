"""The data set: what it accepts, what it refuses by name, what survives `take`."""

from __future__ import annotations

import dataclasses
import hashlib
import math
import pickle
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from genmem.datasets import Dataset
from genmem.errors import DataError


def small(**changes: object) -> Dataset:
    given: dict[str, object] = {
        "name": "small",
        "x": np.arange(24, dtype=np.uint8).reshape(6, 1, 2, 2),
        "y": np.array([0, 1, 2, 0, 1, 2]),
        "index": np.array([10, 20, 30, 40, 50, 60]),
        "classes": ("a", "b", "c"),
        "planted": {"duplicates": np.array([[4, 0], [5, 1]]), "outliers": np.array([3])},
    }
    return Dataset(**{**given, **changes})


def test_what_it_holds() -> None:
    data = small()
    assert (len(data), data.shape, data.value_range) == (6, (1, 2, 2), (0.0, 255.0))
    assert data.rows.shape == (6, 4)
    assert data.rows.base is not None
    assert np.shares_memory(data.rows, data.x)
    assert data.y is not None
    assert data.y.dtype == np.int64
    assert data.index.dtype == np.int64
    assert repr(data) == "Dataset('small', 6 x (1, 2, 2) uint8, 3 classes)"


def test_default_identities_are_the_row_numbers() -> None:
    assert Dataset("v", np.zeros((3, 2), np.uint8)).index.tolist() == [0, 1, 2]


def test_it_cannot_be_changed_behind_its_fingerprint() -> None:
    x = np.zeros((3, 2), np.uint8)
    data = Dataset("v", x)
    with pytest.raises(ValueError, match="read-only"):
        data.x[0, 0] = 1
    with pytest.raises(dataclasses.FrozenInstanceError):
        data.name = "w"
    x[0, 0] = 1  # the caller's own array stays the caller's


def test_rows_of_a_wider_array_are_copied_to_be_contiguous() -> None:
    wide = np.random.default_rng(0).random((5, 9)).astype(np.float32)
    data = Dataset("slice", wide[:, 2:6])
    assert data.x.flags.c_contiguous
    assert np.array_equal(data.rows, wide[:, 2:6])


def test_a_memory_map_is_not_read_into_memory(tmp_path: Path) -> None:
    mapped = np.memmap(tmp_path / "x", np.uint8, "w+", shape=(4, 3))
    data = Dataset("map", mapped)
    assert np.shares_memory(data.x, mapped)


def test_workers_get_an_equal_copy() -> None:
    data = small()
    again = pickle.loads(pickle.dumps(data))
    assert again.fingerprint == data.fingerprint
    assert np.array_equal(again.planted["duplicates"], data.planted["duplicates"])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_value_that_is_not_finite_is_named(dtype: type, value: float) -> None:
    x = np.zeros((500, 3), dtype)
    x[123, 1] = value
    x[400, 0] = np.nan
    wanted = rf"row 123 has the value {value} \(at 1 of its 3 values\); finite is wanted"
    for bounds in ((0.0, 1.0), (math.nan, math.nan)):
        with pytest.raises(DataError, match=wanted):
            Dataset("bad", x, value_range=bounds)


def test_the_first_bad_row_is_named_beyond_the_first_block() -> None:
    # Rows of 8 MiB: two a block.
    x = np.zeros((5, 1 << 20), np.float64)
    x[3, 7], x[4, 0] = 2.5, np.nan
    with pytest.raises(DataError, match=r"row 3 has the value 2.5 .* 0..1 is wanted"):
        Dataset("bad", x, value_range=(0.0, 1.0))


@pytest.mark.parametrize(
    ("x", "wanted"),
    [
        (np.zeros((0, 3), np.uint8), "the set is empty"),
        (np.zeros((3, 0), np.uint8), "the set is empty"),
        (np.zeros(3, np.uint8), r"shape \(3,\); \(N, d\) or \(N, C, H, W\) is wanted"),
        (np.zeros((3, 2, 2), np.uint8), r"shape \(3, 2, 2\)"),
        (np.zeros((3, 2), np.int64), "type int64; uint8, float32 or float64 is wanted"),
        (np.zeros((3, 2), np.float16), "type float16"),
        (np.zeros((3, 2), ">f4"), "type >f4"),
        (np.zeros((3, 2), object), "type object"),
        (np.ma.masked_equal(np.eye(3), 0), "masked array"),
        (np.full((3, 2), 17, np.uint8), r"row 0 has the value 17.0 .* 0..16 is wanted"),
    ],
)
def test_samples_that_are_refused(x: np.ndarray, wanted: str) -> None:
    with pytest.raises(DataError, match=wanted):
        Dataset("bad", x, value_range=(0.0, 16.0))


@pytest.mark.parametrize(
    ("changes", "wanted"),
    [
        ({"y": np.zeros(5, int)}, r"y has shape \(5,\); \(6,\) is wanted"),
        ({"y": np.zeros((6, 1), int)}, r"y has shape \(6, 1\)"),
        ({"y": np.zeros(6)}, "y has type float64; integers are wanted"),
        ({"y": np.array([0, 1, 2, 3, 0, 0])}, r"y of row 3 is 3; 0..2 \(3 classes\) is wanted"),
        ({"y": np.array([0, -1, 2, 0, 0, 0])}, "y of row 1 is -1"),
        ({"y": np.array([0, -1, 2, 0, 0, 0]), "classes": None}, "a class number >= 0"),
        ({"index": np.array([1, 2, 3, 4, 2, 5])}, "rows 1 and 4 both have index 2"),
        ({"index": np.arange(5)}, r"index has shape \(5,\)"),
        ({"index": np.arange(6) - 1}, "index of row 0 is -1; 0 <= index < 2\\^32"),
        ({"index": np.arange(6) + (1 << 32) - 3}, "index of row 3 is 4294967296"),
        ({"index": np.arange(6) + 0.5}, "index has type float64"),
        ({"index": np.arange(6, dtype=np.uint64) + np.uint64(2**63)}, "at most 2\\^63-1"),
        ({"planted": {"outliers": np.array([6])}}, r"planted\['outliers'\] names rows 6..6; 0..5"),
        ({"planted": {"duplicates": np.zeros((2, 3), int)}}, r"shape \(2, 3\); \(2, 2\) is wanted"),
        ({"planted": {"outliers": np.array([0.0])}}, "type float64"),
        ({"value_range": (3, 3)}, r"value_range is \(3.0, 3.0\) in uint8; lo < hi"),
        ({"value_range": (0, 25.5)}, r"value_range is \(0.0, 25.5\); integers in 0..255"),
        ({"value_range": (-1, 255)}, "integers in 0..255 are wanted for uint8"),
        ({"value_range": (0, math.inf)}, "both finite"),
        ({"value_range": (math.nan, 1)}, "both finite"),
        ({"value_range": (1, 2, 3)}, "two numbers are wanted"),
        ({"value_range": None}, "two numbers are wanted"),
    ],
)
def test_what_is_refused(changes: dict[str, object], wanted: str) -> None:
    with pytest.raises(DataError, match=wanted):
        small(**changes)


def test_floats_without_a_range_take_that_of_the_data() -> None:
    data = Dataset("f", np.array([[0.25, -1.5], [3.0, 0.0]]))
    assert data.value_range == (-1.5, 3.0)
    with pytest.raises(DataError, match=r"\(2.0, 2.0\) in float64; .*give it"):
        Dataset("constant", np.full((2, 2), 2.0))


def test_a_range_is_held_in_the_precision_of_the_data() -> None:
    x = np.array([[0.1, 0.7]], np.float32)
    data = Dataset("f", x, value_range=(0.1, 0.7))
    assert data.value_range == (float(np.float32(0.1)), float(np.float32(0.7)))
    assert data.unit().tolist() == [[0.0, 1.0]]
    with pytest.raises(DataError, match="both finite"):
        Dataset("f", x, value_range=(0.0, 1e300))


def test_unit_against_exact_rational_arithmetic() -> None:
    data = Dataset("g", np.arange(17, dtype=np.uint8)[:, None], value_range=(0.0, 16.0))
    got = data.unit()
    assert (got.shape, got.dtype) == ((17, 1), np.float32)
    assert np.array_equal(got[:, 0], np.arange(17) / 16)
    picked = data.unit([3, 3, 0])
    assert picked[:, 0].tolist() == [3 / 16, 3 / 16, 0.0]
    thirds = Dataset("t", np.array([[0], [1], [3]], np.uint8), value_range=(0, 3)).unit()
    assert np.array_equal(thirds[:, 0], np.array([0.0, 1 / 3, 1.0], np.float32))


@settings(deadline=None, max_examples=60)
@given(
    hnp.arrays(
        st.sampled_from([np.float32, np.float64]),
        st.tuples(st.integers(1, 5), st.integers(1, 5)),
        elements=st.floats(-1e6, 1e6, width=32),
        unique=True,
    ).filter(lambda x: x.size > 1)
)
def test_unit_stays_in_the_unit_interval_and_reaches_its_ends(x: np.ndarray) -> None:
    got = Dataset("f", x).unit()
    assert got.shape == x.shape
    assert ((got >= 0) & (got <= 1)).all()
    assert got[x == x.min()].tolist() == [0.0]
    assert got[x == x.max()].tolist() == [1.0]


def test_take_keeps_identity_and_what_is_still_planted() -> None:
    data = small()
    part = data.take([5, 0, 4, 3])
    assert part.index.tolist() == [60, 10, 50, 40]
    assert np.array_equal(part.x, data.x[[5, 0, 4, 3]])
    assert part.y is not None
    assert part.y.tolist() == [2, 0, 1, 0]
    # [4, 0] stays as [2, 1]; [5, 1] lost its original; outlier 3 is now row 3.
    assert part.planted["duplicates"].tolist() == [[2, 1]]
    assert part.planted["outliers"].tolist() == [3]
    assert (part.name, part.classes, part.value_range) == (data.name, data.classes, (0.0, 255.0))
    none = data.take([1])
    assert none.planted["duplicates"].shape == (0, 2)
    assert none.planted["outliers"].shape == (0,)


def test_take_does_not_widen_or_narrow_the_value_range() -> None:
    data = Dataset("f", np.array([[0.0], [0.5], [1.0]]))
    assert data.take([1]).value_range == (0.0, 1.0)


@pytest.mark.parametrize(
    ("positions", "wanted"),
    [
        ([0, 6], r"take: position 6 is not in 0..5"),
        ([-1], r"take: position -1 is not in 0..5"),
        ([0, 0], "rows 0 and 1 both have index 10"),
        ([True, False, True, False, True, False], "flatnonzero"),
        ([0.0], "a list of integers is wanted"),
        ([[0, 1]], r"positions have shape \(1, 2\)"),
        ([], "the set is empty"),
    ],
)
def test_positions_that_are_refused(positions: list[object], wanted: str) -> None:
    with pytest.raises(ValueError, match=wanted):
        small().take(positions)


def test_fingerprint_depends_on_all_that_counts_and_nothing_else() -> None:
    data = small()
    same = small(name="other", classes=None, planted={})
    assert data.fingerprint == same.fingerprint
    changed = data.x.copy()
    changed[5, 0, 1, 1] ^= 1
    assert data.y is not None
    others = [
        small(x=changed),
        small(index=data.index + 1),
        small(y=data.y[::-1]),
        small(y=None),
        small(value_range=(0, 200)),
        small(x=data.x.reshape(6, 4)),
        small(x=data.x.astype(np.float32), value_range=(0, 255)),
    ]
    assert len({data.fingerprint, *(other.fingerprint for other in others)}) == len(others) + 1


def test_fingerprint_is_the_sha256_it_claims_to_be() -> None:
    data = Dataset("v", np.array([[1, 2]], np.uint8), index=np.array([7]))
    content = b"|u1(1, 2)\x01\x02" + b"<i8(1,)" + (7).to_bytes(8, "little")
    content += b"<f8(2,)" + np.array([0.0, 255.0]).tobytes()
    assert data.fingerprint == hashlib.sha256(content).hexdigest()
