"""Cross-validation against closed forms of leaving one out, and under nulls and planted effects."""

import subprocess
import sys

import numpy as np
import pytest
from scipy.special import gammaln

import genmem.memorization as memorization
from genmem.datasets import Dataset, duplicate_groups, folds
from genmem.density import GaussianKDE
from genmem.kernels import log_kde
from genmem.memorization import Evaluation, cross_validate, read_units

GENERATOR = np.random.default_rng(0)


def kde(data, rows, seed, bandwidth=1.0):
    return log_kde(data.rows, data.rows[rows], bandwidth)


def nearest(data, rows, seed, k=3):
    """log p = log k - log n - log(volume of the unit ball) - d log(distance to neighbour k)."""
    points, d = data.rows[rows], data.rows.shape[1]
    gaps = np.linalg.norm(data.rows[:, None] - points[None], axis=2)
    volume = d / 2 * np.log(np.pi) - gammaln(d / 2 + 1)
    return np.log(k / len(points)) - volume - d * np.log(np.sort(gaps, axis=1)[:, k - 1])


def test_golden_leave_one_out_kde():
    """G03: X = {0, 1, 3}, h = 1."""
    scores = cross_validate(kde, np.array([[0.0], [1.0], [3.0]]), folds=3, repeats=1)
    want = [-2.093935785847, -1.910672435782, -3.533195979472]
    assert (np.abs(scores.log_out - want) <= 1e-11).all()


def test_kde_with_a_fold_per_row_is_leave_one_out():
    data = Dataset(name="made", x=GENERATOR.normal(size=(40, 5)))
    scores = cross_validate(kde, data, folds=40, repeats=1)
    want = log_kde(data.rows, data.rows, 1.0, exclude="self")
    assert scores.log_out.shape == want.shape
    assert (np.abs(scores.log_out - want) <= 1e-11).all()
    # The row itself is in all of the other 39 models, each without one more row.
    gone = [log_kde(data.rows, np.delete(data.rows, left, axis=0), 1.0) for left in range(40)]
    inside = (np.sum(gone, axis=0) - np.diagonal(gone)) / 39
    assert (np.abs(scores.log_in - inside) <= 1e-11).all()
    assert scores.enumerated
    assert np.isnan(scores.se).all()


def test_kde_estimator_agrees_with_its_own_leave_one_out():
    x = GENERATOR.normal(size=(25, 4))
    scores = cross_validate(GaussianKDE(bandwidth=0.8), x, folds=25, repeats=1)
    want = GaussianKDE(bandwidth=0.8).fit(x).score_samples_loo()
    assert (np.abs(scores.log_out - want) <= 1e-11).all()


def test_nearest_neighbours_with_a_fold_per_row_are_leave_one_out():
    data = Dataset(name="made", x=GENERATOR.normal(size=(30, 2)))
    scores = cross_validate(nearest, data, folds=30, repeats=1)
    gaps = np.linalg.norm(data.rows[:, None] - data.rows[None], axis=2)
    np.fill_diagonal(gaps, np.inf)
    want = np.log(3 / 29) - np.log(np.pi) - 2 * np.log(np.sort(gaps, axis=1)[:, 2])
    assert (np.abs(scores.log_out - want) <= 1e-11).all()


def test_every_value_comes_from_the_right_model(tmp_path):
    """Models are told apart by their seeds: log p = number of the unit, shifted where in sample."""

    def tagged(data, rows, seed):
        seen = np.isin(np.arange(len(data)), rows)
        return np.stack([seed % 1000 + np.where(seen, 0.5, 0.0), -1.0 * seen])

    data = Dataset(name="made", x=GENERATOR.normal(size=(23, 2)), index=np.arange(23) * 3 + 2)
    cross_validate(tagged, data, folds=4, repeats=3, out=tmp_path, seed=6)
    table = read_units(tmp_path)
    for repeat in range(3):
        want = folds(23, 4, 6, repeat, index=data.index)
        assert (table.held_out[repeat] == want).all()
        block = table.block(0, 23)
        for fold in range(4):
            seed = memorization.learners.unit_seed(6, repeat, fold)
            seen = want != fold
            assert (block[0, repeat, fold] == seed % 1000 + 0.5 * seen).all()
            assert (block[1, repeat, fold] == -1.0 * seen).all()
    assert table.epochs.tolist() == [1, 2]
    assert (table.block(5, 9) == table.block(0, 23)[..., 5:9]).all()


