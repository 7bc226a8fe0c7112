"""What every copying test answers with: a value, its reference, its null, and its interval."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any, ClassVar, Literal

import numpy as np

from genmem.copying.distances import POLICIES, CopyingDistances
from genmem.copying.sets import Float64
from genmem.density.parameters import check_choice

Direction = Literal["high", "low"]


@dataclass(frozen=True)
class Duplicates:
    """How equal training rows were treated, and how many there are.

    policy  "keep", "distinct" or "raise"
    equal   training rows that equal an earlier one;  groups  sets of two or more equal rows
    """

    policy: str
    equal: int
    groups: int


@dataclass(frozen=True, kw_only=True, eq=False)
class CopyingResult:
    """One copying test of generated samples.

    statistic   the value of the test
    reference   the same with held-out samples in the role of the generated ones
    pvalue      one-sided, small = copying, under the hypothesis that `null` puts in words
    ci          interval of the statistic over generated samples, at `level`; samples with the same
                nearest training row are resampled together
    per_sample  one value per generated sample (nearest_ratio: per training row); NaN = undefined
    undefined   how many of them are NaN
    copies      generated samples at distance 0 from a training row
    duplicates  equal training rows: the policy and their counts
    notes       what a reader must know about this run of the test

    `name` and `copying_is` ("high" or "low": which values speak for copying) belong to the test.
    """

    name: ClassVar[str]
    copying_is: ClassVar[Direction]

    statistic: float
    reference: float
    pvalue: float
    ci: tuple[float, float]
    level: float
    per_sample: Float64
    null: str
    copies: int
    duplicates: Duplicates
    notes: tuple[str, ...] = ()

    @property
    def undefined(self) -> int:
        return int(np.isnan(self.per_sample).sum())

    def summary(self) -> dict[str, Any]:
        """Everything but the arrays, as JSON can hold it; what is not finite becomes null."""
        plain = {
            field.name: getattr(self, field.name)
            for field in fields(self)
            if not isinstance(getattr(self, field.name), np.ndarray)
        }
        lower, upper = plain.pop("ci")
        held = plain.pop("duplicates")
        found = {
            "name": self.name,
            "copying_is": self.copying_is,
            **plain,
            "lower": lower,
            "upper": upper,
            "undefined": self.undefined,
            "duplicates": held.policy,
            "equal_rows": held.equal,
        }
        return {name: _plain(value) for name, value in found.items()}


def policy(operation: str, distances: CopyingDistances, duplicates: str) -> Duplicates:
    """The counts that go with a policy; ValueError for another word, or "raise" and equal rows."""
    check_choice(duplicates, "duplicates", POLICIES, operation)
    equal = distances.equal
    later = len(equal.group) - len(equal.first)
    if duplicates == "raise" and later:
        most = equal.group[equal.multiplicity.argmax()]
        rows = np.flatnonzero(equal.group == most)
        named = ", ".join(map(str, rows[:5])) + (", ..." if len(rows) > 5 else "")
        raise ValueError(
            f"{operation}: rows {named} of train are equal, and {later} of {len(equal.group)} rows "
            'equal an earlier one; none is wanted with duplicates="raise"'
        )
    return Duplicates(duplicates, later, int((distances.copies_of > 1).sum()))


def _plain(value: Any) -> Any:
    if hasattr(value, "_asdict"):
        return {name: _plain(one) for name, one in value._asdict().items()}
    if isinstance(value, tuple):
        return [_plain(one) for one in value]
    if isinstance(value, np.generic):
        value = value.item()
    return None if isinstance(value, float) and not np.isfinite(value) else value
