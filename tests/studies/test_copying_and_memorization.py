"""rho of every sample over sets and models, and what its correlation with M says."""

import json
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import pytest

from budget import assert_within
from draws import brute_force
from genmem.studies import copying_and_memorization
from genmem.studies.copying_and_memorization import Ratios, nearest_ratios
from genmem.studies.copying_sets import matched
from genmem.studies.correlation import partial_spearman, spearman


@dataclass(frozen=True, eq=False)
class Made:
    """A stand-in for a trained model: rows, and generated rows by seed."""

    data: np.ndarray
    positions: np.ndarray
    train: np.ndarray
    test: np.ndarray
    scale: float = 1.0

    def generated(self, count: int, seed: int) -> np.ndarray:
        noise = np.random.default_rng(seed).standard_normal((count, self.train.shape[1]))
        return self.scale * noise


def models(count: int, rows: int = 40) -> list[Any]:
    random = np.random.default_rng(5)
    x = random.standard_normal((rows, 3))
    found = []
    for number in range(count):
        outer = np.arange(rows) % count == number if count > 1 else np.zeros(rows, bool)
        test = x[outer] if count > 1 else random.standard_normal((12, 3))
        found.append(Made(x, np.flatnonzero(~outer), x[~outer], test))
    return found


@pytest.mark.parametrize(("count", "generations"), [(1, 1), (1, 3), (4, 1), (3, 2)])
def test_ratios_are_means_over_models_and_sets(count: int, generations: int) -> None:
    held = models(count)
    found = nearest_ratios(held, generations=generations, most=10, seed=2)
    table = np.full((count * generations, 40), np.nan)
    for number, model in enumerate(held):
        kept = matched(model, 10, 2)
        for generation in range(generations):
            made = model.generated(len(kept), 2 + generation)
            test = brute_force(model.train, model.test[kept]).min(1)
            row = np.log(test / brute_force(model.train, made).min(1))
            table[number * generations + generation, model.positions] = row
    assert_within(found.log_ratio, np.nanmean(table, axis=0), 1e-12)
    assert (found.times == (~np.isnan(table)).sum(0)).all()
    number, generation = np.divmod(np.arange(count * generations), generations)
    halves = (number if count > 1 else generation) % 2
    for part, one in ((0, found.even), (1, found.odd)):
        whole = table[halves == part]
        seen = (~np.isnan(whole)).any(axis=0) if len(whole) else np.zeros(40, bool)
        assert (np.isnan(one) == ~seen).all()
        if seen.any():
            assert_within(one[seen], np.nanmean(whole[:, seen], axis=0), 1e-12)
    if count * generations > 1:
        several = found.times > 1
        want = np.nanstd(table[:, several], axis=0, ddof=1) / np.sqrt(found.times[several])
        assert_within(found.se[several], want, 1e-12)
    else:
        assert np.isnan(found.se).all()


def test_copies_and_rows_that_no_model_saw() -> None:
    x = np.array([[0.0], [1.0], [3.0], [9.0]])
    model = Made(x, np.array([0, 1, 2]), x[:3], np.array([[1.0], [2.0], [7.0]]), scale=0.0)
    found = nearest_ratios([model], generations=2, most=3)
    assert found.log_ratio[0] == np.inf
    assert found.log_ratio[1] == -np.inf
    assert_within(found.log_ratio[2], np.log(1 / 3), 1e-12)
    assert np.isnan(found.log_ratio[3])
    assert found.times.tolist() == [2, 2, 2, 0]


def made_up(log_ratio: np.ndarray) -> Ratios:
    same = np.zeros(len(log_ratio))
    noise = np.random.default_rng(1).normal(0, 0.1, (2, len(log_ratio)))
    return Ratios(
        log_ratio=log_ratio, se=same, times=np.full(len(log_ratio), 4),
        test_distance=np.arange(len(log_ratio)) * 1.0, generated_distance=same + 1.0,
        even=log_ratio + noise[0], odd=log_ratio + noise[1],
    )  # fmt: skip


def test_correlation_partial_and_reliability(rng: np.random.Generator) -> None:
    score, log_ratio = rng.standard_normal((2, 200))
    log_ratio += score
    attributes = pd.DataFrame({"index": np.arange(200), "contrast": rng.random(200), "kl": score})
    found = copying_and_memorization(made_up(log_ratio), score, attributes)
    assert found.correlation == spearman(score, log_ratio)
    # The kl of a model is no attribute of the data: it is not held fixed.
    assert found.partial == partial_spearman(score, log_ratio, attributes[["contrast"]])
    assert 0.95 < found.reliability <= 1
    assert np.isnan([found.score_reliability, found.ceiling, found.corrected]).all()
    known = copying_and_memorization(made_up(log_ratio), score, score_reliability=0.4)
    assert_within(known.ceiling, np.sqrt(0.4 * found.reliability), 1e-12)
    assert_within(known.corrected, found.correlation.value / known.ceiling, 1e-12)
    none = copying_and_memorization(made_up(log_ratio), score, score_reliability=-0.1)
    assert np.isnan(none.ceiling)
    assert found.top.k == 10
    assert found.test_distance.n == 200
    assert np.isnan(found.generated_distance.value)
    summary = found.summary()
    assert json.loads(json.dumps(summary, allow_nan=False)) == summary
    assert summary["generated_distance"]["value"] is None
    assert copying_and_memorization(made_up(log_ratio), score).partial is None


def test_what_is_undefined_is_left_out_and_counted(rng: np.random.Generator) -> None:
    score, log_ratio = rng.standard_normal((2, 50))
    score[3], log_ratio[[7, 8]], log_ratio[9] = np.nan, np.nan, np.inf
    found = copying_and_memorization(made_up(log_ratio), score)
    kept = np.setdiff1d(np.arange(50), [3, 7, 8])
    assert found.left_out == 3
    assert found.correlation == spearman(score[kept], log_ratio[kept])


def test_refusals() -> None:
    ratios = made_up(np.arange(5.0))
    with pytest.raises(ValueError, match=r"score has shape \(4,\); \(5,\) is wanted"):
        copying_and_memorization(ratios, np.zeros(4))
    with pytest.raises(ValueError, match="3 samples have both M and rho; 4 are wanted"):
        copying_and_memorization(ratios, np.array([1, 2, 3, np.nan, np.nan]))
