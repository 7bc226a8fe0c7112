"""Log of a mean of importance weights, with its effective sample size and standard error.

log p^ = logmeanexp_s lw_s      ESS = (sum w)^2 / sum w^2      v = S/(S-1) (1/ESS - 1/S)

v is the variance of log p^ to first order, and -v/2 its bias.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import logsumexp

Float64 = npt.NDArray[np.float64]


@dataclass(frozen=True)
class LogMarginal:
    """Estimates of log p(x) in nats, one per sample, all (B,) float64.

    log_p  logmeanexp of the log-weights: a lower bound of log p(x) in expectation
    ess    effective number of draws, 1..S; near 1 one draw carries the sum and se is unreliable
    se     standard error of log_p in nats, to first order; NaN for a single draw
    """

    log_p: Float64
    ess: Float64
    se: Float64

    def __len__(self) -> int:
        return len(self.log_p)

    @property
    def corrected(self) -> Float64:
        """log_p + se^2 / 2, its first-order bias taken back."""
        return self.log_p + 0.5 * self.se**2

    @classmethod
    def join(cls, parts: Sequence[LogMarginal]) -> LogMarginal:
        """The estimates of several batches, one after the other."""
        fields = ("log_p", "ess", "se")
        none = np.empty(0)
        return cls(*(np.concatenate([none, *(getattr(part, f) for part in parts)]) for f in fields))


class LogWeights:
    """Sums over the log-weights of B samples as they come: memory does not grow with the draws.

    Holds the largest log-weight m, sum exp(lw - m) and sum exp(2 (lw - m)); when m grows, the sums
    are rescaled by exp(old - new) and by its square. `first` is the position of the first sample
    in whatever the caller counts, for messages.
    """

    def __init__(self, samples: int, first: int = 0) -> None:
        self.draws = 0
        self.first = first
        self.largest = np.full(samples, -np.inf)
        self.total = np.zeros(samples)
        self.sq_total = np.zeros(samples)

    def add(self, log_weights: Float64) -> None:
        """Take in log-weights (B, m) of further draws; FloatingPointError on NaN or +inf."""
        faulty = (np.isnan(log_weights) | np.isposinf(log_weights)).any(1)
        if faulty.any():
            row = self.first + int(np.argmax(faulty))
            raise FloatingPointError(
                f"log-weights: sample {row} has a log-weight of NaN or +inf; "
                "the model has diverged, or the sample is not finite"
            )
        largest = np.maximum(self.largest, log_weights.max(1, initial=-np.inf))
        # Where every weight is 0 so far there is nothing to rescale, and -inf - -inf is NaN.
        origin = np.where(np.isneginf(largest), 0.0, largest)
        rescale = np.exp(self.largest - origin)
        weights = np.exp(log_weights - origin[:, None])
        self.total = self.total * rescale + weights.sum(1)
        self.sq_total = self.sq_total * rescale**2 + np.square(weights).sum(1)
        self.largest = largest
        self.draws += log_weights.shape[1]

    def result(self) -> LogMarginal:
        """The estimates from the draws so far; where all weights are 0: log p -inf, ESS NaN."""
        if not self.draws:
            raise ValueError("log-weights: there is no draw to average; 1 or more are wanted")
        with np.errstate(divide="ignore", invalid="ignore"):
            log_p = self.largest + np.log(self.total) - np.log(self.draws)
            ess = self.total**2 / self.sq_total
        if self.draws == 1:
            return LogMarginal(log_p, ess, np.full(len(log_p), np.nan))
        # Equal weights have v = 0; rounding may leave it at -1e-17.
        spread = np.maximum(1 / ess - 1 / self.draws, 0.0)
        return LogMarginal(log_p, ess, np.sqrt(self.draws / (self.draws - 1) * spread))


def jackknife(log_weights: npt.ArrayLike) -> Float64:
    """S L_S - (S-1) mean_s L_(-s), (B,) nats: log p^ without its bias of order 1/S.

    log_weights (B, S); L_(-s) leaves draw s out. Raises ValueError if S < 2.
    """
    lw = np.asarray(log_weights, np.float64)
    if lw.ndim != 2 or lw.shape[1] < 2:
        raise ValueError(f"jackknife: log-weights have shape {lw.shape}; (B, S >= 2) is wanted")
    rows, draws = np.arange(len(lw)), lw.shape[1]
    log_sum = logsumexp(lw, axis=1)
    # Without draw s the sum is (1 - r_s) of the whole. The largest r may be 1 to the last digit,
    # so that case is summed anew; the others are at most 1/2.
    largest = lw.argmax(1)
    others = lw.copy()
    others[rows, largest] = -np.inf
    left_out = log_sum[:, None] + np.log1p(-np.exp(others - log_sum[:, None]))
    left_out[rows, largest] = logsumexp(others, axis=1)
    mean_left_out = left_out.mean(1) - np.log(draws - 1)
    answer: Float64 = draws * (log_sum - np.log(draws)) - (draws - 1) * mean_left_out
    return answer
