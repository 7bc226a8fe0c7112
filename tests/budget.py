"""The one tolerance rule: an absolute budget in the unit of the quantity; NaN does not pass."""

import numpy as np
import numpy.typing as npt


def assert_within(got: npt.ArrayLike, truth: npt.ArrayLike, budget: npt.ArrayLike) -> None:
    """|got - truth| <= budget everywhere; infinities must be the same infinities."""
    g, t = np.asarray(got, np.float64), np.asarray(truth, np.float64)
    b = np.broadcast_to(np.asarray(budget, np.float64), t.shape)
    assert g.shape == t.shape, f"shape {g.shape}, {t.shape} wanted"
    assert g.size, "nothing was compared"
    assert not np.isnan(t).any(), "the oracle holds NaN"
    assert np.isfinite(b).all(), "the budget is not finite"
    finite = np.isfinite(t)
    assert (g[~finite] == t[~finite]).all(), "an infinity is wanted where there is none"
    error = np.abs(g[finite] - t[finite])
    ok = error <= b[finite]
    if not ok.all():
        at = int(np.flatnonzero(~ok)[0])
        worst = (
            np.nanmax(error / np.maximum(b[finite], 1e-300)) if np.isfinite(error).any() else np.nan
        )
        raise AssertionError(
            f"{(~ok).sum()} of {ok.size} outside the budget; worst error / budget {worst:.3g}; "
            f"first: got {g[finite][at]!r}, truth {t[finite][at]!r}, budget {b[finite][at]:.3g}"
        )
