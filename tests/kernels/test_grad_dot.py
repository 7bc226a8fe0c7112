"""grad_dot against the gradients themselves: ragged tokens, bias, symmetry, top-k, diagonal."""

from typing import ClassVar

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from budget import assert_within
from factor_sets import HOSTILE, factors, hostile, norms
from genmem import _core, kernels, reference
from genmem.kernels import Factors, LayerFactors
from genmem.kernels.factors import factor_sides

CASES = {
    "one": (1, 1, [(1, 1, 1, False)], False),
    "mlp": (5, 300, [(1, 64, 32, True), (4, 16, 8, True), (4, 8, 64, False)], False),
    "ragged": (37, 260, [(3, 5, 4, True), (7, 3, 9, False)], True),
    "conv": (3, 4, [(300, 27, 8, True), (49, 72, 16, True)], False),
    "materialised": (9, 70, [(1, 2100, 1, False)], False),
    "long sample": (2, 3, [(1500, 3, 2, True)], False),
    # Small enough for an emulated card, and beyond its tiles of 64 and 128 tokens.
    "few": (5, 33, [(1, 64, 32, True), (4, 16, 8, True), (4, 8, 64, False)], False),
    "few ragged": (9, 40, [(3, 5, 4, True), (7, 3, 9, False)], True),
    "two tiles": (2, 3, [(141, 3, 2, True)], True),
    "deep": (2, 3, [(1, 4200, 1, False)], False),
}
FOR_CARDS = {"one", "materialised", "few", "few ragged", "two tiles", "deep"}
small = pytest.mark.card(when=lambda case: case["case"] in FOR_CARDS)


@small
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("case", CASES, ids=str)
def test_equals_the_gradients(
    backend: str, case: str, dtype: type, rng: np.random.Generator
) -> None:
    m, n, layers, ragged = CASES[case]
    queries = factors(rng, m, layers, ragged=ragged, dtype=dtype)
    points = factors(rng, n, layers, ragged=ragged, dtype=dtype)
    got = kernels.grad_dot(queries, points, backend=backend)
    want = reference.grad_dot(queries.layers, points.layers)
    assert got.dtype == dtype
    budget = (1e-13 if dtype is np.float64 else 1e-7) * np.outer(norms(queries), norms(points))
    assert_within(got, want, budget + 1e-300)


@pytest.mark.card
def test_golden(backend: str) -> None:
    a = np.array([[1, 2, 0], [0, 1, -1], [2, 0, 1], [1, 1, 1], [0, -1, 2]], float)
    g = np.array([[0.5, -1], [2, 1], [1, 1], [-1, 0.5], [0, 3]])
    both = Factors((LayerFactors("linear", a, g, np.array([0, 2, 5]), True),))
    got = kernels.grad_dot(both, both, backend=backend)
    assert_within(got, [[22.5, -10], [-10, 91]], 1e-12)
    assert_within(kernels.grad_dot_diagonal(both, both, backend=backend), [22.5, 91], 1e-12)


@small
@pytest.mark.parametrize("case", ["mlp", "ragged", "long sample", "few ragged", "two tiles"])
def test_symmetric_equals_rectangular(backend: str, case: str, rng: np.random.Generator) -> None:
    _, n, layers, ragged = CASES[case]
    points = factors(rng, n, layers, ragged=ragged)
    got = kernels.grad_dot(points, points, symmetric=True, backend=backend)
    assert (got == got.T).all()
    budget = 1e-13 * np.outer(norms(points), norms(points)) + 1e-300
    assert_within(got, kernels.grad_dot(points, points, backend=backend), budget)


@small
@pytest.mark.parametrize("case", CASES, ids=str)
def test_diagonal(backend: str, case: str, rng: np.random.Generator) -> None:
    _, n, layers, ragged = CASES[case]
    one = factors(rng, n, layers, ragged=ragged)
    other = Factors(
        tuple(x._replace(gradients=rng.standard_normal(np.shape(x.gradients))) for x in one.layers)
    )
    got = kernels.grad_dot_diagonal(one, other, backend=backend)
    want = np.diagonal(reference.grad_dot(one.layers, other.layers))
    assert_within(got, want, 1e-13 * norms(one) * norms(other) + 1e-300)


