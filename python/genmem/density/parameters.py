"""Checks of an estimator's parameters: operation, name, value seen, value wanted."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np


def check_count(value: object, name: str, operation: str) -> int:
    """A whole number of at least 1."""
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < 1:
        raise ValueError(f"{operation}: {name} is {value!r}; a whole number >= 1 is wanted")
    return int(value)


def check_choice(value: object, name: str, choices: Iterable[str], operation: str) -> str:
    """One of a few words."""
    known = list(choices)
    if not isinstance(value, str) or value not in known:
        wanted = " or ".join(f'"{one}"' for one in known)
        raise ValueError(f"{operation}: {name} is {value!r}; {wanted} is wanted")
    return value


def check_number(
    value: object, name: str, operation: str, *, zero: bool = False, also: str = ""
) -> float:
    """A finite number above 0, or with `zero` at least 0; `also` names other legal values."""
    number = np.nan
    if isinstance(value, int | float | np.integer | np.floating) and not isinstance(value, bool):
        number = float(value)
    if not (0 < number < np.inf or (zero and number == 0)):
        wanted = f"{also}{'0 or ' if zero else ''}a positive number is wanted"
        raise ValueError(f"{operation}: {name} is {value!r}; {wanted}")
    return number


def check_width(value: object, name: str, operation: str, *, also: str = "") -> float:
    """A positive number h of which 1 / (2 h^2) is positive and finite."""
    width = check_number(value, name, operation, also=also)
    square = 2 * width * width
    if not (0 < square < np.inf and 0 < 1 / square < np.inf):
        raise ValueError(
            f"{operation}: {name} is {value!r}; a positive number with a finite 1 / h^2 is wanted"
        )
    return width