def test_no_memorization_gives_no_discoveries():
    """log p is noise of 3 nats that does not depend on the training rows."""

    def noise(data, rows, seed):
        return np.random.default_rng(seed).normal(-50, 3, len(data))

    x = np.random.default_rng(1).normal(size=(1500, 1))
    scores = cross_validate(noise, x, folds=10, repeats=10, resamples=200)
    # Four standard errors of a mean of 1500 scores with a deviation of 1.68 nats.
    assert abs(scores.score.mean()) <= 4 * 1.68 / np.sqrt(1500)
    assert scores.plain.mean() >= 0.8
    assert scores.qvalue.min() >= 0.05
    slack = 4 * np.sqrt(0.05 * 0.95 / 1500)
    assert (scores.pvalue <= 0.05).mean() <= 0.05 + slack


def test_planted_outliers_are_what_a_kde_memorizes():
    x = np.random.default_rng(2).normal(size=(200, 2))
    x[:6] = [[9, 9], [-9, 9], [9, -9], [-9, -9], [0, 12], [12, 0]]
    scores = cross_validate(kde, x, folds=5, repeats=4)
    assert set(scores.highly_memorized(0.97).tolist()) == set(range(6))
    assert (scores.lower[:6] > 0).all()
    assert (scores.qvalue[:6] <= 0.05).all()


def test_duplicates_split_or_grouped():
    x = np.random.default_rng(3).normal(size=(60, 3))
    x[50:] = x[:10]
    split = cross_validate(kde, x, folds=5, repeats=3)
    assert split.multiplicity.tolist() == [2] * 10 + [1] * 40 + [2] * 10
    grouped = cross_validate(kde, x, folds=5, repeats=3, duplicates="group")
    assert (grouped.multiplicity == split.multiplicity).all()
    # A copy that stays behind keeps the density up: the score is larger when both leave.
    assert (grouped.score[:10] > split.score[:10]).all()


def test_grouped_copies_share_a_fold(tmp_path):
    x = np.random.default_rng(4).normal(size=(40, 2))
    x[30:] = x[5]
    cross_validate(kde, x, folds=4, repeats=5, out=tmp_path, duplicates="group")
    groups = duplicate_groups(x)
    for row in read_units(tmp_path).held_out:
        for group in np.unique(groups):
            assert len(np.unique(row[groups == group])) == 1


def test_evaluation_brings_epochs_errors_and_draws():
    def drawn(data, rows, seed):
        log_p = np.random.default_rng(seed).normal(size=(2, len(data)))
        ess = np.full((2, len(data)), 50.0)
        ess[1, 3] = 2.0 + seed % 7
        return Evaluation(log_p, epochs=[10, 20], se=0.1 + 0 * log_p, ess=ess)

    scores = cross_validate(drawn, np.arange(20.0)[:, None], folds=2, repeats=3)
    assert scores.epochs.tolist() == [10, 20]
    assert scores.ess_min[0] == 50.0
    assert 2.0 <= scores.ess_min[3] <= 8.0
    assert (scores.draws_se == 0.1).all()
    assert any(
        "1 of 20 samples have fewer than 10 effective draws" in one for one in scores.warnings
    )


def test_exact_learners_have_no_draws():
    scores = cross_validate(kde, np.arange(9.0)[:, None], folds=3, repeats=3)
    assert np.isnan(scores.ess_min).all()
    assert np.isnan(scores.draws_se).all()


def test_progress_counts_units():
    seen = []
    x = np.arange(8.0)[:, None]
    cross_validate(kde, x, folds=2, repeats=2, progress=lambda *told: seen.append(told))
    assert seen == [("cross-validation", done, 4) for done in range(5)]


X = np.arange(6.0)[:, None]