@pytest.mark.card
@pytest.mark.parametrize("kind", HOSTILE)
@pytest.mark.parametrize("shape", [(1, 1, 1, False), (1, 784, 40, True), (5, 129, 33, True)])
def test_hostile_numbers(backend: str, kind: str, shape: tuple, rng: np.random.Generator) -> None:
    """1e-5 of the norms at the very worst; what the type of the answer cannot hold is left out."""
    sides = [hostile(rng, n, shape, kind) for n in (19, 37)]
    with np.errstate(under="ignore"):
        want = reference.grad_dot(sides[0].layers, sides[1].layers)
        budget = 1e-5 * np.outer(norms(sides[0]), norms(sides[1])) + 1e-300
    got = kernels.grad_products(*sides, backend=backend)
    assert_within(got, want, budget)


@pytest.mark.card
def test_an_entry_depends_on_its_two_samples_alone(backend: str, rng: np.random.Generator) -> None:
    """Neither the other samples, nor the order, nor the batch changes a bit of float32 factors."""
    shapes = [(1, 300, 40, True), (4, 33, 70, True), (9, 5, 6, False)]
    m, n, end = (32, 50, 48) if backend == "cuda-emulated" else (40, 700, 600)
    queries = factors(rng, m, shapes, ragged=True, dtype=np.float32)
    points = factors(rng, n, shapes, ragged=True, dtype=np.float32)
    whole = kernels.grad_products(queries, points, backend=backend)
    part = kernels.grad_products(queries.samples(7, 31), points.samples(41, end), backend=backend)
    assert (part == whole[7:31, 41:end]).all()


@pytest.mark.card
def test_an_example_repeated(backend: str, rng: np.random.Generator) -> None:
    """K[i, j] of a copy is K[i, i], bit for bit: duplicates are kept apart but not told apart."""
    points = factors(rng, 40, [(1, 20, 10, True), (4, 6, 5, True)])
    twice = Factors(
        tuple(
            LayerFactors(
                x.name,
                np.vstack([x.inputs, x.inputs]),
                np.vstack([x.gradients, x.gradients]),
                np.concatenate([x.offsets, x.offsets[1:] + x.offsets[-1]]),
                x.bias,
            )
            for x in points.layers
        )
    )
    got = kernels.grad_dot(points, twice, backend=backend)
    assert (got[:, :40] == got[:, 40:]).all()


@pytest.mark.card
def test_orthogonal_factors_give_zero(backend: str) -> None:
    a = np.eye(4)
    g = np.ones((4, 2))
    one = Factors((LayerFactors("linear", a, g, np.arange(5), False),))
    got = kernels.grad_dot(one, one, backend=backend)
    assert (got == 2 * np.eye(4)).all()


def plain(values: npt.ArrayLike, dtype: type = np.float32) -> Factors:
    """Samples of one number: a product is that of two numbers."""
    a = np.asarray(values, dtype)[:, None]
    return Factors((LayerFactors("number", a, np.ones_like(a), np.arange(len(a) + 1), False),))


