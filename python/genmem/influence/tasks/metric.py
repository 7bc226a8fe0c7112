"""Metrics with dattri's signatures (dattri.metric 0.3.0); see genmem.influence.evaluation for ours.

Scores are (N, Q) here, as `TracInAttributor.attribute` answers.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from scipy.stats import pearsonr, spearmanr
from torch import Tensor

from genmem.influence.mislabel import detection


def lds(score: Tensor, ground_truth: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
    """Linear datamodeling score of each test sample and its p-value, each (Q,).

    score         (N, Q)
    ground_truth  what models say of the test samples (S, Q), and the training samples that each
                  was trained on (S, size)
    """
    values, indices = ground_truth
    sums = torch.stack([score.double()[rows].sum(0) for rows in indices])
    return _by_column(spearmanr, sums, values, score.dtype)


def loo_corr(score: Tensor, ground_truth: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
    """Pearson correlation with leave-one-out values, and its p-value, each (Q,).

    score         (N, Q)
    ground_truth  what the models say (K, Q), and the training sample that each went without (K,)
    """
    values, removed = ground_truth
    return _by_column(pearsonr, score[removed.long()], values, score.dtype)


def mislabel_detection_auc(
    score: Tensor, ground_truth: Tensor
) -> tuple[float, tuple[Tensor, Tensor, Tensor]]:
    """ROC AUC of self-influence (N,) for mislabeled samples, and the curve.

    The curve is (false_rate, true_rate, thresholds) of sklearn.metrics.roc_curve.

    ground_truth  (N,), nonzero where mislabeled. Ties count half, whatever their order
    """
    from sklearn.metrics import roc_curve

    marks = ground_truth.bool().cpu().numpy()
    found = detection(score.double().cpu().numpy(), marks)
    false_rate, true_rate, thresholds = (
        torch.from_numpy(a) for a in roc_curve(marks, score.cpu().numpy())
    )
    return found.auc, (false_rate, true_rate, thresholds)


def _by_column(
    measure: Callable[..., Any], left: Tensor, right: Tensor, dtype: torch.dtype
) -> tuple[Tensor, Tensor]:
    columns = zip(left.T.cpu().numpy(), right.T.cpu().numpy(), strict=True)
    found = np.array([tuple(measure(a, b)) for a, b in columns], np.float64)
    values, pvalues = torch.from_numpy(found.T.copy()).to(dtype)
    return values, pvalues
