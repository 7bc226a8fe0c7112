"""A model is used in place and left as it was found, however the work on it ends."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn


@contextmanager
def preserved(model: nn.Module) -> Iterator[None]:
    """Put back modes, requires_grad, .grad, buffers, torch's random state, and the weights that a
    forward pass rewrites (an embedding with a norm limit)."""
    modules = list(model.modules())
    modes = [(module, module.training) for module in modules]
    flags = [(p, p.requires_grad, p.grad) for p in model.parameters()]
    buffers = [(module, dict(module._buffers.items())) for module in modules]
    held = _copies([*model.buffers(), *_rewritten(modules)])
    devices = {p.device for p in model.parameters()} | {torch.device("cpu")}
    states = [(device, _random_state(device)) for device in devices]
    try:
        yield
    finally:
        for module, mode in modes:
            module.training = mode
        for parameter, flag, gradient in flags:
            parameter.requires_grad_(flag)
            parameter.grad = gradient
        for module, entries in buffers:
            for name, value in entries.items():  # what torch.jit makes has no update
                module._buffers[name] = value
        _put_back(held)
        for device, state in states:
            if device.type == "cuda":
                torch.cuda.set_rng_state(state, device)
            elif device.type == "cpu":
                torch.set_rng_state(state)


@contextmanager
def restored(model: nn.Module) -> Iterator[None]:
    """`preserved`, and every weight and the content of every .grad too: a copy of each is held.

    Inside, tensors are made for autograd, whatever mode the caller is in.
    """
    with torch.inference_mode(False), preserved(model):
        held = _copies(model.parameters())
        held += _copies(p.grad for p in model.parameters() if p.grad is not None)
        try:
            yield
        finally:
            _put_back(held)


def _rewritten(modules: Iterable[nn.Module]) -> list[Tensor]:
    kinds = (nn.Embedding, nn.EmbeddingBag)
    return [m.weight for m in modules if isinstance(m, kinds) and m.max_norm is not None]


def _random_state(device: torch.device) -> Tensor:
    return torch.cuda.get_rng_state(device) if device.type == "cuda" else torch.get_rng_state()


def _copies(tensors: Iterable[Tensor]) -> list[tuple[Tensor, Tensor]]:
    return [(t, t.detach().clone()) for t in tensors]


def _put_back(held: Iterable[tuple[Tensor, Tensor]]) -> None:
    with torch.no_grad():
        for t, value in held:
            t.copy_(value)
