"""The densities as scikit-learn estimators."""

from __future__ import annotations

import pickle

import numpy as np
import pandas as pd
import pytest
from sklearn import config_context
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV, KFold, ParameterGrid
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

from genmem.density import (
    AbstractLogDensity,
    GaussianKDE,
    GaussianMixtureDensity,
    KernelDensity,
    NearestNeighborDensity,
)

ESTIMATORS = [
    GaussianKDE(1.0),
    GaussianKDE(duplicates="group"),
    GaussianKDE(1.0, adaptive=2),
    KernelDensity(1.0, kernel="exponential"),
    KernelDensity(60.0, kernel="epanechnikov"),
    KernelDensity(90.0, kernel="tophat", adaptive=2),
    NearestNeighborDensity(3),
    NearestNeighborDensity(3, duplicates="distinct"),
    GaussianMixtureDensity(),
    GaussianMixtureDensity(2, covariance_type="diag", random_state=0),
]
NAMES = [repr(e) for e in ESTIMATORS]


@parametrize_with_checks([*ESTIMATORS, GaussianKDE(), KernelDensity(), NearestNeighborDensity()])
def test_scikit_learn_checks(estimator, check):
    """Every one passes, of the defaults too: none is expected to fail."""
    check(estimator)


@pytest.mark.parametrize("estimator", [GaussianKDE(), KernelDensity(kernel="tophat")], ids=repr)
def test_a_weight_is_a_number_of_equal_rows(estimator, rows, queries):
    """scikit-learn's check of this looks at predictions, which a density has none of."""
    weights = np.arange(len(rows)) % 4
    repeated = clone(estimator).fit(np.repeat(rows, weights, axis=0))
    weighted = clone(estimator).fit(rows, sample_weight=weights)
    assert abs(weighted.bandwidth_ / repeated.bandwidth_ - 1) <= 1e-7
    repeated.set_params(bandwidth=weighted.bandwidth_).fit(np.repeat(rows, weights, axis=0))
    want = repeated.score_samples(queries)
    assert np.isfinite(want).any()
    assert (np.exp(weighted.score_samples(queries)) <= np.exp(want) * (1 + 1e-12)).all()
    assert (np.exp(weighted.score_samples(queries)) >= np.exp(want) * (1 - 1e-12)).all()


@pytest.mark.parametrize("estimator", ESTIMATORS, ids=NAMES)
def test_clone_and_parameters_are_verbatim(estimator):
    copy = clone(estimator)
    assert copy.get_params() == estimator.get_params()
    assert copy is not estimator
    with pytest.raises(NotFittedError):
        copy.score_samples([[0.0]])


@pytest.mark.parametrize("estimator", ESTIMATORS, ids=NAMES)
def test_nothing_is_answered_before_fit(estimator):
    fresh, Z = clone(estimator), [[0.0, 1.0]]
    calls = [
        lambda: fresh.score_samples(Z),
        fresh.score_samples_loo,
        fresh.self_influence,
        lambda: fresh.influence(Z),
        lambda: fresh.influence(Z, 1),
        lambda: list(fresh.influence_blocks(Z)),
        lambda: fresh.score(Z),
    ]
    if hasattr(fresh, "gradient"):
        calls.append(lambda: fresh.gradient(Z))
    if hasattr(fresh, "sample"):
        calls.append(lambda: fresh.sample(1))
    for call in calls:
        with pytest.raises(NotFittedError, match="not fitted yet"):
            call()


@pytest.mark.parametrize("estimator", ESTIMATORS, ids=NAMES)
def test_pickle_round_trip(estimator, rows, queries):
    fitted = clone(estimator).fit(rows)
    other = pickle.loads(pickle.dumps(fitted))
    assert (other.score_samples(queries) == fitted.score_samples(queries)).all()
    assert (other.self_influence() == fitted.self_influence()).all()
    assert other.n_features_in_ == 3


@pytest.mark.parametrize("estimator", ESTIMATORS, ids=NAMES)
def test_shapes_and_kinds_of_the_answers(estimator, rows, queries):
    fitted = clone(estimator)
    assert fitted.fit(rows, None) is fitted
    assert isinstance(fitted, AbstractLogDensity)
    shapes = {
        (10,): [fitted.score_samples(queries)],
        (30,): [fitted.score_samples_loo(), fitted.self_influence()],
        (10, 30): [fitted.influence(queries)],
        (10, 4): list(fitted.influence(queries, 4)[:2]),
    }
    for shape, answers in shapes.items():
        for answer in answers:
            assert type(answer) is np.ndarray
            assert answer.shape == shape
            assert answer.dtype in (np.float64, np.int64)
    assert isinstance(fitted.score(queries), float)


