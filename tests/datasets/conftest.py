"""Tests here see neither the user's cache nor GENMEM_DATA, except those that ask for `real`."""

from __future__ import annotations

import gzip
import http.server
import os
import struct
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from genmem.datasets import places

_REAL = os.environ.get("GENMEM_DATA")


@pytest.fixture(autouse=True)
def apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GENMEM_DATA", raising=False)
    monkeypatch.delenv("GENMEM_MIRRORS", raising=False)
    monkeypatch.setattr(places, "cache", lambda: tmp_path / "cache")


@pytest.fixture
def real(monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str], Path]:
    """A function (folder, file) that skips the test unless GENMEM_DATA holds the file."""

    def found(folder: str, file: str) -> Path:
        if not _REAL:
            pytest.skip("GENMEM_DATA, the folder with real images, is not set")
        path = Path(_REAL) / folder / file
        if not path.is_file():
            pytest.skip(f"GENMEM_DATA holds no {folder}/{file}")
        monkeypatch.setenv("GENMEM_DATA", _REAL)
        return path

    return found


@pytest.fixture
def write_idx() -> Callable[..., Path]:
    """A second, independent writer: the header by hand, the payload from NumPy."""

    def write(path: Path, array: np.ndarray, *, packed: bool = True) -> Path:
        header = struct.pack(f">BBBB{array.ndim}I", 0, 0, 8, array.ndim, *array.shape)
        path.parent.mkdir(parents=True, exist_ok=True)
        content = header + array.astype(np.uint8).tobytes()
        path.write_bytes(gzip.compress(content, mtime=0) if packed else content)
        return path

    return write


@pytest.fixture
def mnist_folder(write_idx: Callable[..., Path]) -> Callable[..., tuple[np.ndarray, np.ndarray]]:
    """A function that writes the four files of a tiny MNIST and returns its training part."""

    def write(folder: Path, rows: int = 7, side: int = 5) -> tuple[np.ndarray, np.ndarray]:
        random = np.random.default_rng(rows)
        for prefix, count in (("t10k", rows // 2 + 1), ("train", rows)):
            images = random.integers(0, 256, (count, side, side), dtype=np.uint8)
            labels = random.integers(0, 10, count, dtype=np.uint8)
            write_idx(folder / f"{prefix}-images-idx3-ubyte.gz", images)
            write_idx(folder / f"{prefix}-labels-idx1-ubyte.gz", labels)
        return images, labels

    return write


@pytest.fixture
def serve(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[dict[str, bytes]], str]]:
    """A function that serves a mapping of paths to bytes on a loopback port; returns its address.

    A path ending in "!" is served under its name without it, and cut in half after the headers.
    """
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.setenv(name, "127.0.0.1")
    servers = []

    def start(files: dict[str, bytes]) -> str:
        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                name = self.path.lstrip("/")
                asked.append(name)
                content = files.get(name, files.get(name + "!"))
                if content is None:
                    self.send_error(404)
                    return
                self.send_response(200)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                whole = name in files
                self.wfile.write(content if whole else content[: len(content) // 2])

            def log_message(self, *args: object) -> None:
                pass

        asked: list[str] = []
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        servers.append((server, thread))
        start.asked = asked
        return f"http://127.0.0.1:{server.server_address[1]}"

    yield start
    for server, thread in servers:
        server.shutdown()
        server.server_close()
        thread.join()
