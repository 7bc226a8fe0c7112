"""Downloads from a loopback server: verified, mirrored, resumed, and refused."""

from __future__ import annotations

import gzip
import hashlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from genmem.datasets import download, load, places, registry
from genmem.datasets.registry import RemoteFile, Source
from genmem.errors import DataError

Serve = Callable[[dict[str, bytes]], str]


@pytest.fixture
def files(tmp_path: Path, mnist_folder: Callable[..., object]) -> dict[str, bytes]:
    mnist_folder(tmp_path / "made", rows=300)
    return {path.name: path.read_bytes() for path in sorted((tmp_path / "made").iterdir())}


@pytest.fixture
def tiny(files: dict[str, bytes], monkeypatch: pytest.MonkeyPatch) -> Source:
    """A registry in which MNIST is the tiny set, without mirrors."""
    held = tuple(
        RemoteFile(name, hashlib.sha256(content).hexdigest(), len(content))
        for name, content in files.items()
    )
    source = replace(registry.SOURCES["mnist"], files=held, mirrors=())
    monkeypatch.setattr(registry, "SOURCES", {"mnist": source})
    return source


def test_a_good_download_is_loaded(serve: Serve, tiny: Source, files: dict[str, bytes]) -> None:
    seen: list[tuple[str, int, int]] = []
    base = serve(files)
    paths = download.fetch("mnist", mirrors=[base], progress=lambda *step: seen.append(step))
    assert [path.name for path in paths] == sorted(files)
    assert {path.parent for path in paths} == {places.cache() / "mnist"}
    assert all(path.read_bytes() == files[path.name] for path in paths)
    ends = {name: done == total for name, done, total in seen}
    assert ends == dict.fromkeys(files, True)
    assert all(done <= total == len(files[name]) for name, done, total in seen)
    want = np.frombuffer(gzip.decompress(files["train-labels-idx1-ubyte.gz"]), np.uint8, offset=8)
    data = load("mnist")
    assert data.y is not None
    assert np.array_equal(data.y, want)


def test_what_is_in_the_cache_is_not_asked_for_again(
    serve: Serve, tiny: Source, files: dict[str, bytes]
) -> None:
    base = serve(files)
    first = download.fetch("mnist", mirrors=[base])
    first[0].write_bytes(b"damaged")
    second = serve(files)
    assert download.fetch("mnist", mirrors=[second]) == first
    assert serve.asked == ["mnist/" + first[0].name, first[0].name]
    assert first[0].read_bytes() == files[first[0].name]


def test_a_mirror_laid_out_like_genmem_data(
    serve: Serve, tiny: Source, files: dict[str, bytes]
) -> None:
    base = serve({f"mnist/{name}": content for name, content in files.items()})
    assert len(download.fetch("mnist", mirrors=[base + "/"])) == 4


def test_the_second_mirror_is_tried_when_the_first_has_nothing(
    serve: Serve, tiny: Source, files: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    empty, good = serve({}), serve(files)
    monkeypatch.setenv("GENMEM_MIRRORS", f" {empty}, {good}\n")
    assert len(download.fetch("mnist")) == 4


def test_official_mirrors_are_tried_in_order(
    serve: Serve, tiny: Source, files: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    mirrors = (serve({}) + "/", serve(files) + "/")
    monkeypatch.setattr(registry, "SOURCES", {"mnist": replace(tiny, mirrors=mirrors)})
    assert len(download.fetch("mnist")) == 4


def test_a_wrong_digest_is_refused_and_leaves_nothing(
    serve: Serve, tiny: Source, files: dict[str, bytes]
) -> None:
    wrong = {name: content + b"x" for name, content in files.items()}
    base = serve(wrong)
    with pytest.raises(DataError) as caught:
        download.fetch("mnist", mirrors=[base])
    message = str(caught.value)
    first = tiny.files[0]
    assert f"could not fetch {first.name} ({first.size} bytes, sha256 {first.sha256})" in message
    assert f"{base}/mnist/{first.name}: 404" in message
    assert f"{base}/{first.name}: SHA256 hash of downloaded file" in message
    assert "--mirror or GENMEM_MIRRORS" in message
    assert str(places.cache() / "mnist") in message
    assert list((places.cache() / "mnist").iterdir()) == []


def test_a_wrong_digest_at_the_first_mirror_does_not_stop_the_second(
    serve: Serve, tiny: Source, files: dict[str, bytes]
) -> None:
    bad, good = serve(dict.fromkeys(files, b"ransom")), serve(files)
    assert len(download.fetch("mnist", mirrors=[bad, good])) == 4


def test_a_connection_that_breaks_off(serve: Serve, tiny: Source, files: dict[str, bytes]) -> None:
    base = serve({name + "!": content for name, content in files.items()})
    with pytest.raises(DataError, match=r"(?s)could not fetch .*(IncompleteRead|broken|hash of)"):
        download.fetch("mnist", mirrors=[base])
    assert list((places.cache() / "mnist").iterdir()) == []


def test_nobody_answers(serve: Serve, tiny: Source) -> None:
    serve({})  # also keeps proxies out
    with pytest.raises(DataError, match=r"127.0.0.1:9/t10k-images.*: .*(refused|establish)"):
        download.fetch("mnist", mirrors=["http://127.0.0.1:9"])


@pytest.mark.parametrize("address", ["ftp://host/x", "/some/folder", "http://", "host"])
def test_addresses_that_are_refused(tiny: Source, address: str) -> None:
    with pytest.raises(ValueError, match="is not an http:// or https:// address"):
        download.fetch("mnist", mirrors=[address])


def test_a_set_that_cannot_be_fetched_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(DataError, match="digits: nothing to fetch: it comes with scikit-learn"):
        download.fetch("digits")
    by_hand = replace(
        registry.SOURCES["mnist"], files=(), mirrors=(), by_hand="put a.gz into GENMEM_DATA/mnist"
    )
    monkeypatch.setattr(registry, "SOURCES", {"mnist": by_hand})
    with pytest.raises(DataError, match=r"nothing to fetch: put a.gz into GENMEM_DATA/mnist"):
        download.fetch("mnist")


def test_the_address_list() -> None:
    source = registry.SOURCES["fashion_mnist"]
    assert download.addresses(source) == source.mirrors
    assert download.addresses(source, ["http://a/b"]) == (
        "http://a/b/fashion-mnist/",
        "http://a/b/",
    )
