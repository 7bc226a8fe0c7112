"""The IDX format of MNIST: a big-endian header, then unsigned bytes; plain or gzip-compressed.

Header: 4 bytes (0, 0, type, number of axes), then one unsigned 32-bit size an axis. Only type 0x08,
unsigned bytes, occurs in the data sets read here.
Source: the format's description on the MNIST page of LeCun, Cortes and Burges.
"""

from __future__ import annotations

import gzip
import math
import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import numpy as np
import numpy.typing as npt

from genmem.errors import DataError

_GZIP = b"\x1f\x8b"
# No deflate stream expands by more than this; a header that claims more is not believed.
_GREATEST_EXPANSION = 1032


def read_idx(path: str | Path, ndim: int, *, limit: int | None = None) -> npt.NDArray[np.uint8]:
    """The array of an IDX file of unsigned bytes; one array is allocated, filled from the stream.

    path   plain or gzip-compressed (told by content, not by name)
    ndim   number of axes wanted: 3 for images, 1 for labels
    limit  read at most this many rows; what follows is then neither read nor checked

    Raises DataError for another magic number, a truncated or corrupted stream, fewer bytes than the
    header claims, or more.
    """
    path = Path(path)
    with _opened(path) as file:
        shape = _header(file, path, ndim)
        rows = shape[0] if limit is None else min(limit, shape[0])
        out = np.empty((rows, *shape[1:]), np.uint8)
        held = _fill(file, out.reshape(-1).data)
        if held < out.size:
            raise DataError(
                f"{path}: the payload ends after {held} of {out.size} bytes; "
                f"the header claims {_times(shape)}"
            )
        # Reading past the end also makes gzip compare its checksum.
        if rows == shape[0] and file.read(1):
            raise DataError(f"{path}: more bytes follow than the header claims ({_times(shape)})")
    return out


def idx_shape(path: str | Path, ndim: int) -> tuple[int, ...]:
    """The shape an IDX file claims, from its header alone; see `read_idx` for errors."""
    path = Path(path)
    with _opened(path) as file:
        return _header(file, path, ndim)


@contextmanager
def _opened(path: Path) -> Iterator[BinaryIO]:
    with path.open("rb") as raw:
        packed = raw.read(2) == _GZIP
        raw.seek(0)
        if not packed:
            yield raw
            return
        try:
            with gzip.GzipFile(fileobj=raw) as file:
                yield file  # type: ignore[misc]  # GzipFile reads like a BinaryIO, and is not typed as one
        except EOFError as error:
            raise DataError(f"{path}: the gzip stream is truncated: {error}") from error
        except (gzip.BadGzipFile, zlib.error) as error:
            raise DataError(f"{path}: the gzip stream is corrupted: {error}") from error


def _header(file: BinaryIO, path: Path, ndim: int) -> tuple[int, ...]:
    magic = file.read(4)
    wanted = bytes((0, 0, 8, ndim))
    if magic != wanted:
        raise DataError(
            f"{path}: the magic number is 0x{magic.hex() or '(no bytes)'}; "
            f"0x{wanted.hex()} (unsigned bytes, {ndim} axes) is wanted"
        )
    sizes = file.read(4 * ndim)
    if len(sizes) < 4 * ndim:
        raise DataError(f"{path}: the header ends after {4 + len(sizes)} of {4 + 4 * ndim} bytes")
    shape = struct.unpack(f">{ndim}I", sizes)
    room = path.stat().st_size * _GREATEST_EXPANSION
    if math.prod(shape) > room:
        raise DataError(
            f"{path}: the header claims {_times(shape)} bytes, more than the file can hold"
        )
    return shape


def _fill(file: BinaryIO, buffer: memoryview) -> int:
    done = 0
    while done < len(buffer):
        count = file.readinto(buffer[done:])  # type: ignore[attr-defined]  # every binary file has it
        if not count:
            break
        done += count
    return done


def _times(shape: tuple[int, ...]) -> str:
    return " x ".join(str(size) for size in shape)
