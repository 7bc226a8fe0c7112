"""log_kde in nats against the float64 reference, golden values, and differences of two."""

import math

import numpy as np
import pytest
from scipy.special import logsumexp

from budget import assert_within
from genmem import kernels, reference

pytestmark = pytest.mark.card
X3 = np.array([[0.0], [1.0], [3.0]])
SHAPES = [
    (1, 1, 1),
    (2, 3, 1),
    (129, 257, 2),
    (40, 1000, 32),
    (3, 300, 783),
    (5, 500, 784),
    (3, 40, 3072),
    (3, 8300, 5),
]


@pytest.mark.parametrize("offset", [0.0, 10.0])
@pytest.mark.parametrize("bandwidth", [0.05, 1.0, 20.0])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_equals_reference(
    backend: str,
    shape: tuple[int, int, int],
    dtype: type,
    bandwidth: float,
    offset: float,
    rng: np.random.Generator,
) -> None:
    m, n, d = shape
    points = (rng.standard_normal((n, d)) + offset).astype(dtype)
    queries = (rng.standard_normal((m, d)) + offset).astype(dtype)
    queries[: min(m, n) // 2] = points[: min(m, n) // 2]
    got = kernels.log_kde(queries, points, bandwidth, backend=backend)
    want = reference.log_kde(queries, points, bandwidth)
    assert got.dtype == np.float64
    # Rounding of a sum of d squares in float64, relative to the exponent; far inside 1e-5 nats.
    assert_within(got, want, 1e-10 + 4e-16 * math.sqrt(d) * np.abs(want))
    assert_within(got, want, 1e-5)


def test_uint8(backend: str, rng: np.random.Generator) -> None:
    points = rng.integers(0, 256, (300, 784)).astype(np.uint8)
    got = kernels.log_kde(points[:20], points, 800.0, backend=backend)
    assert_within(got, reference.log_kde(points[:20], points, 800.0), 1e-9)


class TestGolden:
    def test_log_density(self, backend: str) -> None:
        assert_within(kernels.log_kde([[0.5]], X3, 1.0, backend=backend), [-1.424814903206], 1e-11)

    def test_weights_with_a_zero_first(self, backend: str) -> None:
        got = kernels.log_kde([[0.5]], X3, 1.0, weights=[0, 1, 3], backend=backend)
        assert_within(got, [-2.291026580105], 1e-11)

    def test_leave_one_out(self, backend: str) -> None:
        got = kernels.log_kde(X3, X3, 1.0, exclude="self", backend=backend)
        assert_within(got, [-2.093935785847, -1.910672435782, -3.533195979472], 1e-11)

    @pytest.mark.parametrize(
        ("gap", "memorization"),
        [(20, 19.306852821501), (40, 39.306852819440), (800, 799.306852819440)],
    )
    def test_self_influence_across_a_gap(
        self, backend: str, gap: float, memorization: float
    ) -> None:
        """log p - leave-one-out log p: 1 - r underflows at 800 nats, the difference must not."""
        x = np.array([[0.0], [math.sqrt(2 * gap)]])
        slots = kernels.kde_slots(x, x, 1.0, backend=backend)
        log_rest = slots.rest - np.logaddexp(slots.top, slots.rest)
        assert_within(math.log(0.5) - log_rest, [memorization] * 2, 1e-11 * gap)


class TestSlots:
    def test_equal_reference(self, backend: str, rng: np.random.Generator) -> None:
        points = rng.standard_normal((9000, 3)).astype(np.float32)
        queries = np.vstack([points[:50], rng.standard_normal((80, 3))])
        weights = rng.uniform(0, 2, 9000) * (rng.uniform(size=9000) > 0.1)
        exclude = np.where(np.arange(130) < 50, np.arange(130), -1)
        got = kernels.kde_slots(
            queries, points, 0.3, weights=weights, exclude=exclude, backend=backend
        )
        top, index, rest = reference.kde_slots(
            queries, points, 0.3, weights=weights, exclude=exclude
        )
        assert (got.top_index == index).all()
        assert_within(got.top, top, 1e-10)
        assert_within(got.rest, rest, 1e-10)

    def test_the_rest_survives_a_gap_of_any_size(self, backend: str) -> None:
        """The top is one copy; the rest must be exact though it is a million nats down."""
        points = np.vstack([np.zeros((1, 2)), np.full((300, 2), 1000.0)])
        got = kernels.kde_slots(np.zeros((1, 2)), points, 1.0, backend=backend)
        assert (got.top, got.top_index) == (0.0, 0)
        assert_within(got.rest, [-1e6 + math.log(300)], 1e-9)

    def test_the_top_may_come_last_or_first(self, backend: str, rng: np.random.Generator) -> None:
        points = rng.standard_normal((1000, 1)) + 50
        for place in (0, 255, 256, 999):
            moved = points.copy()
            moved[place] = 0.0
            got = kernels.kde_slots(np.zeros((1, 1)), moved, 1.0, backend=backend)
            assert got.top_index == place
            others = -0.5 * np.delete(moved, place) ** 2
            assert_within(got.rest, [logsumexp(others)], 1e-9)

    def test_ties_for_the_top(self, backend: str) -> None:
        points = np.zeros((600, 1))
        got = kernels.kde_slots(np.zeros((1, 1)), points, 1.0, backend=backend)
        assert got.top_index == 0
        assert_within(got.rest, [math.log(599)], 1e-13)

    def test_nothing_left(self, backend: str) -> None:
        got = kernels.kde_slots([[0.0]], [[1.0]], 1.0, exclude=[0], backend=backend)
        assert (got.top[0], got.top_index[0], got.rest[0]) == (-np.inf, -1, -np.inf)

    def test_one_point(self, backend: str) -> None:
        got = kernels.kde_slots([[0.0]], [[1.0]], 1.0, backend=backend)
        assert (got.top[0], got.top_index[0], got.rest[0]) == (-0.5, 0, -np.inf)

    def test_exponents_beyond_the_largest_float(self, backend: str) -> None:
        got = kernels.kde_slots([[0.0]], [[1e200], [1.0]], 1.0, backend=backend)
        assert (got.top[0], got.top_index[0], got.rest[0]) == (-0.5, 1, -np.inf)


def test_the_answer_does_not_depend_on_threads_memory_or_batch(
    backend: str, rng: np.random.Generator
) -> None:
    m, n = (130, 9000) if backend == "cuda-emulated" else (2100, 20_000)
    points = rng.standard_normal((n, 4)).astype(np.float32)
    queries = rng.standard_normal((m, 4)).astype(np.float32)
    first = kernels.log_kde(queries, points, 0.2, backend=backend, threads=1)
    for threads in (2, 3, 8):
        assert (
            kernels.log_kde(queries, points, 0.2, backend=backend, threads=threads) == first
        ).all()
    for memory in (1, 1 << 20):
        short = kernels.log_kde(queries, points, 0.2, backend=backend, threads=2, memory=memory)
        assert (short == first).all()
    for rows in (slice(0, 1), slice(7, 90), slice(m - 50, m)):
        part = kernels.log_kde(queries[rows], points, 0.2, backend=backend, threads=2)
        assert (part == first[rows]).all()


@pytest.mark.card(when=lambda params: False)
def test_many_kernels_far_away_are_counted(backend: str) -> None:
    """A million terms 12 nats down weigh six times the one at the top."""
    points = np.vstack([np.zeros((1, 1)), np.full((1_000_000, 1), math.sqrt(24.0))])
    got = kernels.kde_slots(np.zeros((1, 1)), points, 1.0, backend=backend)
    assert_within(got.rest, [math.log(1e6) - 12.0], 1e-9)


def test_the_exponential_is_exact_to_rounding(backend: str, rng: np.random.Generator) -> None:
    """Two points at chosen gaps: rest - top is the exponent, their logsumexp tests exp alone."""
    gaps = np.concatenate([rng.uniform(0, 50, 400), np.linspace(0, 40, 401)])
    for gap in gaps[::40]:
        x = np.array([[0.0], [0.0], [math.sqrt(2 * gap)]])
        got = kernels.kde_slots(x[:1], x, 1.0, backend=backend)
        want = np.log1p(np.exp(-(math.sqrt(2 * gap) ** 2) / 2))
        assert_within(got.rest, [want], 4e-16)


def test_naive_float32_would_fail(rng: np.random.Generator) -> None:
    """The budget is worth something: the same sum in float32 is outside it."""
    points = rng.standard_normal((200, 784)).astype(np.float32)
    queries = rng.standard_normal((20, 784)).astype(np.float32)
    h = np.float32(0.05)
    sq = ((queries[:, None, :] - points[None]) ** 2).sum(-1, dtype=np.float32)
    a = -sq / (2 * h * h)
    naive = a.max(1) + np.log(np.exp(a - a.max(1, keepdims=True)).sum(1)) - np.log(np.float32(200))
    want = reference.log_kde(queries, points, 0.05) + 784 * (
        math.log(0.05) + 0.5 * math.log(2 * math.pi)
    )
    with pytest.raises(AssertionError):
        assert_within(naive, want, 1e-5)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"bandwidth": 0.0}, "bandwidth is 0.0; a positive number"),
        ({"bandwidth": -1.0}, "bandwidth is -1.0"),
        ({"bandwidth": math.nan}, "bandwidth is nan"),
        ({"bandwidth": math.inf}, "bandwidth is inf"),
        ({"bandwidth": 1e-200}, "finite 1 / h"),
        ({"weights": [1.0, 1.0]}, r"weights has shape \(2,\); \(3,\) is wanted"),
        ({"weights": [1.0, -1.0, 1.0]}, "weight 1 is -1.0"),
        ({"weights": [1.0, np.nan, 1.0]}, "weight 1 is nan"),
        ({"weights": [0.0, 0.0, 0.0]}, "all weights are 0"),
        (
            {"weights": [0.0, 2.0, 0.0], "exclude": [1]},
            "query 0 has no point of positive weight left",
        ),
        ({"points": X3[:1], "exclude": [0]}, "query 0 has no point"),
        ({"points": np.zeros((3, 2))}, "the last axis"),
        ({"memory": 0}, "memory is 0; a number of bytes > 0 is wanted"),
        ({"points": np.full((3, 1), np.nan)}, "points row 0 holds nan"),
    ],
)
def test_refuses(changed: dict, message: str) -> None:
    arguments = {"queries": [[0.5]], "points": X3, "bandwidth": 1.0, **changed}
    for door in (kernels.log_kde, kernels.kde_gradient):
        with pytest.raises(ValueError, match=f"{door.__name__}: .*{message}"):
            door(**arguments)


