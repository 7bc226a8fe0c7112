"""The densities as scikit-learn estimators."""

from __future__ import annotations

import pickle

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

from genmem.density import (
    AbstractLogDensity,
    GaussianKDE,
    GaussianMixtureDensity,
    NearestNeighborDensity,
)

ESTIMATORS = [
    GaussianKDE(1.0),
    GaussianKDE(duplicates="group"),
    NearestNeighborDensity(3),
    NearestNeighborDensity(3, duplicates="distinct"),
    GaussianMixtureDensity(),
    GaussianMixtureDensity(2, covariance_type="diag", random_state=0),
]
NAMES = [repr(e) for e in ESTIMATORS]


@parametrize_with_checks(ESTIMATORS)
def test_scikit_learn_checks(estimator, check):
    check(estimator)


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
        calls += [lambda: fresh.gradient(Z), lambda: fresh.sample(1)]
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


def test_pipeline_and_grid_search(rows):
    pipeline = make_pipeline(StandardScaler(), GaussianKDE("scott")).fit(rows)
    assert pipeline.score_samples(rows).shape == (30,)
    search = GridSearchCV(GaussianKDE(), {"bandwidth": [0.01, 1.0, 100.0]}, cv=3).fit(rows)
    assert search.best_params_ == {"bandwidth": 1.0}


def test_feature_names_are_kept(rows):
    frame = pd.DataFrame(rows, columns=["a", "b", "c"])
    kde = GaussianKDE(1.0).fit(frame)
    assert kde.feature_names_in_.tolist() == ["a", "b", "c"]
    assert (kde.influence(frame) == GaussianKDE(1.0).fit(rows).influence(rows)).all()
    with pytest.raises(ValueError, match="feature names should match"):
        kde.score_samples(frame[["c", "b", "a"]])


def test_torch_tensors_go_in_and_arrays_come_out(rows, queries):
    torch = pytest.importorskip("torch")
    for estimator in ESTIMATORS:
        want = clone(estimator).fit(rows)
        got = clone(estimator).fit(torch.from_numpy(rows))
        answer = got.influence(torch.from_numpy(queries))
        assert type(answer) is np.ndarray
        assert (answer == want.influence(queries)).all()


def test_rows_are_held_by_reference(rows):
    assert np.shares_memory(GaussianKDE(1.0).fit(rows).points_, rows)
    assert np.shares_memory(NearestNeighborDensity(3).fit(rows).points_, rows)


def test_memory_maps_are_read_in_place(tmp_path, rows):
    mapped = np.memmap(tmp_path / "rows", np.float32, "w+", shape=rows.shape)
    mapped[:] = rows
    kde = GaussianKDE(1.0).fit(mapped)
    assert np.shares_memory(kde.points_, mapped)
    assert (kde.self_influence() == GaussianKDE(1.0).fit(np.array(mapped)).self_influence()).all()
