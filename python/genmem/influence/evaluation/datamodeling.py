"""The linear datamodeling score: do sums of influence predict models trained on random subsets?

    LDS(z) = Spearman over subsets S of  f(z | S)  with  sum_{i in S} score(z, i)

Source: Park, Georgiev, Ilyas, Leclerc & Madry (2023), TRAK: attributing model behavior at scale,
definition 2.3; Ilyas et al. (2022), Datamodels.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from genmem.influence.evaluation.correlations import Correlations, correlations
from genmem.noise import uniforms

Float64 = npt.NDArray[np.float64]


def datamodel_subsets(
    n: int, count: int, fraction: float = 0.5, seed: int = 0
) -> npt.NDArray[np.bool_]:
    """(count, n) bool: random subsets of round(fraction n) of n samples each.

    Subset s is the same for every count: keyed by (seed, s, sample).
    Raises ValueError if a subset would be empty or everything.
    """
    size = round(fraction * n)
    if not 0 < size < n or count < 1:
        raise ValueError(
            f"datamodel_subsets: n is {n}, fraction {fraction}, count {count}; subsets of 1..n-1 "
            "samples are wanted, at least one"
        )
    keys = uniforms(seed, np.arange(n), np.arange(count), 1, stream="datamodel subsets")[..., 0]
    order = np.argsort(keys, axis=0, kind="stable")
    masks = np.zeros((n, count), np.bool_)
    np.put_along_axis(masks, order[:size], True, axis=0)
    return np.ascontiguousarray(masks.T)


def linear_datamodeling_score(
    scores: npt.ArrayLike, subsets: npt.ArrayLike, outputs: npt.ArrayLike
) -> Correlations:
    """LDS of each test sample, and their mean.

    scores   (Q, N) influence, positive = proponent
    subsets  (S, N) bool, of `datamodel_subsets`
    outputs  (S, Q) of `retrained_outputs`, on a scale that proponents raise

    Raises ValueError for shapes that do not agree, or fewer than 3 subsets.
    """
    influence, masks = np.asarray(scores, np.float64), np.asarray(subsets)
    truth = np.asarray(outputs, np.float64)
    wanted = (len(masks), len(influence))
    if masks.dtype != np.bool_ or masks.shape[1:] != influence.shape[1:] or truth.shape != wanted:
        raise ValueError(
            f"linear_datamodeling_score: scores {influence.shape}, subsets {masks.shape} of "
            f"{masks.dtype}, outputs {truth.shape}; (Q, N), (S, N) of bool and (S, Q) are wanted"
        )
    return correlations(influence @ masks.T.astype(np.float64), truth.T)
