"""The page: whole, self-contained, the same every time, and saying what the tables say."""

import re
from collections import Counter
from collections.abc import Callable
from html import unescape
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import genmem.reports
from genmem.reports import report, words

Maker = Callable[..., Any]
VOID = {"meta", "link", "img", "br"}
HEADINGS = (
    "Which samples are memorized the most?",
    "What makes a sample likely to be memorized?",
    "Do models trained with other objectives memorize the same samples?",
    "What was run, for how long, on what",
    "How to read the numbers",
    "How to reproduce this page",
)


class Page(HTMLParser):
    """Elements of a page, its text, its links and ids; raises on a tag that is not closed."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: Counter[str] = Counter()
        self.links: list[str] = []
        self.ids: list[str] = []
        self.headings: list[str] = []
        self.words: list[str] = []
        self.open: list[str] = []
        self.feed(text)
        self.close()
        assert not self.open, self.open
        self.text = " ".join(" ".join(self.words).split())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags[tag] += 1
        held = dict(attrs)
        self.links += [value for name in ("src", "href", "xlink:href") if (value := held.get(name))]
        if identity := held.get("id"):
            self.ids.append(identity)
        assert not [name for name in held if name.startswith("on")]
        if tag == "img":
            assert held.get("alt"), "a picture without words"
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "style" in self.open:
            return
        self.words.append(data)
        if self.open and self.open[-1] == "h2":
            self.headings.append(data)


@pytest.fixture(scope="module")
def page(digits_run: Path) -> Page:
    path = report(digits_run)
    assert path == digits_run / "report.html"
    return Page(path.read_text(encoding="utf-8"))


def made(run: Any, directory: Path, **options: Any) -> str:
    return report(run.write(directory, **options)).read_text(encoding="utf-8")


def test_the_sections_stand_in_order(page: Page) -> None:
    assert tuple(page.headings[-6:]) == HEADINGS
    for title in ("12 most memorized", "12 least memorized", "Duplicates", "Warnings"):
        assert title in page.text


def test_nothing_comes_from_elsewhere(page: Page, digits_run: Path) -> None:
    assert page.tags["script"] == page.tags["iframe"] == page.tags["object"] == 0
    for link in page.links:
        assert link.startswith(("#", "data:")), link[:80]
    text = (digits_run / "report.html").read_text(encoding="utf-8")
    assert not re.search(r"url\((?!#)|@import|https?://", text)
    assert len(text) < 3_000_000


def test_links_lead_somewhere_and_ids_are_unique(page: Page) -> None:
    assert len(page.ids) == len(set(page.ids))
    assert {link[1:] for link in page.links if link.startswith("#")} <= set(page.ids)


def test_pictures_and_figures_are_there(page: Page, digits_run: Path) -> None:
    assert page.tags["img"] == 24 * 10 + 2 * 20
    assert page.tags["svg"] == 14
    assert page.tags["figcaption"] >= 14
    assert len(list((digits_run / "figures").glob("*.svg"))) == 14


def test_the_opening_is_computed(page: Page, digits_run: Path) -> None:
    import pandas as pd

    scores = pd.read_parquet(digits_run / "scores/memorization.parquet")
    number = int((scores["qvalue"] <= 0.05).sum())
    text = page.text.replace(words.NARROW, " ")
    assert f"Of 1,797 images, {number} ({100 * number / 1797:.1f} %) are memorized at a" in text
    best = scores.loc[scores["score"].idxmax()]
    assert f"The most memorized, sample {best['index']:.0f} (class " in text
    assert f"gains {words.nats(best['score'])} nats" in text
    agreement = pd.read_parquet(digits_run / "tables/agreement.parquet")["spearman"]
    ends = [words.correlation(float(value)) for value in (agreement.min(), agreement.max())]
    assert (
        f"The scores of 6 models agree in rank with correlations from {ends[0]} to {ends[1]}"
        in (text)
    )


def test_what_was_run(page: Page) -> None:
    text = page.text.replace(words.NARROW, " ")
    for fact in (
        "digits, 1,797 images, 8 × 8 pixels in grey, 10 classes",
        "10 folds × 10 repeats = 100 trainings",
        "mlp-vae, 16 latent dimensions, objective ELBO",
        "Example CPU at 2.6 GHz, avx512, 2 cores, 2 threads",
        "3 min 44 s in all",
        "the effective sample size is below 10 of 64 draws for 12 samples",
        "M puts an outlier above another sample in 99 % of pairs (AUC); 90 % of near duplicates",
        "genmem audit digits --preset default --seed 0 --out RUN genmem report RUN",
        "recipe.hidden [512, 256]",
    ):
        assert fact in text, fact


def test_the_same_tables_give_the_same_bytes(made_up_run: Maker, tmp_path: Path) -> None:
    first, second = (made(made_up_run(80), tmp_path / name) for name in ("here", "there"))
    assert first == second
    figures = sorted(path.name for path in (tmp_path / "here/figures").iterdir())
    assert figures
    for name in figures:
        one, two = (tmp_path / place / "figures" / name for place in ("here", "there"))
        assert one.read_bytes() == two.read_bytes(), name


def test_a_second_report_replaces_the_first(made_up_run: Maker, tmp_path: Path) -> None:
    run = made_up_run(40)
    first = made(run, tmp_path / "run")
    run.summary["title"] = "Another title"
    second = made(run, tmp_path / "run")
    assert "Another title" in second
    assert "Another title" not in first
    left = {path.name for path in (tmp_path / "run").iterdir()}
    assert {"report.html", "figures"} <= left
    assert not [name for name in left if name.endswith(".part")]


def test_hostile_names_stay_text(made_up_run: Maker, tmp_path: Path) -> None:
    run = made_up_run(60)
    bad = "<script>alert('x')</script>"
    run.summary["title"] = f"</title></style>{bad}"
    run.summary["data"]["classes"] = [bad, '" onerror="alert(1)', "a&lt;b", "$x^2$"] * 3
    run.summary["warnings"] = [bad]
    run.summary["duplicate_rule"] = bad
    run.summary["data"]["name"] = bad
    run.recipe["note"] = bad
    run.tables["tables/agreement.parquet"]["a"] = bad
    run.tables["tables/attribute_correlations.parquet"].loc[0, "label"] = bad
    text = made(run, tmp_path / "run")
    seen = Page(text)
    assert seen.tags["script"] == 0
    assert "<script" not in text
    assert seen.text.count(bad) >= 5
    assert unescape("a&amp;lt;b") in seen.text or "a&lt;b" in seen.text


@pytest.mark.parametrize(
    ("name", "shows"),
    [
        ("scores/by_epoch.parquet", "M over the epochs of training"),
        ("scores/attributes.parquet", "attributes sample by sample"),
        ("scores/self_influence.parquet", "M against TracIn self-influence"),
        ("scores/neighbours.parquet", "nearest neighbours"),
        ("influence/proponents.parquet", "proponents and opponents"),
        ("tables/history.parquet", "the training and held-out loss"),
        ("tables/attribute_correlations.parquet", "the correlation of attributes with M"),
        ("tables/agreement.parquet", "the agreement between models"),
        ("images.safetensors", "pictures"),
    ],
)
def test_an_absent_table_is_named(
    made_up_run: Maker, tmp_path: Path, name: str, shows: str
) -> None:
    seen = Page(made(made_up_run(40), tmp_path / "run", without=(name,)))
    assert f"This run has no {name}, so {shows}" in seen.text


def test_only_what_is_required(made_up_run: Maker, tmp_path: Path) -> None:
    run = made_up_run(40)
    kept = "scores/memorization.parquet"
    others = (*(name for name in run.tables if name != kept), "images.safetensors")
    run.summary = {"title": "Bare", "data": {"name": "digits", "n": 40}}
    seen = Page(made(run, tmp_path / "run", without=others))
    assert seen.tags["img"] == 0
    assert seen.tags["svg"] == 3
    assert "This run did not compare models." in seen.text
    assert "No warnings" in seen.text
    assert "Of 40 samples" in seen.text


@pytest.mark.parametrize("n", [2, 3, 5, 13, 25])
def test_few_samples(made_up_run: Maker, tmp_path: Path, n: int) -> None:
    seen = Page(made(made_up_run(n), tmp_path / "run"))
    assert f"Of {n} images" in seen.text
    assert f"The {min(n, 12)} most memorized" in seen.text
    assert "nan" not in seen.text.lower().split()


@pytest.mark.parametrize("side", [32, 128])
def test_pictures_in_colour(made_up_run: Maker, tmp_path: Path, side: int) -> None:
    text = made(made_up_run(60, channels=3, side=side), tmp_path / "run")
    assert len(text) < 3_000_000
    assert ("data:image/png" in text) == (side == 32)
    assert ('class="px"' in text) == (side == 32)
    assert f"{side} × {side} pixels in colour" in Page(text).text


def test_samples_that_are_no_pictures(made_up_run: Maker, tmp_path: Path) -> None:
    run = made_up_run(30)
    run.summary["data"]["shape"] = [64]
    run.pixels = run.pixels.reshape(len(run.pixels), 1, 1, -1)
    seen = Page(made(run, tmp_path / "run"))
    assert "Of 30 samples" in seen.text
    assert "shape 64" in seen.text


def test_no_labels(made_up_run: Maker, tmp_path: Path) -> None:
    seen = Page(made(made_up_run(60, labels=False), tmp_path / "run"))
    assert "class 3" not in seen.text
    assert "rank sample M (nats)" in seen.text


def test_no_sample_is_memorized(made_up_run: Maker, tmp_path: Path) -> None:
    run = made_up_run(60)
    run.tables["scores/memorization.parquet"]["qvalue"] = 1.0
    run.summary["duplicates"] = []
    seen = Page(made(run, tmp_path / "run"))
    assert "Of 60 images, none is memorized at a false discovery rate of" in seen.text
    assert "which chance may explain" in seen.text
    assert "Duplicates" not in seen.text


def test_too_few_models_to_certify_a_list(made_up_run: Maker, tmp_path: Path) -> None:
    """Every list is limited by the smallest p-value, K^-L: the page says so, not "chance"."""
    run = made_up_run(60)
    run.summary.update(folds=4, repeats=3)
    table = run.tables["scores/memorization.parquet"]
    highest = table["score"] >= table["score"].quantile(0.9)
    table["pvalue"] = np.where(highest, 4.0**-3, 0.9)
    table["qvalue"] = np.where(highest, 0.15, 1.0)
    seen = Page(made(run, tmp_path / "run"))
    assert "no p-value can be below 1/64" in seen.text
    assert "holds 6 images, at a false discovery rate of 15" in seen.text
    assert "chance may explain" not in seen.text


def test_samples_without_a_score_are_counted(made_up_run: Maker, tmp_path: Path) -> None:
    run = made_up_run(60)
    table = run.tables["scores/memorization.parquet"]
    table.loc[:3, ["score", "lower", "upper", "pvalue", "qvalue"]] = np.nan
    table.loc[8, "log_out"] = -np.inf
    seen = Page(made(run, tmp_path / "run"))
    assert "For 4 images the score is undefined." in seen.text
    assert "5 samples have no finite value and are left out" in seen.text


def test_an_unwritable_run(digits_run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(13, "Permission denied", "report.html")

    monkeypatch.setattr("genmem.reports.page.write_text", refuse)
    with pytest.raises(OSError, match=r"Permission denied.*report\.html"):
        report(digits_run)


def test_importing_the_room_is_light() -> None:
    import subprocess
    import sys

    heavy = {"torch", "matplotlib", "sklearn", "scipy.stats", "pandas", "jinja2", "PIL"}
    code = f"import sys, genmem.reports; print(sorted({heavy!r} & set(sys.modules)))"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"
    assert genmem.reports.report is report