@pytest.mark.parametrize("estimator", ESTIMATORS, ids=NAMES)
def test_pipeline(estimator, rows, queries):
    pipeline = make_pipeline(StandardScaler(), clone(estimator)).fit(rows)
    scaler = StandardScaler().fit(rows)
    alone = clone(estimator).fit(scaler.transform(rows))
    want = alone.score_samples(scaler.transform(queries))
    assert (pipeline.score_samples(queries) == want).all()
    assert pipeline.score(queries) == alone.score(scaler.transform(queries))


def test_a_pipeline_that_outputs_frames_hands_their_names_on(rows):
    """Densities transform nothing, so `set_output` is their transformers' alone."""
    frame = pd.DataFrame(rows, columns=["a", "b", "c"])
    pipeline = make_pipeline(StandardScaler(), GaussianKDE(1.0)).set_output(transform="pandas")
    pipeline.fit(frame)
    assert pipeline[-1].feature_names_in_.tolist() == ["a", "b", "c"]
    plain = make_pipeline(StandardScaler(), GaussianKDE(1.0)).fit(rows)
    # The scaler's means of a frame, column by column, are not those of an array to the last bit.
    assert (np.abs(pipeline.score_samples(frame) - plain.score_samples(rows)) <= 1e-12).all()
    assert not hasattr(GaussianKDE(), "set_output")


@pytest.mark.parametrize(
    ("estimator", "grid", "best"),
    [
        (GaussianKDE(), {"bandwidth": [0.01, 1.0, 100.0]}, {"bandwidth": 1.0}),
        (GaussianKDE(1.0), {"adaptive": [None, 3]}, {"adaptive": 3}),
        (KernelDensity(30.0), {"kernel": ["tophat", "gaussian"]}, {"kernel": "tophat"}),
        (NearestNeighborDensity(), {"k": [2, 9, 17]}, {"k": 2}),
        (GaussianMixtureDensity(random_state=0), {"n_components": [1, 2]}, {"n_components": 1}),
    ],
)
def test_grid_search_takes_the_best_of_score(estimator, grid, best, rows):
    folds = KFold(3, shuffle=True, random_state=0)
    search = GridSearchCV(estimator, grid, cv=folds).fit(rows)
    means = []
    for params in ParameterGrid(grid):
        scores = [
            clone(estimator).set_params(**params).fit(rows[a]).score(rows[b])
            for a, b in folds.split(rows)
        ]
        means.append(np.mean(scores))
    assert (search.cv_results_["mean_test_score"] == means).all()
    assert search.best_params_ == best


def test_weights_are_routed_where_they_are_asked_for(rows):
    weights = np.arange(len(rows)) % 3.0
    folds = KFold(3, shuffle=True, random_state=0)
    with config_context(enable_metadata_routing=True):
        kde = GaussianKDE(1.0).set_fit_request(sample_weight=True)
        search = GridSearchCV(kde, {"bandwidth": [0.5, 2.0]}, cv=folds)
        best = search.fit(rows, sample_weight=weights).best_estimator_
    assert (best.weights_ == weights).all()
    (train, _), *_ = folds.split(rows)
    # The rows of a fold come with their weights.
    assert (kde.fit(rows[train], sample_weight=weights[train]).weights_ == weights[train]).all()


def test_score_is_a_sum_or_a_mean_as_in_scikit_learn(rows):
    for estimator in ESTIMATORS:
        fitted = clone(estimator).fit(rows)
        log_p = fitted.score_samples(rows)
        mean = isinstance(fitted, GaussianMixtureDensity)
        assert fitted.score(rows) == float(log_p.mean() if mean else log_p.sum())


def test_feature_names_are_kept(rows):
    frame = pd.DataFrame(rows, columns=["a", "b", "c"])
    kde = GaussianKDE(1.0).fit(frame)
    assert kde.feature_names_in_.tolist() == ["a", "b", "c"]
    assert (kde.influence(frame) == GaussianKDE(1.0).fit(rows).influence(rows)).all()
    with pytest.raises(ValueError, match="feature names should match"):
        kde.score_samples(frame[["c", "b", "a"]])


def test_rows_are_held_by_reference(rows):
    assert np.shares_memory(GaussianKDE(1.0).fit(rows).points_, rows)
    assert np.shares_memory(NearestNeighborDensity(3).fit(rows).points_, rows)


def test_memory_maps_are_read_in_place(tmp_path, rows):
    mapped = np.memmap(tmp_path / "rows", np.float32, "w+", shape=rows.shape)
    mapped[:] = rows
    kde = GaussianKDE(1.0).fit(mapped)
    assert np.shares_memory(kde.points_, mapped)
    assert (kde.self_influence() == GaussianKDE(1.0).fit(np.array(mapped)).self_influence()).all()
