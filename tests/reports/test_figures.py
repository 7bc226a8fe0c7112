"""The SVG of every figure: sound, small, free of clashes, drawn in variables, and true."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest

from genmem.reports import words
from genmem.reports.association import associate
from genmem.reports.figures import Drawing, histogram, log_p_excluded, trajectory
from genmem.reports.figures.palette import DARK, LIGHT
from genmem.reports.figures.scales import linear_width, window
from genmem.reports.page import render
from genmem.reports.tables import column, read

Maker = Callable[..., Any]
NAMES = {
    *("histogram", "trajectory", "losses", "log_p_included", "log_p_excluded", "self_influence"),
    *("attribute_correlations", "attribute_1", "attribute_2", "attribute_3", "attribute_4"),
    *("agreement_matrix", "agreement_dots", "overlap"),
}


@pytest.fixture(scope="module")
def drawings(digits_run: Path) -> dict[str, Drawing]:
    return {drawing.name: drawing for drawing in render(read(digits_run))[1]}


def texts(drawing: Drawing) -> list[str]:
    return ["".join(element.itertext()) for element in drawing.tree.iter() if "text" in element.tag]


def contrast(first: str, second: str) -> float:
    """WCAG contrast ratio of two colours, 1 to 21."""

    def luminance(colour: str) -> float:
        parts = np.array([int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)])
        linear = np.where(parts <= 0.04045, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4)
        return float(linear @ [0.2126, 0.7152, 0.0722])

    low, high = sorted((luminance(first), luminance(second)))
    return (high + 0.05) / (low + 0.05)


def test_all_figures_are_drawn(drawings: dict[str, Drawing]) -> None:
    assert set(drawings) == NAMES


def test_ids_are_unique_on_the_page_and_all_found(drawings: dict[str, Drawing]) -> None:
    page = "".join(drawing.inline for drawing in drawings.values())
    ids = re.findall(r'\bid="([^"]+)"', page)
    assert len(ids) == len(set(ids))
    used = set(re.findall(r"url\(#([^)]+)\)", page)) | set(re.findall(r'href="#([^"]+)"', page))
    assert used == set(ids)


def test_the_inline_form_has_no_colour_of_its_own(drawings: dict[str, Drawing]) -> None:
    for drawing in drawings.values():
        found = set(re.findall(r"#[0-9a-fA-F]{6}\b|#[0-9a-fA-F]{3}\b", drawing.inline))
        assert not found, (drawing.name, found)
        assert set(re.findall(r"var\(--(\w+)\)", drawing.inline)) <= set(LIGHT)


def test_the_saved_form_stands_alone(drawings: dict[str, Drawing]) -> None:
    for drawing in drawings.values():
        root = ElementTree.fromstring(drawing.file)
        assert root.tag == "{http://www.w3.org/2000/svg}svg"
        assert "var(" not in drawing.file
        assert "metadata" not in drawing.file
        assert not re.search(r"\b20\d\d-\d\d-\d\d", drawing.file)


def test_text_is_text_and_numbers_are_short(drawings: dict[str, Drawing]) -> None:
    for drawing in drawings.values():
        assert len(texts(drawing)) >= 5, drawing.name
        assert not re.search(r' d="[^"]*\d\.\d{3,}', drawing.inline), drawing.name
        assert "DejaVu" not in drawing.inline


def test_axes_have_labels_with_units(drawings: dict[str, Drawing]) -> None:
    wanted = {
        "histogram": ["memorization score M (nats)", "samples"],
        "trajectory": ["epoch", "M (nats)"],
        "losses": ["epoch", "loss (nats per sample)"],
        "log_p_included": ["log p, sample included (nats)", "M (nats)"],
        "log_p_excluded": ["log p, sample excluded (nats)", "M (nats)"],
        "self_influence": ["TracIn self-influence (nats)", "M (nats)"],
        "attribute_correlations": ["Spearman correlation with M"],
        "agreement_dots": ["Spearman correlation of M"],
        "overlap": ["share of the top 89 in common (%)"],
    }
    for name, labels in wanted.items():
        assert set(labels) <= set(texts(drawings[name])), name


def test_every_sample_of_a_scatter_plot_is_a_dot(drawings: dict[str, Drawing]) -> None:
    for name in ("log_p_included", "self_influence", "attribute_1"):
        paths = [element.get("d", "") for element in drawings[name].tree.iter()]
        assert sum(path.count("h0") for path in paths) >= 1790, name


def test_more_samples_than_dots_can_carry(made_up_run: Maker, tmp_path: Path) -> None:
    run = made_up_run(1797)
    copies = 20
    table = run.tables["scores/memorization.parquet"]
    many = table.loc[table.index.repeat(copies)].reset_index(drop=True)
    noise = np.random.default_rng(0).normal(0, 0.3, (len(many), 2))
    many["index"] = np.arange(len(many))
    many["qvalue"] = 1.0
    many["score"] += noise[:, 0]
    many["log_out"] += noise[:, 1]
    run.tables["scores/memorization.parquet"] = many
    run.summary["data"]["n"] = len(many)
    tables = read(run.write(tmp_path / "run"))
    drawing = log_p_excluded(tables)
    assert len(drawing.inline) <= 300_000
    assert "h0" not in drawing.inline


def test_captions_say_what_the_tables_say(digits_run: Path, drawings: dict[str, Drawing]) -> None:
    tables = read(digits_run)
    score = tables.score
    q95 = tables.summary["quantiles"]["q95"]
    told = drawings["histogram"].caption
    assert f"5\u202f% exceed {words.nats(q95[0])} (q95, 95\u202f% interval" in told
    assert f"Blue: the {int(tables.memorized.sum())} samples memorized" in told
    assert f"the largest M is {words.nats(float(score.max()))} nats" in told
    found = associate(column(tables.scores, "log_out"), score)
    assert f"rank correlation with M {words.correlation(found.value)}" in (
        drawings["log_p_excluded"].caption
    )
    assert tables.by_epoch is not None
    median = words.nats(float(np.median(tables.by_epoch["epoch_50"])))
    assert f"{median} nats" in drawings["trajectory"].caption
    assert tables.agreement is not None
    best = tables.agreement["spearman"].max()
    assert f"agree most ({words.correlation(best)})" in drawings["agreement_dots"].caption
    assert f"to {tables.agreement['overlap'].max()} (" in drawings["overlap"].caption


def test_attributes_stand_in_the_order_of_their_strength(
    digits_run: Path, drawings: dict[str, Drawing]
) -> None:
    tables = read(digits_run)
    assert tables.correlations is not None
    size = tables.correlations.assign(size=tables.correlations["spearman"].abs())
    first = size.sort_values("size", ascending=False)["label"].iloc[0]
    told = drawings["attribute_correlations"].caption
    assert told.startswith(f"Of the attributes of the data alone (circles), {first} tells most:")
    assert drawings["attribute_1"].title.lower() == first.lower()
    told = drawings["attribute_correlations"].alt.replace(words.MINUS, "-").rstrip(".")
    strengths = [abs(float(cell.rpartition(" ")[2])) for cell in told.split("; ")]
    assert len(strengths) == len(tables.correlations)
    assert strengths == sorted(strengths, reverse=True)


def test_model_names_are_written_out(drawings: dict[str, Drawing]) -> None:
    assert {"ELBO", "beta-VAE", "IWAE", "KDE", "k-NN", "GMM"} <= set(
        texts(drawings["agreement_matrix"])
    )


def test_a_name_is_never_mathematics(made_up_run: Maker, tmp_path: Path) -> None:
    run = made_up_run(30)
    names = {"elbo": r"$\frac{$", "beta": "<b>&amp;"}
    table = run.tables["tables/agreement.parquet"]
    table[["a", "b"]] = table[["a", "b"]].replace(names)
    run.tables["tables/attribute_correlations.parquet"].loc[:, "label"] = r"$x^2_\undefined$"
    found = {d.name: d for d in render(read(run.write(tmp_path / "run")))[1]}
    assert set(names.values()) <= set(texts(found["agreement_matrix"]))
    assert r"$x^2_\undefined$" in texts(found["attribute_correlations"])


def test_quantiles_that_are_open_or_absent(made_up_run: Maker, tmp_path: Path) -> None:
    run = made_up_run(300)
    run.summary["quantiles"] = {"q95": [3.0, None, None], "q99_9": [9.0, 8.0, None]}
    caption = histogram(read(run.write(tmp_path / "a"))).caption
    assert "5\u202f% exceed 3.00 (q95)" in caption
    assert (
        "0.1\u202f% exceed 9.00 (q99.9, 95\u202f% interval 8.00 to beyond the largest)" in caption
    )
    del run.summary["quantiles"]
    assert "exceed" not in histogram(read(run.write(tmp_path / "b"))).caption


def test_one_epoch_is_no_course(made_up_run: Maker, tmp_path: Path) -> None:
    run = made_up_run(50)
    kept = run.tables["scores/by_epoch.parquet"][["index", "epoch_50"]]
    run.tables["scores/by_epoch.parquet"] = kept
    drawing = trajectory(read(run.write(tmp_path / "run")))
    assert drawing is not None
    assert drawing.caption.startswith("At epoch 50, the only one evaluated")


def test_a_tail_bends_the_axis_and_a_bulk_does_not(rng: np.random.Generator) -> None:
    bulk = rng.normal(size=1000)
    assert linear_width(bulk) is None
    width = linear_width(np.append(bulk, 400.0))
    assert width is not None
    assert 0.5 <= width <= 5
    assert linear_width(np.zeros(5)) is None


def test_a_window_counts_what_it_leaves_out(rng: np.random.Generator) -> None:
    bulk = rng.uniform(0, 1, 1000)
    assert (window(bulk).below, window(bulk).above, window(bulk).text) == (0, 0, "")
    cut = window(np.append(bulk, [50.0, 60.0, -9.0]))
    assert (cut.below, cut.above) == (1, 2)
    assert "1 sample lies further left and 2 samples lie further right" in cut.text
    assert 1 <= cut.high <= 1.3


def test_text_can_be_read_in_light_and_dark() -> None:
    for colours in (LIGHT, DARK):
        for ground in ("paper", "panel"):
            for name in ("ink", "muted", "accent", "contrast"):
                assert contrast(colours[name], colours[ground]) >= 4.5, (name, ground)
