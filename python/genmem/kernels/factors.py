"""Layer factors of per-sample gradients, and both sides of a product as the kernels read them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from genmem import _core
from genmem.arrays import Readable, float_type, read_rows
from genmem.kernels.card_arrays import CardRows, Place, card_rows, on_host, place_of
from genmem.kernels.native import Rows, backend_and_threads, check_finite, rows_anywhere

NativeLayer: TypeAlias = tuple[Rows, Rows, npt.NDArray[np.int64], bool]


class LayerFactors(NamedTuple):
    """One layer's gradient of every sample, as tokens: G_i = sum_{t in i} g_t (a_t, 1)^T.

    name       of the layer, for messages
    inputs     (tokens, d)  a_t
    gradients  (tokens, p)  g_t; either may lie on a card
    offsets    (n + 1,) int64: the tokens of sample i are offsets[i] .. offsets[i + 1]
    bias       whether the 1 takes part: the layer has a bias fed by the same output gradients

    A gradient that is held as it is, is one token with g = (1,).
    """

    name: str
    inputs: Readable
    gradients: Readable
    offsets: npt.NDArray[np.int64]
    bias: bool


@dataclass(frozen=True)
class Factors:
    """The layers of n samples; a checkpoint's weight w is folded in as sqrt(w) on the gradients."""

    layers: tuple[LayerFactors, ...]

    def __len__(self) -> int:
        return len(self.layers[0].offsets) - 1 if self.layers else 0

    def samples(self, start: int, stop: int) -> Factors:
        """The factors of samples start .. stop - 1, as views."""
        return Factors(tuple(_slice(layer, start, stop) for layer in self.layers))

    def on_host(self) -> Factors:
        """The same as NumPy arrays: copies of what lies on a card."""
        return Factors(
            tuple(
                layer._replace(inputs=on_host(layer.inputs), gradients=on_host(layer.gradients))
                for layer in self.layers
            )
        )


@dataclass(frozen=True)
class Sides:
    """Both sides of a product, read and checked, and where it is computed.

    dtype   the float type of an answer about them
    caller  where queries lie on a card, one of their arrays: the answer goes beside it
    """

    queries: list[NativeLayer]
    points: list[NativeLayer]
    dtype: np.dtype[np.floating]
    backend: str
    threads: int
    place: Place | None
    caller: CardRows | None

    @classmethod
    def read(
        cls,
        operation: str,
        queries: Factors,
        points: Factors,
        backend: str,
        threads: int | None,
        *,
        assume_finite: bool = False,
    ) -> Sides:
        """Raises ValueError for factors without layers or that are not finite (named by layer and
        token), BackendError for a backend that cannot run here or arrays on several devices."""
        q, dtype = _native(operation, queries, "queries", assume_finite)
        x, other = (
            (q, dtype) if points is queries else _native(operation, points, "points", assume_finite)
        )
        named = dict(_named(queries, q, "queries"))
        there = next((rows for rows in named.values() if isinstance(rows, CardRows)), None)
        named |= _named(points, x, "points")
        chosen, count = backend_and_threads(operation, backend, threads, *named.values())
        place = place_of(operation, named)
        if place is not None and not assume_finite:
            _check_on_card(operation, named, chosen, place)
        return cls(q, x, np.promote_types(dtype, other), chosen, count, place, there)

    def parts(self, parts: Sequence[int]) -> Iterator[Sides]:
        """The layers of part 0, 1, ...; `parts` has the part of each layer."""
        of = np.asarray(parts)
        if of.shape != (len(self.queries),) or of.dtype.kind not in "iu" or of.min() < 0:
            raise ValueError(
                f"grad_dot: parts is {parts!r}; {len(self.queries)} numbers from 0 on are wanted, "
                "one per layer"
            )
        for part in range(int(of.max()) + 1):
            at = np.flatnonzero(of == part)
            if not len(at):
                raise ValueError(f"grad_dot: parts has no layer of part {part}, but later ones")
            q, x = ([side[layer] for layer in at] for side in (self.queries, self.points))
            yield replace(self, queries=q, points=x)

    def one_side(self, side: list[NativeLayer]) -> Sides:
        """One of them against itself."""
        return replace(self, queries=side, points=side)


def factor_sides(queries: Factors, points: Factors) -> tuple[list[NativeLayer], list[NativeLayer]]:
    """Both sides as the native module takes them, checked; of the host's arrays."""
    sides = Sides.read("grad_dot", queries, points, "auto", None)
    return sides.queries, sides.points


def _native(
    operation: str, factors: Factors, side: str, assume_finite: bool
) -> tuple[list[NativeLayer], np.dtype[np.floating]]:
    if not factors.layers:
        raise ValueError(f"{operation}: {side} has no layers; at least 1 is wanted")
    layers: list[NativeLayer] = []
    dtype: np.dtype[np.floating] = np.dtype(np.float32)
    for layer in factors.layers:
        both = []
        for part, given in (("inputs", layer.inputs), ("gradients", layer.gradients)):
            rows = rows_anywhere(operation, f"{side}: {part} of {layer.name}", given)
            if not assume_finite and not isinstance(rows, CardRows):
                check_finite(operation, f"{side}: {part} of {layer.name}", rows)
            dtype = np.promote_types(dtype, float_type(rows))
            both.append(rows)
        offsets = np.ascontiguousarray(layer.offsets, dtype=np.int64)
        layers.append((both[0], both[1], offsets, bool(layer.bias)))
    return layers, dtype


def _named(factors: Factors, layers: list[NativeLayer], side: str) -> Iterator[tuple[str, Rows]]:
    """How messages call each array."""
    for layer, (inputs, gradients, _, _) in zip(factors.layers, layers, strict=True):
        yield f"{side}: inputs of {layer.name}", inputs
        yield f"{side}: gradients of {layer.name}", gradients


def _check_on_card(operation: str, named: dict[str, Rows], backend: str, place: Place) -> None:
    """`check_finite` of those that lie on a card, all looked at together."""
    there = {name: rows for name, rows in named.items() if isinstance(rows, CardRows)}
    if not _core.strange(operation, list(there.items()), backend, place):
        return
    for name, rows in there.items():
        check_finite(operation, name, _core.on_host(rows, backend, place))


def _slice(layer: LayerFactors, start: int, stop: int) -> LayerFactors:
    first, last = int(layer.offsets[start]), int(layer.offsets[stop])

    def some(part: str, rows: Readable) -> Any:
        there = card_rows("grad_dot", f"{part} of {layer.name}", rows)
        if there is not None:
            return there.owner[first:last]
        return read_rows("grad_dot", f"{part} of {layer.name}", rows)[first:last]

    return LayerFactors(
        layer.name,
        some("inputs", layer.inputs),
        some("gradients", layer.gradients),
        layer.offsets[start : stop + 1] - first,
        layer.bias,
    )
