"""The section on generated samples: there if the run has its tables, checked when it is read."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from genmem.errors import DataError
from genmem.ledger import write_unit
from genmem.reports.page import report
from reports.conftest import MadeUpRun


def written(directory: Path) -> Path:
    """A run with four generated samples, of which one has no opponent."""
    run = MadeUpRun(60)
    run.write(directory)
    random = np.random.default_rng(0)
    mean = np.zeros(60)
    mean[:5], mean[5:8] = [5, 4, 3, 2, 1.5], [-4, -3, -2]
    overall = pd.DataFrame({"index": run.index, "influence": mean, "error": np.full(60, 0.5)})
    overall.to_parquet(directory / "scores/generated_influence.parquet")
    rows = [
        (number, side, rank, run.index[10 * number + rank], 9.0 / rank)
        for number in range(4)
        for side in ("proponent", "opponent")
        for rank in (1, 2, 3, 4)
        if (number, side) != (3, "opponent")
    ]
    columns = ["index", "side", "rank", "train_index", "score"]
    pd.DataFrame(rows, columns=columns).to_parquet(directory / "influence/generated.parquet")
    pixels = random.integers(0, 256, (4, 1, 8, 8), dtype=np.uint8)
    write_unit(directory / "generated.safetensors", {"index": np.arange(4), "pixels": pixels})
    return directory


def test_the_page_shows_what_drives_generated_samples(tmp_path: Path) -> None:
    text = report(written(tmp_path)).read_text(encoding="utf-8")
    section = text[text.index('id="generated"') : text.index('id="run"')]
    assert '<a href="#generated">Generated</a>' in text
    assert (
        "4 images were drawn from the model. Of 60 training images 4 raise and 3 lower" in section
    )
    assert section.count("<article") == 4
    assert "that raise the likelihood of generated images most" in section
    assert "5.00 ± 0.500" in section
    assert "−4.00 ± 0.500" in section
    assert section.count("<h5>Proponents</h5>") == 4
    assert section.count("none recorded") == 1
    assert 'alt="sample 3, generated"' in section


def test_a_run_without_has_no_such_section(tmp_path: Path) -> None:
    text = report(MadeUpRun(60).write(tmp_path)).read_text(encoding="utf-8")
    assert 'id="generated"' not in text
    assert "#generated" not in text


def test_damage_is_named(tmp_path: Path) -> None:
    run = written(tmp_path)
    (run / "influence/generated.parquet").unlink()
    with pytest.raises(DataError, match=r"influence/generated\.parquet is missing"):
        report(run)
    (run / "influence/generated.parquet").write_bytes(b"no")
    with pytest.raises(DataError, match=r"generated\.parquet is not a whole parquet file"):
        report(run)
    pd.DataFrame({"index": [1]}).to_parquet(run / "influence/generated.parquet")
    with pytest.raises(DataError, match=r"wanted also \['side', 'rank', 'train_index', 'score'\]"):
        report(run)
