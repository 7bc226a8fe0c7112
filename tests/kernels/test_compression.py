"""Token compression: the certificate holds, whatever is compressed, and resembling tokens go."""

import numpy as np
import pytest

from budget import assert_within
from genmem import kernels, reference
from genmem.kernels import Factors, LayerFactors, compress, compression_bound
from genmem.reference.grad_dot import gradients
from genmem.reference.knn import Float64


def draws(
    rng: np.random.Generator,
    samples: int,
    tokens: int,
    d: int,
    p: int,
    *,
    spread: float,
    bias: bool,
    dtype: type = np.float32,
) -> LayerFactors:
    """Tokens that differ from their sample's mean by `spread` of it; the third sample has none, the
    fourth a zero gradient, the others a half to all of `tokens`."""
    counts = rng.integers(tokens // 2, tokens + 1, samples)
    counts[2] = 0
    offsets = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    of = np.repeat(np.arange(samples), counts)
    a, g = (
        rng.standard_normal((samples, width))[of] + spread * rng.standard_normal((len(of), width))
        for width in (d, p)
    )
    g[of == 3] = 0
    return LayerFactors("draws", a.astype(dtype), g.astype(dtype), offsets, bias)


def one_token(rng: np.random.Generator, samples: int, scale: float) -> LayerFactors:
    a, g = rng.standard_normal((samples, 7)), rng.standard_normal((samples, 5))
    return LayerFactors("one", a * scale, g, np.arange(samples + 1), True)


def formed(of: Factors) -> Float64:
    return np.hstack([gradients(layer) for layer in of.layers])


@pytest.mark.parametrize("tol", [1e-6, 1e-3, 0.1])
@pytest.mark.parametrize("spread", [0, 1e-3, 0.1, 3])
@pytest.mark.parametrize("bias", [False, True])
def test_the_error_is_certified(
    tol: float, spread: float, bias: bool, rng: np.random.Generator
) -> None:
    layers = (
        draws(rng, 9, 8, 12, 10, spread=spread, bias=bias),
        draws(rng, 9, 6, 2, 40, spread=spread, bias=bias, dtype=np.float64),
        one_token(rng, 9, 0.1),
    )
    given = Factors(layers)
    got = compress(given, tol)
    whole = np.hstack([gradients(layer) for layer in layers])
    error = np.linalg.norm(whole - formed(got.factors), axis=1)
    norm = np.linalg.norm(whole, axis=1)
    assert_within(got.norms, norm, 1e-12 * norm + 1e-300)
    assert (error <= got.errors + 1e-12 * norm).all()
    # Not much beyond what was allowed, or what the type of the tokens can hold.
    assert (got.errors <= tol * norm + 1e-6 * norm).all()
    bound = compression_bound(got, got)
    exact = reference.grad_dot(layers, layers)
    off = np.abs(reference.grad_dot(got.factors.layers, got.factors.layers) - exact)
    assert (off <= bound + 1e-12 * np.outer(norm, norm)).all()


def test_resembling_draws_become_few(rng: np.random.Generator) -> None:
    layer = draws(rng, 50, 16, 40, 30, spread=1e-3, bias=True)
    got = compress(Factors((layer,)), 0.01).factors
    assert np.diff(got.layers[0].offsets).max() == 1
    layer = draws(rng, 50, 16, 40, 30, spread=3, bias=True)
    whole = compress(Factors((layer,)), 1e-6).factors.layers[0].offsets
    assert (np.diff(whole)[4:] == np.diff(layer.offsets)[4:]).all()


def test_more_tokens_than_features_are_exact(rng: np.random.Generator) -> None:
    """Rank 3: no more than three tokens are needed, bias and all."""
    layer = draws(rng, 12, 20, 2, 30, spread=3, bias=True, dtype=np.float64)
    got = compress(Factors((layer,)), 1e-6)
    assert np.diff(got.factors.layers[0].offsets).max() == 3
    assert (got.errors <= 1.1e-6 * got.norms).all()


def test_long_samples_stay(rng: np.random.Generator) -> None:
    layer = draws(rng, 5, 200, 3, 4, spread=0.1, bias=True)
    got = compress(Factors((layer,)), 0.1)
    assert len(got.factors.layers[0].inputs) == len(layer.inputs)
    assert_within(
        kernels.grad_products(got.factors, got.factors),
        reference.grad_dot([layer], [layer]),
        1e-6 * np.outer(got.norms, got.norms) + 1e-300,
    )


@pytest.mark.parametrize("tol", [0, 1e-7, 1, np.nan])
def test_refused_tolerances(tol: float, rng: np.random.Generator) -> None:
    with pytest.raises(ValueError, match="tol is"):
        compress(Factors((one_token(rng, 3, 1),)), tol)
