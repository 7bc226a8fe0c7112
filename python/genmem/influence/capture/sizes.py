"""How many bytes a sample's factors hold, and how many its capture holds on the way."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from torch import Tensor

from genmem.influence.capture.sites import Call, Piece, Tokens


class Sizes:
    """Bytes per sample, added up site by site from a probe of n samples.

    kept     of the factors
    working  while capturing: the inputs and output gradients of all calls, as much again for what
             autograd keeps, the largest piece twice (tokens and product), formed gradients
    """

    def __init__(self, n: int, calls: Sequence[Call]) -> None:
        self._n = n
        seen = sum(call.inputs.nbytes + call.gradients.nbytes for call in calls)
        self._calls, self._piece, self._formed = 2 * seen // n, 0, 0
        self.kept = 0

    @property
    def working(self) -> int:
        return max(1, self._calls + 2 * self._piece + 2 * self._formed + self.kept)

    def add(self, piece: Piece, tokens: bool, parameters: Iterable[Tensor]) -> None:
        """A site: its piece, and whether that is kept, or the gradients it stands for."""
        own = sum(t.nbytes for t in vars(piece).values()) // self._n
        self._piece = max(self._piece, own)
        kept = own if tokens and isinstance(piece, Tokens) else sum(p.nbytes for p in parameters)
        self.kept += max(1, kept)

    def add_formed(self, parameters: Iterable[Tensor]) -> None:
        """Parameters whose gradients autograd forms, all at once."""
        formed = sum(p.nbytes for p in parameters)
        self._formed += formed
        self.kept += formed
