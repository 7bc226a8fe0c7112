"""What a call of a kernel did, for a caller who asks with return_stats=True."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True)
class Work:
    """How an answer was computed; none of it changes the answer.

    backend    what ran: "serial", "avx2", "avx512", "amx", "neon", "cuda" or "cuda-emulated"
    screened   whether a certified low-precision screen went before the exact distances
    pairs      (query, point) pairs in question
    distances  pairs whose distance was computed exactly; the others were ruled out by a bound.
               On several threads it may vary, as they tell each other how near they have come
    waits      times that the host waited for a card to do all it had been given
    error      (M,) or (H, M), for a Gaussian log_kde: certified |log p - exact log p| of each
               answer, in nats; else None
    """

    backend: str
    screened: bool
    pairs: int
    distances: int
    waits: int = 0
    error: npt.NDArray[np.float64] | None = None

    @property
    def skipped(self) -> int:
        """Pairs that a bound ruled out."""
        return self.pairs - self.distances
