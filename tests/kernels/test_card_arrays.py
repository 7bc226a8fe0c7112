"""Arrays that lie on a card: read in place, in the caller's stream, beside arrays of the host.

The emulated card's memory is the host's, so an array there is one that says so.
"""

from typing import Any

import numpy as np
import pytest

from genmem import _core, kernels
from genmem.errors import BackendError
from genmem.kernels.card_arrays import CardRows, place_of

CARD = "cuda-emulated"


class OnCard:
    """An array of another library on the emulated card."""

    def __init__(self, array: np.ndarray, **more: Any) -> None:
        self.array = array
        self.__cuda_array_interface__ = {
            "shape": array.shape,
            "typestr": array.dtype.str,
            "data": (array.ctypes.data, True),
            "strides": array.strides,
            "version": 3,
            "stream": None,
        } | more


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.uint8])
@pytest.mark.parametrize("shape", [(5, 300, 7), (7, 2100, 20)], ids=str)
def test_neighbours(dtype: type, shape: tuple[int, int, int], rng: np.random.Generator) -> None:
    m, n, d = shape
    points = rng.integers(0, 200, (n, d)).astype(dtype)
    queries = rng.integers(0, 200, (m, d)).astype(dtype)
    want = kernels.knn(queries, points, 3, backend=CARD)
    for q, x in [(OnCard(queries), OnCard(points)), (queries, OnCard(points)),
                 (OnCard(queries), points)]:  # fmt: skip
        got = kernels.knn(q, x, 3, backend=CARD)
        assert got.distances.dtype == want.distances.dtype
        assert (got.distances == want.distances).all()
        assert (got.indices == want.indices).all()


def test_rows_of_a_wider_array(rng: np.random.Generator) -> None:
    wide = rng.standard_normal((4400, 40)).astype(np.float32)
    part, one = wide[::2, 5:30], np.broadcast_to(wide[0], (50, 40))
    got = kernels.knn(OnCard(part[:9]), OnCard(part), 4, exclude=np.arange(9), backend=CARD)
    want = kernels.knn(part[:9], part, 4, exclude=np.arange(9))
    assert (got.indices == want.indices).all()
    assert (kernels.knn(OnCard(one[:5]), OnCard(one), 50, backend=CARD).distances == 0).all()


def test_queries_whose_hits_are_lost_are_read_there_too() -> None:
    """All points equal: no limit tells them apart."""
    points = np.full((3000, 20), 7.0, np.float32)
    got = kernels.knn(OnCard(points[:5]), OnCard(points), 3, backend=CARD)
    assert (got.indices == np.arange(3)).all()


def test_many_neighbours(rng: np.random.Generator) -> None:
    points = rng.standard_normal((1300, 3))
    got = kernels.knn(OnCard(points[:5]), OnCard(points), 1200, backend=CARD)
    assert (got.indices == kernels.knn(points[:5], points, 1200).indices).all()


@pytest.mark.parametrize("memory", [1, 1 << 28])
def test_densities(memory: int, rng: np.random.Generator) -> None:
    points = rng.standard_normal((9000, 3))
    h = [0.2, 1.0]
    got = kernels.kde_slots(OnCard(points[:40]), OnCard(points), h, backend=CARD, memory=memory)
    want = kernels.kde_slots(points[:40], points, h, backend=CARD)
    for one, other in zip(got, want, strict=True):
        assert (one == other).all()
    density = kernels.log_kde(OnCard(points[:40]), points, 0.2, backend=CARD)
    assert (density == kernels.log_kde(points[:40], points, 0.2, backend=CARD)).all()


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

    def test_other_elements(self) -> None:
        points = OnCard(np.zeros((5, 3), np.int64))
        with pytest.raises(ValueError, match="type <i8; float32, float64 or uint8"):
            kernels.knn(points, points, 1, backend=CARD)

    def test_widths_that_differ(self) -> None:
        with pytest.raises(ValueError, match="the last axis"):
            kernels.knn(OnCard(np.zeros((5, 3))), np.zeros((5, 4)), 1, backend=CARD)

    def test_a_gradient(self) -> None:
        points = OnCard(np.zeros((5, 3)))
        with pytest.raises(BackendError, match="kde_gradient: queries or points are on a card"):
            kernels.kde_gradient(points, points, 1.0, backend=CARD)


def rows(device: int, stream: int | None, torch: bool) -> CardRows:
    return CardRows(None, {"shape": (1, 1), "typestr": "<f4"}, device, stream, torch)


class TestPlace:
    def test_of_arrays_on_the_host(self) -> None:
        assert place_of("knn", {"queries": np.zeros((1, 1))}) is None

    def test_of_tensors_is_their_stream_and_store(self) -> None:
        place = place_of("knn", {"queries": rows(1, 70, True), "points": rows(1, 9, False)})
        assert place is not None
        device, stream, before, memory = place
        assert (device, stream, before) == (1, 70, [9])
        assert memory is not None

    def test_of_others_is_the_stream_that_they_name(self) -> None:
        assert place_of("knn", {"points": rows(0, 5, False)}) == (0, 5, [], None)
        assert place_of("knn", {"points": rows(0, None, False)}) == (0, 0, [], None)

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
    sq, index, _ = _core.knn(points, points, 2, None, CARD, 1, 1 << 20, (0, 0, [], Store()))
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
        _core.knn(points, points, 2, None, CARD, 1, 1 << 20, (0, 0, [], Store()))
