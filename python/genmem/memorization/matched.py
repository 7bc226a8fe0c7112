"""Matched counts: compare as many in-sample models as out-of-sample ones, so that no bias is left.

logmeanexp of n noisy values lies below the log of the mean by about Var(p)/(2 n p^2). The in-sample
side has L(K-1) values and the out-of-sample side L, so their plain difference is positive with no
memorization at all: 2.7 nats on average when log p scatters by 5 nats and K = L = 10. Taking one
in-sample fold per repeat gives both sides the same count; averaging over such choices takes the
noise of the choice out again. If the values of a row are exchangeable, the mean of the difference
is 0.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from genmem import noise
from genmem.memorization.accumulate import Float, logmeanexp

Int = npt.NDArray[np.int64]

# All choices at most this many are enumerated: exact, and about the work of a bootstrap.
ENUMERATED = 1000


def enumerates(folds: int, repeats: int) -> bool:
    """Whether all (K-1)^L choices are taken rather than random ones: at most 1000, or one repeat.

    With one repeat their average is the mean of the in-sample values, however many.
    """
    return repeats == 1 or (folds - 1) ** repeats <= ENUMERATED


def choose_folds(
    index: npt.ArrayLike, folds: int, repeats: int, *, choices: int = 20, seed: int = 0
) -> Int:
    """Which in-sample fold each choice takes in each repeat, as a position among the K - 1.

    All (K-1)^L choices in lexicographic order where `enumerates` says so, the same for every row:
    shape (C, L, 1). Otherwise `choices` random ones, keyed by (seed, index of the row, choice,
    repeat): shape (C, L, n).

    index    (n,) identities of the rows, 0 <= index < 2^32
    """
    if folds < 2 or repeats < 1 or choices < 1:
        raise ValueError(
            f"choose_folds: folds is {folds}, repeats {repeats}, choices {choices};"
            " at least 2, 1 and 1 are wanted"
        )
    inside = folds - 1
    if enumerates(folds, repeats):
        # The digits of 0 .. (K-1)^L - 1 in base K-1, the first repeat's the highest.
        number, place = np.arange(inside**repeats), inside ** np.arange(repeats)[::-1]
        return (number[:, None] // place % inside)[:, :, None].astype(np.int64)
    unit = noise.uniforms(seed, index, np.arange(choices), repeats, stream="matched")  # (n, C, L)
    return np.ascontiguousarray((unit * inside).astype(np.int64).transpose(1, 2, 0))


def take_choices(ins: Float, picks: Int) -> Float:
    """The in-sample values that are chosen: (C, L, n).

    ins (L, K-1, n) values;  picks (C, L, n or 1) of `choose_folds`
    """
    _, repeats, _ = picks.shape
    repeat = np.arange(repeats)[None, :, None]
    return ins[repeat, picks, np.arange(ins.shape[2])]


def matched_log_in(chosen: Float) -> Float:
    """The matched in-sample log-density U of each row, in nats.

    U_i = mean over choices c of logmeanexp over repeats l of log p_{l, c(l)}(x_i)

    chosen   (C, L, n) the values of `take_choices`
    returns  (n,)
    """
    return np.asarray(logmeanexp(chosen, axis=1).mean(axis=0))
