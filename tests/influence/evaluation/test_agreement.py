"""Correlations, leave-one-out and LDS: against scipy, dattri, and models where they must be 1."""

from __future__ import annotations

import warnings

import numpy as np
import numpy.typing as npt
import pytest
import torch
from scipy import stats
from torch import Tensor, nn

from genmem.influence import TracIn
from genmem.influence.evaluation import (
    correlations,
    datamodel_subsets,
    leave_one_out,
    leave_one_out_correlation,
    linear_datamodeling_score,
    retrained_outputs,
)

Float64 = npt.NDArray[np.float64]


def test_correlations_are_those_of_scipy() -> None:
    rng = np.random.default_rng(0)
    left = np.round(rng.normal(size=(6, 9)), 1)  # with ties
    right = np.round(left + rng.normal(size=(6, 9)), 1)
    for kind, truth in (("spearman", stats.spearmanr), ("pearson", stats.pearsonr)):
        want = [truth(a, b).statistic for a, b in zip(left, right, strict=True)]
        got = correlations(left, right, kind)
        np.testing.assert_allclose(got.per_query, want, rtol=1e-12)
        np.testing.assert_allclose(got.mean, np.mean(want), rtol=1e-12)
        low, high = stats.t.interval(0.95, 5, np.mean(want), stats.sem(want))
        np.testing.assert_allclose((got.lower, got.upper), (low, high), rtol=1e-12)
        assert got.undefined == 0


def test_a_constant_row_is_undefined_and_counted() -> None:
    rng = np.random.default_rng(0)
    left, right = rng.normal(size=(3, 5)), rng.normal(size=(3, 5))
    left[1] = 0.1
    got = correlations(left, right)
    assert np.isnan(got.per_query[1])
    assert got.undefined == 1
    np.testing.assert_allclose(got.mean, got.per_query[[0, 2]].mean())
    alone = correlations(left[:1], right[:1])
    assert np.isnan((alone.lower, alone.upper)).all()
    with pytest.raises(ValueError, match="constant for each of 1"):
        correlations(left[1:2], right[1:2])
    with pytest.raises(ValueError, match=r"shapes \(3, 5\) and \(3, 4\)"):
        correlations(left, right[:, :4])
    right[2, 3] = np.nan
    with pytest.raises(ValueError, match="row 2 of the right side is not finite"):
        correlations(left, right)


def test_lds_is_that_of_dattri() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        metric = pytest.importorskip("dattri.metric")
    rng = np.random.default_rng(0)
    scores, outputs = rng.normal(size=(4, 20)), rng.normal(size=(7, 4))
    subsets = datamodel_subsets(20, 7)
    indices = torch.tensor(np.stack([np.flatnonzero(mask) for mask in subsets]))
    want, _ = metric.lds(torch.tensor(scores.T), (torch.tensor(outputs), indices))
    got = linear_datamodeling_score(scores, subsets, outputs)
    np.testing.assert_allclose(got.per_query, want, rtol=1e-10)
    with pytest.raises(ValueError, match=r"outputs \(4, 7\); \(Q, N\)"):
        linear_datamodeling_score(scores, subsets, outputs.T)


def test_sums_that_predict_perfectly_score_one() -> None:
    rng = np.random.default_rng(0)
    scores, subsets = rng.normal(size=(4, 30)), datamodel_subsets(30, 12, 0.3)
    got = linear_datamodeling_score(scores, subsets, np.exp(subsets @ scores.T))
    np.testing.assert_allclose(got.per_query, 1.0, rtol=1e-12)


# A short gradient descent: tiny, deterministic, and short enough that later steps do not undo what
# a sample did to the weights, which a sum of gradient products cannot know.
GENERATOR = torch.Generator().manual_seed(0)
X = torch.randn(24, 4, generator=GENERATOR).double()
Y = X @ torch.tensor([1.0, -2, 0.5, 0]).double() + 0.5 * torch.randn(24, generator=GENERATOR)
Z = torch.randn(8, 4, generator=GENERATOR).double()
W = Z @ torch.tensor([1.0, -2, 0.5, 0]).double() + 0.5 * torch.randn(8, generator=GENERATOR)


def half_square(model: nn.Module, batch: tuple[Tensor, Tensor], noise: None) -> Tensor:
    return 0.5 * (model(batch[0])[:, 0] - batch[1]).square()


def trained(rows: npt.NDArray[np.int64], seed: int, kept: list[object] | None = None) -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 1)).double()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
    for step in range(16):
        if kept is not None and step % 2 == 0:
            state = {name: value.clone() for name, value in model.state_dict().items()}
            # Its weights count for the two steps that follow.
            kept.append({"state_dict": state, "lr": 0.05, "step": step + 2})
        optimizer.zero_grad()
        batch = (X[rows], Y[rows])
        torch.autograd.backward(half_square(model, batch, None).sum() / len(X))
        optimizer.step()
    return model


def fit(model: nn.Module) -> Float64:
    return -half_square(model, (Z, W), None).detach().numpy()


@pytest.fixture(scope="module")
def scores() -> Float64:
    kept: list[object] = []
    model = trained(np.arange(24), 0, kept)
    weights = np.full(len(kept), 0.05 * 2 / 24)
    return TracIn(kept, half_square, model=model, weights=weights).influence((Z, W), (X, Y))


def test_tracin_agrees_with_leaving_samples_out_of_a_tiny_training(scores: Float64) -> None:
    truth = leave_one_out(trained, fit, 24)
    got = leave_one_out_correlation(scores, truth)
    assert got.mean > 0.8
    assert got.lower > 0.7
    some = np.array([3, 1, 7, 9])
    part = leave_one_out_correlation(scores, truth[:, some], some, "spearman")
    assert part.per_query.shape == (8,)
    shuffled = leave_one_out_correlation(scores, truth[:, ::-1])
    assert shuffled.mean < 0.3


def test_tracin_predicts_models_of_random_subsets(scores: Float64) -> None:
    subsets = datamodel_subsets(24, 40)
    outputs = retrained_outputs(trained, fit, subsets)
    got = linear_datamodeling_score(scores, subsets, outputs)
    assert got.per_query.shape == (8,)
    assert got.mean > 0.9
    assert abs(linear_datamodeling_score(scores[:, ::-1], subsets, outputs).mean) < 0.4
