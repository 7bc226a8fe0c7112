"""Cards say what the tables say, in the order of M, each number on its sample."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from genmem.reports import words
from genmem.reports.gallery import CARDS, KIN, Card, Gallery
from genmem.reports.tables import Tables, read

Maker = Callable[..., Any]
SCORES = "scores/memorization.parquet"


@pytest.fixture(scope="module")
def tables(digits_run: Path) -> Tables:
    return read(digits_run)


def shown(cards: list[Card]) -> list[int]:
    return [card.face.index for card in cards]


def test_the_ends_of_the_ranking(tables: Tables) -> None:
    ranked = tables.scores.sort_values("score", ascending=False)["index"].tolist()
    gallery = Gallery(tables)
    assert shown(gallery.most()) == ranked[:CARDS]
    assert shown(gallery.least()) == ranked[: -CARDS - 1 : -1]
    assert [card.rank for card in gallery.least()] == [1797 - i for i in range(CARDS)]


def test_a_card_equals_its_row(tables: Tables) -> None:
    rows = tables.scores.set_index("index")
    for card in Gallery(tables).most():
        row = rows.loc[card.face.index]
        assert card.score == words.nats(row["score"])
        assert card.interval == f"{words.nats(row['lower'])} to {words.nats(row['upper'])}"
        assert card.qvalue == words.probability(row["qvalue"])
        assert card.memorized == (row["qvalue"] <= 0.05)
        assert (card.log_in, card.log_out) == (
            words.nats(row["log_in"]),
            words.nats(row["log_out"]),
        )


def test_kin_equal_their_tables(tables: Tables) -> None:
    assert tables.neighbours is not None
    assert tables.influence is not None
    for card in Gallery(tables).most():
        mine = tables.neighbours[tables.neighbours["index"] == card.face.index]
        first = mine.sort_values("rank").head(KIN)
        assert card.neighbours is not None
        assert [kin.index for kin in card.neighbours] == first["neighbour"].tolist()
        assert [kin.note for kin in card.neighbours] == [
            words.significant(d) if d else "copy" for d in first["distance"]
        ]
        for side, kins in (("proponent", card.proponents), ("opponent", card.opponents)):
            table = tables.influence[tables.influence["side"] == side]
            table = table[table["index"] == card.face.index].sort_values("rank").head(KIN)
            assert kins is not None
            assert [kin.index for kin in kins] == table["train_index"].tolist()
            assert [kin.note for kin in kins] == [words.significant(s) for s in table["score"]]
            assert [kin.itself for kin in kins] == [kin.index == card.face.index for kin in kins]


def test_bars_share_a_scale_that_holds_zero(tables: Tables) -> None:
    for cards in (Gallery(tables).most(), Gallery(tables).least()):
        rows = tables.scores.set_index("index").loc[shown(cards)]
        low, high = min(0.0, rows["lower"].min()), max(0.0, rows["upper"].max())
        for card, (_, row) in zip(cards, rows.iterrows(), strict=True):
            bar = card.bar
            ends = np.array([bar.zero, bar.left, bar.dot, bar.left + bar.width])
            want = np.array([0.0, row["lower"], row["score"], row["upper"]])
            assert (np.abs(ends - 100 * (want - low) / (high - low)) <= 0.02).all()


def test_duplicates_are_named_on_both_samples(made_up_run: Maker, tmp_path: Path) -> None:
    run = made_up_run(60)
    first = int(run.tables[SCORES].sort_values("score")["index"].iloc[-1])
    run.summary["duplicates"] = [[first, int(run.index[3]), 0.0], [int(run.index[5]), first, 0.1]]
    run.summary["data"]["planted"] = {"duplicates": [[first, 7]], "outliers": [first]}
    gallery = Gallery(read(run.write(tmp_path / "run")))
    assert gallery.most(1)[0].flags == (
        f"duplicate of {run.index[3]} and {run.index[5]}",
        "planted: duplicate",
        "planted: outlier",
    )
    closest = gallery.pairs()[0]
    assert (closest.first.index, closest.second.index) == (first, run.index[3])
    assert closest.distance == "0, exact"


def test_many_duplicates_are_counted(made_up_run: Maker, tmp_path: Path) -> None:
    run = made_up_run(60)
    first = int(run.tables[SCORES].sort_values("score")["index"].iloc[-1])
    run.summary["duplicates"] = [[first, i, 0.01 * i] for i in range(4)]
    run.summary["data"]["planted"] = {}
    assert Gallery(read(run.write(tmp_path / "run"))).most(1)[0].flags == (
        "duplicate of 0, 1 and 2 more",
    )


@pytest.mark.parametrize("planted", [None, {}, {"outliers": 17}])
def test_planted_may_be_absent_or_a_count(
    made_up_run: Maker, tmp_path: Path, planted: object
) -> None:
    run = made_up_run(30)
    run.summary["data"]["planted"] = planted
    run.summary["duplicates"] = []
    gallery = Gallery(read(run.write(tmp_path / "run")))
    assert all(card.flags == () for card in gallery.most())


@pytest.mark.parametrize(
    ("n", "most", "least"), [(2, 2, 0), (12, 12, 0), (15, 12, 3), (24, 12, 12)]
)
def test_no_sample_is_shown_twice(
    made_up_run: Maker, tmp_path: Path, n: int, most: int, least: int
) -> None:
    gallery = Gallery(read(made_up_run(n).write(tmp_path / "run")))
    ends = shown(gallery.most()), shown(gallery.least())
    assert (len(ends[0]), len(ends[1])) == (most, least)
    assert not set(ends[0]) & set(ends[1])


def test_scores_and_intervals_that_are_not_known(made_up_run: Maker, tmp_path: Path) -> None:
    run = made_up_run(40)
    table = run.tables[SCORES]
    table.loc[:5, ["score", "lower", "upper", "pvalue", "qvalue"]] = np.nan
    table.loc[6:, ["lower", "upper"]] = np.nan
    table.loc[7, "upper"] = np.inf
    cards = Gallery(read(run.write(tmp_path / "run")))
    both = cards.most() + cards.least()
    assert not {int(i) for i in run.index[:6]} & set(shown(both))
    for card in both:
        assert np.isfinite([card.bar.zero, card.bar.left, card.bar.width, card.bar.dot]).all()
        if card.face.index != run.index[7]:
            assert card.interval == "no interval"
            assert card.bar.width == 0


def test_class_names(made_up_run: Maker, tmp_path: Path) -> None:
    run = made_up_run(30)
    run.summary["data"]["classes"] = ["zero", "one"]
    run.tables["scores/attributes.parquet"].loc[2, "label"] = -1
    labels = Gallery(read(run.write(tmp_path / "run"))).labels
    assert labels[int(run.index[0])] == "zero"
    assert labels[int(run.index[1])] == "one"
    assert int(run.index[2]) not in labels
    assert labels[int(run.index[3])] == "class 3"


def test_no_labels_no_class(made_up_run: Maker, tmp_path: Path) -> None:
    gallery = Gallery(read(made_up_run(30, labels=False).write(tmp_path / "run")))
    assert gallery.labels == {}
    assert all(card.face.label is None for card in gallery.most())


def test_a_sample_whose_picture_was_not_kept(made_up_run: Maker, tmp_path: Path) -> None:
    run = made_up_run(30)
    run.pixels, kept = run.pixels[:5], run.index[:5]
    everything, run.index = run.index, kept
    gallery = Gallery(read(run.write(tmp_path / "run")))
    for index in everything:
        assert (gallery.picture(int(index)).uri is None) == (index not in kept)
