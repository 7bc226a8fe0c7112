"""The section on held-out samples: there if the run has the tables, and true to them."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from genmem import report
from genmem.errors import DataError
from genmem.ledger import write_unit
from genmem.reports.heldout import lead, read, traced

Maker = Callable[..., Any]


def add_heldout(run: Path, labels: bool = True) -> pd.DataFrame:
    """Tables as `genmem influence RUN` writes them, of noise."""
    random = np.random.default_rng(0)
    rows = [
        (query, side, rank, int(random.integers(0, 40)), (5 - rank) * sign,
         query % 10 if labels else -1, int(random.integers(0, 10)) if labels else -1, 2.5)
        for query in (7, 3)
        for side, sign in (("proponent", 0.5), ("opponent", -0.25))
        for rank in (1, 2, 3)
    ]  # fmt: skip
    columns = ["index", "side", "rank", "train_index", "score", "label", "train_label", "distance"]
    table = pd.DataFrame(rows, columns=columns)
    folder = run / "influence"
    folder.mkdir(exist_ok=True)
    table.to_parquet(folder / "heldout.parquet")
    for name, index in (("heldout", [3, 7]), ("heldout_kin", np.unique(table["train_index"]))):
        pixels = random.integers(0, 256, (len(index), 1, 8, 8)).astype(np.uint8)
        write_unit(
            folder / f"{name}.safetensors", {"index": np.asarray(index, np.int64), "pixels": pixels}
        )
    (folder / "heldout.json").write_text(json.dumps({"heldout": "digits test", "k": 3}))
    return table


def test_the_section_shows_strength_class_and_distance(made_up_run: Maker, tmp_path: Path) -> None:
    run = made_up_run(60).write(tmp_path)
    table = add_heldout(run)
    page = report(run).read_text(encoding="utf-8")
    assert '<section class="question" id="heldout">' in page
    for query in (7, 3):
        assert f'id="heldout-{query}"' in page
    found = read(run)
    assert found is not None
    cards = traced(found, None)
    assert [card.face.index for card in cards] == [7, 3]
    first = table.iloc[0]
    note = cards[0].proponents[0].note
    assert note == f"2.00, class {first['train_label']}, 2.50 away"
    assert cards[0].opponents[0].note.startswith("−1.00")
    strongest = table[(table["rank"] == 1) & (table["side"] == "proponent")]
    same = int((strongest["label"] == strongest["train_label"]).sum())
    assert f"{same} of 2 strongest proponents" in lead(found, "image")


def test_without_labels_no_class_is_told(made_up_run: Maker, tmp_path: Path) -> None:
    run = made_up_run(60).write(tmp_path)
    add_heldout(run, labels=False)
    found = read(run)
    assert found is not None
    assert "class" not in lead(found, "image")
    assert "class" not in traced(found, None)[0].proponents[0].note


def test_a_run_without_has_no_section(made_up_run: Maker, tmp_path: Path) -> None:
    page = report(made_up_run(60).write(tmp_path)).read_text(encoding="utf-8")
    assert 'id="heldout"' not in page


def test_damage_is_named(made_up_run: Maker, tmp_path: Path) -> None:
    run = made_up_run(60).write(tmp_path)
    add_heldout(run)
    (run / "influence/heldout_kin.safetensors").unlink()
    with pytest.raises(DataError, match=r"heldout_kin\.safetensors is missing"):
        report(run)
    add_heldout(run)
    (run / "influence/heldout.parquet").write_bytes(b"nothing")
    with pytest.raises(DataError, match="is not a whole parquet file"):
        report(run)
