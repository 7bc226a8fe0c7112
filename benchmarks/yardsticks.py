"""What the machine can do: matrix products in float32 and bfloat16, timed among the contenders."""

import functools
from typing import Any

from duels import Clocked, Contender

# (M, N, d): large enough for the peak, 32 MiB of products.
SIZE = (1024, 8192, 784)
GIGA = 1e9


@functools.cache
def _factors(dtype: str) -> tuple[Any, Any, Any]:
    import torch

    m, n, d = SIZE
    kind = getattr(torch, dtype)
    left, right = torch.randn(m, d).to(kind), torch.randn(n, d).to(kind)
    return left, right.T, torch.empty(m, n, dtype=kind)


def peaks() -> list[Contender]:
    def product(dtype: str) -> Contender:
        import torch

        left, right, out = _factors(dtype)
        return Contender(dtype, lambda: torch.mm(left, right, out=out))

    return [product("float32"), product("bfloat16")]


def shares(one: Clocked, products: float, measured: list[Clocked]) -> str:
    """`products` multiply-adds in the time of `one`, and the same as shares of the peaks."""
    rate = products / one.whole / GIGA
    m, n, d = SIZE
    f32, bf16 = (m * n * d / peak.seconds / GIGA for peak in measured)
    said = f"{rate:.0f} GMAC/s = {rate / f32:.2f} of f32 mm"
    return said + (f", {rate / bf16:.2f} of bf16 mm" if one.contender.name == "amx" else "")
