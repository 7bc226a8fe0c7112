"""Full float32 products: no autocast, and no TF32, to which GPUs round convolutions by default."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch


@contextmanager
def full_precision(device: torch.device) -> Iterator[None]:
    """Products of float32 keep all digits on `device`; the settings are put back afterwards.

    An autocast that the loss itself enters stays; its gradients may then differ between batches by
    more than the proof of the capture allows, which refuses them.
    """
    held: list[tuple[Any, str, Any]] = []
    if device.type == "cuda":
        matmul: Any = torch.backends.cuda.matmul
        # Since 2.9 torch names the precision; reading the old switches then may raise.
        if hasattr(matmul, "fp32_precision"):
            conv: Any = torch.backends.cudnn.conv  # type: ignore[attr-defined, unused-ignore] # new
            held = [(t, "fp32_precision", t.fp32_precision) for t in (matmul, conv)]
        else:
            switches = (matmul, torch.backends.cudnn)
            held = [(t, "allow_tf32", t.allow_tf32) for t in switches]
    try:
        for target, name, _ in held:
            setattr(target, name, "ieee" if name == "fp32_precision" else False)
        with torch.autocast(device.type, enabled=False):
            yield
    finally:
        for target, name, value in held:
            setattr(target, name, value)
