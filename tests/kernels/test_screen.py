"""Screened calls: what passes the bound is enough, on data that try to break it.

The screen needs more than 2,048 points, 17 features and 4 queries; smaller calls compute every
distance (test_knn.py, test_log_kde.py). `serial` has no screen and is the witness.
"""

from collections.abc import Callable, Mapping
from typing import Any

import hypothesis.extra.numpy as hnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from budget import assert_within
from genmem import _core, kernels, reference

N = 2600


def scaled(rng: np.random.Generator, low: float, high: float, d: int) -> np.ndarray:
    return rng.standard_normal((N, d)) * 10.0 ** rng.uniform(low, high, (N, 1))


DATA: dict[str, Callable[[np.random.Generator], np.ndarray]] = {
    "normal, 17 features": lambda rng: rng.standard_normal((N, 17)).astype(np.float32),
    "normal, 64 features": lambda rng: rng.standard_normal((N, 64)).astype(np.float32),
    "normal, 65 features": lambda rng: rng.standard_normal((N, 65)),
    "normal, 784 features": lambda rng: rng.standard_normal((N, 784)).astype(np.float32),
    "normal, 2500 features": lambda rng: rng.standard_normal((2100, 2500)).astype(np.float32),
    "offset 1": lambda rng: (rng.standard_normal((N, 100)) + 1).astype(np.float32),
    "offset 10": lambda rng: (rng.standard_normal((N, 784)) + 10).astype(np.float32),
    "offset 1e6": lambda rng: rng.standard_normal((N, 70)) + 1e6,
    "clusters": lambda rng: (
        np.repeat(10 * rng.standard_normal((N // 50, 40)), 50, axis=0)
        + 1e-3 * rng.standard_normal((N, 40))
    ).astype(np.float32),
    "clusters far apart": lambda rng: (
        np.repeat(1e6 * rng.standard_normal((N // 50, 40)), 50, axis=0)
        + rng.standard_normal((N, 40))
    ),
    "integers with ties": lambda rng: rng.integers(0, 2, (N, 40)).astype(np.float32),
    "all equal": lambda rng: np.full((N, 20), 7.0, np.float32),
    "one row apart": lambda rng: np.vstack([np.zeros((N - 1, 20)), np.full((1, 20), 1e3)]),
    "sparse": lambda rng: rng.uniform(size=(N, 300)) * (rng.uniform(size=(N, 300)) < 0.05),
    "bytes": lambda rng: rng.integers(0, 256, (N, 784)).astype(np.uint8),
    "bytes, ragged": lambda rng: rng.integers(0, 256, (N, 131)).astype(np.uint8),
    "bytes, few values": lambda rng: rng.integers(0, 3, (N, 33)).astype(np.uint8),
    "beyond float32": lambda rng: rng.standard_normal((N, 20)) * 1e150,
    "below float32": lambda rng: rng.standard_normal((N, 20)) * 1e-150,
    "rows of all sizes": lambda rng: scaled(rng, -12, 12, 24).astype(np.float32),
    "one long feature": lambda rng: rng.standard_normal((N, 50)) * np.append(np.ones(49), 1e5),
    "one-hot": lambda rng: np.eye(40)[rng.integers(0, 40, N)] * rng.uniform(1, 2, (N, 1)),
    "fortran order": lambda rng: np.asfortranarray(rng.standard_normal((N, 90))),
    "every other": lambda rng: rng.standard_normal((2 * N, 180)).astype(np.float32)[::2, ::2],
}


def questions(rng: np.random.Generator, points: np.ndarray, count: int = 45) -> np.ndarray:
    """Copies, near-copies and strangers, in the type of the points."""
    queries = points[rng.integers(0, len(points), count)].copy()
    if points.dtype == np.uint8:
        queries[count // 2 :] = rng.permutation(queries[count // 2 :].ravel()).reshape(
            queries[count // 2 :].shape
        )
        return queries
    near, far = slice(count // 3, 2 * count // 3), slice(2 * count // 3, count)
    queries[near] *= (1 + 1e-4 * rng.standard_normal(queries[near].shape)).astype(points.dtype)
    queries[far] *= rng.uniform(0.5, 1.5, queries[far].shape).astype(points.dtype)
    return queries


def some_of_it(params: Mapping[str, Any]) -> bool:
    wide = ("784 features", "2500 features", "offset 10", "bytes", "sparse")
    return params["k"] == 10 and not params["name"].endswith(wide)


@pytest.mark.card(when=some_of_it)
@pytest.mark.parametrize("k", [1, 10, 400])
@pytest.mark.parametrize("name", DATA)
def test_neighbours_equal_brute_force(
    backend: str, name: str, k: int, rng: np.random.Generator
) -> None:
    points = DATA[name](rng)
    queries = questions(rng, points)
    got = kernels.knn(queries, points, k, backend=backend)
    distances, indices = reference.knn(queries, points, k)
    wrong = got.indices != indices
    # Distances that differ by less than the rounding of a float64 sum are a tie for either side.
    true = np.sqrt(((queries[:, None].astype(float) - points[got.indices]) ** 2).sum(axis=-1))
    unit = np.finfo(np.float64).eps * points.shape[1]
    assert_within(true[wrong] if wrong.any() else 0.0, distances[wrong] if wrong.any() else 0.0,
                  unit * distances[wrong] if wrong.any() else 0.0)  # fmt: skip
    copies = (distances == 0).all(axis=1)
    assert (got.distances[copies] == 0).all()
    eps = np.finfo(got.distances.dtype).eps
    assert_within(got.distances, distances, (eps + unit) * distances)


@pytest.mark.card(when=lambda params: some_of_it(params | {"k": 10}))
@pytest.mark.parametrize("name", DATA)
def test_densities_equal_the_witness(backend: str, name: str, rng: np.random.Generator) -> None:
    points = DATA[name](rng)
    queries = questions(rng, points)
    sq = kernels.nearest_sq(queries, points, 10, backend="serial")[0]
    scale = np.sqrt(max(np.median(sq[:, 1:]), sq.max() * 1e-9, 1e-300))
    # From one term that matters to all of them.
    for bandwidth in scale * np.array([0.05, 1 / np.sqrt(points.shape[1]), 1.0, 30.0]):
        if not np.isfinite(0.5 / bandwidth**2):
            continue
        got = kernels.kde_slots(queries, points, bandwidth, backend=backend)
        want = kernels.kde_slots(queries, points, bandwidth, backend="serial")
        size = np.abs(want.top) + 1
        assert (got.top_index == want.top_index).all()
        assert_within(got.top, want.top, 1e-12 * size)
        some = np.isfinite(want.rest)
        assert_within(got.rest[some], want.rest[some], 1e-11 + 1e-12 * np.abs(want.rest[some]))
        assert (got.rest[~some] == want.rest[~some]).all()


@pytest.mark.parametrize("name", ["normal, 784 features", "offset 10", "bytes", "all equal"])
def test_the_answer_does_not_depend_on_threads_batch_or_memory(
    backend: str, name: str, rng: np.random.Generator
) -> None:
    points = np.concatenate([DATA[name](rng)] * 8)  # several chunks
    queries = questions(rng, points, 70)
    bandwidths = np.array([0.1, 1.0]) * np.sqrt(
        np.median(kernels.sq_distances(queries[-9:], points))
    )
    sq, indices = kernels.nearest_sq(queries, points, 7, backend=backend, threads=1)
    slots = kernels.kde_slots(queries, points, bandwidths, backend=backend, threads=1)
    slopes = kernels.kde_gradient(queries, points, bandwidths[1], backend=backend, threads=1)
    short = kernels.kde_slots(queries, points, bandwidths, backend=backend, threads=2, memory=1)
    for one, other in zip(short, slots, strict=True):
        assert (one == other).all()
    short = kernels.kde_gradient(queries, points, bandwidths[1], backend=backend, memory=1)
    assert (short == slopes).all()
    for threads in (2, 3, 8):
        again = kernels.nearest_sq(queries, points, 7, backend=backend, threads=threads, memory=1)
        assert (again[0] == sq).all()
        assert (again[1] == indices).all()
        for one, other in zip(
            kernels.kde_slots(queries, points, bandwidths, backend=backend, threads=threads),
            slots,
            strict=True,
        ):
            assert (one == other).all()
    for rows in (slice(0, 1), slice(3, 6), slice(20, 70)):
        part = kernels.nearest_sq(queries[rows], points, 7, backend=backend)
        assert (part[0] == sq[rows]).all()
        assert (part[1] == indices[rows]).all()
        for one, other in zip(
            kernels.kde_slots(queries[rows], points, bandwidths[1], backend=backend),
            slots,
            strict=True,
        ):
            assert (one == other[1, rows]).all()


@pytest.mark.card
def test_exclusion(backend: str, rng: np.random.Generator) -> None:
    points = rng.standard_normal((N, 50)).astype(np.float32)
    points[7] = points[2222]  # a copy stays: exclusion is by index
    got = kernels.knn(points, points, 3, exclude="self", backend=backend)
    assert (got.indices == reference.knn(points, points, 3, exclude=np.arange(N))[1]).all()
    assert (got.indices[7, 0], got.distances[7, 0]) == (2222, 0)
    loo = kernels.log_kde(points[:200], points, 1.5, exclude=np.arange(200), backend=backend)
    assert_within(loo, reference.log_kde(points[:200], points, 1.5, exclude=np.arange(200)), 1e-10)


class TestRadiusCounts:
    @pytest.mark.card(when=lambda params: params["name"] != "bytes")
    @pytest.mark.parametrize(
        "name", ["normal, 17 features", "offset 1e6", "integers with ties", "bytes", "all equal"]
    )
    def test_equal_brute_force(self, backend: str, name: str, rng: np.random.Generator) -> None:
        points = DATA[name](rng)
        queries = questions(rng, points)
        sq = kernels.sq_distances(queries, points, backend=backend)
        # Borders that fall on distances, where a strict inequality would tell.
        radius = np.sqrt(np.sort(sq, axis=1)[np.arange(45), np.arange(45) * 20])
        want = (sq <= (radius * radius)[:, None]).sum(axis=1)
        assert (kernels.radius_counts(queries, points, radius, backend=backend) == want).all()
        few = kernels.radius_counts(queries[:2], points, radius[:2], backend=backend)
        assert (few == want[:2]).all()

    @pytest.mark.card
    def test_exclude(self, backend: str, rng: np.random.Generator) -> None:
        points = rng.standard_normal((N, 30))
        got = kernels.radius_counts(
            points[:99], points, 0.0, exclude=np.arange(99), backend=backend
        )
        assert (got == 0).all()
        everything = kernels.radius_counts(points[:99], points, np.inf, backend=backend)
        assert (everything == N).all()

    @pytest.mark.parametrize(
        ("radius", "message"), [(-1.0, "radius 0 is -1"), ([1.0, np.nan], "radius 1 is nan"),
                                ([1.0], r"radius has shape \(1,\)")],
    )  # fmt: skip
    def test_refuses(self, radius: object, message: str) -> None:
        with pytest.raises(ValueError, match=message):
            kernels.radius_counts(np.zeros((2, 3)), np.zeros((4, 3)), radius)


class TestWork:
    def screens(self, backend: str) -> bool:
        return backend != "serial"

    @pytest.mark.card
    def test_few_pairs_are_computed(self, backend: str, rng: np.random.Generator) -> None:
        """The fast path was taken: of 200,000 pairs some tens a query are computed."""
        points = rng.standard_normal((20_000, 64)).astype(np.float32)
        queries = points[:100] + 0.1 * rng.standard_normal((100, 64)).astype(np.float32)
        found, work = kernels.knn(queries, points, 10, backend=backend, return_stats=True)
        assert (found.indices == reference.knn(queries, points, 10)[1]).all()
        assert work.backend == backend
        assert work.pairs == 2_000_000
        assert work.screened == self.screens(backend)
        assert work.skipped == work.pairs - work.distances
        if work.screened:
            assert 1000 <= work.distances <= 3000

    @pytest.mark.card
    def test_few_terms_are_computed(self, backend: str, rng: np.random.Generator) -> None:
        points = rng.standard_normal((20_000, 64)).astype(np.float32)
        queries = points[:100] + 0.1 * rng.standard_normal((100, 64)).astype(np.float32)
        log_p, work = kernels.log_kde(queries, points, 0.3, backend=backend, return_stats=True)
        assert_within(log_p, reference.log_kde(queries, points, 0.3), work.error + 1e-11)
        assert work.error.max() < 1e-9
        if work.screened:
            assert work.distances <= 0.01 * work.pairs

    @pytest.mark.card
    def test_where_all_matters_all_is_computed(
        self, backend: str, rng: np.random.Generator
    ) -> None:
        points = rng.standard_normal((4000, 20))
        log_p, work = kernels.log_kde(points[:64], points, 5.0, backend=backend, return_stats=True)
        assert work.distances == work.pairs == 64 * 4000
        assert_within(log_p, reference.log_kde(points[:64], points, 5.0), work.error + 1e-11)

    def test_bytes_need_no_second_look(self, rng: np.random.Generator) -> None:
        """Integer products are exact: even 3 neighbours at one distance come in order."""
        points = rng.integers(0, 2, (N, 40)).astype(np.uint8)
        for name, why in _core.backend_states().items():
            if not why:
                got = kernels.knn(points[:50], points, 30, backend=name)
                assert (got.indices == reference.knn(points[:50], points, 30)[1]).all()

    def test_auto_is_the_widest(self) -> None:
        usable = [name for name, why in _core.backend_states().items() if not why]
        work = kernels.knn(np.zeros((1, 2)), np.zeros((3, 2)), 1, return_stats=True)[1]
        assert work.backend == usable[-1]


@settings(max_examples=60)
@given(data=st.data())
def test_no_bound_is_ever_violated(data: st.DataObject) -> None:
    """Adversarial rows: a few values of any size, signs and near-copies, against the witness."""
    d = data.draw(st.integers(17, 90))
    dtype = data.draw(st.sampled_from([np.float32, np.float64]))
    size = data.draw(st.sampled_from([1.0, 2.0**-80, 2.0**30]))
    values = data.draw(
        hnp.arrays(
            np.float32,
            st.integers(2, 6),
            elements=st.floats(-(2.0**60), 2.0**60, width=32),
        )
    )
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1)))
    points = rng.choice(values, (2100, d)).astype(dtype) * dtype(size)
    nudge = data.draw(st.sampled_from([0.0, 1e-7, 1e-4, 1e-1]))
    points *= (1 + nudge * rng.standard_normal(points.shape)).astype(dtype)
    queries = points[rng.integers(0, 2100, 8)] * dtype(1 + nudge)
    sq = kernels.nearest_sq(queries, points, 2100, backend="serial")[0]
    want = sq[:, :5]
    for name, why in _core.backend_states().items():
        if why:
            continue
        got = kernels.nearest_sq(queries, points, 5, backend=name)[0]
        assert_within(got, want, 1e-13 * want)
        for rank in (0, 4, 300, 1500):
            # The square of a root is off by two roundings; either side of that, counts agree.
            radius = np.sqrt(sq[:, rank])
            counts = kernels.radius_counts(queries, points, radius, backend=name)
            edge = (radius**2)[:, None]
            assert (counts >= (sq <= edge * (1 - 1e-12)).sum(axis=1)).all()
            assert (counts <= (sq <= edge * (1 + 1e-12)).sum(axis=1)).all()


def test_densities_of_a_card_have_the_same_bits_screened_or_not(rng: np.random.Generator) -> None:
    """Three queries are not screened, five are; a bandwidth at which few terms matter, and most."""
    points = rng.standard_normal((9000, 20)).astype(np.float32)
    queries = points[:5] + np.float32(0.1)
    weights = rng.uniform(0, 2, 9000) * (rng.uniform(size=9000) > 0.1)
    exclude = np.array([0, -1, 7, -1, 4])
    for bandwidth in (0.4, [0.4, 0.8], 6.0):
        how = {"weights": weights, "backend": "cuda-emulated"}
        slots = kernels.kde_slots(queries, points, bandwidth, exclude=exclude, **how)
        for rows in (slice(0, 3), slice(3, 5)):
            part = kernels.kde_slots(queries[rows], points, bandwidth, exclude=exclude[rows], **how)
            for one, whole in zip(part, slots, strict=True):
                assert (one == whole[..., rows]).all()
