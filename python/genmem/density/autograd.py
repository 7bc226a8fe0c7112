"""A log-density as a node of torch's graph, whose backward is the density's own gradient."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NoReturn

import torch
from torch.autograd.function import FunctionCtx

from genmem.density.rows import Float64

OfQueries = Callable[[torch.Tensor], Float64]


def log_density(queries: torch.Tensor, value: OfQueries, slope: OfQueries) -> torch.Tensor:
    """value(queries) (M,) float64, with slope(queries) (M, d) as its gradient.

    A second derivative with respect to the queries raises NotImplementedError.
    """
    answer: torch.Tensor = _LogDensity.apply(queries, value, slope)  # type: ignore[no-untyped-call]  # torch
    return answer


class _LogDensity(torch.autograd.Function):
    @staticmethod
    def forward(queries: torch.Tensor, value: OfQueries, slope: OfQueries) -> torch.Tensor:
        return torch.from_numpy(value(queries.detach()))

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Any) -> None:
        queries, _, ctx.slope = inputs
        ctx.save_for_backward(queries)

    @staticmethod
    def backward(ctx: Any, *outer: torch.Tensor) -> tuple[torch.Tensor, None, None]:
        (queries,) = ctx.saved_tensors
        inner: torch.Tensor = _Gradient.apply(queries, ctx.slope)  # type: ignore[no-untyped-call]  # torch
        return (outer[0][:, None] * inner).to(queries.dtype), None, None


class _Gradient(torch.autograd.Function):
    """The gradient as a node of its own, so that a graph of it can be made, but not followed."""

    @staticmethod
    def forward(queries: torch.Tensor, slope: OfQueries) -> torch.Tensor:
        return torch.from_numpy(slope(queries.detach()))

    @staticmethod
    def setup_context(ctx: FunctionCtx, inputs: tuple[Any, ...], output: Any) -> None:
        pass

    @staticmethod
    def backward(ctx: FunctionCtx, *outer: torch.Tensor) -> NoReturn:
        raise NotImplementedError(
            "score_samples: its second derivative with respect to Z is not available; "
            "Z.detach() is wanted where the gradient is used"
        )