class TestTopK:
    @pytest.mark.card
    def test_equals_sorting(self, backend: str, rng: np.random.Generator) -> None:
        queries = factors(rng, 7, [(2, 5, 3, True)])
        points = factors(rng, 90, [(2, 5, 3, True)])
        full = kernels.grad_dot(queries, points, backend=backend)
        got = kernels.grad_dot(queries, points, k=9, backend=backend)
        order = np.argsort(-full, axis=1, kind="stable")[:, :9]
        assert (got.indices == order).all()
        assert (got.scores == np.take_along_axis(full, order, axis=1)).all()

    @pytest.mark.card
    def test_in_parts_and_in_both_directions(self, backend: str, rng: np.random.Generator) -> None:
        """Blocks of points that are shared out among tasks, ties across them, the smallest too."""
        queries = factors(rng, 3, [(1, 4, 3, True)])
        points = factors(rng, 1700, [(1, 4, 3, True)])
        (layer,) = points.layers
        for v in (layer.inputs, layer.gradients):
            v[1200:1300] = v[:100]
        full = kernels.grad_dot(queries, points, backend=backend)
        for sign in (-1, 1):
            got = kernels.grad_dot(
                queries, points, k=700, largest=sign < 0, backend=backend, threads=2
            )
            order = np.argsort(sign * full, axis=1, kind="stable")[:, :700]
            assert (got.indices == order).all()

    @pytest.mark.parametrize("order", [slice(None), slice(None, None, -1)], ids=["up", "down"])
    @pytest.mark.parametrize("k", [1, 3, 300, 1100])
    def test_a_card_keeps_them_across_its_lists(
        self, k: int, order: slice, rng: np.random.Generator
    ) -> None:
        """Scores that rise or fall all the way, in runs of equal ones, of some blocks of points."""
        values = (np.arange(2400) // 3 - 300)[order].astype(np.float32)
        values[rng.integers(0, 2400, 200)] = values[:200]
        by = np.array([1.0, -2.0, 0.0])
        full = np.outer(by, values)
        sides, memory = factor_sides(plain(by), plain(values)), 300_000
        for largest in (True, False):
            for screen in (False, True):
                index, score, _ = _core.grad_dot_top(
                    *sides, k, largest, None, None, screen, "cuda-emulated", 2, memory
                )
                ranks = np.argsort(-full if largest else full, axis=1, kind="stable")[:, :k]
                assert (index == ranks).all()
                assert (score == np.take_along_axis(full, ranks, axis=1)).all()

    def test_a_card_counts_what_it_screens(self, rng: np.random.Generator) -> None:
        """A row of one score all over is answered in float64, and no other."""
        values = rng.standard_normal(1500).astype(np.float32)
        sides = factor_sides(plain([0.0, 1.0, -3.0]), plain(values))
        index, score, listed = _core.grad_dot_top(
            *sides, 4, True, None, None, True, "cuda-emulated", 2
        )
        assert index[0].tolist() == [0, 1, 2, 3]
        assert (score[1] == np.sort(values)[::-1][:4]).all()
        assert 1500 < listed < 1600
        zeros = factor_sides(plain([0.0]), plain(values))
        index, _, listed = _core.grad_dot_top(
            *zeros, 2, False, None, None, True, "cuda-emulated", 2
        )
        assert (index.tolist(), listed) == ([[0, 1]], 1500)

    @pytest.mark.card
    def test_nan_and_infinity_come_first(self, backend: str) -> None:
        """Of factors that nobody looked at."""
        values = np.arange(50, dtype=np.float64)
        values[[7, 11]], values[[5, 30]] = np.nan, (np.inf, -np.inf)
        (q,), card = factor_sides(*[plain([1.0, 2.0], np.float64)] * 2)[0], (backend, 2)
        layer = (values[:, None], np.ones((50, 1)), np.arange(51), False)
        for screen in (False, True):
            for largest, last in ((True, [5, 49]), (False, [30, 0])):
                index, score, _ = _core.grad_dot_top(
                    [q], [layer], 4, largest, None, None, screen, *card
                )
                assert (index == [[7, 11, *last]] * 2).all()
                assert np.isnan(score[:, :2]).all()
                assert not np.isnan(score[:, 2:]).any()

    @small
    @pytest.mark.parametrize("cosine", [False, True])
    @pytest.mark.parametrize("case", ["mlp", "ragged", "materialised", "few", "few ragged"])
    def test_screened(
        self, backend: str, case: str, cosine: bool, rng: np.random.Generator
    ) -> None:
        """The float64 answer from float32 factors, scores near each other and copies among them."""
        m, n, layers, ragged = CASES[case]
        queries = factors(rng, m, layers, ragged=ragged, dtype=np.float32)
        points = factors(rng, n, layers, ragged=ragged, dtype=np.float32)
        for x, y in zip(points.layers, queries.layers, strict=True):
            for part in ("inputs", "gradients"):
                to, of = getattr(x, part), getattr(y, part)
                to[:] = 0.05 * to + np.resize(of[-4:], to.shape)
        full = reference.grad_dot(queries.layers, points.layers)
        if cosine:
            full = full / np.maximum(np.outer(norms(queries), norms(points)), 1e-300)
        for largest in (False, True):
            got = kernels.grad_dot(
                queries, points, k=6, largest=largest, cosine=cosine, screen=True, backend=backend
            )
            order = np.argsort(-full if largest else full, axis=1, kind="stable")[:, :6]
            want = np.take_along_axis(full, order, axis=1)
            scale = 1 if cosine else np.outer(norms(queries), norms(points)).max()
            found = np.take_along_axis(full, got.indices, axis=1)
            # float64 sums in another order may exchange what it cannot tell apart.
            assert_within(found, want, 1e-13 * scale)
            assert_within(got.scores, want, 1e-7 * scale)
            assert all(len(set(row)) == 6 for row in got.indices.tolist())

    @pytest.mark.card
    def test_a_nan_is_seen(self, backend: str) -> None:
        """Beyond the largest float64 the products of two samples may have no value."""
        big = np.array([[1e300, -1e300], [1.0, 1.0], [2.0, 0.0]])
        both = Factors((LayerFactors("fc", big, np.ones((3, 1)), np.arange(4), False),))
        got = kernels.grad_dot(both, both, k=3, backend=backend)
        assert np.isinf(got.scores[0, 0])
        assert np.isfinite(got.scores[1:]).all()

    def test_ties_go_to_the_lower_index(self) -> None:
        got = kernels.top_k(np.array([[1.0, 3.0, 3.0, 0.0, 3.0, 2.0]]), 4)
        assert got.indices.tolist() == [[1, 2, 4, 5]]

    def test_k_of_all(self) -> None:
        assert kernels.top_k(np.array([[2.0, 2.0, 5.0]]), 3).indices.tolist() == [[2, 0, 1]]


class TestForms:
    SHAPES: ClassVar = [(1, 20, 10, True), (4, 6, 5, False), (2, 3, 3, True)]

    @pytest.mark.card
    def test_cosine(self, backend: str, rng: np.random.Generator) -> None:
        points = factors(rng, 40, self.SHAPES, ragged=True)
        for layer in points.layers:
            layer.gradients[layer.offsets[3] : layer.offsets[4]] = 0
        got = kernels.grad_dot(points, points, cosine=True, backend=backend)
        norm = norms(points)
        want = reference.grad_dot(points.layers, points.layers)
        live = norm > 0
        assert not live[3]
        assert (got[3] == 0).all()
        assert (got[:, 3] == 0).all()
        assert_within(
            got[live][:, live], want[live][:, live] / np.outer(norm, norm)[live][:, live], 1e-12
        )
        top = kernels.grad_dot(points, points, cosine=True, k=5, backend=backend)
        assert (top.indices == np.argsort(-got, axis=1, kind="stable")[:, :5])[live].all()

    @pytest.mark.card
    def test_parts(self, backend: str, rng: np.random.Generator) -> None:
        queries, points = factors(rng, 5, self.SHAPES), factors(rng, 30, self.SHAPES)
        layers = kernels.grad_dot(queries, points, parts=range(3), backend=backend)
        for number, got in enumerate(layers):
            want = reference.grad_dot([queries.layers[number]], [points.layers[number]])
            assert_within(got, want, 1e-12 * np.abs(want).max())
        two = kernels.grad_dot(queries, points, parts=[1, 0, 1], backend=backend)
        assert_within(two[0], layers[1], 0)
        assert_within(two[1], layers[0] + layers[2], 1e-12 * np.abs(two).max())

    @pytest.mark.parametrize("parts", [[0, 1], [0, 2, 0], [0, -1, 1], [0.0, 1.0, 2.0]])
    def test_refused_parts(self, parts: list, rng: np.random.Generator) -> None:
        one = factors(rng, 3, self.SHAPES)
        with pytest.raises(ValueError, match="parts"):
            kernels.grad_dot(one, one, parts=parts)
        with pytest.raises(ValueError, match="neither k nor cosine"):
            kernels.grad_dot(one, one, parts=[0, 0, 0], cosine=True)


def test_the_cheaper_form() -> None:
    """One token always, many never, and no later once it has been too many."""
    for d, p in [(1, 1), (33, 256), (785, 512), (129, 3)]:
        takes = [kernels.pairs_take_tokens(t, d, p) for t in range(60)]
        assert takes == sorted(takes, reverse=True)
        assert takes[-1] is False
        assert takes[1] is (d > 1)
    assert kernels.pairs_take_tokens(16, 513, 784)
    assert not kernels.pairs_take_tokens(49, 513, 32)


def test_samples_are_views(rng: np.random.Generator) -> None:
    points = factors(rng, 20, [(3, 5, 4, True), (1, 7, 2, False)], ragged=True)
    part = points.samples(4, 11)
    assert len(part) == 7
    want = reference.grad_dot(points.layers, points.layers)[4:11, 4:11]
    assert_within(kernels.grad_dot(part, part), want, 1e-12 * np.abs(want).max())


@pytest.mark.card
def test_threads_do_not_change_a_bit(backend: str, rng: np.random.Generator) -> None:
    samples = 60 if backend == "cuda-emulated" else 700
    points = factors(rng, samples, [(3, 40, 8, True)], ragged=True)
    first = kernels.grad_dot(points, points, backend=backend, threads=1)
    for threads in (2, 3, 8):
        assert (kernels.grad_dot(points, points, backend=backend, threads=threads) == first).all()


@given(
    counts=st.lists(st.integers(0, 5), min_size=1, max_size=12),
    d=st.integers(1, 9),
    p=st.integers(1, 9),
    bias=st.booleans(),
    seed=st.integers(0, 2**31),
)
def test_integer_factors_are_exact(
    counts: list[int], d: int, p: int, bias: bool, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    offsets = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    a = rng.integers(-3, 4, (offsets[-1], d)).astype(np.float32)
    g = rng.integers(-3, 4, (offsets[-1], p)).astype(np.float32)
    one = Factors((LayerFactors("layer", a, g, offsets, bias),))
    want = reference.grad_dot(one.layers, one.layers)
    for name, why in (_core.backend_states() | _core.card_states()).items():
        if not why:
            assert (kernels.grad_dot(one, one, backend=name) == want).all()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"offsets": np.array([0, 2, 4])}, "count 3, 3 and 4 tokens"),
        ({"offsets": np.array([0, 4, 3])}, "offsets must not fall"),
        ({"inputs": np.zeros((3, 4))}, "layer 0 differs between queries and points in width"),
        ({"bias": False}, "layer 0 differs"),
        ({"inputs": np.full((3, 2), np.nan)}, "points: inputs of fc row 0 holds nan"),
        ({"gradients": np.zeros(3)}, "two axes"),
    ],
)
def test_refuses(change: dict, message: str) -> None:
    layer = LayerFactors("fc", np.ones((3, 2)), np.ones((3, 5)), np.array([0, 1, 3]), True)
    good, bad = Factors((layer,)), Factors((layer._replace(**change),))
    with pytest.raises(ValueError, match=message):
        kernels.grad_dot(good, bad)


