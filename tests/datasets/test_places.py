"""Where data sets are looked for, and in which order."""

from __future__ import annotations

from pathlib import Path

import pooch
import pytest

from genmem.datasets import places
from genmem.errors import DataError

# Before the fixture of this folder replaces it.
CACHE = places.cache


def test_the_cache_is_that_of_the_user() -> None:
    assert CACHE() == Path(pooch.os_cache("genmem"))


def test_genmem_data_is_looked_in_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = tmp_path / "data"
    for root in (data, places.cache()):
        (root / "set").mkdir(parents=True)
        (root / "set" / "b").touch()
    monkeypatch.setenv("GENMEM_DATA", str(data))
    assert places.locate("set", ["a", "b"]) == data / "set" / "b"
    (places.cache() / "set" / "a").touch()
    # The folder counts before the name.
    assert places.locate("set", ["a", "b"]) == data / "set" / "b"
    assert places.locate("set", ["a"]) == places.cache() / "set" / "a"
    assert places.locate("set", ["c"]) is None
    assert places.locate("other", ["a"]) is None
    assert list(places.folders("set")) == [data / "set", places.cache() / "set"]


def test_genmem_data_that_is_no_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("GENMEM_DATA", str(tmp_path / "nowhere"))
    with pytest.raises(DataError, match=r"GENMEM_DATA is '.*nowhere', which is not a folder"):
        places.locate("mnist", ["x"])
