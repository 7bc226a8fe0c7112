"""--device of the verbs, on a pretended card."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.numpy import load_file
from typer.testing import CliRunner

from genmem.cli import app
from genmem.datasets import load
from genmem.ledger import read_identity
from pretend_card import pretended_card

SMOKE = ["digits", "--preset", "smoke", "--limit", "40"]


def invoke(*words: str) -> Any:
    return CliRunner().invoke(app, list(words))


def on_card(*words: str) -> str:
    with pretended_card():
        got = invoke(*words)
    assert got.exit_code == 0, got.output
    return str(got.stdout)


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("device") / "here"
    assert invoke("train", *SMOKE, "--device", "cpu", "--out", str(out)).exit_code == 0
    return out


def test_a_run_of_a_card(here: Path, tmp_path: Path) -> None:
    there = tmp_path / "there"
    on_card("train", *SMOKE, "--out", str(there))
    assert 'device = "cuda"' in (there / "recipe.toml").read_text()
    for path in sorted((here / "models").glob("*.safetensors")):
        other = load_file(there / "models" / path.name)
        assert all((other[name] == value).all() for name, value in load_file(path).items())
    with pretended_card():
        got = invoke("train", *SMOKE, "--device", "cuda", "--out", str(here))
    assert got.exit_code == 1
    assert "device: 'cpu' there, 'cuda' now" in got.stderr


def test_influence_is_traced_there(here: Path, tmp_path: Path) -> None:
    words = ["influence", *SMOKE, "--run", str(here), "--draws", "2", "--generated", "2"]
    tables = []
    for device in ("cpu", "cuda"):
        on_card(*words, "--device", device, "--out", str(tmp_path / device))
        tables.append(pd.read_parquet(tmp_path / device / "scores" / "self_influence.parquet"))
        written = (tmp_path / device / "recipe.toml").read_text()
        assert ('device = "cuda"' in written) == (device == "cuda")
    pd.testing.assert_frame_equal(*tables)


def test_an_absent_card_is_refused_in_one_line(tmp_path: Path) -> None:
    if torch.cuda.is_available():
        pytest.skip("this machine has a card")
    got = invoke("train", *SMOKE, "--device", "cuda", "--out", str(tmp_path))
    assert got.exit_code == 1
    assert got.stderr.startswith("genmem train: BackendError: train: device 'cuda' cannot be used")
    assert got.stderr.count("\n") == 1


def test_models_with_heldout_rows_are_trained_there(here: Path, tmp_path: Path) -> None:
    words = ["copying", str(here), "--preset", "smoke", "--threads", "1"]
    on_card(*words, "--out", str(tmp_path / "out"))
    for directory in (tmp_path / "out", tmp_path / "out" / "models" / "split_0"):
        assert read_identity(directory)["device"] == "cuda"
    got = invoke(*words, "--device", "cpu", "--out", str(tmp_path / "out"))
    assert got.exit_code == 1
    assert "device: 'cuda' there, 'cpu' now" in got.stderr


def test_influence_of_a_run_is_traced_there(here: Path, tmp_path: Path) -> None:
    np.savez(tmp_path / "unseen.npz", x=load("digits", limit=44).x[40:])
    words = ["influence", str(here), "--test", str(tmp_path / "unseen.npz"), "--draws", "2"]
    told = [on_card(*words, "--device", device) for device in ("cpu", "cuda")]
    assert told[0] == told[1]
