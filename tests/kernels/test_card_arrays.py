"""Arrays that lie on a card: read in place, in the caller's stream, beside arrays of the host.

The emulated card's memory is the host's, so an array there is one that says so.
"""

import ctypes
import gc
from typing import Any

import numpy as np
import pytest

from emulated_arrays import CARD, OnCard
from genmem import _core, kernels
from genmem.errors import BackendError
from genmem.kernels.card_arrays import CardRows, card_rows, place_of


def neighbours(*arguments: Any, **more: Any) -> tuple[np.ndarray, np.ndarray]:
    """Distances and indices, brought to the host."""
    found = kernels.knn(*arguments, backend=CARD, **more)
    return np.asarray(found.distances), np.asarray(found.indices)


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.uint8])
@pytest.mark.parametrize("shape", [(5, 300, 7), (7, 2100, 20)], ids=str)
def test_neighbours(dtype: type, shape: tuple[int, int, int], rng: np.random.Generator) -> None:
    m, n, d = shape
    points = rng.integers(0, 200, (n, d)).astype(dtype)
    queries = rng.integers(0, 200, (m, d)).astype(dtype)
    want = kernels.knn(queries, points, 3)
    for q, x in [(OnCard(queries), OnCard(points)), (queries, OnCard(points)),
                 (OnCard(queries), points)]:  # fmt: skip
        distances, indices = neighbours(q, x, 3)
        assert distances.dtype == want.distances.dtype
        assert (distances == want.distances).all()
        assert (indices == want.indices).all()


def test_rows_of_a_wider_array(rng: np.random.Generator) -> None:
    wide = rng.standard_normal((4400, 40)).astype(np.float32)
    part, one = wide[::2, 5:30], np.broadcast_to(wide[0], (50, 40))
    got = neighbours(OnCard(part[:9]), OnCard(part), 4, exclude=np.arange(9))
    want = kernels.knn(part[:9], part, 4, exclude=np.arange(9))
    assert (got[1] == want.indices).all()
    assert (neighbours(OnCard(one[:5]), OnCard(one), 50)[0] == 0).all()


@pytest.mark.parametrize("cols", [3, 20, 70])
@pytest.mark.parametrize("memory", [1, 1 << 28])
def test_queries_whose_hits_are_lost(cols: int, memory: int) -> None:
    """Points that no limit tells apart: all equal, then ever nearer ones, with equal pairs."""
    points = np.full((6000, cols), 7.0, np.float32)
    assert (neighbours(OnCard(points[:5]), OnCard(points), 3, memory=memory)[1] == [0, 1, 2]).all()
    points[:, 0] = np.sqrt(np.repeat(np.arange(3000.0, 0.0, -1.0), 2)) / 100.0 + 7.0
    exclude = np.array([5999, -1, 0])
    queries = np.full((3, cols), 7.0, np.float32)
    for k in (1, 3, 700):
        got = neighbours(OnCard(queries), OnCard(points), k, exclude=exclude, memory=memory)
        want = kernels.knn(queries, points, k, exclude=exclude)
        assert (got[1] == want.indices).all()
        assert (got[0] == want.distances).all()


def test_many_neighbours(rng: np.random.Generator) -> None:
    points = rng.standard_normal((1300, 3))
    _, indices = neighbours(OnCard(points[:5]), OnCard(points), 1200)
    assert (indices == kernels.knn(points[:5], points, 1200).indices).all()


