"""Factors kept: captured once, read block by block, in memory or in a resumable directory.

    recipe.toml                    what was captured: data, draws, noise seed, weights, ...
    checkpoint_000/header.json     digest of the weights, and the table of layers
    checkpoint_000/block_00000.safetensors     factors of the samples of a block, checksummed

Files are written once, whole, and never changed: a killed capture loses the block it was at, a
second one makes the files that are missing or broken, and several processes may write blocks of one
store at a time. Blocks are mapped, not loaded, so a store may be larger than memory.
"""

from __future__ import annotations

import json
import os
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from genmem import ledger
from genmem.device import UNWRITTEN
from genmem.errors import CheckpointError, RunMismatchError
from genmem.influence.side import LiveSide
from genmem.influence.stores.block_files import (
    ROUNDOFF,
    Block,
    Kept,
    LayerEntry,
    layer_table,
    magnitudes,
    read_block,
    rounded,
    write_block,
)
from genmem.influence.stores.blocks import joined
from genmem.kernels import Factors, LayerFactors

KIND = "influence factors"

# What a killed capture loses at most, and what a process holds to make a block twice over.
STORED_BYTES = 1 << 26


class FactorStore:
    """The factors of N samples at each checkpoint, sqrt(w_c) folded into the gradients.

    identity     what was captured: data, draws, seed, objective, weights, dtype, ...
    checkpoints  (C,) positions of the checkpoints that took part;  weights  (C,) w_c
    dtype        "float32" or "bfloat16" if the factors were rounded to it, else None
    directory    where the blocks lie; None: in memory

    A block is mapped when it is asked for; its checksum is verified the first time.
    """

    def __init__(self, identity: Mapping[str, Any], directory: str | Path | None = None) -> None:
        self.identity = dict(identity)
        self.directory = None if directory is None else Path(directory)
        self.checkpoints = tuple(int(c) for c in identity["checkpoints"])
        self.weights = tuple(float(w) for w in identity["weights"])
        self.dtype: Kept | None = identity.get("dtype")
        self._rows, self._block = int(identity["samples"]), int(identity["block"])
        self._held: dict[tuple[int, int], Block] = {}
        self._verified: dict[Path, tuple[int, int]] = {}
        if self.directory is not None:
            ledger.bind(self.directory, self.identity, UNWRITTEN)

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
        missing = store.missing()
        if missing:
            raise CheckpointError(
                f"{directory} lacks {len(missing)} blocks, first {missing[0].name}"
            )
        return store

    def __len__(self) -> int:
        return self._rows

    @property
    def roundoff(self) -> float:
        """Relative error u of each number in it: 2^-8 for bfloat16, 0 if nothing was rounded."""
        return ROUNDOFF[self.dtype]

    def missing(self) -> list[Path]:
        """The files of blocks that are not there yet; none for a store in memory."""
        if self.directory is None:
            return []
        return [path for c in self.checkpoints for path in self._paths(c) if not path.is_file()]

    def layers(self, checkpoint: int) -> tuple[LayerEntry, ...]:
        """The table of layers at a checkpoint, by its position in the run."""
        if self.directory is None:
            return tuple(layer_table(self._held[checkpoint, 0].factors, self.dtype))
        return tuple(LayerEntry(*entry) for entry in self._header(checkpoint)["layers"])

    def blocks(self, checkpoint: int, weight: float) -> Iterator[tuple[slice, Factors]]:
        """The rows of each block and their factors, at a checkpoint by its position in the run."""
        stored = dict(zip(self.checkpoints, self.weights, strict=True)).get(checkpoint)
        if stored != weight:
            raise RunMismatchError(
                f"FactorStore: checkpoint {checkpoint} has weight {stored} there, {weight} now"
            )
        model = self.model(checkpoint)
        for block, rows in enumerate(self.slices()):
            found = self._read(checkpoint, block)
            _agree(checkpoint, found.model, model)
            yield rows, found.factors

    def magnitudes(self, checkpoint: int) -> npt.NDArray[np.float64]:
        """(N, layers): nu of each sample and layer before rounding, see block_files."""
        parts = []
        for block in range(len(self.slices())):
            found = self._read(checkpoint, block)
            own = found.magnitudes
            parts.append(magnitudes(found.factors) if own is None else own)
        return np.concatenate(parts)

    def factors(self) -> Factors:
        """Everything at once: one layer per layer and checkpoint, for `genmem.grad_dot`."""
        layers: list[LayerFactors] = []
        for c, weight in zip(self.checkpoints, self.weights, strict=True):
            parts = (factors for _, factors in self.blocks(c, weight))
            whole = next(parts) if len(self.slices()) == 1 else joined(parts, len(self))
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

    def model(self, checkpoint: int) -> str:
        """Digest of the weights that a checkpoint was captured from."""
        if self.directory is None:
            return self._held[checkpoint, 0].model
        return str(self._header(checkpoint)["model"])

    def require_model(self, checkpoint: int, model: str) -> None:
        """RunMismatchError unless a checkpoint was captured from weights of digest `model`."""
        _agree(checkpoint, self.model(checkpoint), model)

    def fill(
        self,
        checkpoint: int,
        weight: float,
        live: LiveSide,
        model: str,
        part: tuple[int, int] = (0, 1),
    ) -> None:
        """Capture the blocks that are missing, and with a warning those that are broken; a header
        that is missing or broken is written again.

        model  digest of the weights that the model holds
        part   (i, n): only blocks i, i + n, i + 2n, ...
        """
        lost = self._lost_header(checkpoint)
        for block, rows in enumerate(self.slices()):
            if block % part[1] != part[0]:
                continue
            try:
                held = self.has(checkpoint, block, model)
            except CheckpointError as error:
                text = f"FactorStore: the block is captured again: {error}"
                warnings.warn(text, RuntimeWarning, stacklevel=3)
                held = False
            if not held:
                factors = live.block(rows.start, rows.stop, weight).on_host()
                self._write(checkpoint, block, factors, model)
            elif lost:
                self._check_header(checkpoint, self._read(checkpoint, block).factors, model)
            lost = False

    def has(self, checkpoint: int, block: int, model: str) -> bool:
        """Whether the block is there.

        Raises CheckpointError if it is broken, RunMismatchError if weights other than `model` made
        it.
        """
        try:
            found = self._read(checkpoint, block)
        except (FileNotFoundError, KeyError):
            return False
        _agree(checkpoint, found.model, model)
        return True

    def _write(self, checkpoint: int, block: int, factors: Factors, model: str) -> None:
        if self.directory is None:
            own = None if self.dtype is None else magnitudes(factors)
            place = self._place(checkpoint, block)
            self._held[checkpoint, block] = Block(rounded(factors, self.dtype), own, model, place)
            return
        self._check_header(checkpoint, factors, model)
        path, place = self._paths(checkpoint)[block], self._place(checkpoint, block)
        write_block(path, factors, model, self.dtype, place)

    def _read(self, checkpoint: int, block: int) -> Block:
        if self.directory is None:
            return self._held[checkpoint, block]
        path = self._paths(checkpoint)[block]
        try:
            facts = os.stat(path)
        except FileNotFoundError:
            raise FileNotFoundError(f"{path}: no such file") from None
        stamp = facts.st_mtime_ns, facts.st_size
        found = read_block(path, verify=self._verified.get(path) != stamp)
        self._verified[path] = stamp
        if found.place != self._place(checkpoint, block):
            raise CheckpointError(f"{path} holds the block of another place: {found.place}")
        return found

    def _place(self, checkpoint: int, block: int) -> str:
        """Where a block belongs, so that a file that was moved or mixed up is told."""
        data, side = str(self.identity.get("data"))[:16], self.identity.get("side")
        return f"{side} {data}, checkpoint {checkpoint}, block {block}"

    def _lost_header(self, checkpoint: int) -> bool:
        """Whether a store in a directory lacks a header that can be read; one that cannot goes."""
        if self.directory is None:
            return False
        try:
            self._header(checkpoint)
        except CheckpointError:
            (self._folder(checkpoint) / "header.json").unlink(missing_ok=True)
            return True
        return False

    def _check_header(self, checkpoint: int, factors: Factors, model: str) -> None:
        """Write the header with the first block, and hold every later one against it."""
        table = layer_table(factors, self.dtype)
        path = self._folder(checkpoint) / "header.json"
        if not path.is_file():
            facts = {
                "model": model,
                "seed": self.identity.get("seed"),
                "weight": dict(zip(self.checkpoints, self.weights, strict=True))[checkpoint],
                "columns": LayerEntry._fields,
                "layers": table,
            }
            ledger.write_text(path, json.dumps(facts, indent=1) + "\n")
        found = self._header(checkpoint)
        _agree(checkpoint, str(found["model"]), model)
        stored = [LayerEntry(*entry) for entry in found["layers"]]
        odd = next((new for old, new in zip(stored, table, strict=False) if old != new), None)
        if odd is not None or len(stored) != len(table):
            raise RunMismatchError(
                f"FactorStore: the layers of checkpoint {checkpoint} differ: {len(stored)} there, "
                f"{len(table)} now, the first that differs is {odd}"
            )

    def _header(self, checkpoint: int) -> dict[str, Any]:
        path = self._folder(checkpoint) / "header.json"
        again = "capture into the same directory again"
        try:
            found = json.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise CheckpointError(f"{path}: no such file; {again}") from None
        except ValueError as error:
            raise CheckpointError(f"{path} is no header: {error}; {again}") from error
        if not isinstance(found, dict) or not {"model", "layers"} <= found.keys():
            raise CheckpointError(f"{path} is no header: it names no model and layers; {again}")
        return found

    def _folder(self, checkpoint: int) -> Path:
        assert self.directory is not None
        return self.directory / f"checkpoint_{checkpoint:03d}"

    def _paths(self, checkpoint: int) -> list[Path]:
        folder = self._folder(checkpoint)
        return [folder / f"block_{b:05d}.safetensors" for b in range(len(self.slices()))]


def stored_block(directory: str | Path, default: int) -> int:
    """Rows of a block of the store that was begun in `directory`, or `default` if there is none.

    So a capture that is resumed with another memory budget still finds its blocks.
    """
    try:
        return int(ledger.read_identity(directory)["block"])
    except (FileNotFoundError, KeyError):
        return default


def _agree(checkpoint: int, found: str, model: str) -> None:
    if found != model:
        raise RunMismatchError(
            f"FactorStore: checkpoint {checkpoint} was captured from weights of digest "
            f"{found[:12]} there, they have {model[:12]} now"
        )
