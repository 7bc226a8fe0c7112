import numpy as np
import pandas as pd
import pytest

from genmem.studies import agreement
from genmem.studies.correlation import partial_spearman, spearman
from genmem.studies.overlap import overlap


@pytest.fixture
def scores() -> dict[str, np.ndarray]:
    random = np.random.default_rng(0)
    cause = random.normal(size=400)
    return {
        "elbo": cause + random.normal(size=400),
        "beta": cause + random.normal(size=400),
        "knn": np.where(np.arange(400) < 3, np.inf, random.normal(size=400)),
        "cause": cause,
    }


def test_every_pair_equals_the_statistics_alone(scores: dict[str, np.ndarray]) -> None:
    cause = scores.pop("cause")
    table = agreement(scores, pd.DataFrame({"index": np.arange(400), "knn_radius": cause}), k=40)
    assert list(zip(table["a"], table["b"], strict=True)) == [
        ("elbo", "beta"),
        ("elbo", "knn"),
        ("beta", "knn"),
    ]
    for row in table.itertuples():
        a, b = scores[row.a], scores[row.b]
        rho, common, left = spearman(a, b), overlap(a, b, 40), partial_spearman(a, b, cause)
        assert (row.spearman, row.lower, row.upper) == rho[:3]
        assert (row.partial, row.partial_lower, row.partial_upper) == left[:3]
        assert (row.overlap, row.overlap_expected, row.k) == (common.count, 4.0, 40)
        assert (row.overlap_pvalue, row.overlap_ties) == (common.pvalue, 0)


def test_ties_that_the_order_settled_are_counted() -> None:
    table = agreement({"a": [3, 1, 1, 1, 0, 0], "b": [2, 2, 2, 2, 2, 9]}, k=2)
    assert table["overlap_ties"].tolist() == [2 + 4]


def test_a_common_cause_explains_the_agreement(scores: dict[str, np.ndarray]) -> None:
    cause = scores.pop("cause")
    table = agreement(scores, pd.DataFrame({"contrast": cause}))
    first = table.iloc[0]
    assert first["spearman"] > 0.35
    assert abs(first["partial"]) <= 0.12
    assert first["k"] == 20
    assert "corrected" not in table


def test_only_attributes_of_the_data_are_held_fixed(scores: dict[str, np.ndarray]) -> None:
    cause = scores.pop("cause")
    frame = pd.DataFrame({"index": np.arange(400), "label": cause, "log_p": cause, "copies": 0})
    table = agreement(scores, frame)
    # A constant holds nothing fixed; label, index and log p are not attributes of the data.
    assert (np.abs(table["partial"] - table["spearman"]) <= 1e-12).all()
    with pytest.raises(ValueError, match="attributes has 400 rows and the columns"):
        agreement(scores, frame[["index", "log_p"]])


def test_the_ceiling_restores_what_noise_took() -> None:
    random = np.random.default_rng(1)
    truth = random.normal(size=20_000)
    noisy = {
        name: [truth + 1.5 * random.normal(size=len(truth)) for _ in range(2)] for name in "ab"
    }
    table = agreement(
        {name: np.mean(parts, axis=0) for name, parts in noisy.items()},
        halves={name: (parts[0], parts[1]) for name, parts in noisy.items()},
    )
    row = table.iloc[0]
    # reliability = 1 / (1 + 1.5^2 / 2) for the mean of two, on the scale of Pearson's correlation.
    assert abs(row["reliability_a"] - 0.47) <= 0.04
    assert abs(row["corrected"] - 1) <= 0.05
    assert row["spearman"] < 0.5


def test_a_model_without_halves_has_no_ceiling(scores: dict[str, np.ndarray]) -> None:
    pair = (scores["elbo"], scores["beta"])
    table = agreement({name: scores[name] for name in ("elbo", "knn")}, halves={"elbo": pair})
    assert table["reliability_a"].notna().all()
    assert table[["reliability_b", "corrected"]].isna().all().all()


def test_hostile_input() -> None:
    with pytest.raises(ValueError, match=r"1 model\(s\) given; at least 2"):
        agreement({"a": [1, 2, 3]})
    with pytest.raises(ValueError, match="'b' has 2 rows; 3 are wanted"):
        agreement({"a": [1, 2, 3], "b": [1, 2]})
    with pytest.raises(ValueError, match=r"'a' has shape \(1, 3\)"):
        agreement({"a": [[1, 2, 3]], "b": [1, 2, 3]})
    with pytest.raises(ValueError, match=r"y is NaN at \[1\]"):
        agreement({"a": [1, 2, 3], "b": [1, np.nan, 3]})
    with pytest.raises(ValueError, match=r"attributes has 2 rows"):
        agreement({"a": [1, 2, 3], "b": [1, 2, 3]}, pd.DataFrame({"contrast": [1, 2]}))