class TestAnAnswer:
    """What a caller other than torch gets: memory of the card."""

    @pytest.fixture
    def found(self, rng: np.random.Generator) -> kernels.Neighbors:
        points = rng.standard_normal((900, 20)).astype(np.float32)
        self.want = kernels.knn(points[:6], points, 2)
        return kernels.knn(OnCard(points[:6]), OnCard(points), 2, backend=CARD)

    def test_is_read_in_place(self, found: kernels.Neighbors) -> None:
        interface = found.distances.__cuda_array_interface__
        assert (interface["shape"], interface["typestr"]) == ((6, 2), "<f4")
        assert interface["version"] == 3
        assert interface["stream"] == 1
        address, read_only = interface["data"]
        assert not read_only
        seen = (ctypes.c_float * 12).from_address(address)
        assert list(seen) == self.want.distances.ravel().tolist()

    def test_is_read_by_dlpack(self, found: kernels.Neighbors) -> None:
        """The emulated card's memory is the processor's, and it says so."""
        distances, indices = np.from_dlpack(found.distances), np.from_dlpack(found.indices)
        assert distances.ctypes.data == found.distances.__cuda_array_interface__["data"][0]
        del found  # what was handed over lives on
        gc.collect()
        assert (distances == self.want.distances).all()
        assert (indices == self.want.indices).all()
        assert indices.dtype == np.int64

    def test_is_not_what_was_not_asked_for(self, found: kernels.Neighbors) -> None:
        assert found.indices.__dlpack_device__() == (1, 0)
        found.indices.__dlpack__(stream=-1, max_version=(1, 0), dl_device=(1, 0), copy=False)
        with pytest.raises(BufferError, match="a copy is wanted"):
            found.indices.__dlpack__(copy=True)
        with pytest.raises(BufferError, match="stream is 0"):
            found.indices.__dlpack__(stream=0)
        with pytest.raises(BufferError, match="another device is wanted"):
            found.indices.__dlpack__(dl_device=(2, 0))

    def test_that_nobody_takes_is_given_back(self, found: kernels.Neighbors) -> None:
        for _ in range(3):
            found.indices.__dlpack__()
        assert (np.asarray(found.indices) == self.want.indices).all()

    def test_comes_to_the_host(self, found: kernels.Neighbors) -> None:
        assert np.asarray(found.distances, np.float64).dtype == np.float64
        assert len(found.distances) == 6
        assert repr(found.indices) == "CardArray(shape=(6, 2), typestr='<i8', device=0)"
        with pytest.raises(ValueError, match="comes to the host as a copy"):
            np.array(found.distances, copy=False)

    def test_goes_in_again(self, found: kernels.Neighbors) -> None:
        again = kernels.knn(found.distances, found.distances, 1, backend=CARD)
        assert (np.asarray(again.distances) == 0).all()


class TestWaits:
    """A call waits for the card only where somebody looks at something."""

    def test_never_for_an_answer(self, rng: np.random.Generator) -> None:
        points = rng.standard_normal((9000, 20)).astype(np.float32)
        q, x = OnCard(points[:40]), OnCard(points)
        place = place_of("knn", {"queries": card_rows("", "", q)}, told=False)
        room = [_core.CardArray(CARD, place, [40, 3], kind) for kind in ("<f4", "<i8")]
        done = _core.knn_on_card(q, x, 3, None, CARD, 1, 1 << 28, place, *room)
        assert done[3] == 0
        out = _core.CardArray(CARD, place, [2, 40], "<f8")
        done = _core.log_kde_on_card(
            q, x, "gaussian", [1.0, 0.5], None, None, None, CARD, 1, 1 << 28, place, 0.0, None,
            [0.0, 0.0], out,
        )  # fmt: skip
        assert done[3] == 0

    def test_for_what_is_told(self, rng: np.random.Generator) -> None:
        points = rng.standard_normal((3000, 20))
        _, work = kernels.knn(
            OnCard(points[:9]), OnCard(points), 3, backend=CARD, assume_finite=True,
            return_stats=True,
        )  # fmt: skip
        assert work.waits == 1
        assert kernels.knn(points[:9], points, 3, return_stats=True)[1].waits == 0


@pytest.mark.parametrize("memory", [1, 1 << 28])
def test_densities(memory: int, rng: np.random.Generator) -> None:
    points = rng.standard_normal((9000, 3))
    h = [0.2, 1.0]
    got = kernels.kde_slots(OnCard(points[:40]), OnCard(points), h, backend=CARD, memory=memory)
    want = kernels.kde_slots(points[:40], points, h, backend=CARD)
    for one, other in zip(got, want, strict=True):
        assert (one == other).all()
    density = kernels.log_kde(OnCard(points[:40]), points, 0.2, backend=CARD)
    want = kernels.log_kde(points[:40], points, 0.2)
    assert np.abs(np.asarray(density) - want).max() <= 1e-12


