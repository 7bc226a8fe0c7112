"""Sketches: unbiased, of the stated variance, keyed by seed and layer; retrieval, exact scores."""

import numpy as np
import pytest

from budget import assert_within
from genmem import _core, reference
from genmem.kernels import Factors, LayerFactors, retrieve, sketch
from genmem.kernels.factors import factor_sides


def factors(rng: np.random.Generator, samples: int) -> Factors:
    """Two layers, one with a bias, tokens 0 .. 4."""
    layers = []
    for number, (d, p, bias) in enumerate([(7, 5, True), (4, 9, False)]):
        counts = rng.integers(0, 5, samples)
        offsets = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
        a, g = (rng.standard_normal((offsets[-1], w)).astype(np.float32) for w in (d, p))
        layers.append(LayerFactors(f"{number}", a, g, offsets, bias))
    return Factors(tuple(layers))


@pytest.mark.card
def test_is_the_formula(backend: str, rng: np.random.Generator) -> None:
    """A sketch of the unit gradients reads the signs; all others are then given by linearity."""
    d, p, dim = 6, 4, 33
    pairs = [(i, j) for i in range(d) for j in range(p)]
    a, g = (np.eye(d)[[i for i, _ in pairs]], np.eye(p)[[j for _, j in pairs]])
    unit = Factors((LayerFactors("fc", a, g, np.arange(d * p + 1), False),))
    signs = sketch(unit, dim, backend=backend) * np.sqrt(dim)
    assert_within(np.abs(signs), np.ones_like(signs), 1e-6)
    table = signs.reshape(d, p, dim)
    assert_within(table, table[:, :1] * table[:1] * table[:1, :1], 1e-6)  # of rank one
    tokens = rng.standard_normal((3, d)), rng.standard_normal((3, p))
    one = Factors((LayerFactors("fc", *tokens, np.array([0, 3]), False),))
    want = np.einsum("td,tp,dpq->q", *tokens, table) / np.sqrt(dim)
    assert_within(sketch(one, dim, backend=backend)[0], want, 1e-5)


def test_is_unbiased_and_of_the_stated_variance(rng: np.random.Generator) -> None:
    given = factors(rng, 12)
    exact = reference.grad_dot(given.layers, given.layers)
    norm = np.sqrt(np.diagonal(exact))
    dim = 4000
    signs = sketch(given, dim, seed=3).astype(np.float64) * np.sqrt(dim)
    products = signs[:, None] * signs[None]  # (n, n, dim) independent estimates
    spread = products.std(axis=2)
    assert_within(products.mean(axis=2), exact, 5 * spread / np.sqrt(dim) + 1e-4)
    most = np.sqrt(np.maximum(9 * np.outer(norm, norm) ** 2 - exact**2, 0))
    assert (spread <= 1.2 * most + 1e-6).all()


def test_depends_on_seed_and_layer_and_not_on_the_batch(rng: np.random.Generator) -> None:
    given = factors(rng, 20)
    whole = sketch(given, 50, seed=1)
    assert (whole[5:9] == sketch(given.samples(5, 9), 50, seed=1)).all()
    assert whole[:, :30] * np.sqrt(50) == pytest.approx(sketch(given, 30, seed=1) * np.sqrt(30))
    assert not (whole == sketch(given, 50, seed=2)).all()
    same = given.layers[0]
    twice = sketch(Factors((same, same)), 50)
    assert not np.allclose(twice, 2 * sketch(Factors((same,)), 50))


@pytest.mark.card
def test_retrieval(backend: str, rng: np.random.Generator) -> None:
    """All points as candidates: the exact answer; few: exact scores of what was found."""
    queries, points = factors(rng, 6), factors(rng, 200)
    exact = reference.grad_dot(queries.layers, points.layers)
    sides = sketch(queries, 64), sketch(points, 64)
    all_ = retrieve(queries, points, *sides, 5, candidates=200, backend=backend)
    assert (all_.indices == np.argsort(-exact, axis=1, kind="stable")[:, :5]).all()
    few = retrieve(queries, points, *sides, 5, backend=backend)
    assert_within(few.scores, np.take_along_axis(exact, few.indices, axis=1), 1e-6)
    assert (few.indices == all_.indices).mean() > 0.7


def test_refused(rng: np.random.Generator) -> None:
    one = factors(rng, 8)
    s = sketch(one, 4)
    with pytest.raises(ValueError, match="dim is 0"):
        sketch(one, 0)
    with pytest.raises(ValueError, match="k is 9"):
        retrieve(one, one, s, s, 9)
    with pytest.raises(ValueError, match="candidates is 2"):
        retrieve(one, one, s, s, 3, candidates=2)
    with pytest.raises(ValueError, match="query_sketches has shape"):
        retrieve(one, one, s[1:], s, 3)
    with pytest.raises(ValueError, match="indices holds 8"):
        _core.grad_dot_listed(*factor_sides(one, one), np.full((8, 1), 8), "serial", 1)
