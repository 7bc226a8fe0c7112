"""Sites: the parameters whose per-sample gradients are read from the same calls of the same layers.

A site turns calls into a piece: tokens (inputs and output gradients of each sample, the calls
concatenated on the token axis, so that the cross terms between calls are kept), or sums (one
finished gradient per sample). A piece gives the layer factors, and the gradients they stand for.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from genmem.influence.layers import Family, ScaleFamily, TokenFamily, Unseparable


@dataclass(frozen=True)
class Call:
    """One call of a layer: its input, and the gradient of the summed losses at its output."""

    module: nn.Module
    inputs: Tensor
    gradients: Tensor


@dataclass(frozen=True)
class Tokens:
    """Tokens of n samples: inputs (n, T, groups, d), gradients (n, T, groups, p)."""

    inputs: Tensor
    gradients: Tensor


@dataclass(frozen=True)
class Sums:
    """Finished gradients of n samples: (n, *parameter.shape)."""

    values: Tensor


Piece = Tokens | Sums


@dataclass(frozen=True, eq=False)
class Site(ABC):
    """Parameters `names`, read from the calls of `modules`; `parameter` is the first of them."""

    names: tuple[str, ...]
    modules: tuple[nn.Module, ...]
    parameter: Tensor

    @abstractmethod
    def read(self, calls: Sequence[Call], n: int) -> Piece:
        """The piece of a batch of n samples; Unseparable if rows cannot be dealt to samples."""

    @abstractmethod
    def gradients(self, piece: Piece, row: int) -> dict[str, Tensor]:
        """The gradient of one sample with respect to each of `names`."""


@dataclass(frozen=True, eq=False)
class TokenSite(Site):
    """A weight that multiplies tokens, and the bias that rides on it (second name), if any."""

    family: TokenFamily

    def read(self, calls: Sequence[Call], n: int) -> Tokens:
        groups, d, p = self.family.geometry(self.modules[0])
        inputs, gradients = [], []
        for call in calls:
            a, g = self.family.tokens(call.module, call.inputs, call.gradients)
            inputs.append(per_sample(a, n))
            gradients.append(per_sample(g, n))
        if not calls:
            empty = self.parameter.new_empty
            return Tokens(empty(n, 0, groups, d), empty(n, 0, groups, p))
        if len(calls) == 1:  # the ordinary case: views, where the layer's tokens lie so
            return Tokens(inputs[0], gradients[0])
        return Tokens(torch.cat(inputs, 1), torch.cat(gradients, 1))

    def gradients(self, piece: Piece, row: int) -> dict[str, Tensor]:
        assert isinstance(piece, Tokens)
        one = Tokens(piece.inputs[row : row + 1], piece.gradients[row : row + 1])
        weight, *bias = self.formed(one)
        parts = [self.family.weight(weight, tuple(self.parameter.shape)), *bias]
        return {name: value[0] for name, value in zip(self.names, parts, strict=True)}

    def formed(self, piece: Tokens) -> list[Tensor]:
        """sum_t g_t a_t^T, (n, groups, p, d), then the bias's gradient (n, groups * p), if any."""
        parts = [torch.einsum("ntgp,ntgd->ngpd", piece.gradients, piece.inputs)]
        if len(self.names) == 2:
            parts.append(piece.gradients.sum(1).flatten(1))
        return parts


@dataclass(frozen=True, eq=False)
class SumSite(Site):
    """A bias, or the weight of a normalisation: its gradient is a sum over the calls."""

    attribute: str
    families: tuple[Family, ...]

    def read(self, calls: Sequence[Call], n: int) -> Sums:
        total = self.parameter.new_zeros(n, *self.parameter.shape)
        for call in calls:
            total = total + per_sample(self._one(call)[:, None], n).sum(1)
        return Sums(total)

    def _one(self, call: Call) -> Tensor:
        family = self.families[[call.module is m for m in self.modules].index(True)]
        if self.attribute == "bias":
            return family.bias(call.module, call.gradients)
        assert isinstance(family, ScaleFamily)
        return family.scale(call.module, call.inputs, call.gradients)

    def gradients(self, piece: Piece, row: int) -> dict[str, Tensor]:
        assert isinstance(piece, Sums)
        return {self.names[0]: piece.values[row]}


def per_sample(rows: Tensor, n: int) -> Tensor:
    """(rows, T, ...) as (n, rows/n * T, ...): the rows of a sample lie together, in its order."""
    if rows.shape[0] % n:
        raise Unseparable(f"{rows.shape[0]} rows cannot be dealt out to {n} samples")
    return rows.reshape(n, rows.shape[0] // n * rows.shape[1], *rows.shape[2:])
