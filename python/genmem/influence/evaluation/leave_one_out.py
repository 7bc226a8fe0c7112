"""The influence that first-order scores stand for: train again without the sample."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from genmem.influence.evaluation.correlations import Correlations, Kind, correlations
from genmem.influence.evaluation.retraining import Evaluate, Train, retrained_outputs

Float64 = npt.NDArray[np.float64]


def leave_one_out(
    train: Train,
    evaluate: Evaluate,
    n: int,
    left_out: npt.ArrayLike | None = None,
    seeds: int = 1,
    **options: Any,
) -> Float64:
    """IF(x_i, z_q) = f(z_q | D) - f(z_q | D without i), (Q, K): positive = proponent.

    train, evaluate, seeds  see `retrained_outputs`; f is what evaluate gives, larger = likelier.
                            Both models of a difference share their seeds
    n         training samples in all
    left_out  (K,) positions of those that are left out, one at a time; None: all n
    options   executor, out, label, progress of `retrained_outputs`

    K + 1 trainings per seed. The noise of training does not cancel in a difference unless the order
    and the noise of the other samples are kept: average over seeds until it is small.
    """
    chosen = np.arange(n) if left_out is None else np.asarray(left_out)
    if n < 2 or chosen.ndim != 1 or not len(chosen) or chosen.min() < 0 or chosen.max() >= n:
        raise ValueError(
            f"leave_one_out: left_out has shape {chosen.shape} for n = {n}; positions in 0..n-1 "
            "are wanted, and n of at least 2"
        )
    subsets = np.ones((len(chosen) + 1, n), np.bool_)
    subsets[np.arange(1, len(chosen) + 1), chosen] = False
    outputs = retrained_outputs(train, evaluate, subsets, seeds, **options)
    return np.ascontiguousarray((outputs[0] - outputs[1:]).T)


def leave_one_out_correlation(
    scores: npt.ArrayLike,
    truth: npt.ArrayLike,
    left_out: npt.ArrayLike | None = None,
    kind: Kind = "pearson",
) -> Correlations:
    """How the scores of each test sample agree with leave-one-out influence over training samples.

    scores    (Q, N) of `TracIn.influence`;  truth  (Q, K) of `leave_one_out`
    left_out  (K,) as there;  kind  "pearson" or "spearman"
    """
    found = np.asarray(scores, np.float64)
    columns = found if left_out is None else found[:, np.asarray(left_out)]
    return correlations(columns, truth, kind)
