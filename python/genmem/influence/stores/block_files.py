"""One block of factors as a file, in the type they are kept in, mapped when it is read.

    float32, bfloat16   rounded to nearest, relative error u = 2^-24, 2^-8 per entry
    magnitude           nu_i = sum_t sqrt(|a_t|^2 + bias) |g_t| of a sample and layer, unrounded

Products of two stores rounded by u and v are wrong by at most
    |K^_ij - K_ij| <= sum_layers ((1 + u)^2 (1 + v)^2 - 1) nu_i nu_j
(apart from the float64 sums), because each of the two dot products of a pair of tokens is wrong by
at most (1 + u)(1 + v) - 1 of the norms.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt
import torch

from genmem import ledger
from genmem.kernels import Factors, LayerFactors

Float64 = npt.NDArray[np.float64]
Kept = Literal["float32", "bfloat16"]
ROUNDOFF: dict[str | None, float] = {None: 0.0, "float32": 2.0**-24, "bfloat16": 2.0**-8}


class LayerEntry(NamedTuple):
    """A line of the layer table: numbers per input and gradient token, whether a bias rides on it,
    tokens per sample, and the form and type it is kept in."""

    name: str
    inputs: int
    gradients: int
    bias: bool
    tokens: int
    form: str
    dtype: str


def layer_table(factors: Factors, kept: Kept | None) -> list[LayerEntry]:
    """The lines of a block; all blocks of a checkpoint have the same."""
    found = []
    for layer in factors.layers:
        a, g = np.asarray(layer.inputs), np.asarray(layer.gradients)
        tokens = int(layer.offsets[1] - layer.offsets[0])
        formed = g.shape[1] == 1 and tokens == 1 and not layer.bias and bool((g == 1).all())
        dtype = kept or str(a.dtype)
        form = "formed" if formed else "tokens"
        found.append(
            LayerEntry(layer.name, a.shape[1], g.shape[1], bool(layer.bias), tokens, form, dtype)
        )
    return found


def magnitudes(factors: Factors) -> Float64:
    """(n, layers): nu_i of each sample and layer."""
    columns = []
    for layer in factors.layers:
        a, g = (np.asarray(part, np.float64) for part in (layer.inputs, layer.gradients))
        tokens = np.sqrt((a * a).sum(1) + bool(layer.bias)) * np.sqrt((g * g).sum(1))
        owner = np.repeat(np.arange(len(factors)), np.diff(layer.offsets))
        columns.append(np.bincount(owner, tokens, len(factors)))
    return np.stack(columns, 1)


def write_block(path: Path, factors: Factors, model: str, kept: Kept | None, place: str) -> None:
    """Write a block, whole or not at all; ValueError if a number is beyond the range of `kept`."""
    arrays: dict[str, npt.NDArray[Any]] = {}
    for i, layer in enumerate(factors.layers):
        arrays[f"{i:05d}.inputs"] = _rounded(layer.name, np.asarray(layer.inputs), kept)
        arrays[f"{i:05d}.gradients"] = _rounded(layer.name, np.asarray(layer.gradients), kept)
        arrays[f"{i:05d}.offsets"] = layer.offsets
    if kept is not None:
        arrays["magnitudes"] = magnitudes(factors)
    names = [[layer.name, bool(layer.bias)] for layer in factors.layers]
    meta = {"model": model, "layers": names, "dtype": kept, "place": place}
    ledger.write_unit(path, arrays, meta)


class Block(NamedTuple):
    """A block that was read: views of its file where its type is NumPy's, else widened copies.

    model  digest of the weights it was captured from;  place  what it is a block of, and which
    """

    factors: Factors
    magnitudes: Float64 | None
    model: str
    place: str


def read_block(path: Path, *, verify: bool) -> Block:
    """The block in a file.

    Raises FileNotFoundError, or CheckpointError if it is truncated or altered.
    """
    arrays, meta = ledger.map_unit(path, verify=verify)
    layers = [
        LayerFactors(
            name,
            _widened(arrays[f"{i:05d}.inputs"]),
            _widened(arrays[f"{i:05d}.gradients"]),
            arrays[f"{i:05d}.offsets"],
            bias,
        )
        for i, (name, bias) in enumerate(meta["layers"])
    ]
    model, place = str(meta["model"]), str(meta.get("place", ""))
    return Block(Factors(tuple(layers)), arrays.get("magnitudes"), model, place)


def rounded(factors: Factors, kept: Kept | None) -> Factors:
    """What a reader of a block gets: the factors, rounded to the kept type."""
    if kept is None:
        return factors
    return Factors(
        tuple(
            layer._replace(
                inputs=_widened(_rounded(layer.name, np.asarray(layer.inputs), kept)),
                gradients=_widened(_rounded(layer.name, np.asarray(layer.gradients), kept)),
            )
            for layer in factors.layers
        )
    )


def _rounded(name: str, values: npt.NDArray[Any], kept: Kept | None) -> npt.NDArray[Any]:
    """In the kept type; the bits of bfloat16, which NumPy lacks, as uint16."""
    if kept is None or values.dtype == kept:
        return values
    found = torch.from_numpy(values).to(getattr(torch, kept))
    if not bool(torch.isfinite(found).all()):
        raise ValueError(
            f"FactorStore: {name} holds {np.abs(values).max():.3g}, beyond the range of {kept}"
        )
    if kept == "bfloat16":
        return found.view(torch.int16).numpy().view(np.uint16)
    return np.asarray(found.numpy())


def _widened(values: npt.NDArray[Any]) -> npt.NDArray[Any]:
    if values.dtype != np.uint16:
        return values
    return (values.astype(np.uint32) << 16).view(np.float32)
