"""Retrieval by sketches: exact scores, the strongest found, only the candidates read."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from genmem.errors import RunMismatchError
from genmem.influence import FactorStore, TracIn, retrieve, score, sketches
from genmem.influence.stores import retrieval
from genmem.influence.stores.blocks import take
from genmem.kernels import Factors, LayerFactors, grad_dot
from influence.traps import randn

N, Q = 60, 5
X = randn(N, 3, 6)
Z = X[[3, 17, 31, 44, 59]] + 0.05 * randn(Q, 3, 6, seed=2)  # near copies: their own proponents


def loss(model: nn.Module, x: Tensor, noise: None) -> Tensor:
    return model(x).square().sum((1, 2))


def tracin(seed: int = 0) -> TracIn:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = nn.Sequential(nn.Linear(6, 40), nn.Tanh(), nn.LayerNorm(40), nn.Linear(40, 20))
    model = model.double()
    states = [{n: s * v for n, v in model.state_dict().items()} for s in (1.0, 0.7)]
    return TracIn(states, loss, model=model, weights=[1.0, 0.5], block=16)


@pytest.fixture
def stores(tmp_path: Path) -> tuple[FactorStore, FactorStore]:
    return tracin().capture(Z, side="test"), tracin().capture(X, tmp_path / "train")


def test_sketches_estimate_products(stores: tuple[FactorStore, FactorStore]) -> None:
    queries, points = stores
    truth = score(queries, points)
    errors = []
    for seed in range(4):
        left, right = (sketches(side, 512, seed=seed) for side in stores)
        assert left.shape == (Q, 512)
        assert left.dtype == np.float32
        errors.append(left @ right.T - truth)
    spread = np.std(errors, axis=0)
    assert np.abs(np.mean(errors)) < np.mean(spread)
    scale = np.linalg.norm(truth) / np.sqrt(truth.size)
    assert np.sqrt(np.mean(np.square(errors))) < 0.5 * scale


@pytest.mark.parametrize("proponents", [True, False])
def test_all_candidates_are_the_exact_answer(
    stores: tuple[FactorStore, FactorStore], proponents: bool
) -> None:
    want = score(*stores, k=4, proponents=proponents)
    got = retrieve(*stores, 4, proponents, dim=16, candidates=N)
    np.testing.assert_array_equal(got.indices, want.indices)
    np.testing.assert_allclose(got.scores, want.scores, rtol=1e-12)


def test_few_candidates_find_the_strongest(stores: tuple[FactorStore, FactorStore]) -> None:
    want = score(*stores, k=1)
    got = retrieve(*stores, 1, dim=2048, candidates=12)
    np.testing.assert_array_equal(got.indices, want.indices)
    np.testing.assert_allclose(got.scores, want.scores, rtol=1e-12)


def test_sketches_are_kept_beside_the_blocks(
    stores: tuple[FactorStore, FactorStore], monkeypatch: pytest.MonkeyPatch
) -> None:
    _, points = stores
    first = sketches(points, 64)
    monkeypatch.setattr(retrieval, "sketch", None)  # would raise if it were called
    reopened = FactorStore.open(points.directory)
    np.testing.assert_array_equal(sketches(reopened, 64), first)
    path = points.directory / "sketch_64_0.safetensors"
    path.write_bytes(path.read_bytes()[:-1])
    monkeypatch.undo()
    with pytest.warns(RuntimeWarning, match="sketches: made again: .*sketch_64_0"):
        np.testing.assert_array_equal(sketches(reopened, 64), first)


def test_what_does_not_fit_is_refused(stores: tuple[FactorStore, FactorStore]) -> None:
    queries, points = stores
    for k, candidates in ((0, None), (5, 4), (N + 1, None)):
        with pytest.raises(ValueError, match=f"retrieve: k is {k} of"):
            retrieve(queries, points, k, candidates=candidates)
    with pytest.raises(RunMismatchError, match="side is 'train' there, 'test' now"):
        retrieve(points, points, 1)


def test_rows_are_taken_with_their_tokens() -> None:
    random = np.random.default_rng(0)
    offsets = np.array([0, 2, 2, 5, 6], np.int64)  # ragged, and one sample without tokens
    layer = LayerFactors("l", random.normal(size=(6, 3)), random.normal(size=(6, 2)), offsets, True)
    whole, rows = Factors((layer,)), np.array([3, 0, 1, 3])
    some = take(whole, rows)
    products = grad_dot(whole, whole)
    np.testing.assert_allclose(grad_dot(some, some), products[np.ix_(rows, rows)], rtol=1e-13)
