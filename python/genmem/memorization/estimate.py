"""The memorization score from the log-densities of K folds x L repeats: in against out of sample.

M_i = log P(x_i | D) - log P(x_i | D without the fold of i), P the mean density of a trained model.
Arrays have repeats first, then folds, then rows: values (L, K, n) is log p of row i under the model
of repeat l trained without fold k, in nats; held_out (L, n) is the fold of row i in repeat l.

Source: van den Burg & Williams (2021), On Memorization in Probabilistic Deep Generative Models.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from genmem.memorization.accumulate import Float, logmeanexp


@dataclass(frozen=True)
class InOut:
    """The values of each row by side.

    ins   (L, K-1, n) log p under the models that saw the row, folds in order, nats
    outs  (L, n)      log p under the model that did not, nats
    """

    ins: Float
    outs: Float


def split(values: npt.ArrayLike, held_out: npt.ArrayLike) -> InOut:
    """Part values (L, K, n) into the in-sample and out-of-sample side of each row.

    held_out  (L, n) integers, the fold that each row belongs to in each repeat
    Raises ValueError if the shapes disagree, there are fewer than two folds, or a fold is out of
    range.
    """
    log_p, fold = np.asarray(values, np.float64), np.asarray(held_out)
    if log_p.ndim != 3 or fold.shape != (log_p.shape[0], log_p.shape[2]):
        raise ValueError(
            f"split: values has shape {log_p.shape} and held_out {fold.shape};"
            " (L, K, n) and (L, n) are wanted"
        )
    folds = log_p.shape[1]
    if folds < 2 or log_p.shape[0] < 1:
        raise ValueError(
            f"split: values has shape {log_p.shape}; at least 1 repeat and 2 folds are wanted"
        )
    if fold.dtype.kind not in "iu" or (fold.size and not (fold.min() >= 0 and fold.max() < folds)):
        raise ValueError(f"split: held_out must hold fold numbers 0..{folds - 1}")
    place = np.arange(folds - 1)[None, :, None]
    seen = place + (place >= fold[:, None, :])
    return InOut(
        ins=np.take_along_axis(log_p, seen, axis=1),
        outs=np.take_along_axis(log_p, fold[:, None, :].astype(np.int64), axis=1)[:, 0],
    )


def log_in(sides: InOut) -> Float:
    """U_i = logmeanexp over l and k != k(i, l) of log p_lk(x_i), L(K-1) values: (n,), in nats."""
    return logmeanexp(sides.ins, axis=(0, 1))


def log_out(sides: InOut) -> Float:
    """V_i = logmeanexp over l of log p_{l, k(i, l)}(x_i): (n,), L values each, in nats."""
    return logmeanexp(sides.outs, axis=0)


def plain_score(sides: InOut) -> Float:
    """U - V with all L(K-1) in-sample values against L: (n,), in nats.

    Biased upward where log p scatters between models; kept for comparison with published scores.
    """
    return log_in(sides) - log_out(sides)


def log_differences(sides: InOut) -> Float:
    """Mean in-sample log p less the out-of-sample one, repeat by repeat: (L, n), in nats.

    Their mean over repeats estimates another quantity than M, the expected log-density of a single
    trained model; it has no bias, and its mean over rows is the cross-validated generalization gap.
    """
    return np.asarray(sides.ins.mean(axis=1) - sides.outs)


def spread(sides: InOut) -> Float:
    """Standard deviation of the in-sample log p: (n,), in nats; NaN for a single value."""
    count = sides.ins.shape[0] * sides.ins.shape[1]
    if count < 2:
        return np.full(sides.ins.shape[2], np.nan)
    return np.asarray(sides.ins.std(axis=(0, 1), ddof=1))
