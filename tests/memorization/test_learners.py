"""Estimators and functions as learners: what they are asked, their identity, their seeds."""

from functools import partial

import numpy as np
import pytest
from sklearn.mixture import GaussianMixture
from sklearn.neighbors import KernelDensity
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from genmem.datasets import Dataset
from genmem.density import GaussianKDE
from genmem.ledger import bind, read_identity
from genmem.memorization.learners import (
    EstimatorLearner,
    Evaluation,
    FunctionLearner,
    adapt,
    unit_seed,
)

X = np.random.default_rng(0).normal(size=(30, 3))
DATA = Dataset(name="made", x=X)
ROWS = np.arange(5, 30)


def test_an_estimator_is_cloned_fitted_on_the_rows_and_scores_all():
    estimator = KernelDensity(bandwidth=0.7)
    got = EstimatorLearner(estimator, 0).evaluate(DATA, ROWS, 1, None)
    want = KernelDensity(bandwidth=0.7).fit(X[ROWS]).score_samples(X)
    assert (got.log_p == want).all()
    assert not hasattr(estimator, "tree_")


def test_bytes_reach_an_estimator_as_float64():
    pixels = Dataset(name="bytes", x=(np.arange(60).reshape(20, 3) * 4).astype(np.uint8))
    got = EstimatorLearner(KernelDensity(bandwidth=50.0), 0).evaluate(
        pixels, np.arange(15), 1, None
    )
    want = KernelDensity(bandwidth=50.0).fit(pixels.x[:15] * 1.0).score_samples(pixels.x * 1.0)
    assert (got.log_p == want).all()


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_densities_of_genmem_take_the_values_as_they_are(dtype, monkeypatch):
    seen = []
    fit = GaussianKDE.fit

    def look(self, X, y=None):
        seen.append(X.dtype)
        return fit(self, X, y)

    monkeypatch.setattr(GaussianKDE, "fit", look)
    rows = (np.arange(60).reshape(20, 3) ** 2 % 251).astype(dtype)
    plain, wide = (
        EstimatorLearner(GaussianKDE(20.0), 0).evaluate(
            Dataset(name="made", x=x, value_range=(0, 255)), np.arange(15), 1, None
        )
        for x in (rows, rows.astype(np.float64))
    )
    assert seen == [dtype, np.float64]
    assert (plain.log_p == wide.log_p).all()


def test_random_states_follow_the_seed_of_the_unit():
    for estimator in (
        GaussianMixture(3, init_params="random"),
        make_pipeline(StandardScaler(), GaussianMixture(3, init_params="random")),
    ):
        learner = EstimatorLearner(estimator, 0)
        first, again, other = (learner.evaluate(DATA, ROWS, seed, None).log_p for seed in (1, 1, 2))
        assert (first == again).all()
        assert (first != other).any()


def test_an_estimator_with_log_prob_will_do():
    class Unit(KernelDensity):
        score_samples = None

        def log_prob(self, x):
            return np.zeros(len(x))

    assert (EstimatorLearner(Unit(), 0).evaluate(DATA, ROWS, 1, None).log_p == 0).all()


def test_identity_tells_estimators_apart():
    def named(estimator):
        return EstimatorLearner(estimator, 0).identity()

    assert named(KernelDensity(bandwidth=0.5)) == named(KernelDensity(bandwidth=0.5))
    assert named(KernelDensity(bandwidth=0.5)) != named(KernelDensity(bandwidth=0.6))
    means = np.zeros((2, 3))
    first = named(GaussianMixture(2, means_init=means))
    assert first != named(GaussianMixture(2, means_init=means + 1))
    assert first["estimator"].endswith("GaussianMixture")
    assert named(make_pipeline(StandardScaler(), KernelDensity()))["params"]["steps"]


def test_a_function_may_return_log_p_or_an_evaluation():
    def plain(data, rows, seed):
        return np.full(len(data), float(seed + len(rows)))

    def full(data, rows, seed):
        return Evaluation(np.zeros((2, len(data))), epochs=[1, 4])

    assert (FunctionLearner(plain, 0).evaluate(DATA, ROWS, 7, None).log_p == 32.0).all()
    assert FunctionLearner(full, 0).evaluate(DATA, ROWS, 7, None).epochs == [1, 4]
    assert FunctionLearner(plain, 0).identity()["function"].endswith("plain")
    bound = [FunctionLearner(partial(plain, seed=seed), 0).identity() for seed in (1, 1, 2)]
    assert bound[0]["function"] == FunctionLearner(plain, 0).identity()["function"]
    assert bound[0] == bound[1] != bound[2]


def test_an_identity_with_none_and_nan_can_be_stored_and_compared(tmp_path):
    def plain(data, rows, seed, *, limits, scale):
        return np.zeros(len(data))

    learner = FunctionLearner(partial(plain, limits=[None, np.float64(2)], scale=np.nan), 0)
    bind(tmp_path, learner.identity())
    bind(tmp_path, learner.identity())
    assert read_identity(tmp_path)["keywords"] == {"limits": ["None", 2.0], "scale": "nan"}


def test_adapt_knows_estimators_and_functions_only():
    assert isinstance(adapt(KernelDensity(), 0), EstimatorLearner)
    assert isinstance(adapt(lambda data, rows, seed: None, 0), FunctionLearner)
    assert adapt("kde", 0) is None
    with pytest.raises(TypeError, match="StandardScaler has no score_samples and no log_prob"):
        adapt(StandardScaler(), 0)


def test_unit_seeds_differ_and_fit_every_generator():
    seeds = {unit_seed(s, r, f) for s in range(3) for r in range(10) for f in range(10)}
    assert len(seeds) == 300
    assert min(seeds) >= 0
    assert max(seeds) < 2**31
    assert unit_seed(0, 1, 23) != unit_seed(0, 12, 3)
    assert unit_seed(5, 1, 2) == unit_seed(5, 1, 2)
