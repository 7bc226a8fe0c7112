"""Planted ground truth: what is appended is what `planted` says, and nothing else changes."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from genmem.datasets import Dataset, duplicate_groups, load, plant


@settings(deadline=None, max_examples=60)
@given(
    x=hnp.arrays(np.uint8, st.tuples(st.integers(2, 12), st.integers(1, 4)))
    | hnp.arrays(
        np.float32,
        st.tuples(st.integers(2, 12), st.integers(1, 4)),
        elements=st.floats(0, 1, width=32),
    ),
    shares=st.tuples(*[st.sampled_from([0.0, 0.25, 0.5])] * 3),
    amplitude=st.sampled_from([1e-9, 0.05, 1.0, 50.0]),
    seed=st.integers(-5, 2**33),
    labelled=st.booleans(),
)
def test_what_is_planted_is_what_is_listed(
    x: np.ndarray,
    shares: tuple[float, float, float],
    amplitude: float,
    seed: int,
    labelled: bool,
) -> None:
    n = len(x)
    # Two halves of an odd number are rounded up: more originals than there are rows.
    assume(n % 2 == 0 or shares[:2] != (0.5, 0.5))
    top = 255.0 if x.dtype == np.uint8 else 1.0
    y = np.arange(n) % 3 + 4 if labelled else None
    index = np.arange(n)[::-1] * 7 + 3
    data = Dataset("d", x, y=y, index=index, value_range=(0.0, top))
    names = ("duplicates", "near_duplicates", "outliers")
    made = plant(data, **dict(zip(names, shares, strict=True)), amplitude=amplitude, seed=seed)
    counts = [int(share * n + 0.5) for share in shares]
    assert len(made) == n + sum(counts)
    assert np.array_equal(made.x[:n], x)
    assert np.array_equal(made.index[:n], index)
    assert made.index[n:].tolist() == list(range(7 * (n - 1) + 4, 7 * (n - 1) + 4 + sum(counts)))
    assert made.value_range == data.value_range
    assert made.x.dtype == x.dtype

    listed = [made.planted.get(name, np.empty((0, 2), int)) for name in names]
    assert [len(rows) for rows in listed] == counts
    duplicates, near, outliers = listed
    appended = np.concatenate([duplicates[:, 0], near[:, 0], outliers.reshape(-1)[: counts[2]]])
    assert appended.tolist() == list(range(n, n + sum(counts)))
    originals = np.concatenate([duplicates[:, 1], near[:, 1]])
    assert len(set(originals.tolist())) == len(originals)
    assert (originals < n).all()
    assert np.array_equal(made.x[duplicates[:, 0]], x[duplicates[:, 1]])
    assert (made.x[near[:, 0]] != x[near[:, 1]]).any(axis=1).all()
    if labelled:
        assert made.y is not None
        assert np.array_equal(made.y[appended[: len(originals)]], data.y[originals])
        assert set(made.y[n:].tolist()) <= set(data.y.tolist())
    else:
        assert made.y is None


@pytest.fixture(scope="module")
def digits() -> Dataset:
    return load("digits", limit=600)


def test_the_only_exact_copies_are_the_planted_ones(digits: Dataset) -> None:
    made = plant(digits, duplicates=0.1, near_duplicates=0.1, outliers=0.1, seed=4)
    first = duplicate_groups(made.x)
    copies = np.flatnonzero(first != np.arange(len(made)))
    assert np.array_equal(copies, made.planted["duplicates"][:, 0])
    assert np.array_equal(first[copies], made.planted["duplicates"][:, 1])


@pytest.mark.parametrize("dtype", [np.uint8, np.float64])
def test_the_noise_of_near_copies_has_the_size_asked_for(dtype: type) -> None:
    # Mid-range images: nothing is cut off at the ends of the range.
    images = np.full((400, 1, 20, 20), 100, dtype) + np.arange(400)[:, None, None, None] % 2
    data = Dataset("mid", images.astype(dtype), value_range=(0, 200))
    made = plant(data, near_duplicates=1.0, amplitude=0.05, seed=1)
    copy, original = made.planted["near_duplicates"].T
    change = made.rows[copy].astype(float) - made.rows[original].astype(float)
    # sd 0.05 * 200 = 10 (rounding adds 1/12 to the variance); 160,000 draws: 5 se = 0.09.
    want = np.sqrt(100 + (1 / 12 if dtype == np.uint8 else 0))
    assert abs(change.std() - want) <= 0.09
    assert abs(change.mean()) <= 0.13


def test_outliers_are_uniform_over_the_range_both_ends_included(digits: Dataset) -> None:
    made = plant(digits, outliers=0.5, seed=2)
    values = made.rows[made.planted["outliers"]].ravel()
    counts = np.bincount(values, minlength=17)
    # 300 x 64 = 19,200 values over 17 levels; 5.5 standard deviations of a binomial count.
    expected = len(values) / 17
    assert len(counts) == 17
    assert (np.abs(counts - expected) <= 5.5 * np.sqrt(expected)).all()
    labels = np.bincount(made.y[made.planted["outliers"]], minlength=10)
    assert (np.abs(labels - 30) <= 5.5 * np.sqrt(30)).all()


def test_the_choice_depends_on_the_seed_and_on_identity_alone(digits: Dataset) -> None:
    made = plant(digits, duplicates=0.1, outliers=0.05, seed=7)
    assert plant(digits, duplicates=0.1, outliers=0.05, seed=7).fingerprint == made.fingerprint
    other = plant(digits, duplicates=0.1, outliers=0.05, seed=8)
    assert other.fingerprint != made.fingerprint
    # The same rows in another order: the same samples become originals.
    shuffled = digits.take(np.random.default_rng(0).permutation(len(digits)))
    again = plant(shuffled, duplicates=0.1, outliers=0.05, seed=7)
    identities = made.index[made.planted["duplicates"][:, 1]]
    assert np.array_equal(again.index[again.planted["duplicates"][:, 1]], identities)


def test_planting_again_adds_to_what_is_planted(digits: Dataset) -> None:
    once = plant(digits, duplicates=0.01, outliers=0.01)
    twice = plant(once, duplicates=0.01, seed=1)
    pairs = twice.planted["duplicates"]
    assert len(pairs) == 6 + 6
    assert np.array_equal(twice.x[pairs[:, 0]], twice.x[pairs[:, 1]])
    assert np.array_equal(twice.planted["outliers"], once.planted["outliers"])


def test_nothing_asked_nothing_planted(digits: Dataset) -> None:
    assert plant(digits).fingerprint == digits.fingerprint
    assert plant(digits).planted == {}


@pytest.mark.parametrize(
    ("arguments", "wanted"),
    [
        ({"duplicates": 1.5}, "duplicates is 1.5; a fraction in 0..1"),
        ({"outliers": -0.1}, "outliers is -0.1"),
        ({"outliers": float("nan")}, "outliers is nan"),
        ({"near_duplicates": 0.0005}, "near_duplicates is 0.0005 of 600 rows, less than half a"),
        ({"duplicates": 0.6, "near_duplicates": 0.5}, "want 660 distinct originals; there are 600"),
        ({"near_duplicates": 0.5, "amplitude": 0.0}, "amplitude is 0.0; a number > 0"),
        ({"amplitude": float("inf")}, "amplitude is inf"),
        ({"amplitude": float("nan")}, "amplitude is nan"),
    ],
)
def test_what_is_refused(digits: Dataset, arguments: dict[str, float], wanted: str) -> None:
    with pytest.raises(ValueError, match=wanted):
        plant(digits, **arguments)


def test_no_identity_is_left(digits: Dataset) -> None:
    full = Dataset("full", digits.x[:2], index=np.array([0, (1 << 32) - 1]))
    with pytest.raises(ValueError, match=r"4294967296"):
        plant(full, duplicates=0.5)
