"""Numbers as text: what a reader sees, and that no digit is wrong or lost."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from genmem.reports import words


def number(text: str) -> float:
    """Back from text to a number."""
    text = text.replace(words.MINUS, "-").replace(",", "")
    mantissa, _, power = text.partition("·10")
    digits = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹⁻", "0123456789-")
    return float(mantissa) * 10.0 ** int(power.translate(digits) if power else 0)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0.00"),
        (-0.001, "0.00"),
        (-1.234, "−1.23"),
        (9.994, "9.99"),
        (9.996, "10.0"),
        (41.25, "41.2"),
        (999.96, "1,000"),
        (-12345.6, "−12,346"),
        (math.nan, "undefined"),
        (math.inf, "∞"),
        (-math.inf, "−∞"),
    ],
)
def test_nats(value: float, text: str) -> None:
    assert words.nats(value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0"),
        (0.012345, "0.0123"),
        (1.0, "1.00"),
        (99999.0, "100,000"),
        (123456.0, "1.23·10⁵"),
        (-0.0000123, "−1.23·10⁻⁵"),
        (math.inf, "∞"),
    ],
)
def test_three_significant_digits(value: float, text: str) -> None:
    assert words.significant(value) == text


@given(st.floats(1e-30, 1e30) | st.floats(-1e30, -1e-30))
def test_significant_digits_keep_the_value(value: float) -> None:
    assert abs(number(words.significant(value)) / value - 1) <= 0.0051


@given(st.floats(-1e9, 1e9))
def test_nats_keep_the_value(value: float) -> None:
    digits = 0.5 if abs(value) >= 999.95 else 0.05 if abs(value) >= 9.995 else 0.005
    assert abs(number(words.nats(value)) - value) <= digits * (1 + 1e-9)


@pytest.mark.parametrize(
    ("value", "text"),
    [(10.0, "10"), (1000.0, "1,000"), (0.1, "0.1"), (2.5, "2.5"), (5e6, "5.00·10⁶")],
)
def test_ticks_have_no_idle_digits(value: float, text: str) -> None:
    assert words.plain(value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.0, "< 0.0001"), (0.00034, "= 0.0003"), (0.0123, "= 0.012"), (0.5, "= 0.50"), (1, "= 1.00")],
)
def test_probability(value: float, text: str) -> None:
    assert words.probability(value) == text


def test_intervals_that_are_not_known() -> None:
    assert words.interval(math.nan, math.nan) == "no interval"
    assert words.interval(-1.0, math.inf) == "−1.00 to ∞"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.44, "0.4 s"), (59.6, "1 min 00 s"), (200, "3 min 20 s"), (7500, "2 h 05 min")],
)
def test_duration(seconds: float, text: str) -> None:
    assert words.duration(seconds).replace(words.NARROW, " ") == text


@pytest.mark.parametrize(
    ("part", "whole", "text"),
    [
        (42, 1797, "2.3 %"),
        (1, 2, "50 %"),
        (1, 60000, "< 0.01 %"),
        (0, 5, "0 %"),
        (0, 0, "undefined"),
    ],
)
def test_share(part: int, whole: int, text: str) -> None:
    assert words.share(part, whole).replace(words.NARROW, " ") == text


def test_counts_and_lists() -> None:
    assert words.counted(1, "sample") == "1 sample"
    assert words.counted(1797, "sample") == "1,797 samples"
    assert words.listed(["a"]) == "a"
    assert words.listed(["a", "b", "c"]) == "a, b and c"
