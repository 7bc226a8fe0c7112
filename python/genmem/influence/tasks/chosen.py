"""Gradients with respect to some of a model's parameters only."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from torch import nn


@contextmanager
def only(model: nn.Module, chosen: Sequence[str] | None) -> Iterator[None]:
    """Inside, no parameter requires a gradient but those called, or below a layer called, by one of
    `chosen`; None: all stay as they are.

    Raises ValueError for a name that is neither.
    """
    flags = {name: p.requires_grad for name, p in model.named_parameters()}
    kept = set(flags)
    if chosen is not None:
        kept = {n for n in flags if any(n == one or n.startswith(f"{one}.") for one in chosen)}
        for one in chosen:
            if not any(n == one or n.startswith(f"{one}.") for n in kept):
                raise ValueError(
                    f"influence: the model has no parameter or layer {one!r}; one of "
                    f"{', '.join(flags)} is wanted"
                )
    try:
        for name, parameter in model.named_parameters():
            parameter.requires_grad_(flags[name] and name in kept)
        yield
    finally:
        for name, parameter in model.named_parameters():
            parameter.requires_grad_(flags[name])