@pytest.mark.parametrize(
    ("options", "error", "match"),
    [
        ({"folds": 7}, ValueError, "folds is 7, but the data has 6 rows"),
        ({"folds": 1}, ValueError, "folds is 1; at least 2"),
        ({"folds": 2.0}, TypeError, r"folds is 2\.0; an integer"),
        ({"folds": True}, TypeError, "folds is True"),
        ({"repeats": 0}, ValueError, "repeats is 0; at least 1"),
        ({"repeats": "3"}, TypeError, "repeats is '3'"),
        ({"duplicates": "drop"}, ValueError, "duplicates is 'drop'; 'split' or 'group'"),
        ({"confidence": 95}, ValueError, "confidence is 95"),
        ({"choices": 0}, ValueError, "choices is 0"),
        ({"resamples": 0}, ValueError, "resamples 0"),
        ({"learner": "kde"}, TypeError, "learner is a str"),
        ({"data": [[1.0]]}, TypeError, "data is a list"),
        ({"data": np.empty((0, 2))}, ValueError, "empty"),
        ({"data": X * [np.nan]}, ValueError, "nan"),
    ],
)
def test_hostile_arguments_are_refused(options, error, match):
    arguments = {"learner": kde, "data": X, "folds": 3, "repeats": 2, **options}
    with pytest.raises(error, match=match):
        cross_validate(**arguments)


def test_too_few_distinct_rows_to_group():
    x = np.array([[0.0], [0.0], [1.0], [1.0]])
    with pytest.raises(ValueError, match="folds is 3, but the data has 2 distinct rows"):
        cross_validate(kde, x, folds=3, repeats=1, duplicates="group")


def _returning(values):
    return lambda data, rows, seed: values


@pytest.mark.parametrize(
    ("values", "match"),
    [
        (np.zeros(5), r"repeat 0, fold 0 gave log p of shape \(5,\); \(6,\) or \(epochs, 6\)"),
        (np.zeros((2, 3, 6)), r"shape \(2, 3, 6\)"),
        (np.zeros((0, 6)), r"shape \(0, 6\)"),
        (3.0, r"shape \(\)"),
        (Evaluation(np.zeros((2, 6)), epochs=[1, 1]), r"gave epochs \[1, 1\]; 2 ascending"),
        (Evaluation(np.zeros((2, 6)), epochs=[1]), r"gave epochs \[1\]"),
        (Evaluation(np.zeros(6), epochs=[0.5]), r"gave epochs \[0\.5\]"),
        (Evaluation(np.zeros(6), se=np.zeros(5)), r"gave se of shape \(1, 5\); \(1, 6\)"),
    ],
)
def test_wrong_answers_of_a_learner_are_refused(values, match):
    with pytest.raises(ValueError, match=match):
        cross_validate(_returning(values), X, folds=2, repeats=1)


@pytest.mark.parametrize("value", [np.nan, -np.inf, np.inf])
def test_a_diverged_model_is_named_and_not_averaged(value, tmp_path):
    log_p = np.zeros((3, 6))
    log_p[1, 4] = value
    match = rf"repeat 0, fold 0 gives row 4 log p = {value} at epoch 20 \(1 of 18 values"
    learner = _returning(Evaluation(log_p, epochs=[10, 20, 30]))
    with pytest.raises(ValueError, match=match):
        cross_validate(learner, X, folds=2, repeats=1, out=tmp_path)
    assert list((tmp_path).glob("units/*")) == []


def test_an_error_of_the_learner_keeps_its_type_and_names_the_unit():
    def fails(data, rows, seed):
        raise KeyError("no such layer")

    with pytest.raises(KeyError, match="no such layer") as caught:
        cross_validate(fails, X, folds=2, repeats=1)
    assert "in the model of repeat 0, fold 0" in caught.value.__notes__[0]


def test_a_kde_needs_no_torch():
    code = """
import sys

class NoTorch:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "torch":
            raise ModuleNotFoundError("No module named 'torch'", name="torch")

sys.meta_path.insert(0, NoTorch())
import numpy as np
from genmem.density import GaussianKDE
from genmem.memorization import cross_validate
scores = cross_validate(GaussianKDE(bandwidth=1.0), np.arange(12.0)[:, None], folds=3, repeats=3)
assert np.isfinite(scores.score).all()
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)
