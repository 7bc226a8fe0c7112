"""Captured gradients against plain automatic differentiation, for samples evaluated alone.

Rounding differs between a sample alone and the same sample in a batch, by a few units in the last
place of the largest terms, so agreement is asked for to half the digits of a parameter's own
gradient, plus a thousand roundings of the whole gradient, which parameters with a vanishing
gradient (a bias before a normalisation) consist of.

Rounding may also send one pre-activation through the kink of a ReLU, which moves the gradient of
one sample now and then by more than any tolerance. Rows dealt out to the wrong samples are wrong
for nearly all of them. So the samples vote.

What a layer sees of a sample alone is that sample's, whatever the layer does with rows. So once a
probe has shown that gradients can be read from layers, a new size of batch is proven by witnesses:
the tokens of a sample in the batch against those of the sample alone. That costs a pass without
weight gradients; autograd is asked where they differ.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from genmem.influence.batches import all_finite
from genmem.influence.capture.sites import Piece, Site, Sums


@dataclass(frozen=True)
class Truth:
    """What autograd says about the sample in row `row` of the batch when it is evaluated alone."""

    row: int
    loss: Tensor
    gradients: Mapping[str, Tensor]
    reaches: bool

    @cached_property
    def _norms(self) -> dict[str, float]:
        return {name: _norm(gradient) for name, gradient in self.gradients.items()}

    def denies(self, captured: Mapping[str, Tensor]) -> set[str]:
        """The names whose captured gradient is another one."""
        return {name for name, value in captured.items() if not self._agrees(name, value)}

    def _agrees(self, name: str, value: Tensor) -> bool:
        truth, eps = self.gradients[name], torch.finfo(value.dtype).eps
        slack = eps**0.5 * self._norms[name] + 1000 * eps * math.hypot(*self._norms.values())
        return value.shape == truth.shape and _norm(value - truth) <= slack

    def check_gradients(self, label: str) -> None:
        """ValueError if a gradient is not finite."""
        for name, gradient in self.gradients.items():
            # The norm is needed anyway; one that overflows proves nothing.
            if not math.isfinite(self._norms[name]) and not all_finite(gradient):
                raise ValueError(
                    f"capture: the gradient of {name} at {label} is not finite though the loss is"
                )


@dataclass(frozen=True)
class Witness:
    """What the layers saw of the sample in row `row` of the batch when it was evaluated alone."""

    row: int
    loss: Tensor
    pieces: Mapping[Site, Piece]

    def confirms(self, site: Site, piece: Piece) -> bool:
        """Whether the layers of a site saw the same of the sample in the batch."""
        alone = self.pieces[site]
        pairs = zip(_parts(piece), _parts(alone), strict=True)
        return all(self._same(batched, own) for batched, own in pairs)

    def _same(self, batched: Tensor, alone: Tensor) -> bool:
        x, y = batched[self.row], alone[0]
        return x.shape == y.shape and _norm(x - y) <= torch.finfo(y.dtype).eps ** 0.5 * _norm(y)


def check_loss(one: Truth | Witness, batched: Tensor, label: str) -> None:
    """ValueError unless the loss of a sample is the same alone and in the batch."""
    alone, within = float(one.loss), float(batched[one.row])
    if not abs(alone - within) <= torch.finfo(batched.dtype).eps ** 0.5 * (1 + abs(alone)):
        raise ValueError(
            f"capture: the loss of {label} is {within:.9g} in a batch of {len(batched)} and "
            f"{alone:.9g} alone; it must depend on the sample and its noise only (the model "
            "mixes the samples of a batch, or draws noise of its own)"
        )


def denied(
    truths: Sequence[Truth],
    captured: Callable[[int], Mapping[str, Tensor]],
    casting: Callable[[], Sequence[Truth]] = tuple,
) -> set[str]:
    """The names that more than half of the truths deny; `captured` gives the gradients of a row.

    casting  more truths, which are asked for where just half of them deny
    """
    votes = Counter(name for truth in truths for name in truth.denies(captured(truth.row)))
    tied = {name for name, count in votes.items() if 2 * count == len(truths)}
    more = casting() if tied else ()
    for truth in more:
        votes.update(tied & truth.denies(captured(truth.row)))
    voters = {name: len(truths) + len(more) * (name in tied) for name in votes}
    return {name for name, count in votes.items() if 2 * count > voters[name]}


def _parts(piece: Piece) -> tuple[Tensor, ...]:
    return (piece.values,) if isinstance(piece, Sums) else (piece.inputs, piece.gradients)


def _norm(t: Tensor) -> float:
    return float(torch.linalg.vector_norm(t.float() if t.dtype.itemsize < 4 else t))
