"""The section on copying: there if the run has the tables, and true to them."""

import json
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from genmem import report
from genmem.copying import examine
from genmem.errors import DataError
from genmem.ledger import write_unit
from genmem.reports import words
from genmem.reports.copying import read
from genmem.reports.page import render
from genmem.reports.tables import read as read_tables

Maker = Callable[..., Any]
FIGURES = {"nearest_distances", "rho_and_memorization"}


def add_copying(
    run: Path, *, related: bool = True, pictures: bool = True, copies: int = 2
) -> dict[str, Any]:
    """Tables as `genmem copying` writes them, of noise; returns the summary."""
    from genmem.studies.copying_table import table

    random = np.random.default_rng(0)
    train, test, made = (random.random((n, 64)) for n in (90, 60, 70))
    made[:copies] = train[:copies]
    results = examine(train, test, made, resamples=20)
    folder = run / "copying"
    (folder / "scores").mkdir(parents=True)
    pd.DataFrame(
        {
            "index": np.arange(70),
            "nearest": results["authenticity"].nearest,
            "distance": results["near_duplicate_rate"].per_sample,
        }
    ).to_parquet(folder / "scores/copying.parquet")
    held = np.sort(random.random(60))
    pd.DataFrame({"index": np.arange(60), "distance": held}).to_parquet(
        folder / "scores/copying_heldout.parquet"
    )
    scores = pd.read_parquet(run / "scores/memorization.parquet")
    summary: dict[str, Any] = {
        "table": table(results),
        "tests": [one.summary() for one in results.values()],
        "counts": {"train": 90, "test": 60, "generated": 70},
        "sets": {"train": "digits", "test": "a fold of digits", "generated": "means"},
        "notes": ["means are smooth"],
        "memorization": None,
    }
    if related:
        from genmem.studies.correlation import spearman
        from genmem.studies.overlap import overlap

        log_ratio = random.standard_normal(len(scores))
        pd.DataFrame(
            {"index": scores["index"], "log_ratio": log_ratio, "se": 0.1, "times": 4}
        ).to_parquet(folder / "scores/rho_and_memorization.parquet")
        plain = spearman(scores["score"], log_ratio)._asdict()
        top = overlap(scores["score"], log_ratio, max(1, len(scores) // 20))
        summary["memorization"] = {
            "correlation": plain,
            "partial": plain | {"value": 0.25, "lower": 0.2, "upper": 0.3},
            "reliability": 0.83,
            "ceiling": 0.61,
            "models": 1,
            "top": {"k": top.k, "count": top.count, "expected": top.expected},
            "left_out": 0,
        }
    if pictures:
        pixels = random.integers(0, 256, (12, 1, 8, 8)).astype(np.uint8)
        write_unit(
            folder / "images.safetensors",
            {"index": np.arange(12), "pixels": pixels, "nearest": np.arange(12) * 3 + 7,
             "nearest_pixels": pixels},
        )  # fmt: skip
    (folder / "summary.json").write_text(json.dumps(summary))
    return summary


class Text(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__()
        self.parts: list[str] = []
        self.feed(text)
        self.text = " ".join(" ".join(self.parts).split())

    def handle_data(self, data: str) -> None:
        self.parts.append(data)


@pytest.fixture
def run(made_up_run: Maker, tmp_path: Path) -> Path:
    directory: Path = made_up_run(120).write(tmp_path / "run")
    return directory


def seen(run: Path) -> str:
    return Text(report(run).read_text(encoding="utf-8")).text


def test_a_run_without_it_has_no_section(run: Path) -> None:
    assert read(run) is None
    text = report(run).read_text(encoding="utf-8")
    assert 'id="copying"' not in text
    assert "#copying" not in text
    assert "AuthPct" not in text
    assert not {path.stem for path in (run / "figures").glob("*.svg")} & FIGURES


def test_the_section_shows_the_table(run: Path) -> None:
    summary = add_copying(run)
    text = seen(run)
    assert "70 generated samples (means) and 60 held-out samples (a fold of digits)" in text
    assert "2 are an exact copy of a training sample" in text
    assert "Means are smooth." in text
    for row in summary["table"]:
        value = words.significant(row["value"])
        reference = words.significant(row["reference"])
        assert f"{row['label']} {row['copying_is']} {value} {reference}" in text
    assert 'href="#copying"' in (run / "report.html").read_text(encoding="utf-8")
    assert {path.stem for path in (run / "figures").glob("*.svg")} >= FIGURES
    assert "ρ, nearest-neighbour ratio" in text


def test_captions_say_what_the_tables_say(run: Path) -> None:
    summary = add_copying(run)
    drawings = {one.name: one for one in render(read_tables(run))[1]}
    made = pd.read_parquet(run / "copying/scores/copying.parquet")["distance"]
    told = drawings["nearest_distances"].caption
    assert f"within {words.significant(float(made.median()))}, half of the held-out" in told
    assert "copies would be a step at 0: there are 2." in told
    told = drawings["rho_and_memorization"].caption
    rho = words.correlation(summary["memorization"]["correlation"]["value"])
    assert f"with M {rho} (95" in told
    assert "held fixed it is 0.25 (95" in told
    again = "measured again on other generated and the same held-out samples, with 0.83; with"
    assert "a correlation of 0.61 is the most that could be seen." in told
    assert again in told
    assert "ρ does not tell which samples are memorized." in told
    texts = ["".join(e.itertext()) for e in drawings["nearest_distances"].tree.iter()]
    assert {"generated", "held out", "distance to the nearest training sample"} <= set(texts)


@pytest.mark.parametrize(
    ("value", "ends", "said"),
    [
        (0.9, (0.8, 0.95), "ρ sees what M sees closely"),
        (0.5, (0.4, 0.6), "ρ sees what M sees in part"),
        (0.1, (0.05, 0.15), "ρ sees what M sees only weakly"),
        (-0.3, (-0.4, -0.2), "Memorized samples have the smaller ρ: it does not see them."),
        (0.02, (-0.1, 0.1), "ρ does not tell which samples are memorized."),
        (None, (None, None), "with M undefined."),
    ],
)
def test_the_correlation_in_words(run: Path, value: Any, ends: Any, said: str) -> None:
    summary = add_copying(run)
    one = {"value": value, "lower": ends[0], "upper": ends[1], "pvalue": None, "n": 120}
    summary["memorization"] |= {"correlation": one, "reliability": None, "partial": None}
    (run / "copying/summary.json").write_text(json.dumps(summary))
    drawings = {one.name: one for one in render(read_tables(run))[1]}
    told = drawings["rho_and_memorization"].caption
    assert said in told
    assert "agrees with itself" not in told
    assert "held fixed" not in told


def test_without_scores_or_pictures(run: Path) -> None:
    add_copying(run, related=False, pictures=False, copies=0)
    text = seen(run)
    assert "none is an exact copy" in text
    assert "copies would be a step at 0: there is none." in text
    assert "sees what M sees" not in text
    assert "nearest to a training image" not in text


def test_an_undefined_test_is_a_dash(run: Path) -> None:
    summary = add_copying(run)
    summary["table"][1] |= dict.fromkeys(("value", "lower", "upper", "pvalue", "qvalue"))
    (run / "copying/summary.json").write_text(json.dumps(summary))
    assert f"{summary['table'][1]['label']} low undefined" in seen(run)


def test_damaged_tables_are_named(run: Path) -> None:
    summary = add_copying(run)
    path = run / "copying/scores/copying_heldout.parquet"
    kept = path.read_bytes()
    path.write_bytes(kept[:-20])
    with pytest.raises(DataError, match=r"copying_heldout\.parquet is not a whole parquet file"):
        read(run)
    path.unlink()
    with pytest.raises(DataError, match=r"is missing; `genmem copying .*run` writes it"):
        read(run)
    pd.DataFrame({"index": [1, 1], "distance": [0.1, 0.2]}).to_parquet(path)
    with pytest.raises(DataError, match="one row for each index"):
        read(run)
    path.write_bytes(kept)
    del summary["counts"]
    (run / "copying/summary.json").write_text(json.dumps(summary))
    with pytest.raises(DataError, match=r"summary\.json lacks counts; `genmem copying"):
        read(run)
    (run / "copying/summary.json").write_text("{")
    with pytest.raises(DataError, match="is not JSON"):
        read(run)
