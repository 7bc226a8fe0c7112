"""What must hold for any numbers: order of rows, scale, shift, and more copies."""

from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from draws import TESTS
from genmem.copying import CopyingDistances, nearest_ratio, third_ratio

# Sixteenths: sums and differences of squares are exact, so equal means equal.
VALUES = st.integers(-64, 64).map(lambda number: number / 16)
SHARES = ("nearest_ratio", "authenticity", "calibrated_distance", "third_ratio",
          "near_duplicate_rate")  # fmt: skip
OPTIONS: dict[str, dict[str, Any]] = {
    "calibrated_distance": {"neighbours": 2, "quantile": 0.3},
    "nearest_ratio": {"permutations": 3},
}


@st.composite
def three_sets(draw: st.DrawFn, same: bool = False) -> tuple[np.ndarray, ...]:
    dim = draw(st.integers(1, 3))
    size = draw(st.integers(2, 7))
    sizes = (draw(st.integers(2, 9)), size, size if same else draw(st.integers(1, 7)))
    train, test, made = (draw(arrays(np.float64, (n, dim), elements=VALUES)) for n in sizes)
    # Two rows that differ are in every training set.
    train[0], train[1] = 5.0, -5.0
    return train, test, made


def run(name: str, sets: tuple[np.ndarray, ...], **options: Any) -> Any:
    return TESTS[name](*sets, resamples=2, threads=1, **OPTIONS.get(name, {}), **options)


@given(three_sets(same=True), st.randoms(use_true_random=False))
def test_the_order_of_rows_does_not_matter(sets: Any, random: Any) -> None:
    orders = [random.sample(range(len(rows)), len(rows)) for rows in sets]
    moved = tuple(rows[order] for rows, order in zip(sets, orders, strict=True))
    for name in SHARES:
        first, second = run(name, sets), run(name, moved)
        np.testing.assert_allclose(first.statistic, second.statistic, rtol=1e-12)
        order = orders[0] if name == "nearest_ratio" else orders[2]
        if name != "authenticity":  # which of two equally near rows is asked depends on the order
            np.testing.assert_array_equal(first.per_sample[order], second.per_sample)
    cells = {"cells": 1, "threshold": 0.0}
    first, second = (run("data_copying", one, **cells) for one in (sets, moved))
    np.testing.assert_allclose(first.statistic, second.statistic, rtol=1e-12)


@given(three_sets(), st.integers(-3, 3), st.integers(-32, 32))
def test_scale_and_shift_do_not_matter(sets: Any, power: int, shift: int) -> None:
    moved = tuple((rows + shift) * 2.0**power for rows in sets)
    for name in SHARES:
        first, second = run(name, sets), run(name, moved)
        assert first.statistic == second.statistic or np.isnan(first.statistic)
        assert first.copies == second.copies
        if name != "near_duplicate_rate":
            np.testing.assert_array_equal(first.per_sample, second.per_sample)


@given(three_sets(same=True), st.integers(0, 6), st.integers(0, 8))
def test_a_copy_cannot_lower_what_copies_raise(sets: Any, place: int, row: int) -> None:
    """A generated row becomes a copy of a training row."""
    train, test, made = sets
    copied = made.copy()
    copied[place % len(made)] = train[row % len(train)]
    for name in ("third_ratio", "near_duplicate_rate", "authenticity"):
        before, after = run(name, sets), run(name, (train, test, copied))
        sign = -1 if name == "authenticity" else 1
        assert sign * after.statistic >= sign * before.statistic
        assert after.pvalue <= before.pvalue + 1e-12
        assert after.copies >= before.copies


@given(three_sets())
@settings(max_examples=30)
def test_more_generated_rows_cannot_lower_rho(sets: Any) -> None:
    train, test, made = sets
    held = np.concatenate([test, test + 100.0])
    before = nearest_ratio(train, held, made, permutations=1, resamples=1, threads=1)
    kept = CopyingDistances(train, held, made).matched["test"]
    size = len(kept)
    more = np.concatenate([made, train[:1]])
    after = nearest_ratio(
        train, np.concatenate([held[kept], held[kept][:1]]), more,
        permutations=1, resamples=1, threads=1,
    )  # fmt: skip
    assert after.compared == size + 1
    both = ~np.isnan(before.per_sample) & ~np.isnan(after.per_sample)
    assert (after.per_sample[both] >= before.per_sample[both]).all()


@given(three_sets())
def test_a_copy_has_ratio_zero(sets: Any) -> None:
    train, test, _ = sets
    found = third_ratio(train, test, train, resamples=1, threads=1)
    assert (found.per_sample == 0).all()
    assert found.copies == len(train)
