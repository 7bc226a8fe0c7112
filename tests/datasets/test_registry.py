"""The table of named data sets is well formed, and its digests are those of the files at hand."""

from __future__ import annotations

import gzip
import hashlib
import re
import shutil
import struct
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from genmem.datasets import registry

FILES = [(source, file) for source in registry.SOURCES.values() for file in source.files]


@pytest.mark.parametrize("source", registry.SOURCES.values(), ids=lambda source: source.name)
def test_each_entry(source: registry.Source) -> None:
    assert registry.SOURCES[source.name] is source
    assert set(source.rows) <= {"train", "test"}
    assert source.licence
    assert bool(source.files) == bool(source.mirrors) != bool(source.by_hand)
    assert all(re.fullmatch(r"https?://[^\s]+/", mirror) for mirror in source.mirrors)
    for file in source.files:
        assert re.fullmatch("[0-9a-f]{64}", file.sha256)
        assert file.size > 0


@pytest.mark.parametrize(("source", "file"), FILES, ids=lambda each: each.name)
def test_digests_of_the_files_at_hand(
    real: Callable[[str, str], Path], source: registry.Source, file: registry.RemoteFile
) -> None:
    path = real(source.folder, file.name)
    content = path.read_bytes()
    if len(content) != file.size and (source.folder, file.name) in HEADERS:
        content = packed_as_published(content, *HEADERS[source.folder, file.name])
    assert len(content) == file.size
    assert hashlib.sha256(content).hexdigest() == file.sha256


# What the headers of published files say of the file inside: when it was changed, its name.
HEADERS = {
    ("mnist", "train-images-idx3-ubyte.gz"): (0x3290827A, b"train-images.idx3-ubyte"),
    ("fashion-mnist", "t10k-images-idx3-ubyte.gz"): (0x59A7E9F3, b"t10k-images-idx3-ubyte"),
}


def packed_as_published(packed: bytes, changed: int, name: bytes) -> bytes:
    """The published file, bit for bit, from one with the same content that was packed otherwise."""
    if not shutil.which("gzip"):
        pytest.skip("no program gzip, which packed the published files")
    again = subprocess.run(
        ["gzip", "-6", "-n"], input=gzip.decompress(packed), stdout=subprocess.PIPE, check=True
    )
    header = b"\x1f\x8b\x08\x08" + struct.pack("<I", changed) + b"\x00\x03"
    return header + name + b"\x00" + again.stdout[10:]


def test_names_in_other_spellings() -> None:
    assert registry.source("Fashion-MNIST").name == "fashion_mnist"
    assert registry.source("CIFAR-10").name == "cifar10"
    with pytest.raises(ValueError, match="no data set is called 'mnits'; there are digits, mnist"):
        registry.source("mnits")
