"""`genmem data`: the table, and downloads from a loopback server."""

from __future__ import annotations

import hashlib
import http.server
import threading
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

from genmem.cli.data import app
from genmem.datasets import places, registry
from genmem.errors import DataError

CONTENT = b"the content of a file"


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Address of a loopback server that holds one file below /mnist/, and nothing below /empty/."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if self.path != "/mnist/a.gz":
                self.send_error(404)
                return
            self.send_response(200)
            self.send_header("Content-Length", str(len(CONTENT)))
            self.end_headers()
            self.wfile.write(CONTENT)

        def log_message(self, *args: object) -> None:
            pass

    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.setenv(name, "127.0.0.1")
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def sources(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Mapping[str, registry.Source]:
    """A registry of two sets, of which MNIST has one small file."""
    monkeypatch.delenv("GENMEM_DATA", raising=False)
    monkeypatch.delenv("GENMEM_MIRRORS", raising=False)
    monkeypatch.setenv("COLUMNS", "300")
    monkeypatch.setattr(places, "cache", lambda: tmp_path / "cache")
    file = registry.RemoteFile("a.gz", hashlib.sha256(CONTENT).hexdigest(), len(CONTENT))
    held = {
        "digits": registry.SOURCES["digits"],
        "mnist": replace(registry.SOURCES["mnist"], files=(file,), mirrors=()),
    }
    monkeypatch.setattr(registry, "SOURCES", held)
    return held


def test_list_says_what_is_where(
    sources: Mapping[str, registry.Source], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "data [red]" / "mnist"
    folder.mkdir(parents=True)
    monkeypatch.setenv("GENMEM_DATA", str(tmp_path / "data [red]"))
    result = CliRunner().invoke(app, ["list"])
    assert result.exit_code == 0
    lines = {line.split("│")[1].strip(): line for line in result.output.splitlines() if "│" in line}
    assert set(lines) == {"digits", "mnist"}
    assert "60,000 train + 10,000 test" in lines["mnist"]
    assert "1 x 28 x 28" in lines["mnist"]
    assert "CC BY-SA 3.0" in lines["mnist"]
    assert "not here: genmem data get mnist" in lines["mnist"]
    assert "sklearn" in lines["digits"]
    for name in ("t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte.gz"):
        (folder / name).touch()
    result = CliRunner().invoke(app, ["list"])
    assert f"train: not here, test: {folder}" in result.output
    for name in ("train-images-idx3-ubyte", "train-labels-idx1-ubyte.gz"):
        (folder / name).touch()
    result = CliRunner().invoke(app, ["list"])
    assert f"│ {folder} " in result.output


def test_list_wraps_but_loses_nothing_when_narrow(
    sources: Mapping[str, registry.Source], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    result = CliRunner().invoke(app, ["list"])
    assert result.exit_code == 0
    assert "…" not in result.output


def test_get_tries_mirrors_in_order(
    sources: Mapping[str, registry.Source], served: str, tmp_path: Path
) -> None:
    mirrors = ["--mirror", f"{served}/empty", "--mirror", served]
    result = CliRunner().invoke(app, ["get", "mnist", *mirrors])
    assert result.exit_code == 0, result.output
    path = tmp_path / "cache" / "mnist" / "a.gz"
    assert path.read_bytes() == CONTENT
    assert f"{path}: 21 bytes, sha256 {hashlib.sha256(CONTENT).hexdigest()}" in result.output
    assert "licence: LeCun" in result.output


def test_get_from_the_environment(
    sources: Mapping[str, registry.Source], served: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GENMEM_MIRRORS", served)
    assert CliRunner().invoke(app, ["get", "MNIST"]).exit_code == 0


def test_get_that_fails_is_exit_code_1(sources: Mapping[str, registry.Source], served: str) -> None:
    result = CliRunner().invoke(app, ["get", "mnist", "--mirror", f"{served}/empty"])
    assert result.exit_code == 1
    assert isinstance(result.exception, DataError)
    assert f"{served}/empty/a.gz: 404" in str(result.exception)


@pytest.mark.parametrize(
    ("arguments", "wanted"),
    [
        (["get", "mnits"], "no data set is called 'mnits'"),
        (["get", "mnist", "--mirror", "host"], "is not an http:// or https:// address"),
        (["get"], "Missing argument"),
        (["fetch"], "No such command"),
    ],
)
def test_wrong_usage_is_exit_code_2(
    sources: Mapping[str, registry.Source], arguments: list[str], wanted: str
) -> None:
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 2
    assert wanted in result.output


def test_get_of_what_is_here_downloads_nothing(sources: Mapping[str, registry.Source]) -> None:
    result = CliRunner().invoke(app, ["get", "digits"])
    assert result.exit_code == 0
    assert "digits is here: " in result.output
    result = CliRunner().invoke(app, ["get", "digits", "--force"])
    assert result.exit_code == 1
    assert "nothing to fetch: it comes with scikit-learn" in str(result.exception)