@pytest.mark.parametrize("shape", [(9000, 3), (2500, 20)], ids=str)
@pytest.mark.parametrize("memory", [1, 1 << 28])
def test_densities_of_every_form(
    shape: tuple[int, int], memory: int, rng: np.random.Generator
) -> None:
    points = rng.standard_normal(shape).astype(np.float32)
    n = len(points)
    arguments: list[dict[str, Any]] = [
        {"bandwidth": 0.7, "exclude": "self"},
        {"bandwidth": [0.7, 3.0], "weights": rng.random(n)},
        {"bandwidth": [1.0], "weights": rng.random(n), "exclude": np.arange(40)[::-1].copy()},
        {"bandwidth": 0.4, "kernel": "epanechnikov"},
        {"bandwidth": 0.7, "point_scales": rng.uniform(0.5, 2.0, n)},
    ]
    for how in arguments:
        q = points if isinstance(how.get("exclude"), str) else points[:40]
        q, x = (q[:300], points[:300]) if len(q) == n else (q, points)
        got = kernels.log_kde(OnCard(q), OnCard(x), **how, backend=CARD, memory=memory)
        want = kernels.log_kde(q, x, **how)
        assert got.shape == want.shape
        assert np.asarray(got).dtype == np.float64
        assert within(np.asarray(got), want, 1e-9)
        told, work = kernels.log_kde(OnCard(q), x, **how, backend=CARD, return_stats=True)
        assert within(np.asarray(told), want, 1e-9)
        assert (work.error is None) == ("kernel" in how)


def within(got: np.ndarray, want: np.ndarray, most: float) -> bool:
    """Whether they differ by no more, infinities being equal."""
    with np.errstate(invalid="ignore"):
        return bool(((got == want) | (np.abs(got - want) <= most)).all())


@pytest.mark.parametrize("shape", [(5, 300, 7), (60, 2100, 20), (60, 4300, 40)], ids=str)
def test_points_within_a_radius(shape: tuple[int, int, int], rng: np.random.Generator) -> None:
    m, n, d = shape
    points = rng.integers(0, 9, (n, d)).astype(np.float32)
    radius = np.sqrt(rng.integers(0, 20 * d, m).astype(np.float64))  # pairs on the border
    radius[0] = np.inf
    exclude = rng.integers(-1, n, m)
    want = kernels.radius_counts(points[:m], points, radius, exclude=exclude)
    for memory in (1, 1 << 28):
        got = kernels.radius_counts(
            OnCard(points[:m]), OnCard(points), radius, exclude=exclude, backend=CARD,
            memory=memory,
        )  # fmt: skip
        assert (got == want).all()


@pytest.mark.parametrize("shape", [(5, 9000, 7), (40, 2100, 20), (9, 2100, 70)], ids=str)
@pytest.mark.parametrize("h", [0.3, 3.0])
def test_gradients(h: float, shape: tuple[int, int, int], rng: np.random.Generator) -> None:
    m, n, d = shape
    points = rng.standard_normal((n, d)).astype(np.float32)
    weights, scales = rng.random(n), rng.uniform(0.5, 2.0, n)
    how: dict[str, Any] = {"weights": weights, "point_scales": scales, "exclude": np.arange(m)}
    want = kernels.kde_gradient(points[:m], points, h, **how)
    for memory in (1, 1 << 28):
        got = kernels.kde_gradient(
            OnCard(points[:m]), OnCard(points), h, **how, backend=CARD, memory=memory
        )
        assert np.abs(got - want).max() <= 1e-9 * np.abs(want).max()


def test_distances(rng: np.random.Generator) -> None:
    points = rng.standard_normal((70, 3))
    got = kernels.sq_distances(OnCard(points[:4]), OnCard(points), backend=CARD)
    assert (got == kernels.sq_distances(points[:4], points, backend=CARD)).all()


@pytest.mark.parametrize("screened", [True, False])
def test_a_value_that_is_not_finite_is_named(screened: bool) -> None:
    points = np.zeros((2500, 20 if screened else 3), np.float32)
    points[77, 1] = np.nan
    with pytest.raises(ValueError, match="knn: points row 77 holds nan"):
        kernels.knn(OnCard(points[:6]), OnCard(points), 1, backend=CARD)
    with pytest.raises(ValueError, match="log_kde: queries row 7 holds nan"):
        kernels.log_kde(OnCard(points[70:80]), OnCard(points[:60]), 1.0, backend=CARD)


def test_rows_of_a_sliding_window() -> None:
    """They overlap; a value that is not finite is in several."""
    series = np.sin(np.arange(3000.0) ** 1.5)
    windows = np.lib.stride_tricks.sliding_window_view(series, 20)
    got = neighbours(OnCard(windows[:9]), OnCard(windows), 3)
    assert (got[1] == kernels.knn(windows[:9], windows, 3).indices).all()
    series[1000] = np.nan
    with pytest.raises(ValueError, match="points row 981 holds nan"):
        kernels.knn(OnCard(windows[:9]), OnCard(windows), 3, backend=CARD)


def test_no_rows_of_any_strides() -> None:
    points = np.zeros((5, 3))
    queries = OnCard(points[:0], strides=(0, 0))
    assert kernels.knn(queries, OnCard(points), 2, backend=CARD).indices.shape == (0, 2)


