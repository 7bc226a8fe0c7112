"""Numbers as a reader sees them: real minus signs, grouped thousands, no stray digits."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

MINUS = "\u2212"
NARROW = "\u202f"
SUPERSCRIPTS = str.maketrans("0123456789-", "⁰¹²³⁴⁵⁶⁷⁸⁹⁻")


def decimal(value: float, digits: int) -> str:
    """`value` with `digits` decimals, thousands grouped; "undefined" for NaN."""
    if math.isnan(value):
        return "undefined"
    if math.isinf(value):
        return "∞" if value > 0 else f"{MINUS}∞"
    text = f"{value:,.{digits}f}"
    if float(text.replace(",", "")) == 0:
        text = text.lstrip("-")
    return text.replace("-", MINUS)


def nats(value: float) -> str:
    """A log-density or a score: two decimals below ten, one below a thousand, none above."""
    size = abs(value)
    return decimal(value, 2 if size < 9.995 else 1 if size < 999.95 else 0)


def significant(value: float) -> str:
    """Three significant digits, for quantities of any unit: 0.0123, 41.2, 12,300, 1.23·10⁶."""
    if not math.isfinite(value) or value == 0:
        return decimal(value, 0)
    power = math.floor(math.log10(abs(value)))
    if -4 < power < 5:
        return decimal(round(value, 2 - power), max(0, 2 - power))
    mantissa = f"{value / 10.0**power:.2f}".replace("-", MINUS)
    return f"{mantissa}·10{str(power).translate(SUPERSCRIPTS)}"


def plain(value: float) -> str:
    """A round number for the tick of an axis: no digits that say nothing."""
    text = significant(value)
    return text.rstrip("0").rstrip(".") if "." in text and "·" not in text else text


def correlation(value: float) -> str:
    """A coefficient between -1 and 1 with two decimals."""
    return decimal(value, 2)


def count(value: int) -> str:
    """A whole number, thousands grouped."""
    return f"{value:,}"


def counted(number: int, one: str, many: str | None = None) -> str:
    """A number with its noun: "1 sample", "1,797 samples"."""
    return f"{count(number)} {one if number == 1 else many or one + 's'}"


def share(part: float, whole: float) -> str:
    """`part` of `whole` in per cent: "2.3 %", "0.05 %"."""
    if whole == 0:
        return "undefined"
    percent = 100 * part / whole
    if 0 < percent < 0.005:
        return f"< 0.01{NARROW}%"
    digits = 0 if percent >= 10 or percent == 0 else 1 if percent >= 0.995 else 2
    return f"{decimal(percent, digits)}{NARROW}%"


def probability(value: float) -> str:
    """A p- or q-value as it stands after its name: "= 0.012", "< 0.0001"."""
    if math.isnan(value):
        return "undefined"
    if value < 1e-4:
        return "< 0.0001"
    return f"= {decimal(value, 4 if value < 0.001 else 3 if value < 0.1 else 2)}"


def interval(lower: float, upper: float, form: Callable[[float], str] = nats) -> str:
    """Both ends of an interval: "3.51 to 5.02", or "no interval" if neither is known."""
    if math.isnan(lower) and math.isnan(upper):
        return "no interval"
    return f"{form(lower)} to {form(upper)}"


def duration(seconds: float) -> str:
    """Seconds as a person says them: "0.4 s", "48 s", "3 min 20 s", "2 h 05 min"."""
    if seconds < 0.05:
        return f"< 0.1{NARROW}s"
    if seconds < 10:
        return f"{decimal(seconds, 1)}{NARROW}s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole}{NARROW}s"
    if whole < 3600:
        return f"{whole // 60}{NARROW}min {whole % 60:02d}{NARROW}s"
    return f"{whole // 3600}{NARROW}h {whole % 3600 // 60:02d}{NARROW}min"


def listed(items: Sequence[str]) -> str:
    """Items as prose: "a", "a and b", "a, b and c"."""
    return items[0] if len(items) == 1 else f"{', '.join(items[:-1])} and {items[-1]}"
