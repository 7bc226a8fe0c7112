"""A NaN or an infinity is told by row, wherever it stands: the kernels see it on their way."""

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from genmem import _core, kernels

DOORS: dict[str, Callable[..., object]] = {
    "knn": lambda q, x, **how: kernels.knn(q, x, 3, **how),
    "knn of many": lambda q, x, **how: kernels.knn(q, x, len(x) // 3, **how),
    "radius_counts": lambda q, x, **how: kernels.radius_counts(q, x, 1.0, **how),
    "sq_distances": kernels.sq_distances,
    "log_kde": lambda q, x, **how: kernels.log_kde(q, x, 0.3, **how),
    "log_kde, wide": lambda q, x, **how: kernels.log_kde(q, x, [0.1, 30.0], **how),
    "log_kde, tophat": lambda q, x, **how: kernels.log_kde(q, x, 9.0, kernel="tophat", **how),
    "kde_gradient": lambda q, x, **how: kernels.kde_gradient(q, x, 1.0, **how),
}
# Screened and not, expanded and not, narrow and wide.
SHAPES = [(1, 30, 5), (9, 300, 1), (40, 300, 12), (3, 2500, 80), (37, 9000, 20), (37, 2100, 70)]
RUNNABLE = [name for name, why in _core.backend_states().items() if not why]


@pytest.mark.parametrize("door", DOORS)
@settings(max_examples=60)
@given(
    backend=st.sampled_from(RUNNABLE),
    shape=st.sampled_from(SHAPES),
    dtype=st.sampled_from([np.float32, np.float64]),
    bad=st.sampled_from([np.nan, np.inf, -np.inf]),
    where=st.tuples(st.floats(0, 1), st.floats(0, 1)),
    points=st.booleans(),
    threads=st.sampled_from([1, 3]),
)
def test_any_entry(
    door: str,
    backend: str,
    shape: tuple[int, int, int],
    dtype: type,
    bad: float,
    where: tuple[float, float],
    points: bool,
    threads: int,
) -> None:
    m, n, d = shape
    rng = np.random.default_rng(0)
    q, x = rng.standard_normal((m, d)).astype(dtype), rng.standard_normal((n, d)).astype(dtype)
    DOORS[door](q, x, backend=backend, threads=threads)
    into = x if points else q
    row, col = (round(share * (size - 1)) for share, size in zip(where, into.shape, strict=True))
    into[row, col] = bad
    name = "points" if points else "queries"
    with pytest.raises(ValueError, match=rf"{name} row {row} holds {bad}"):
        DOORS[door](q, x, backend=backend, threads=threads)


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize("shape", [(1, 30, 5), (9, 300, 1), (5, 2100, 20)], ids=str)
@pytest.mark.parametrize("points", [True, False], ids=["points", "queries"])
def test_any_entry_on_a_card(door: str, shape: tuple[int, int, int], points: bool) -> None:
    m, n, d = shape
    rng = np.random.default_rng(0)
    q, x = rng.standard_normal((m, d)), rng.standard_normal((n, d))
    into, name = (x, "points") if points else (q, "queries")
    row = len(into) - 1
    into[row, d // 2] = -np.inf
    with pytest.raises(ValueError, match=rf"{name} row {row} holds -inf"):
        DOORS[door](q, x, backend="cuda-emulated")


@pytest.mark.parametrize("door", DOORS)
def test_points_that_no_query_looked_at(door: str) -> None:
    x = np.zeros((9, 4))
    x[5, 1] = np.nan
    with pytest.raises(ValueError, match="points row 5 holds nan"):
        DOORS[door](np.zeros((0, 4)), x)


@pytest.mark.card
@pytest.mark.parametrize("door", DOORS)
def test_rows_too_long_for_a_float_are_no_error(backend: str, door: str) -> None:
    """They look as strange to a kernel as a NaN does."""
    x = np.random.default_rng(0).standard_normal((2500, 20))
    x[7] *= 1e200
    DOORS[door](x[:8], x, backend=backend)
