"""Per-sample gradients formed by automatic differentiation: the general way, and the oracle."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.func import functional_call, grad, vmap

from genmem.influence.batches import each, size
from genmem.influence.protocols import Batch, Loss

# What torch raises when a model cannot be vectorised: an operation without a batching rule, control
# flow on data, writes in place.
_REFUSALS = (RuntimeError, NotImplementedError, ValueError, TypeError)


class _LossModule(nn.Module):
    """The loss as a forward pass, so that `functional_call` can swap parameters under any loss."""

    def __init__(self, model: nn.Module, loss: Loss) -> None:
        super().__init__()
        self.model = model
        self._loss = [loss]  # in a list: a loss that is a module must not become part of this one

    def forward(self, batch: Any, noise: Any) -> Tensor:
        return self._loss[0](
            self.model, each(batch, _alone), None if noise is None else noise[None]
        )[0]


def _alone(t: Tensor) -> Tensor:
    return t[None]


class Materializer:
    """Per-sample gradients of named parameters: vectorised where torch can, else one by one."""

    def __init__(self, model: nn.Module, loss: Loss) -> None:
        self._model, self._loss = model, loss
        self._vectorises = True

    def __call__(
        self, parameters: dict[str, nn.Parameter], batch: Batch, noise: Tensor | None
    ) -> dict[str, Tensor]:
        """(n, *shape) for each parameter; the loss must return one number per sample."""
        if not parameters:
            return {}
        if self._vectorises:
            try:
                return self._vectorised(parameters, batch, noise)
            except _REFUSALS:
                # Not an answer lost: the loop below gives the same gradients, or the true error.
                self._vectorises = False
        rows = [
            single_gradients(self._model, self._loss, parameters, batch, noise, i)[1]
            for i in range(size(batch))
        ]
        return {name: torch.stack([row[name] for row in rows]) for name in parameters}

    def _vectorised(
        self, parameters: dict[str, nn.Parameter], batch: Batch, noise: Tensor | None
    ) -> dict[str, Tensor]:
        module = _LossModule(self._model, self._loss)
        held = {f"model.{name}": p.detach() for name, p in parameters.items()}

        def one(values: dict[str, Tensor], sample: Batch, eps: Tensor | None) -> Tensor:
            return cast(Tensor, functional_call(module, values, (sample, eps)))

        axes = (None, 0, None if noise is None else 0)
        # Outside of `grad`, autograd would keep a second graph for every other parameter.
        with torch.no_grad(), warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="There is a performance drop")
            found = vmap(grad(one), in_dims=axes)(held, batch, noise)
        return {name: found[f"model.{name}"] for name in parameters}


def single_gradients(
    model: nn.Module,
    loss: Loss,
    parameters: dict[str, nn.Parameter],
    batch: Batch,
    noise: Tensor | None,
    row: int,
) -> tuple[Tensor, dict[str, Tensor], bool]:
    """The loss of one sample evaluated alone, its gradients, and whether it reaches any parameter.

    Plain autograd, nothing clever: the other ways are compared with this one.
    """
    alone = each(batch, lambda t: t[row : row + 1])
    value = loss(model, alone, None if noise is None else noise[row : row + 1])
    if value.shape != (1,):
        raise ValueError(
            f"influence: the loss of one sample has shape {tuple(value.shape)}; (1,) is wanted"
        )
    found: Sequence[Tensor | None] = [None] * len(parameters)
    if value.requires_grad:
        found = torch.autograd.grad(value[0], list(parameters.values()), allow_unused=True)
    filled = {
        name: torch.zeros_like(p) if g is None else (g.to_dense() if g.is_sparse else g)
        for (name, p), g in zip(parameters.items(), found, strict=True)
    }
    return value.detach()[0], filled, any(g is not None for g in found)
