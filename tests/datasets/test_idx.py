"""The IDX reader against an independent writer, and every way a file can be cut or wrong."""

from __future__ import annotations

import gzip
import struct
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from genmem.datasets.idx import idx_shape, read_idx
from genmem.errors import DataError

IMAGES = np.arange(60, dtype=np.uint8).reshape(5, 4, 3)


def encoded(array: np.ndarray, *, kind: int = 8) -> bytes:
    header = bytes((0, 0, kind, array.ndim)) + struct.pack(f">{array.ndim}I", *array.shape)
    return header + array.tobytes()


@settings(deadline=None, max_examples=50)
@given(
    hnp.arrays(np.uint8, hnp.array_shapes(min_dims=1, max_dims=3, min_side=0, max_side=6)),
    st.booleans(),
    st.integers(1, 8),
)
def test_round_trip(array: np.ndarray, packed: bool, limit: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "x"
        path.write_bytes(gzip.compress(encoded(array)) if packed else encoded(array))
        whole = read_idx(path, array.ndim)
        assert whole.shape == array.shape
        assert np.array_equal(whole, array)
        assert idx_shape(path, array.ndim) == array.shape
        some = read_idx(path, array.ndim, limit=limit)
        assert some.shape == (min(limit, len(array)), *array.shape[1:])
        assert np.array_equal(some, array[:limit])


def test_several_gzip_members_are_one_stream(tmp_path: Path) -> None:
    content = encoded(IMAGES)
    path = tmp_path / "x.gz"
    path.write_bytes(gzip.compress(content[:31]) + gzip.compress(content[31:]))
    assert np.array_equal(read_idx(path, 3), IMAGES)


def test_more_than_one_buffer(tmp_path: Path, write_idx: Callable[..., Path]) -> None:
    big = np.random.default_rng(0).integers(0, 256, (300, 40, 41), dtype=np.uint8)
    for packed in (True, False):
        assert np.array_equal(read_idx(write_idx(tmp_path / "x", big, packed=packed), 3), big)


@pytest.mark.parametrize("keep", range(0, 110, 3))
def test_every_truncation_of_a_gzip_file_is_an_error(tmp_path: Path, keep: int) -> None:
    content = gzip.compress(encoded(IMAGES))
    path = tmp_path / "cut.gz"
    assert keep < len(content) or keep > 90
    path.write_bytes(content[: min(keep, len(content) - 1)])
    with pytest.raises(DataError, match=r"cut.gz: .*(truncated|magic number|corrupted)"):
        read_idx(path, 3)


@pytest.mark.parametrize(
    ("keep", "wanted"),
    [
        (0, r"magic number is 0x\(no bytes\); 0x00000803"),
        (3, "magic number is 0x000008; 0x00000803"),
        (4, "the header ends after 4 of 16 bytes"),
        (15, "the header ends after 15 of 16 bytes"),
        (16, "the payload ends after 0 of 60 bytes; the header claims 5 x 4 x 3"),
        (75, "the payload ends after 59 of 60 bytes"),
    ],
)
@pytest.mark.parametrize("packed", [True, False])
def test_every_truncation_of_the_content(
    tmp_path: Path, keep: int, wanted: str, packed: bool
) -> None:
    content = encoded(IMAGES)[:keep]
    path = tmp_path / "x"
    path.write_bytes(gzip.compress(content) if packed else content)
    with pytest.raises(DataError, match=wanted):
        read_idx(path, 3)


def test_a_limit_before_the_cut_is_served(tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_bytes(encoded(IMAGES)[:-1])
    assert np.array_equal(read_idx(path, 3, limit=4), IMAGES[:4])
    with pytest.raises(DataError, match="59 of 60"):
        read_idx(path, 3, limit=5)


@pytest.mark.parametrize("packed", [True, False])
def test_more_bytes_than_claimed(tmp_path: Path, packed: bool) -> None:
    content = encoded(IMAGES) + b"\0"
    path = tmp_path / "x"
    path.write_bytes(gzip.compress(content) if packed else content)
    with pytest.raises(DataError, match=r"more bytes follow than the header claims \(5 x 4 x 3\)"):
        read_idx(path, 3)


@pytest.mark.parametrize(
    ("content", "ndim", "magic"),
    [
        (encoded(IMAGES), 1, "0x00000803; 0x00000801"),
        (encoded(IMAGES.reshape(-1)), 3, "0x00000801; 0x00000803"),
        (encoded(IMAGES, kind=0x0D), 3, "0x00000d03"),
        (b"\x89PNG\r\n\x1a\n" + bytes(100), 3, "0x89504e47"),
    ],
)
def test_another_magic_number(tmp_path: Path, content: bytes, ndim: int, magic: str) -> None:
    path = tmp_path / "x"
    path.write_bytes(content)
    with pytest.raises(DataError, match=f"the magic number is {magic}"):
        read_idx(path, ndim)


def test_a_header_that_claims_the_impossible_allocates_nothing(tmp_path: Path) -> None:
    header = bytes((0, 0, 8, 3)) + struct.pack(">3I", 2**32 - 1, 2**16, 2**16)
    path = tmp_path / "x.gz"
    path.write_bytes(gzip.compress(header + bytes(100)))
    with pytest.raises(DataError, match="4294967295 x 65536 x 65536"):
        read_idx(path, 3)


def test_a_flipped_bit_in_a_gzip_file(tmp_path: Path) -> None:
    noise = np.random.default_rng(1).integers(0, 256, (5, 40, 30), dtype=np.uint8)
    content = bytearray(gzip.compress(encoded(noise)))
    content[len(content) // 2] ^= 1
    path = tmp_path / "x.gz"
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"the gzip stream is (corrupted|truncated)"):
        read_idx(path, 3)
