"""Factors kept: captured once, read block by block, in memory or in a resumable directory.

A directory holds `recipe.toml` (what was captured) and, per checkpoint and block of samples, one
checksummed file. A second capture into it makes only the files that are missing or broken.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from genmem import ledger
from genmem.errors import CheckpointError, RunMismatchError
from genmem.influence.blocks import concatenate
from genmem.influence.side import LiveSide
from genmem.kernels import Factors, LayerFactors

KIND = "influence factors"


class FactorStore:
    """The factors of N samples at each checkpoint, sqrt(w_c) folded into the gradients.

    identity     what was captured: data, draws, seed, objective, weights, ...
    checkpoints  (C,) positions of the checkpoints that took part;  weights  (C,) w_c
    directory    where the blocks lie; None: in memory

    A block is read when it is asked for, and its checksum verified then.
    """

    def __init__(self, identity: Mapping[str, Any], directory: str | Path | None = None) -> None:
        self.identity = dict(identity)
        self.directory = None if directory is None else Path(directory)
        self.checkpoints = tuple(int(c) for c in identity["checkpoints"])
        self.weights = tuple(float(w) for w in identity["weights"])
        self._rows, self._block = int(identity["samples"]), int(identity["block"])
        self._held: dict[tuple[int, int], tuple[Factors, str]] = {}
        if self.directory is not None:
            ledger.bind(self.directory, self.identity)

    @classmethod
    def open(cls, directory: str | Path) -> FactorStore:
        """The complete store in a directory.

        Raises FileNotFoundError if there is none, CheckpointError if blocks are missing: capture
        into the same directory again to finish it.
        """
        identity = ledger.read_identity(directory)
        if identity.get("kind") != KIND:
            raise RunMismatchError(
                f"{directory} holds no factors: its kind is {identity.get('kind')!r}, not {KIND!r}"
            )
        store = cls(identity, directory)
        missing = [
            path for c in store.checkpoints for path in store._paths(c) if not path.is_file()
        ]
        if missing:
            raise CheckpointError(
                f"{directory} lacks {len(missing)} blocks, first {missing[0].name}"
            )
        return store

    def __len__(self) -> int:
        return self._rows

    def blocks(self, checkpoint: int, weight: float) -> Iterator[tuple[slice, Factors]]:
        """The rows of each block and their factors, at a checkpoint by its position in the run."""
        stored = dict(zip(self.checkpoints, self.weights, strict=True)).get(checkpoint)
        if stored != weight:
            raise RunMismatchError(
                f"FactorStore: checkpoint {checkpoint} has weight {stored} there, {weight} now"
            )
        for block, rows in enumerate(self.slices()):
            yield rows, self._read(checkpoint, block)

    def factors(self) -> Factors:
        """Everything at once: one layer per layer and checkpoint, for `genmem.grad_dot`."""
        layers: list[LayerFactors] = []
        for c, weight in zip(self.checkpoints, self.weights, strict=True):
            whole = concatenate([factors for _, factors in self.blocks(c, weight)])
            layers += [layer._replace(name=f"{layer.name} @ {c}") for layer in whole.layers]
        return Factors(tuple(layers))

    def slices(self) -> list[slice]:
        """The rows of each block."""
        starts = range(0, self._rows, self._block)
        return [slice(start, min(start + self._block, self._rows)) for start in starts]

    def require(self, **wanted: object) -> None:
        """RunMismatchError unless the store was captured with these entries of its identity."""
        for name, value in wanted.items():
            held = self.identity.get(name)
            if held != value:
                raise RunMismatchError(f"FactorStore: {name} is {held!r} there, {value!r} now")

    def fill(self, checkpoint: int, weight: float, live: LiveSide, model: str) -> None:
        """Capture the blocks that are missing, and with a warning those that are broken.

        model  digest of the weights that the model holds
        """
        for block, rows in enumerate(self.slices()):
            try:
                held = self.has(checkpoint, block, model)
            except CheckpointError as error:
                text = f"FactorStore: the block is captured again: {error}"
                warnings.warn(text, RuntimeWarning, stacklevel=3)
                held = False
            if not held:
                self._write(checkpoint, block, live.block(rows.start, rows.stop, weight), model)

    def has(self, checkpoint: int, block: int, model: str) -> bool:
        """Whether the block is there.

        Raises CheckpointError if it is broken, RunMismatchError if weights other than `model` made
        it.
        """
        found = self._maker(checkpoint, block)
        if found is not None and found != model:
            raise RunMismatchError(
                f"FactorStore: checkpoint {checkpoint} was captured from weights of digest "
                f"{found[:12]} there, they have {model[:12]} now"
            )
        return found is not None

    def _maker(self, checkpoint: int, block: int) -> str | None:
        if self.directory is None:
            return self._held.get((checkpoint, block), (None, None))[1]
        try:
            return str(ledger.read_unit(self._paths(checkpoint)[block])[1]["model"])
        except FileNotFoundError:
            return None

    def _write(self, checkpoint: int, block: int, factors: Factors, model: str) -> None:
        if self.directory is None:
            self._held[checkpoint, block] = factors, model
            return
        arrays: dict[str, Any] = {}
        for i, layer in enumerate(factors.layers):
            for part in ("inputs", "gradients", "offsets"):
                arrays[f"{i:05d}.{part}"] = np.asarray(getattr(layer, part))
        meta = {"model": model, "layers": [[layer.name, layer.bias] for layer in factors.layers]}
        ledger.write_unit(self._paths(checkpoint)[block], arrays, meta)

    def _read(self, checkpoint: int, block: int) -> Factors:
        if self.directory is None:
            return self._held[checkpoint, block][0]
        arrays, meta = ledger.read_unit(self._paths(checkpoint)[block])
        layers = [
            LayerFactors(
                name,
                arrays[f"{i:05d}.inputs"],
                arrays[f"{i:05d}.gradients"],
                arrays[f"{i:05d}.offsets"],
                bias,
            )
            for i, (name, bias) in enumerate(meta["layers"])
        ]
        return Factors(tuple(layers))

    def _paths(self, checkpoint: int) -> list[Path]:
        assert self.directory is not None
        folder = self.directory / f"checkpoint_{checkpoint:03d}"
        return [folder / f"block_{b:05d}.safetensors" for b in range(len(self.slices()))]


def stored_block(directory: str | Path, default: int) -> int:
    """Rows of a block of the store that was begun in `directory`, or `default` if there is none.

    So a capture that is resumed with another memory budget still finds its blocks.
    """
    try:
        return int(ledger.read_identity(directory)["block"])
    except (FileNotFoundError, KeyError):
        return default
