"""Files that a killed job can trust: whole or absent, checksummed, bound to what made them.

A unit of work (a fold, an evaluation, a block of factors) is one file in the safetensors format,
whose header carries a digest of the content. A run directory holds one `recipe.toml`, the identity
of the run; opening the directory under another identity is refused with both values shown.
"""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
import time
import tomllib
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt
import tomli_w
from safetensors import SafetensorError
from safetensors.numpy import save as to_bytes

from genmem.errors import CheckpointError, RunMismatchError

# Read once: the only way to read it sets it, and threads that do so at once could leave it at 0.
_UMASK = os.umask(0)
os.umask(_UMASK)

Arrays = dict[str, npt.NDArray[Any]]

# The types of safetensors that NumPy has.
_TYPES = {
    "BOOL": "?", "U8": "u1", "I8": "i1", "U16": "<u2", "I16": "<i2", "F16": "<f2", "U32": "<u4",
    "I32": "<i4", "F32": "<f4", "U64": "<u8", "I64": "<i8", "F64": "<f8",
}  # fmt: skip

# A temporary file that nothing was written to for so long belongs to a process that was killed.
_LEFT_SECONDS = 3600.0


def write_atomic(path: str | Path, write: Callable[[BinaryIO], object]) -> None:
    """Call `write` on a temporary file beside `path`, sync it, rename it to `path`.

    Readers see the old file or the whole new one. Raises OSError if the folder cannot be written.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".part", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(name, 0o666 & ~_UMASK)
        os.replace(name, path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
    _sync_folder(path.parent)


def write_text(path: str | Path, text: str) -> None:
    """`write_atomic` of a text in UTF-8."""
    write_atomic(path, lambda file: file.write(text.encode()))


def write_unit(
    path: str | Path, arrays: Mapping[str, npt.ArrayLike], meta: Mapping[str, Any] | None = None
) -> None:
    """Write one unit of work: named arrays and a JSON-able `meta`, with a digest over both."""
    held = {name: np.asarray(value, order="C") for name, value in arrays.items()}
    text = json.dumps(dict(meta or {}), sort_keys=True)
    header = {"meta": text, "sha256": _digest(held, text)}
    write_atomic(path, lambda file: file.write(to_bytes(held, metadata=header)))


def read_unit(path: str | Path) -> tuple[Arrays, dict[str, Any]]:
    """The arrays and the meta that `write_unit` wrote.

    Raises FileNotFoundError if there is none, CheckpointError if the file is truncated or altered.
    """
    from safetensors import safe_open

    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file")
    try:
        with safe_open(path, framework="numpy") as file:
            header = dict(file.metadata() or {})
            arrays: Arrays = {name: file.get_tensor(name) for name in list(file.keys())}
    except (SafetensorError, ValueError) as error:
        raise CheckpointError(f"{path} is not a whole safetensors file: {error}") from error
    text = header.get("meta", "{}")
    wanted, found = header.get("sha256"), _digest(arrays, text)
    if wanted != found:
        raise CheckpointError(
            f"{path} is corrupted: its digest is {found}, its header says {wanted}"
        )
    return arrays, json.loads(text)


def map_unit(path: str | Path, *, verify: bool = True) -> tuple[Arrays, dict[str, Any]]:
    """`read_unit`, with arrays that are read-only views of the file: it stays on disk until used.

    verify  False: the digest is not compared, for a file that this process has verified before

    Raises as `read_unit` does.
    """
    from safetensors import safe_open

    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file")
    try:
        with safe_open(path, framework="numpy") as file:  # refuses offsets beyond the file
            header = dict(file.metadata() or {})
    except (SafetensorError, ValueError) as error:
        raise CheckpointError(f"{path} is not a whole safetensors file: {error}") from error
    raw = np.asarray(np.memmap(path, np.uint8, "r"))
    start = 8 + int.from_bytes(raw[:8].tobytes(), "little")
    entries: dict[str, Any] = json.loads(raw[8:start].tobytes())
    entries.pop("__metadata__", None)
    arrays: Arrays = {}
    for name, entry in entries.items():
        first, last = entry["data_offsets"]
        values = raw[start + first : start + last].view(_TYPES[entry["dtype"]])
        arrays[name] = values.reshape(entry["shape"])
    text = header.get("meta", "{}")
    if verify and header.get("sha256") != _digest(arrays, text):
        raise CheckpointError(f"{path} is corrupted: its digest is not the one its header says")
    return arrays, json.loads(text)


def bind(
    directory: str | Path, identity: Mapping[str, Any], unwritten: Mapping[str, Any] | None = None
) -> None:
    """Make `directory` the run of `identity`, or check that it already is.

    The first call writes `recipe.toml`. A later one compares every entry and raises
    RunMismatchError that shows the entries that differ, stored value first; if none does, it
    removes temporary files that killed processes have left below `directory`.

    unwritten  what entries stand for that are None and not written, by name, to be shown then
    """
    path, meant = Path(directory) / "recipe.toml", dict(unwritten or {})
    wanted = _plain(dict(identity))
    if not path.exists():
        write_text(path, tomli_w.dumps(wanted))
        return
    stored = _parsed(path)
    differing = sorted(_differences(stored, wanted))
    if differing:
        lines = "\n".join(
            f"  {name}: {_shown(old, meant.get(name))} there, {_shown(new, meant.get(name))} now"
            for name, old, new in differing
        )
        raise RunMismatchError(
            f"{path.parent} holds another run:\n{lines}\nuse another --out, or remove it"
        )
    _sweep(path.parent)


def read_identity(directory: str | Path) -> dict[str, Any]:
    """The identity that `bind` stored.

    Raises FileNotFoundError if the directory is no run, CheckpointError for a damaged file.
    """
    path = Path(directory) / "recipe.toml"
    if not path.is_file():
        raise FileNotFoundError(f"{directory} is not a run directory: it has no recipe.toml")
    return _parsed(path)


def _parsed(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise CheckpointError(f"{path} cannot be read: {error}") from error


def fingerprint(*arrays: npt.NDArray[Any]) -> str:
    """SHA-256 over types, shapes and contents, by blocks of rows: a memory map stays on disk."""
    digest = hashlib.sha256()
    for array in arrays:
        digest.update(f"{array.dtype.str}{array.shape}".encode())
        step = max(1, (1 << 24) // max(1, array[:1].nbytes)) if array.ndim else 1
        for start in range(0, len(array) if array.ndim else 1, step):
            block = array[start : start + step] if array.ndim else array
            digest.update(np.ascontiguousarray(block).data)
    return digest.hexdigest()


def _digest(arrays: Mapping[str, npt.NDArray[Any]], text: str) -> str:
    digest = hashlib.sha256(text.encode())
    for name in sorted(arrays):
        digest.update(name.encode())
        digest.update(fingerprint(arrays[name]).encode())
    return digest.hexdigest()


def _plain(value: Any) -> Any:
    """What TOML can hold: None is left out, tuples become lists, NumPy scalars Python's."""
    if isinstance(value, Mapping):
        return {str(name): _plain(entry) for name, entry in value.items() if entry is not None}
    if isinstance(value, (list, tuple)):
        return [_plain(entry) for entry in value]
    return value.item() if isinstance(value, np.generic) else value


def _differences(
    stored: Mapping[str, Any], wanted: Mapping[str, Any], prefix: str = ""
) -> list[tuple[str, Any, Any]]:
    found: list[tuple[str, Any, Any]] = []
    for name in stored.keys() | wanted.keys():
        old, new = stored.get(name), wanted.get(name)
        if isinstance(old, Mapping) and isinstance(new, Mapping):
            found += _differences(old, new, f"{prefix}{name}.")
        elif old != new:
            found.append((f"{prefix}{name}", old, new))
    return found


def _shown(value: Any, unwritten: Any) -> str:
    return repr(unwritten if value is None else value)


def _sweep(directory: Path) -> None:
    # Files and folders vanish meanwhile where another process works; the next call looks again.
    with suppress(OSError):
        for left in directory.rglob(".*.part"):
            if time.time() - left.stat().st_mtime > _LEFT_SECONDS:
                left.unlink()


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
