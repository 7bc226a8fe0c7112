"""knn against the NumPy reference: every backend, type, ragged shape; copies, ties, exclusion."""

import hypothesis.extra.numpy as hnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from budget import assert_within
from genmem import _core, kernels, reference
from genmem.errors import BackendError

pytestmark = pytest.mark.card

SHAPES = [
    (1, 1, 1),
    (1, 5, 7),
    (3, 33, 2),
    (129, 257, 31),
    (5, 300, 783),
    (4, 31, 784),
    (2, 64, 785),
    (2, 40, 3072),
    (130, 1025, 16),
    (3, 8300, 5),
]
TYPES = [np.float32, np.float64, np.uint8]


def planted(
    rng: np.random.Generator, shape: tuple[int, int, int], dtype: type, offset: float = 0.0
) -> tuple[np.ndarray, np.ndarray]:
    """Queries and points: a quarter of the queries are copies, a quarter near-copies."""
    m, n, d = shape
    if dtype is np.uint8:
        points = rng.integers(0, 256, (n, d)).astype(np.uint8)
        queries = rng.integers(0, 256, (m, d)).astype(np.uint8)
    else:
        points = (rng.standard_normal((n, d)) + offset).astype(dtype)
        queries = (rng.standard_normal((m, d)) + offset).astype(dtype)
    copies = min(m, n, max(1, m // 2))
    queries[:copies] = points[:copies]
    if dtype is not np.uint8:
        near = slice(copies // 2, copies)
        queries[near] += (1e-3 * rng.standard_normal((copies - copies // 2, d))).astype(dtype)
    return queries, points


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_equals_reference(
    backend: str, shape: tuple[int, int, int], dtype: type, rng: np.random.Generator
) -> None:
    queries, points = planted(rng, shape, dtype)
    k = min(10, shape[1])
    got = kernels.knn(queries, points, k, backend=backend)
    distances, indices = reference.knn(queries, points, k)
    assert got.indices.dtype == np.int64
    assert (got.indices == indices).all()
    # A float64 sum of d squares, rounded once to the float type of the queries.
    unit = np.finfo(got.distances.dtype).eps + np.sqrt(shape[2]) * np.finfo(np.float64).eps
    assert_within(got.distances, distances, unit * distances + 1e-300)


@pytest.mark.parametrize("offset", [0.0, 1.0, 1e4])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_copy_is_at_exactly_zero(
    backend: str, dtype: type, offset: float, rng: np.random.Generator
) -> None:
    points = (rng.standard_normal((500, 784)) + offset).astype(dtype)
    got = kernels.knn(points[::3], points, 1, backend=backend)
    assert (got.distances == 0).all()
    assert (got.indices[:, 0] == np.arange(0, 500, 3)).all()


def test_ties_go_to_the_lower_index(backend: str) -> None:
    points = np.array([[1.0], [-1.0], [1.0], [-1.0], [3.0]])
    got = kernels.knn(np.zeros((1, 1)), points, 4, backend=backend)
    assert got.indices.tolist() == [[0, 1, 2, 3]]


def test_ties_across_blocks(backend: str) -> None:
    """All points equal: the order is that of the indices, over many blocks and chunks of points."""
    points = np.full((20_000, 3), 7.0, np.float32)
    got = kernels.knn(points[:2], points, 1000, backend=backend)
    assert (got.indices == np.arange(1000)).all()
    assert (got.distances == 0).all()


def test_k_equal_to_n_is_a_full_sort(backend: str, rng: np.random.Generator) -> None:
    points = rng.integers(-3, 4, (400, 2)).astype(np.float64)
    got = kernels.knn(points, points, 400, backend=backend)
    _, indices = reference.knn(points, points, 400)
    assert (got.indices == indices).all()


class TestExclude:
    def test_self(self, backend: str, rng: np.random.Generator) -> None:
        points = rng.standard_normal((300, 9))
        points[7] = points[250]  # a copy stays: exclusion is by index
        got = kernels.knn(points, points, 3, exclude="self", backend=backend)
        distances, indices = reference.knn(points, points, 3, exclude=np.arange(300))
        assert (got.indices == indices).all()
        assert_within(got.distances, distances, 1e-14 * distances + 1e-300)
        assert got.indices[7, 0] == 250
        assert got.distances[7, 0] == 0

    def test_some(self, backend: str, rng: np.random.Generator) -> None:
        points, queries = rng.standard_normal((50, 4)), rng.standard_normal((20, 4))
        exclude = np.where(np.arange(20) % 2, reference.knn(queries, points, 1)[1][:, 0], -1)
        got = kernels.knn(queries, points, 49, exclude=exclude, backend=backend)
        assert (got.indices == reference.knn(queries, points, 49, exclude=exclude)[1]).all()


class TestTheAnswerDoesNotDependOn:
    def test_threads(self, backend: str, rng: np.random.Generator) -> None:
        queries, points = planted(rng, (40, 20_000, 6), np.float32)
        first = kernels.nearest_sq(queries, points, 5, backend=backend, threads=1)
        for threads in (2, 3, 8):
            again = kernels.nearest_sq(queries, points, 5, backend=backend, threads=threads)
            assert (again[0] == first[0]).all()
            assert (again[1] == first[1]).all()

    def test_the_batch(self, backend: str, rng: np.random.Generator) -> None:
        queries, points = planted(rng, (2100, 700, 40), np.float64)
        sq, indices = kernels.nearest_sq(queries, points, 5, backend=backend)
        for rows in (slice(0, 1), slice(5, 133), slice(2000, 2100)):
            part = kernels.nearest_sq(queries[rows], points, 5, backend=backend)
            assert (part[0] == sq[rows]).all()
            assert (part[1] == indices[rows]).all()

    def test_memory(self, backend: str, rng: np.random.Generator) -> None:
        """So little that queries and points come in blocks, screened and not."""
        for shape in [(140, 5000, 3), (140, 5000, 20)]:
            queries, points = planted(rng, shape, np.float32)
            exclude = np.arange(140)
            sq, indices = kernels.nearest_sq(queries, points, 7, exclude=exclude, backend=backend)
            short = kernels.nearest_sq(
                queries, points, 7, exclude=exclude, backend=backend, memory=1
            )
            assert (short[0] == sq).all()
            assert (short[1] == indices).all()


class TestInput:
    def test_any_strides(self, backend: str, rng: np.random.Generator) -> None:
        wide = rng.standard_normal((90, 60)).astype(np.float32)
        for points in (wide[::3, ::2], wide[::-1], wide.T, np.asfortranarray(wide)):
            got = kernels.knn(points[:5], points, 3, backend=backend)
            want = kernels.knn(points[:5].copy(), points.copy(), 3, backend=backend)
            assert (got.distances == want.distances).all()
            assert (got.indices == want.indices).all()

    def test_broadcast_rows(self, backend: str) -> None:
        points = np.broadcast_to(np.arange(4.0), (10, 4))
        assert kernels.knn(points[:1], points, 10, backend=backend).distances.max() == 0

    def test_memory_map(self, backend: str, rng: np.random.Generator, tmp_path) -> None:
        points = rng.standard_normal((700, 12)).astype(np.float32)
        points.tofile(tmp_path / "points.f32")
        mapped = np.memmap(tmp_path / "points.f32", np.float32, "r", shape=(700, 12))
        got = kernels.knn(mapped[:9], mapped, 4, backend=backend)
        assert (got.indices == reference.knn(points[:9], points, 4)[1]).all()

    def test_packed_records(self, rng: np.random.Generator) -> None:
        """A field of a packed record has strides that are no multiple of the item."""
        records = np.zeros(30, np.dtype([("tag", "u1"), ("x", "<f8", (3,))]))
        records["x"] = rng.standard_normal((30, 3))
        got = kernels.knn(records["x"][:4], records["x"], 2)
        assert (got.indices == reference.knn(records["x"][:4], records["x"], 2)[1]).all()

    def test_other_byte_order(self, rng: np.random.Generator) -> None:
        points = rng.standard_normal((30, 3))
        got = kernels.knn(points.astype(">f8"), points.astype(">f4"), 2)
        want = reference.knn(points, points.astype(np.float32), 2)
        assert (got.indices == want[1]).all()

    def test_mixed_types(self, backend: str, rng: np.random.Generator) -> None:
        points = rng.integers(0, 256, (60, 10)).astype(np.uint8)
        queries = rng.uniform(0, 255, (5, 10)).astype(np.float32)
        got = kernels.knn(queries, points, 3, backend=backend)
        assert got.distances.dtype == np.float32
        assert (got.indices == reference.knn(queries, points, 3)[1]).all()

    def test_integers_and_lists(self) -> None:
        got = kernels.knn([[0], [5]], [[1], [4], [9]], 2)
        assert got.indices.tolist() == [[0, 1], [1, 0]]
        assert got.distances.tolist() == [[1.0, 4.0], [1.0, 4.0]]

    def test_no_queries(self, backend: str) -> None:
        got = kernels.knn(np.empty((0, 3)), np.zeros((4, 3)), 2, backend=backend)
        assert got.distances.shape == got.indices.shape == (0, 2)

    def test_distances_beyond_the_largest_float(self, backend: str) -> None:
        """Squares overflow to infinity; the neighbours are still named, in the order of indices."""
        points = np.array([[1e200], [-1e200], [0.0]])
        got = kernels.knn(np.zeros((1, 1)), points, 3, backend=backend)
        assert got.indices.tolist() == [[2, 0, 1]]
        assert got.distances.tolist() == [[0.0, np.inf, np.inf]]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((np.zeros((2, 3)), np.zeros((4, 2)), 1), r"points has shape \(4, 2\).*queries.*\(2, 3\)"),
        ((np.zeros(3), np.zeros((4, 3)), 1), r"queries has shape \(3,\); two axes"),
        ((np.zeros((2, 0)), np.zeros((4, 0)), 1), "d >= 1"),
        ((np.zeros((2, 3)), np.zeros((0, 3)), 1), "points is empty"),
        ((np.zeros((2, 3)), np.zeros((4, 3)), 5), r"k is 5; 1\.\.4 is wanted"),
        ((np.zeros((2, 3)), np.zeros((4, 3)), 0), "k is 0"),
    ],
)
def test_refuses(arguments: tuple, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        kernels.knn(*arguments)


def test_refuses_k_when_one_is_excluded() -> None:
    points = np.zeros((4, 3))
    with pytest.raises(ValueError, match=r"k is 4; 1\.\.3 is wanted"):
        kernels.knn(points, points, 4, exclude="self")


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_names_the_row_that_is_not_finite(bad: float, dtype: type) -> None:
    points = np.zeros((50, 40), dtype)
    points[33, 39] = bad
    with pytest.raises(ValueError, match=rf"points row 33 holds {bad}"):
        kernels.knn(points[:2], points, 1)
    with pytest.raises(ValueError, match="queries row 33"):
        kernels.knn(points, points[:2], 1)


@pytest.mark.parametrize(
    ("exclude", "message"),
    [
        ("other", "None, 'self' or indices"),
        ("self", "2 queries and 4 points"),
        ([0, 4], r"-1\.\.3 is wanted"),
        ([0, -2], r"-1\.\.3 is wanted"),
        ([0.0, 1.0], "integers are wanted"),
        ([0], r"\(2,\) integers"),
    ],
)
def test_refuses_exclude(exclude: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        kernels.knn(np.zeros((2, 3)), np.zeros((4, 3)), 1, exclude=exclude)


def test_refuses_elements_that_are_no_numbers() -> None:
    with pytest.raises(TypeError, match="elements of type complex128"):
        kernels.knn(np.zeros((2, 3), complex), np.zeros((4, 3)), 1)


def test_many_neighbours(backend: str, rng: np.random.Generator) -> None:
    """More than a card ranks itself."""
    queries, points = planted(rng, (6, 2500, 18), np.float32)
    got = kernels.knn(queries, points, 1500, backend=backend)
    assert (got.indices == reference.knn(queries, points, 1500)[1]).all()


def test_a_card_that_is_not_there_says_why() -> None:
    why = _core.card_states()["cuda"]
    if not why:
        pytest.skip("there is a card")
    with pytest.raises(BackendError, match=r"knn: backend 'cuda': (no CUDA device: |this build)"):
        kernels.knn(np.zeros((2, 3)), np.zeros((4, 3)), 1, backend="cuda")


def test_a_card_gives_the_bits_of_the_processor(rng: np.random.Generator) -> None:
    """The same chains of the same fused multiply-adds, where the processor has them."""
    wide = kernels.config()["auto"]
    for shape in [(9, 300, 5), (9, 300, 64), (9, 300, 65), (9, 2300, 200)]:
        queries, points = planted(rng, shape, np.float32)
        sq, indices = kernels.nearest_sq(queries, points, 9, backend="cuda-emulated")
        want = kernels.nearest_sq(queries, points, 9, backend=wide)
        if wide != "serial":
            assert (sq == want[0]).all()
        assert (indices == want[1]).all()


def test_refuses_threads_and_backends() -> None:
    points = np.zeros((4, 3))
    with pytest.raises(ValueError, match="threads is 0"):
        kernels.knn(points, points, 1, threads=0)
    with pytest.raises(ValueError, match="knn: backend is 'fastest'; 'auto', 'serial'"):
        kernels.knn(points, points, 1, backend="fastest")


def test_a_backend_that_cannot_run_raises(monkeypatch: pytest.MonkeyPatch) -> None:
    from genmem import _core
    from genmem.kernels import native

    def refuse(backend: str) -> str:
        raise _core.BackendUnavailable(f"backend '{backend}': this processor has no AVX-512 F")

    monkeypatch.setattr(native._core, "chosen_backend", refuse)
    with pytest.raises(
        BackendError, match="knn: backend 'avx512': this processor has no AVX-512 F"
    ):
        kernels.knn(np.zeros((2, 3)), np.zeros((4, 3)), 1, backend="avx512")


@given(
    points=hnp.arrays(
        np.float64,
        st.tuples(st.integers(1, 40), st.integers(1, 6)),
        elements=st.integers(-4, 4).map(float),
    ),
    data=st.data(),
)
def test_integers_equal_reference_on_every_backend(points: np.ndarray, data: st.DataObject) -> None:
    """Small integers: sums are exact, ties are everywhere, so indices must agree in all of them."""
    k = data.draw(st.integers(1, len(points)))
    distances, indices = reference.knn(points, points, k)
    for name, why in (_core.backend_states() | _core.card_states()).items():
        if why:
            continue
        got = kernels.knn(points, points, k, backend=name)
        assert (got.indices == indices).all()
        assert (got.distances == distances).all()


def test_sq_distances_equal_reference(backend: str, rng: np.random.Generator) -> None:
    queries, points = planted(rng, (131, 8700, 11), np.float32)
    want = reference.sq_distances(queries, points)
    assert_within(
        kernels.sq_distances(queries, points, backend=backend), want, 1e-14 * want + 1e-300
    )
