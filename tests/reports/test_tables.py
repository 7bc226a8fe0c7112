"""Reading a run directory: what must be there, what may be absent, and what is refused."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from genmem.errors import CheckpointError, DataError
from genmem.ledger import write_unit
from genmem.reports.tables import Tables, read

Maker = Callable[..., Any]


@pytest.fixture
def small(made_up_run: Maker) -> Any:
    return made_up_run(40)


def test_everything_is_read(digits_run: Path) -> None:
    tables = read(digits_run)
    assert tables.n == 1797
    optional = ("by_epoch", "attributes", "self_influence", "neighbours", "influence", "history")
    for name in (*optional, "correlations", "agreement", "images"):
        assert getattr(tables, name) is not None, name


def test_a_directory_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"nowhere is not a directory; `genmem audit DATA"):
        read(tmp_path / "nowhere")


@pytest.mark.parametrize("name", ["recipe.toml", "summary.json", "scores/memorization.parquet"])
def test_required_files_are_named_with_the_command(small: Any, tmp_path: Path, name: str) -> None:
    run = small.write(tmp_path / "run", without=(name,))
    with pytest.raises(FileNotFoundError, match=rf"{name} is missing; `genmem audit DATA --out"):
        read(run)


@pytest.mark.parametrize(
    ("name", "attribute"),
    [
        ("scores/by_epoch.parquet", "by_epoch"),
        ("scores/attributes.parquet", "attributes"),
        ("scores/self_influence.parquet", "self_influence"),
        ("scores/neighbours.parquet", "neighbours"),
        ("influence/proponents.parquet", "influence"),
        ("tables/history.parquet", "history"),
        ("tables/attribute_correlations.parquet", "correlations"),
        ("tables/agreement.parquet", "agreement"),
        ("images.safetensors", "images"),
    ],
)
def test_optional_files_may_be_absent(
    small: Any, tmp_path: Path, name: str, attribute: str
) -> None:
    tables = read(small.write(tmp_path / "run", without=(name,)))
    assert getattr(tables, attribute) is None


def test_a_truncated_table(small: Any, tmp_path: Path) -> None:
    path = small.write(tmp_path / "run") / "scores/memorization.parquet"
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(DataError, match=r"memorization\.parquet is not a whole parquet file"):
        read(tmp_path / "run")


def test_a_table_without_its_columns(small: Any, tmp_path: Path) -> None:
    history = small.tables["tables/history.parquet"].drop(columns="heldout_loss")
    small.tables["tables/history.parquet"] = history
    with pytest.raises(
        DataError, match=r"history\.parquet has columns .* wanted also .*heldout_loss"
    ):
        read(small.write(tmp_path / "run"))


def test_a_sample_named_twice(small: Any, tmp_path: Path) -> None:
    small.tables["scores/memorization.parquet"].loc[1, "index"] = small.index[0]
    with pytest.raises(DataError, match="names a sample twice"):
        read(small.write(tmp_path / "run"))


def test_a_summary_of_another_run(small: Any, tmp_path: Path) -> None:
    small.summary["data"]["n"] = 41
    with pytest.raises(DataError, match=r"has 40 rows but summary\.json counts 41 samples"):
        read(small.write(tmp_path / "run"))


@pytest.mark.parametrize("text", ["{", "[]", '{"title": "t"}', '{"title": "t", "data": {"n": 4}}'])
def test_a_summary_that_says_too_little(small: Any, tmp_path: Path, text: str) -> None:
    run = small.write(tmp_path / "run")
    (run / "summary.json").write_text(text)
    with pytest.raises(DataError, match=r"summary\.json (is not JSON|lacks title)"):
        read(run)


def test_no_score_is_finite(small: Any, tmp_path: Path) -> None:
    small.tables["scores/memorization.parquet"]["score"] = np.nan
    with pytest.raises(DataError, match="no finite score in 40 rows"):
        read(small.write(tmp_path / "run"))


@pytest.mark.parametrize(
    "pixels",
    [np.zeros((40, 1, 8, 8), np.float32), np.zeros((40, 2, 8, 8), np.uint8), np.zeros(3, np.uint8)],
)
def test_pictures_of_another_shape(small: Any, tmp_path: Path, pixels: np.ndarray) -> None:
    run = small.write(tmp_path / "run")
    write_unit(run / "images.safetensors", {"index": np.arange(40), "pixels": pixels})
    with pytest.raises(DataError, match=r"images\.safetensors .*wanted"):
        read(run)


def test_corrupted_pictures(small: Any, tmp_path: Path) -> None:
    path = small.write(tmp_path / "run") / "images.safetensors"
    content = bytearray(path.read_bytes())
    content[-1] ^= 255
    path.write_bytes(bytes(content))
    with pytest.raises(CheckpointError, match="is corrupted"):
        read(tmp_path / "run")


def test_columns_follow_the_order_of_the_scores(small: Any, tmp_path: Path) -> None:
    table = small.tables["scores/self_influence.parquet"]
    shuffled = table.sample(frac=1, random_state=1).iloc[:-1]
    small.tables["scores/self_influence.parquet"] = shuffled
    tables: Tables = read(small.write(tmp_path / "run"))
    assert tables.self_influence is not None
    got = tables.aligned(tables.self_influence, "self_influence")
    want = table["self_influence"].to_numpy(copy=True)
    (absent,) = set(table["index"]) - set(shuffled["index"])
    missing = np.flatnonzero(table["index"] == absent)
    assert np.isnan(got[missing]).all()
    assert np.array_equal(np.delete(got, missing), np.delete(want, missing))


def test_an_empty_table_counts_as_absent(small: Any, tmp_path: Path) -> None:
    small.tables["tables/agreement.parquet"] = small.tables["tables/agreement.parquet"].iloc[:0]
    assert read(small.write(tmp_path / "run")).agreement is None
    assert isinstance(small.tables["tables/agreement.parquet"], pd.DataFrame)
