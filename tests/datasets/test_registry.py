"""The table of named data sets is well formed, and its digests are those of the files at hand."""

from __future__ import annotations

import hashlib
import re
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
    if path.stat().st_size != file.size:
        pytest.skip(f"{path.name} there is packed otherwise ({path.stat().st_size} bytes)")
    assert hashlib.sha256(path.read_bytes()).hexdigest() == file.sha256


def test_names_in_other_spellings() -> None:
    assert registry.source("Fashion-MNIST").name == "fashion_mnist"
    assert registry.source("CIFAR-10").name == "cifar10"
    with pytest.raises(ValueError, match="no data set is called 'mnits'; there are digits, mnist"):
        registry.source("mnits")
