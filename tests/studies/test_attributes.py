import numpy as np
import pandas as pd
import pytest

from genmem.datasets import Dataset, load, plant
from genmem.studies import attributes, correlate
from genmem.studies.attributes import LABELS
from genmem.studies.correlation import spearman
from genmem.training import Inputs, Recipe, Run, train


@pytest.fixture(scope="module")
def data() -> Dataset:
    return plant(load("digits", limit=150), duplicates=0.02, seed=1)


@pytest.fixture(scope="module")
def run(data: Dataset) -> Run:
    recipe = Recipe(hidden=(16,), latent=3, binarize="threshold", epochs=2, eval_draws=8, batch=32)
    return train(recipe, data)


@pytest.fixture(scope="module")
def table(data: Dataset) -> pd.DataFrame:
    return attributes(data, k=4)


def test_columns_against_plain_loops(data: Dataset, table: pd.DataFrame) -> None:
    unit = data.rows.astype(np.float64) / 16
    assert table.columns[0] == "index"
    for i in (0, 7, 149, 152):
        gaps = np.sqrt(((unit - unit[i]) ** 2).sum(axis=1))
        others = np.delete(np.arange(len(data)), i)
        near = others[np.argsort(gaps[others], kind="stable")[:4]]
        row = table.iloc[i]
        assert row["index"] == data.index[i]
        assert abs(row["knn_radius"] - gaps[near[-1]]) <= 1e-12
        assert abs(row["nearest_distance"] - gaps[near[0]]) <= 1e-12
        assert row["nearest_index"] == data.index[near[0]]
        assert row["copies"] == sum((unit[j] == unit[i]).all() for j in others)
        assert row["label"] == data.y[i]
        assert row["class_size"] == (data.y == data.y[i]).sum()
        assert row["label_disagreement"] == np.mean([data.y[j] != data.y[i] for j in near])
        assert abs(row["contrast"] - unit[i].std()) <= 1e-6
        assert abs(row["brightness"] - unit[i].mean()) <= 1e-6


def test_planted_copies_are_seen(data: Dataset, table: pd.DataFrame) -> None:
    copies, originals = data.planted["duplicates"].T
    assert (table["nearest_distance"].to_numpy()[copies] == 0).all()
    assert (table["nearest_index"].to_numpy()[copies] == data.index[originals]).all()
    assert (table["copies"].to_numpy()[copies] == 1).all()
    assert table["copies"].sum() == 2 * len(copies)


def test_labels_are_optional_and_identities_travel(data: Dataset, table: pd.DataFrame) -> None:
    bare = Dataset("bare", data.x, index=data.index + 1000, value_range=data.value_range)
    got = attributes(bare, k=4)
    assert not {"label", "class_size", "label_disagreement"} & set(got.columns)
    assert (got["index"] == table["index"] + 1000).all()
    assert (got["nearest_index"] == table["nearest_index"] + 1000).all()
    assert (got["log_density"] == table["log_density"]).all()


def test_order_of_the_rows_does_not_matter(data: Dataset, table: pd.DataFrame) -> None:
    order = np.random.default_rng(0).permutation(len(data))
    got = attributes(data.take(order), k=4)
    # Equal distances go to the lower position, which another order changes: not compared.
    stable = [name for name in table.columns if name not in ("nearest_index", "label_disagreement")]
    want = table.iloc[order].reset_index(drop=True)
    assert (np.abs(got[stable].to_numpy() - want[stable].to_numpy()) <= 1e-6).all()


def test_threads_do_not_matter(data: Dataset, table: pd.DataFrame) -> None:
    pd.testing.assert_frame_equal(attributes(data, k=4, threads=1), table, check_exact=True)


def test_attributes_of_a_model(data: Dataset, run: Run) -> None:
    import torch

    got = attributes(data, run, k=4)
    model, x = run.model().double(), Inputs(run.recipe, data).batch(np.arange(len(data))).double()
    with torch.no_grad():
        mu, lv = model.encode(x)
        kl = torch.distributions.kl_divergence(
            torch.distributions.Normal(mu, (lv / 2).exp()), torch.distributions.Normal(0.0, 1.0)
        ).sum(1)
        error = ((model.mean(mu) - x) ** 2).flatten(1).mean(1)
    assert (np.abs(got["kl"] - kl.numpy()) <= 1e-5).all()
    assert (np.abs(got["reconstruction_error"] - error.numpy()) <= 1e-6).all()
    assert (got["log_p"] == run.log_prob(data).log_p).all()
    assert (got["log_p"] < 0).all()


def test_model_attributes_of_few_rows_are_those_of_all(data: Dataset, run: Run) -> None:
    from genmem.studies.attributes import model_attributes

    whole, part = model_attributes(data, run), model_attributes(data.take([5, 60, 100]), run)
    for name, column in whole.items():
        assert (column[[5, 60, 100]] == part[name]).all(), name


def test_correlate_finds_a_planted_cause_first(data: Dataset, table: pd.DataFrame) -> None:
    random = np.random.default_rng(0)
    score = -table["brightness"] + 0.01 * random.normal(size=len(data))
    got = correlate(table, score)
    first = got.iloc[0]
    assert first["attribute"] == "brightness"
    assert first["label"] == LABELS["brightness"]
    assert first["lower"] < first["spearman"] < first["upper"] < -0.9
    assert first["n"] == len(data)
    defined = got.dropna()
    assert (defined["spearman"].abs().diff().dropna() <= 0).all()
    assert (defined["qvalue"] >= defined["pvalue"]).all()
    row = got.set_index("attribute").loc["contrast"]
    assert tuple(row[["spearman", "lower", "upper", "pvalue", "n"]]) == tuple(
        spearman(table["contrast"], score)
    )


def test_correlate_leaves_identities_out_and_puts_the_undefined_last(table: pd.DataFrame) -> None:
    frame = table.assign(copies=0)
    got = correlate(frame, np.arange(len(frame)))
    assert not {"index", "label", "nearest_index"} & set(got["attribute"])
    assert got.iloc[-1]["attribute"] == "copies"
    assert got.iloc[-1][["spearman", "lower", "upper", "pvalue", "qvalue"]].isna().all()
    assert got.iloc[:-1][["spearman", "qvalue"]].notna().all().all()


def test_rows_without_a_value_are_counted(table: pd.DataFrame) -> None:
    holes = table.assign(contrast=table["contrast"].where(table.index >= 10))
    got = correlate(holes, np.arange(len(holes))).set_index("attribute")
    assert got.loc["contrast", "n"] == len(table) - 10
    assert got.loc["brightness", "n"] == len(table)


def test_hostile_input(data: Dataset, table: pd.DataFrame) -> None:
    with pytest.raises(ValueError, match=r"k is 153, the data have 153 rows"):
        attributes(data, k=len(data))
    with pytest.raises(ValueError, match=r"score has shape \(3,\); \(153,\) is wanted"):
        correlate(table, [1, 2, 3])
    with pytest.raises(ValueError, match="y is NaN at"):
        correlate(table, np.full(len(table), np.nan))
    with pytest.raises(ValueError, match="contrast is defined for 0 rows"):
        correlate(table.assign(contrast=np.nan), np.arange(len(table)))
