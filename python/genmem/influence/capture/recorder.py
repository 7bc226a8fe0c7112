"""Watching the calls of layers during one evaluation of the loss.

Inside a watched call the layer's parameters are frozen, so the graph is built with respect to layer
outputs only: no weight gradient is ever formed. Outside they are not, so a parameter that is also
used directly (a transposed weight, a penalty) is found, because a gradient still reaches it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.autograd.graph import GradientEdge, get_gradient_edge
from torch.utils.hooks import RemovableHandle

from genmem.influence.capture.sites import Call


@dataclass(frozen=True)
class _Seen:
    module: nn.Module
    inputs: Tensor
    version: int
    output: GradientEdge


class Recorder:
    """A context in which calls of `modules` are seen; `calls(losses)` reads them afterwards."""

    def __init__(self, modules: Iterable[nn.Module]) -> None:
        self._modules = tuple(modules)
        self._handles: list[RemovableHandle] = []
        self._frozen: list[nn.Parameter] = []
        self._seen: list[_Seen] = []
        self._closed = False

    def __enter__(self) -> Recorder:
        for module in self._modules:
            before = module.register_forward_pre_hook(self._freeze)
            # First in line: another hook may replace the output, and the family's formula speaks
            # of the layer's own.
            after = module.register_forward_hook(self._record, prepend=True, with_kwargs=True)
            self._handles += [before, after]
        return self

    def __exit__(self, *_: object) -> None:
        for handle in self._handles:
            handle.remove()
        self._thaw()

    def _freeze(self, module: nn.Module, _: Any) -> None:
        for parameter in module._parameters.values():
            if parameter is not None and parameter.requires_grad:
                parameter.requires_grad_(False)
                self._frozen.append(parameter)

    def _thaw(self) -> None:
        while self._frozen:
            self._frozen.pop().requires_grad_(True)

    def _record(
        self, module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], output: Tensor
    ) -> Tensor | None:
        self._thaw()
        if not torch.is_grad_enabled():
            return None  # no gradient flows through this call
        given = args[0] if args else kwargs["input"]
        if not output.requires_grad:
            output = output.detach().requires_grad_()
        edge = get_gradient_edge(output)
        if not self._closed:
            self._seen.append(_Seen(module, given.detach(), given._version, edge))
        # A copy, so that an activation in place changes the copy and not what the edge stands for.
        return output.clone()

    def read(
        self, losses: Tensor, parameters: dict[str, nn.Parameter]
    ) -> tuple[list[Call], set[str]]:
        """The calls with their output gradients, and which of `parameters` were used directly."""
        # Activation checkpointing calls layers again during the backward pass, hooks and all: what
        # is computed then must be the same, and is not another call.
        self._closed = True
        edges = [seen.output for seen in self._seen]
        wanted: list[GradientEdge | Tensor] = [*edges, *parameters.values()]
        if not wanted:
            return [], set()
        # torch takes a mixture, its annotations only all of one kind.
        inputs = cast(Sequence[Tensor], wanted)
        found = torch.autograd.grad(losses.sum(), inputs, allow_unused=True)
        calls = []
        for seen, gradient in zip(self._seen, found[: len(edges)], strict=True):
            if seen.inputs._version != seen.version:
                kind = type(seen.module).__name__
                raise ValueError(
                    f"influence: the input of a {kind} layer was changed in place after the call; "
                    "its weight gradient needs the value that the layer saw"
                )
            if gradient is not None:
                calls.append(Call(seen.module, seen.inputs, gradient.detach()))
        direct = zip(parameters, found[len(edges) :], strict=True)
        return calls, {name for name, gradient in direct if gradient is not None}


def refuse_random_layers(model: nn.Module) -> None:
    """ValueError for layers that, in their mode, mix the samples or draw noise of their own."""
    for name, module in model.named_modules():
        kind = type(module).__name__
        if isinstance(module, nn.modules.batchnorm._BatchNorm) and (
            module.training or module.running_mean is None
        ):
            mode = "is in train mode" if module.training else "keeps no running statistics"
            raise ValueError(
                f"influence: {kind} {name!r} {mode}, so the loss of a sample depends on the others "
                "in its batch; call .eval() on a model with running statistics"
            )
        dropout = isinstance(module, nn.modules.dropout._DropoutNd) and module.p > 0
        if (dropout or isinstance(module, nn.RReLU)) and module.training:
            raise ValueError(
                f"influence: {kind} {name!r} is in train mode and draws noise of its own; "
                "call .eval()"
            )
