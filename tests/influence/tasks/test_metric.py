"""Metrics with dattri's signatures give dattri's numbers."""

from __future__ import annotations

import warnings
from typing import Any

import pytest
import torch

from genmem.influence.evaluation import datamodel_subsets
from genmem.influence.tasks import metric
from influence.traps import randn


@pytest.fixture
def theirs() -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return pytest.importorskip("dattri.metric")


def same(got: Any, want: Any) -> None:
    for mine, other in zip(got, want, strict=True):
        assert mine.dtype == other.dtype
        torch.testing.assert_close(mine, other, rtol=1e-6, atol=1e-7)


def test_lds_and_leave_one_out(theirs: Any) -> None:
    score, outputs = randn(20, 4), randn(9, 4, seed=1)
    indices = torch.tensor(datamodel_subsets(20, 9)).nonzero()[:, 1].view(9, 10)
    same(metric.lds(score, (outputs, indices)), theirs.lds(score, (outputs, indices)))
    whole = (randn(20, 4, seed=2), torch.arange(20))
    same(metric.loo_corr(score, whole), theirs.loo_corr(score, whole))
    # dattri takes row k of the values for the sample k, whatever the indices say.
    order = torch.randperm(20, generator=torch.Generator().manual_seed(0))
    mixed = (whole[0][order], order)
    same(metric.loo_corr(score, mixed), metric.loo_corr(score, whole))


def test_mislabel_auc(theirs: Any) -> None:
    score, marks = randn(30), torch.arange(30) % 4 == 0
    got, (false_rate, true_rate, _) = metric.mislabel_detection_auc(score, marks)
    want, _ = theirs.mislabel_detection_auc(score, marks)
    assert got == pytest.approx(float(want), rel=1e-6)
    assert torch.trapezoid(true_rate, false_rate).item() == pytest.approx(got, rel=1e-12)
    # A rank that knows nothing is worth one half; dattri's answer depends on the order of ties.
    assert metric.mislabel_detection_auc(torch.zeros(30), marks)[0] == pytest.approx(0.5)
