"""From pieces to layer factors, in the cheaper of two exact forms.

    tokens   inputs (n T, d), gradients (n T, p): a pair costs two token Grams, 2 T^2 (d + p) flops
    dense    inputs (n, p d) the formed gradient, gradients (n, 1) ones: a pair costs 2 d p flops,
             after 2 T d p once per sample

With H = d p / (d + p): norms (a sample with itself) take tokens iff T < H / 2, as their Grams are
summed in float64 and gradients formed in float32; pairs of samples about iff T^2 < H, by the
measured rule of `genmem.kernels.pairs_take_tokens`.
The choice depends on T, d and p alone, so that both sides of a product make the same one.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from genmem.influence.batches import all_finite
from genmem.influence.capture.sites import Piece, Site, Sums, Tokens, TokenSite
from genmem.kernels import LayerFactors, pairs_take_tokens, reads_cards

Form = Literal["pairs", "norms", "tokens", "dense"]
FORMS = ("pairs", "norms", "tokens", "dense")


def wants_tokens(form: Form, tokens: int, d: int, p: int) -> bool:
    """Whether a layer of `tokens` tokens per sample is kept as tokens under the rule `form`."""
    if form in ("tokens", "dense"):
        return form == "tokens"
    if form == "pairs":
        return pairs_take_tokens(tokens, d, p)
    return 2 * tokens < d * p / (d + p)


def site_wants_tokens(form: Form, site: Site, piece: Piece) -> bool:
    """The rule for a site: a riding bias is one more input."""
    if not isinstance(piece, Tokens):
        return False
    d = piece.inputs.shape[3] + (len(site.names) == 2)
    return wants_tokens(form, piece.inputs.shape[1], d, piece.gradients.shape[3])


def site_layers(site: Site, piece: Piece, tokens: bool, scale: float) -> Iterator[LayerFactors]:
    """The layer factors of a site, its gradients multiplied by `scale`: one per group as tokens,
    else one per parameter. Arrays may be views of what the layer saw."""
    if isinstance(piece, Sums):
        yield dense_layer(site.names[0], piece.values, scale)
        return
    assert isinstance(site, TokenSite)
    if not tokens:
        for name, values in zip(site.names, site.formed(piece), strict=True):
            yield dense_layer(name, values, scale)
        return
    n, count, groups = piece.inputs.shape[:3]
    offsets = np.arange(n + 1, dtype=np.int64) * count
    for group in range(groups):
        name = site.names[0] if groups == 1 else f"{site.names[0]}[{group}]"
        a, g = piece.inputs[:, :, group].flatten(0, 1), piece.gradients[:, :, group].flatten(0, 1)
        bias = len(site.names) == 2
        yield LayerFactors(
            name, _array(name, a), _array(name, g if scale == 1 else g * scale), offsets, bias
        )


def dense_layer(name: str, values: Tensor, scale: float) -> LayerFactors:
    """Formed gradients (n, ...) as a layer of one token per sample; `values` is used up."""
    n = len(values)
    rows = _array(name, values.flatten(1) if values.dim() > 1 else values[:, None])
    if scale != 1:
        rows *= scale  # in place: a copy of the largest arrays there are
    like = rows if isinstance(rows, Tensor) else torch.from_numpy(rows)
    ones = _array(name, torch.ones((n, 1), dtype=like.dtype, device=like.device))
    return LayerFactors(name, rows, ones, np.arange(n + 1), False)


def _array(name: str, t: Tensor) -> Any:
    """A contiguous NumPy array; or where kernels read the card that it lies on, the tensor there.

    The one place where gradients leave the device they were formed on. Half-precision types, which
    BLAS lacks, come as float32.
    """
    if t.dtype not in (torch.float32, torch.float64):
        t = t.float()
    if not all_finite(t):
        raise ValueError(f"influence: the gradient of {name} is not finite though the loss is")
    if t.device.type == "cuda" and reads_cards():
        return t.detach().contiguous()
    return np.ascontiguousarray(t.detach().cpu().numpy())