def test_slots_and_gradients_refuse_in_their_own_name() -> None:
    with pytest.raises(ValueError, match="kde_slots: bandwidth is -1"):
        kernels.kde_slots([[0.5]], X3, -1.0)
    with pytest.raises(ValueError, match=r"kde_gradient: bandwidth has shape \(2,\); one number"):
        kernels.kde_gradient([[0.5]], X3, [1.0, 2.0])
    with pytest.raises(ValueError, match="kde_gradient: points row 0 holds nan"):
        kernels.kde_gradient([[0.5]], X3 * np.nan, 1.0)


def test_excluding_a_dominating_weight_keeps_the_rest() -> None:
    """W - w would be 0 in float64; the density left is that of the small weight alone."""
    got = kernels.log_kde([[0.0]], [[0.0], [1.0]], 1.0, weights=[1e30, 1e-5], exclude=[0])
    assert_within(got, kernels.log_kde([[0.0]], [[1.0]], 1.0), 1e-12)


def test_unchecked_nan_is_no_crash(backend: str, rng: np.random.Generator) -> None:
    """assume_finite with a NaN: that query's answer is void, the others are right."""
    points = rng.standard_normal((300, 3))
    queries = points[:5].copy()
    queries[2] = np.nan
    got = kernels.kde_slots(queries, points, 1.0, backend=backend, assume_finite=True)
    keep = [0, 1, 3, 4]
    top, index, rest = reference.kde_slots(queries[keep], points, 1.0)
    assert (got.top_index[keep] == index).all()
    assert_within(got.top[keep], top, 1e-12)
    assert_within(got.rest[keep], rest, 1e-12)
