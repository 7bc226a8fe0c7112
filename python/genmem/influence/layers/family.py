"""The two kinds of layer: those that multiply tokens by a matrix, and those that scale channels.

A call of a layer saw the input x and received g, the gradient of the summed losses with respect to
its output. The leading axis of both is made of rows; a row belongs to one sample.
"""

from __future__ import annotations

from abc import ABC, abstractmethod

from torch import Tensor, nn


class Unseparable(Exception):  # noqa: N818 - a signal between the layers and the plan, never seen by users
    """The rows of a call cannot be dealt out to the samples of the batch."""


class Family(ABC):
    """What every family knows: which modules it covers, and the gradient of an added bias."""

    # True where the bias is added to each token's output, so that it is one more input that is 1.
    bias_is_an_input: bool = False

    def supports(self, module: nn.Module) -> bool:
        """Whether the hyper-parameters of `module` lie within the family's formula."""
        return True

    @abstractmethod
    def bias(self, module: nn.Module, g: Tensor) -> Tensor:
        """(rows, *bias.shape): g summed over all but the rows and the bias's axes."""


class TokenFamily(Family):
    """The weight's gradient is sum_t g_t a_t^T, per group of channels."""

    @abstractmethod
    def geometry(self, module: nn.Module) -> tuple[int, int, int]:
        """(groups, d, p): d numbers per input token and p per output token, within one group."""

    @abstractmethod
    def tokens(self, module: nn.Module, x: Tensor, g: Tensor) -> tuple[Tensor, Tensor]:
        """Inputs (rows, T, groups, d) and output gradients (rows, T, groups, p) of one call."""

    @abstractmethod
    def weight(self, dense: Tensor, shape: tuple[int, ...]) -> Tensor:
        """(n, groups, p, d) of sum_t g_t a_t^T laid out as the parameter: (n, *shape)."""


class ScaleFamily(Family):
    """The layer computes x_hat * weight + bias; the weight's gradient is a sum of x_hat * g."""

    @abstractmethod
    def scale(self, module: nn.Module, x: Tensor, g: Tensor) -> Tensor:
        """(rows, *weight.shape): x_hat * g summed over all but the rows and the weight's axes."""


def row_axis(t: Tensor, axes: int) -> int:
    """The number of rows of a tensor whose last `axes` axes belong to one token or one row."""
    if t.dim() <= axes:
        raise Unseparable(f"an input of shape {tuple(t.shape)} has no axis for the samples")
    return t.shape[0]
