"""grad_dot to a tolerance: every entry within tol |g_i| |g_j|, whatever the numbers."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from budget import assert_within
from factor_sets import HOSTILE, factors, hostile, norms
from genmem import _core, kernels, reference
from genmem.kernels import Factors
from genmem.kernels.factors import factor_sides

TOL = 1e-3
# Wide, narrow, a bias, features beyond one run of integers and beyond one piece, p = 1.
SHAPES = [(1, 300, 40, True), (4, 65, 129, True), (19, 5, 6, False), (2, 2100, 7, True)]


def ragged(rng: np.random.Generator, samples: int, shapes: list = SHAPES) -> Factors:
    return factors(rng, samples, shapes, ragged=True, dtype=np.float32)


def allowed(queries: Factors, points: Factors, tol: float = TOL) -> np.ndarray:
    return tol * np.outer(norms(queries), norms(points)) + 1e-300


def some(backend: str, many: int, few: int) -> int:
    """`few` on the emulated card, where a block of threads is slow."""
    return few if backend == "cuda-emulated" else many


@pytest.mark.card
def test_ragged_tokens(backend: str, rng: np.random.Generator) -> None:
    queries, points = ragged(rng, some(backend, 40, 9)), ragged(rng, some(backend, 530, 30))
    got = kernels.grad_products(queries, points, tol=TOL, backend=backend)
    want = reference.grad_dot(queries.layers, points.layers)
    assert_within(got, want, allowed(queries, points))


@pytest.mark.card
@pytest.mark.parametrize("kind", HOSTILE)
@pytest.mark.parametrize("shape", [(1, 784, 40, True), (5, 129, 33, True), (3, 64, 2, False)])
def test_hostile_numbers(backend: str, kind: str, shape: tuple, rng: np.random.Generator) -> None:
    queries, points = (hostile(rng, n, shape, kind) for n in (19, 37))
    with np.errstate(under="ignore"):
        want = reference.grad_dot(queries.layers, points.layers)
        budget = allowed(queries, points)
    got = kernels.grad_products(queries, points, tol=TOL, backend=backend)
    assert_within(got, want, budget)


@given(
    tol=st.floats(1e-4, 0.5),
    tokens=st.integers(1, 5),
    d=st.integers(1, 140),
    p=st.integers(1, 70),
    seed=st.integers(0, 2**32 - 1),
)
def test_any_tolerance(tol: float, tokens: int, d: int, p: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    queries, points = (ragged(rng, n, [(tokens, d, p, True)]) for n in (5, 20))
    got = kernels.grad_products(queries, points, tol=tol)
    want = reference.grad_dot(queries.layers, points.layers)
    assert_within(got, want, allowed(queries, points, tol) * (1 + 1e-12))


def cancelling(rng: np.random.Generator, samples: int) -> Factors:
    """Pairs of tokens that all but cancel: gradients a thousandth of what they are summed from."""
    (one,) = factors(rng, samples, [(2, 200, 50, False)], dtype=np.float32).layers
    first, second = one.gradients[::2], one.gradients[1::2]
    one.inputs[1::2] = one.inputs[::2]
    second[:] = -first + 1e-3 * rng.standard_normal(first.shape)
    return Factors((one,))


@pytest.mark.card
def test_gradients_that_cancel_are_exact(backend: str, rng: np.random.Generator) -> None:
    """What integers and float32 lose of them is more than is left."""
    queries, points = cancelling(rng, 20), cancelling(rng, some(backend, 60, 40))
    got = kernels.grad_products(queries, points, tol=TOL, backend=backend)
    want = reference.grad_dot(queries.layers, points.layers)
    assert_within(got, want, 1e-7 * np.outer(norms(queries), norms(points)))


@pytest.mark.card
def test_an_entry_depends_on_its_two_samples_alone(backend: str, rng: np.random.Generator) -> None:
    """Also beside samples whose products have to be finer."""
    shapes = [(2, 200, 50, False)]
    n = some(backend, 560, 150)
    whole = [ragged(rng, samples, shapes) for samples in (24, n)]
    for side in whole:
        (one,) = side.layers
        for i in range(3, len(side), 7):
            first, last = one.offsets[i], one.offsets[i + 1]
            if last - first >= 2:
                one.inputs[first + 1] = one.inputs[first]
                one.gradients[first + 1] = -one.gradients[first] * (1 - 1e-3)
    got = kernels.grad_products(*whole, tol=TOL, backend=backend)
    part = kernels.grad_products(
        whole[0].samples(5, 20), whole[1].samples(33, n - 60), tol=TOL, backend=backend
    )
    assert (part == got[5:20, 33 : n - 60]).all()


def test_coarse_products_are_taken(rng: np.random.Generator) -> None:
    """On AVX2 at least, whose integers need no extension."""
    backend = "avx2"
    if _core.backend_states().get(backend, "not built"):
        pytest.skip(f"{backend} does not run here")
    queries, points = ragged(rng, 20), ragged(rng, 40)
    want = reference.grad_dot(queries.layers, points.layers)
    unit = np.outer(norms(queries), norms(points)) + 1e-300
    off = {
        tol: np.abs(kernels.grad_products(queries, points, tol=tol, backend=backend) - want) / unit
        for tol in (1e-3, 1e-4)
    }
    assert 1e-4 > off[1e-3].max() > 1e-6 > off[1e-4].max()


def cut_tokens(rng: np.random.Generator, samples: int) -> Factors:
    """One layer with samples of one token, of many in disorder, and of two that all but cancel."""
    (one,) = ragged(rng, samples, [(6, 70, 40, True)]).layers
    for i in range(0, samples, 5):
        first, last = one.offsets[i], one.offsets[i + 1]
        one.gradients[first + 1 : last] = 0
    for i in range(3, samples, 4):
        first, last = one.offsets[i], one.offsets[i + 1]
        if last - first >= 2:
            one.inputs[first + 1] = one.inputs[first]
            one.gradients[first + 1] = -one.gradients[first] * np.float32(1 - 0.1 ** (i % 5))
            one.gradients[first + 2 : last] = 0
    return Factors((one,))


def left(x: np.ndarray) -> np.ndarray:
    """What a part of bfloat16, the nearest one, leaves of float32."""
    bits = x.view(np.uint32)
    rounded = (bits + np.uint32(0x7FFF) + (bits >> 16 & 1)) & np.uint32(0xFFFF0000)
    return x - rounded.view(np.float32)


class CardBounds:
    """Of one layer nu, E and F of every sample: see csrc/kernels/grad_dot/card.hpp."""

    def __init__(self, of: Factors) -> None:
        (layer,) = of.layers
        parts = []
        for rows, bias in ((layer.inputs, layer.bias), (layer.gradients, False)):
            x = np.asarray(rows, np.float32)
            one = left(x)
            lengths = [np.sqrt((v.astype(np.float64) ** 2).sum(1)) for v in (x, one, left(one))]
            parts.append([np.hypot(lengths[0], float(bias)), *lengths[1:]])
        (a, a1, a2), (g, g1, g2) = parts
        self.nu, self.one, self.two, self.of_a, self.of_g = (
            np.diff(np.concatenate([[0.0], np.cumsum(each)])[layer.offsets])
            for each in (a * g, a1 * g + a * g1, a2 * g + a * g2, (a1 + a2) * g, a * (g1 + g2))
        )
        stages = [max(1, -(-np.shape(of)[1] // 32)) for of in (layer.inputs, layer.gradients)]
        self.sums = (sum(stages) + 33) * 2.0**-24

    def error(self, other: "CardBounds", parts: int) -> np.ndarray:
        """The bound of every pair, from what is proven of the sums: 42 cuts for each stage."""
        nu = np.outer(self.nu, other.nu)
        bound = (2 * 42 * 2.0**-23 + self.sums) * nu
        if parts == 3:
            return bound + 2 * 4.03 * 2.0**-24 * nu
        e, f = (of.one if parts == 1 else of.two for of in (self, other))
        bound += np.outer(e, other.nu) + np.outer(self.nu, f) + np.outer(e, f)
        if parts == 2:
            bound += np.outer(self.of_a, other.of_a) + np.outer(self.of_g, other.of_g)
        return np.asarray(bound)

    def root(self, parts: int) -> np.ndarray:
        """u, as the card takes it: the product of two bounds the error."""
        square = (2 * 64 * 2.0**-23 + self.sums) * self.nu**2
        if parts == 3:
            square += 2 * 0x102 * 2.0**-30 * self.nu**2
        else:
            e, theta = (self.one, 2.0**-8) if parts == 1 else (self.two, 2.0**-17)
            square += e**2 / theta + theta * self.nu**2 + e**2
        if parts == 2:
            square += self.of_a**2 + self.of_g**2
        return np.asarray(np.sqrt((1.02 if parts == 1 else 1.001) * square))


@pytest.mark.parametrize("tol", [0.3, 0.02, 1e-3, 1e-4])
def test_a_card_takes_as_few_parts_as_it_proves(tol: float, rng: np.random.Generator) -> None:
    """Each way for some pairs, and every error within the bound of its way."""
    card = "cuda-emulated"
    queries, points = cut_tokens(rng, 24), cut_tokens(rng, 60)
    want = reference.grad_dot(queries.layers, points.layers)
    scale = np.outer(norms(queries), norms(points))
    got = kernels.grad_products(queries, points, tol=tol, backend=card)
    plain = kernels.grad_products(queries, points, backend=card)
    indices = np.tile(np.arange(60), (24, 1))
    exact = _core.grad_dot_listed(*factor_sides(queries, points), indices, card, 2)
    assert_within(got, want, tol * scale + 1e-300)
    error, rest = np.abs(got - want), scale > 0
    x, y = CardBounds(queries), CardBounds(points)
    taken = {}
    for parts in (1, 2, 3) if tol >= 4e-3 else (2, 3):
        proven = np.outer(x.root(parts), y.root(parts)) / np.where(scale > 0, scale, 1)
        # What is at the edge, rounding decides.
        way = rest & (proven <= tol * (1 - 1e-6))
        rest = rest & (proven > tol * (1 + 1e-6))
        taken[parts] = int(way.sum())
        assert (error[way] <= x.error(y, parts)[way]).all()
        if parts == 3:
            assert (got[way] == plain[way]).all()
        elif way.any():
            assert (got[way] != plain[way]).mean() > 0.9
            assert np.median(error[way]) > 10 * np.median(np.abs(plain - want)[way])
    assert (got[rest] == exact[rest]).all()
    assert rest.any() or tol > 0.01
    least = {0.3: (1, 800), 0.02: (1, 20), 1e-3: (2, 800), 1e-4: (2, 50)}
    parts, count = least[tol]
    assert taken[parts] > count, taken
    assert len([n for n in taken.values() if n]) > 1, taken
    both = kernels.grad_products(queries, queries, tol=tol, backend=card)
    square = kernels.grad_dot(queries, queries, symmetric=True, tol=tol, backend=card)
    assert (square == square.T).all()
    assert (np.triu(square) == np.triu(both.astype(np.float32))).all()


@pytest.mark.card
@pytest.mark.parametrize("tol", [None, 1e-3])
def test_no_token_is_lost_for_its_size(
    backend: str, tol: float | None, rng: np.random.Generator
) -> None:
    """Inputs and gradients over all of float32, whose products are of one size or of many."""
    sides = []
    for n in (7, 20):
        (one,) = ragged(rng, n, [(6, 40, 20, False)]).layers
        a, g = (rng.integers(-110, 124, (len(one.inputs), 1)) for _ in range(2))
        g[::2] = -a[::2] + rng.integers(-3, 4, a[::2].shape)
        # A gradient that is large beside all others, and one that ends them: zeros with anything.
        a[::5], g[::5] = -9, 123
        with np.errstate(under="ignore"):
            inputs, gradients = (
                (np.clip(v, -3, 3) * 2.0**e).astype(np.float32)
                for v, e in ((one.inputs, a), (one.gradients, g))
            )
        inputs[::13] = gradients[::11] = 0
        sides.append(Factors((one._replace(inputs=inputs, gradients=gradients),)))
    want = reference.grad_dot(sides[0].layers, sides[1].layers)
    got = kernels.grad_products(*sides, tol=tol, backend=backend)
    assert_within(got, want, (tol or 1e-6) * np.outer(norms(sides[0]), norms(sides[1])) + 1e-300)


@pytest.mark.card
def test_symmetric_equals_rectangular(backend: str, rng: np.random.Generator) -> None:
    points = ragged(rng, some(backend, 700, 60), [(2, 70, 30, True)])
    got = kernels.grad_dot(points, points, symmetric=True, tol=TOL, backend=backend)
    assert (got == got.T).all()
    both = kernels.grad_dot(points, points, tol=TOL, backend=backend)
    assert_within(got, both, 2 * allowed(points, points))


@pytest.mark.card
def test_cosines_and_parts(backend: str, rng: np.random.Generator) -> None:
    queries, points = ragged(rng, 12), ragged(rng, 30)
    live = np.outer(norms(queries), norms(points))
    want = reference.grad_dot(queries.layers, points.layers)
    cosine = kernels.grad_dot(queries, points, cosine=True, tol=TOL, backend=backend)
    assert_within(cosine[live > 0], (want[live > 0] / live[live > 0]), TOL + 1e-6)
    layers = kernels.grad_dot(queries, points, parts=range(4), tol=TOL, backend=backend)
    for number, got in enumerate(layers):
        one, other = (Factors((side.layers[number],)) for side in (queries, points))
        want = reference.grad_dot(one.layers, other.layers)
        assert_within(got, want, allowed(one, other) * (1 + 1e-6) + 1e-30)


@pytest.mark.card
def test_float64_factors_stay_exact(backend: str, rng: np.random.Generator) -> None:
    queries, points = (factors(rng, n, SHAPES, ragged=True) for n in (9, 30))
    got = kernels.grad_dot(queries, points, tol=TOL, backend=backend)
    want = reference.grad_dot(queries.layers, points.layers)
    assert_within(got, want, allowed(queries, points, 1e-13))


@pytest.mark.card
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_stays_where_it_is(
    backend: str, bad: float, rng: np.random.Generator
) -> None:
    shapes = [(2, 70, 30, True)]
    queries, points = (factors(rng, n, shapes, dtype=np.float32) for n in (6, 40))
    points.layers[0].inputs[2 * 17, 66] = bad
    got = kernels.grad_products(queries, points, tol=TOL, backend=backend, assume_finite=True)
    assert not np.isfinite(got[:, 17]).any()
    assert np.isfinite(np.delete(got, 17, axis=1)).all()


@pytest.mark.parametrize("tol", [0, 1e-5, -1e-3, 1, float("nan")])
def test_refused_tolerances(tol: float, rng: np.random.Generator) -> None:
    one = ragged(rng, 3)
    with pytest.raises(ValueError, match=r"tol is .*; 1e-4 <= tol < 1 is wanted"):
        kernels.grad_dot(one, one, tol=tol)
    with pytest.raises(ValueError, match="screen=True"):
        kernels.grad_dot(one, one, k=2, tol=1e-3)