def test_no_queries() -> None:
    points = np.zeros((5, 3))
    assert kernels.knn(OnCard(points[:0]), OnCard(points), 2, backend=CARD).indices.shape == (0, 2)


class TestRefuses:
    def test_a_backend_of_the_processor(self) -> None:
        points = OnCard(np.zeros((5, 3)))
        with pytest.raises(BackendError, match="knn: backend 'serial' reads arrays on the CPU"):
            kernels.knn(np.zeros((2, 3)), points, 1, backend="serial")

    def test_auto_without_a_card(self) -> None:
        if not _core.card_states()["cuda"]:
            pytest.skip("there is a card")
        with pytest.raises(BackendError, match="knn: backend 'cuda'"):
            kernels.knn(np.zeros((2, 3)), OnCard(np.zeros((5, 3))), 1)

    def test_columns_that_lie_apart(self) -> None:
        points = OnCard(np.zeros((5, 6))[:, ::2])
        with pytest.raises(ValueError, match="queries has rows that do not lie in one piece"):
            kernels.knn(points, points, 1, backend=CARD)

    def test_an_address_that_is_not_aligned(self) -> None:
        values = np.zeros((5, 3))
        points = OnCard(values, data=(values.ctypes.data + 4, True))
        with pytest.raises(ValueError, match="lies at an address that is no multiple"):
            kernels.knn(points, points, 1, backend=CARD)

    def test_a_mask(self) -> None:
        points = OnCard(np.zeros((5, 3)), mask=OnCard(np.ones((5, 3), np.bool_)))
        with pytest.raises(ValueError, match="queries has a mask"):
            kernels.knn(points, points, 1, backend=CARD)

    def test_other_elements(self) -> None:
        points = OnCard(np.zeros((5, 3), np.int64))
        with pytest.raises(ValueError, match="type <i8; float32, float64 or uint8"):
            kernels.knn(points, points, 1, backend=CARD)

    def test_widths_that_differ(self) -> None:
        with pytest.raises(ValueError, match="the last axis"):
            kernels.knn(OnCard(np.zeros((5, 3))), np.zeros((5, 4)), 1, backend=CARD)


def rows(device: int, stream: int | None, torch: bool) -> CardRows:
    return CardRows(None, {"shape": (1, 1), "typestr": "<f4"}, device, stream, torch)


class TestPlace:
    def test_of_arrays_on_the_host(self) -> None:
        assert place_of("knn", {"queries": np.zeros((1, 1))}) is None

    def test_of_tensors_is_their_stream_and_store(self) -> None:
        place = place_of("knn", {"queries": rows(1, 70, True), "points": rows(1, 9, False)})
        assert place is not None
        device, stream, before, memory, told = place
        assert told
        assert (device, stream, before) == (1, 70, [9])
        assert memory is not None

    def test_of_others_is_the_stream_that_they_name(self) -> None:
        assert place_of("knn", {"points": rows(0, 5, False)}) == (0, 5, [], None, True)
        assert place_of("knn", {"points": rows(0, None, False)}) == (0, 0, [], None, True)

    def test_of_two_devices_is_refused(self) -> None:
        with pytest.raises(BackendError, match="queries on device 0 and points on device 1"):
            place_of("knn", {"queries": rows(0, 5, True), "points": rows(1, 5, True)})


def test_memory_of_the_caller_is_taken_and_given_back(rng: np.random.Generator) -> None:
    held: dict[int, np.ndarray] = {}

    class Store:
        def allocate(self, size: int) -> int:
            one = np.empty(size + 256, np.uint8)
            address = -(-one.ctypes.data // 256) * 256
            held[address] = one
            taken.append(size)
            return address

        def release(self, address: int) -> None:
            del held[address]

    taken: list[int] = []
    points = rng.standard_normal((50, 3))
    sq, index, _ = _core.knn(points, points, 2, None, CARD, 1, 1 << 20, (0, 0, [], Store(), True))
    assert taken
    assert not held
    assert (index[:, 0] == np.arange(50)).all()
    assert (sq[:, 0] == 0).all()


def test_a_store_that_fails_is_told() -> None:
    class Store:
        def allocate(self, size: int) -> int:
            raise MemoryError("nothing left")

        def release(self, address: int) -> None: ...

    points = np.zeros((5, 3))
    with pytest.raises(MemoryError, match="nothing left"):
        _core.knn(points, points, 2, None, CARD, 1, 1 << 20, (0, 0, [], Store(), True))