@pytest.mark.card
def test_assumed_finite(backend: str, rng: np.random.Generator) -> None:
    """A NaN or an infinity that nobody looked for is seen in every product of its sample."""
    for bad in (np.nan, np.inf):
        points = factors(rng, 40, [(3, 20, 10, True), (1, 6, 5, False)], dtype=np.float32)
        points.layers[0].inputs[3 * 7 + 1, 4] = bad
        points.layers[0].gradients[3 * 9 + 2, 4] = bad
        got = kernels.grad_products(points, points, backend=backend, assume_finite=True)
        live = np.ones(40, bool)
        live[[7, 9]] = False
        assert not np.isfinite(got[~live]).any()
        assert not np.isfinite(got[:, ~live]).any()
        assert np.isfinite(got[np.ix_(live, live)]).all()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_card_of_little_memory(dtype: type, rng: np.random.Generator) -> None:
    """Samples come in blocks, as few as one at a time, and every answer keeps its bits."""
    layers = [(1, 20, 10, True), (4, 6, 5, False)]
    one = factors(rng, 5, layers, ragged=True, dtype=dtype)
    other = factors(rng, 7, layers, ragged=True, dtype=dtype)
    q, x = factor_sides(one, other)
    card = ("cuda-emulated", 2)
    for memory in (1, 30_000):
        for left, right, symmetric in ((q, x, False), (x, x, True)):
            for tol in (0.0, 1e-4, 1e-3):
                whole = _core.grad_dot(left, right, symmetric, tol, *card)
                assert (_core.grad_dot(left, right, symmetric, tol, *card, memory) == whole).all()
        for screen in (False, True):
            strongest = (q, x, 3, True, None, None, screen, *card)
            indices, scores, _ = _core.grad_dot_top(*strongest)
            blocks = _core.grad_dot_top(*strongest, memory)
            assert (blocks[0] == indices).all()
            assert (blocks[1] == scores).all()
        listed = _core.grad_dot_listed(q, x, indices, *card)
        assert (_core.grad_dot_listed(q, x, indices, *card, memory) == listed).all()
        along = _core.grad_dot_diagonal(x, x, *card)
        assert (_core.grad_dot_diagonal(x, x, *card, memory) == along).all()


def test_refuses_other_calls(rng: np.random.Generator) -> None:
    one = factors(rng, 3, [(1, 2, 2, True)])
    with pytest.raises(ValueError, match=r"k is 4; 1\.\.3"):
        kernels.grad_dot(one, one, k=4)
    with pytest.raises(ValueError, match="has no layers"):
        kernels.grad_dot(Factors(()), one)
    with pytest.raises(ValueError, match="queries have 1 layers and points 2"):
        kernels.grad_dot(one, Factors(one.layers * 2))
    with pytest.raises(ValueError, match="points is not queries"):
        kernels.grad_dot(one, factors(rng, 3, [(1, 2, 2, True)]), symmetric=True)
    with pytest.raises(ValueError, match="3 samples and points 2"):
        kernels.grad_dot_diagonal(one, one.samples(0, 2))
