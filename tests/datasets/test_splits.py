"""Folds and groups of equal rows, against brute force and the properties they promise."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from genmem import noise
from genmem.datasets import duplicate_groups, folds

SEEDS = st.integers(-(2**40), 2**40)


@settings(deadline=None, max_examples=100)
@given(st.data(), st.integers(2, 60), SEEDS, st.integers(0, 99))
def test_sizes_differ_by_at_most_one(data: st.DataObject, n: int, seed: int, repeat: int) -> None:
    k = data.draw(st.integers(2, n))
    fold = folds(n, k, seed, repeat)
    assert fold.shape == (n,)
    sizes = np.bincount(fold, minlength=k)
    assert len(sizes) == k
    assert sizes.max() - sizes.min() <= 1
    assert np.array_equal(folds(n, k, seed, repeat), fold)


def test_the_definition_by_hand() -> None:
    n, k, seed, repeat = 23, 5, 3, 2
    u = [noise.uniforms(seed, [i], [repeat], 1, stream="folds").item() for i in range(n)]
    fold = folds(n, k, seed, repeat)
    for place, row in enumerate(sorted(range(n), key=lambda i: u[i])):
        assert fold[row] == place % k


def test_folds_follow_identity_not_position() -> None:
    index = np.random.default_rng(0).permutation(1000)[:200]
    fold = folds(200, 10, 1, 0, index=index)
    order = np.random.default_rng(1).permutation(200)
    assert np.array_equal(folds(200, 10, 1, 0, index=index[order]), fold[order])
    assert np.array_equal(folds(200, 10, 1, 0), folds(200, 10, 1, 0, index=np.arange(200)))


def test_repeats_and_seeds_are_independent_partitions() -> None:
    n, k = 4000, 10
    one = folds(n, k, 0, 0)
    for other in (folds(n, k, 0, 1), folds(n, k, 1, 0)):
        # Pairs of folds meet in n / k^2 = 40 rows each; chi-square on (k - 1)^2 = 81 degrees.
        table = np.zeros((k, k))
        np.add.at(table, (one, other), 1)
        chi2 = ((table - n / k**2) ** 2 / (n / k**2)).sum()
        assert 30 <= chi2 <= 160


@settings(deadline=None, max_examples=100)
@given(
    st.lists(st.integers(-3, 8), min_size=2, max_size=40).filter(lambda g: len(set(g)) > 1),
    st.data(),
    SEEDS,
)
def test_groups_stay_together(groups: list[int], data: st.DataObject, seed: int) -> None:
    labels = np.array(groups)
    k = data.draw(st.integers(2, len(set(groups))))
    fold = folds(len(groups), k, seed, 0, groups=labels)
    for group in set(groups):
        assert len(set(fold[labels == group].tolist())) == 1
    sizes = np.bincount(fold, minlength=k)
    largest = max(groups.count(group) for group in groups)
    assert sizes.min() >= 1
    assert sizes.max() - sizes.min() <= largest
    # Only equality of groups counts, not their numbers.
    assert np.array_equal(folds(len(groups), k, seed, 0, groups=-5 * labels), fold)


def test_groups_of_one_are_ordinary_folds() -> None:
    for repeat in range(5):
        plain = folds(57, 7, 9, repeat)
        assert np.array_equal(folds(57, 7, 9, repeat, groups=np.arange(57)[::-1]), plain)


def test_groups_are_dealt_largest_first() -> None:
    groups = np.repeat([0, 1, 2, 3], [6, 3, 2, 1])
    fold = folds(12, 2, 0, 0, groups=groups)
    assert np.bincount(fold).tolist() == [6, 6]
    assert len(set(fold[6:].tolist())) == 1


@pytest.mark.parametrize(
    ("arguments", "wanted"),
    [
        ({"n": 5, "k": 6}, "k is 6 and n is 5; 2 <= k <= n"),
        ({"n": 5, "k": 1}, "k is 1"),
        ({"n": 5, "k": 2, "repeat": -1}, "repeat is -1"),
        ({"n": 5, "k": 3, "groups": [0, 0, 1, 1, 1]}, "k is 3 but there are 2 groups"),
        ({"n": 5, "k": 2, "groups": [0, 1]}, r"groups has shape \(2,\)"),
        ({"n": 2, "k": 2, "groups": [0.0, 1.0]}, "groups has .* type float64; integers"),
        ({"n": 3, "k": 2, "index": [1, 2]}, r"index has shape \(2,\)"),
    ],
)
def test_what_is_refused(arguments: dict[str, object], wanted: str) -> None:
    with pytest.raises(ValueError, match=wanted):
        folds(**{"seed": 0, "repeat": 0, **arguments})


def brute(rows: np.ndarray) -> list[int]:
    return [
        next(j for j in range(i + 1) if j == i or np.array_equal(rows[j], rows[i]))
        for i in range(len(rows))
    ]


@settings(deadline=None, max_examples=100)
@given(
    hnp.arrays(
        np.uint8, st.tuples(st.integers(0, 12), st.integers(1, 3)), elements=st.integers(0, 2)
    )
    | hnp.arrays(
        np.float64,
        st.tuples(st.integers(0, 12), st.integers(1, 2)),
        elements=st.sampled_from([0.0, -0.0, 1.0, float("nan")]),
    )
)
def test_equal_rows_against_all_pairs(rows: np.ndarray) -> None:
    got = duplicate_groups(rows)
    assert got.shape == (len(rows),)
    assert got.tolist() == brute(rows)


def test_images_slices_and_other_types() -> None:
    images = np.zeros((3, 1, 2, 2), np.float32)
    images[1] = 1
    assert duplicate_groups(images).tolist() == [0, 1, 0]
    assert duplicate_groups(images[::-1]).tolist() == [0, 1, 0]
    assert duplicate_groups(np.array([True, False, True])).tolist() == [0, 1, 0]
    assert duplicate_groups(np.array([[1, 9], [1, 9]])[:, :1]).tolist() == [0, 0]
    with pytest.raises(ValueError, match="type object; numbers"):
        duplicate_groups(np.array([[None]]))
    with pytest.raises(ValueError, match=r"shape \(\)"):
        duplicate_groups(np.float64(1))


def test_nearly_equal_is_not_equal() -> None:
    rows = np.array([[1.0], [np.nextafter(1.0, 2.0)], [1.0]])
    assert duplicate_groups(rows).tolist() == [0, 1, 0]
