"""The answer is the same here, in threads, in processes, and in any order; failures end cleanly."""

import multiprocessing
import threading
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor

import numpy as np
import pytest
from sklearn.mixture import GaussianMixture

from genmem.datasets import Dataset
from genmem.memorization import cross_validate, shared

DATA = Dataset(name="made", x=np.random.default_rng(0).normal(size=(60, 4)))
MIXTURE = GaussianMixture(3, init_params="random", max_iter=20, tol=0.1, reg_covar=1e-2)
COLUMNS = ("score", "lower", "upper", "se", "pvalue", "qvalue", "plain", "by_epoch", "log_out")


class Backwards(Executor):
    """Runs what it was given last first, once everything was given."""

    def __init__(self, expected):
        self.expected, self.held = expected, []

    def submit(self, function, /, *args, **options):
        future = Future()
        self.held.append((future, function, args, options))
        if len(self.held) == self.expected:
            for one, call, given, named in reversed(self.held):
                one.set_result(call(*given, **named))
        return future


@pytest.fixture(scope="module")
def here():
    return cross_validate(MIXTURE, DATA, folds=3, repeats=3)


def assert_same(first, second):
    for name in COLUMNS:
        ours, theirs = getattr(first, name), getattr(second, name)
        assert ours.shape == theirs.shape
        assert ours.tobytes() == theirs.tobytes(), name


@pytest.mark.parametrize("workers", [1, 3])
def test_threads_give_the_same_scores(here, workers):
    with ThreadPoolExecutor(workers) as pool:
        assert_same(cross_validate(MIXTURE, DATA, folds=3, repeats=3, executor=pool), here)


def test_a_dask_cluster_gives_the_same_scores(here, tmp_path):
    distributed = pytest.importorskip(
        "distributed", reason='dask is not installed: pip install "genmem[distributed]"'
    )
    cluster = {"n_workers": 2, "threads_per_worker": 1, "dashboard_address": None}
    with distributed.Client(**cluster, local_directory=tmp_path / "dask") as client:
        pool = client.get_executor()
        scores = cross_validate(
            MIXTURE, DATA, folds=3, repeats=3, executor=pool, out=tmp_path / "run"
        )
        with pytest.raises(ValueError, match="n_samples") as caught:
            cross_validate(GaussianMixture(99), DATA, folds=3, repeats=1, executor=pool)
    assert_same(scores, here)
    assert "repeat 0, fold" in caught.value.__notes__[0]


def test_another_order_gives_the_same_scores(here):
    backwards = Backwards(9)
    assert_same(cross_validate(MIXTURE, DATA, folds=3, repeats=3, executor=backwards), here)


def test_spawned_processes_give_the_same_scores(here, tmp_path, monkeypatch):
    """Data small enough to be sent along, then data that go through a file."""
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(2, mp_context=context) as pool:
        assert_same(cross_validate(MIXTURE, DATA, folds=3, repeats=3, executor=pool), here)
        monkeypatch.setattr(shared, "_INLINE_BYTES", 0)
        seen = []

        def look(stage, done, total):
            seen.extend(tmp_path.glob(".shared-*/x.npy") if done == total else [])

        scores = cross_validate(
            MIXTURE, DATA, folds=3, repeats=3, executor=pool, out=tmp_path, progress=look
        )
    assert_same(scores, here)
    assert len(seen) == 1
    assert not list(tmp_path.glob(".shared-*"))


def test_a_failure_in_a_worker_ends_the_run_and_keeps_what_is_done(tmp_path):
    started, failing = [], threading.Event()

    def learner(data, rows, seed):
        started.append(seed)
        if len(started) == 4:
            failing.set()
            raise MemoryError("no room")
        return np.zeros(len(data))

    with ThreadPoolExecutor(1) as pool:
        with pytest.raises(MemoryError, match="no room") as caught:
            cross_validate(learner, DATA, folds=10, repeats=2, executor=pool, out=tmp_path)
        assert failing.is_set()
    assert "repeat 0, fold 3" in caught.value.__notes__[0]
    # One more unit may have begun before the failure was seen; the other sixteen were cancelled.
    assert len(started) <= 6
    done = sorted(path.name for path in tmp_path.glob("units/*"))
    assert done[:3] == [f"repeat_00_fold_0{fold}.safetensors" for fold in range(3)]
    assert not list(tmp_path.glob(".shared-*"))


def test_errors_of_processes_name_the_unit():
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=context) as pool:
        flat = Dataset(name="flat", x=np.arange(6.0)[:, None])
        with pytest.raises(ValueError, match="n_samples") as caught:
            cross_validate(GaussianMixture(5), flat, folds=2, repeats=1, executor=pool)
    assert "repeat 0, fold" in caught.value.__notes__[0]


def test_progress_counts_units_of_workers():
    seen = []
    with ThreadPoolExecutor(2) as pool:
        cross_validate(
            MIXTURE,
            DATA,
            folds=3,
            repeats=1,
            executor=pool,
            progress=lambda *told: seen.append(told),
        )
    assert seen == [("cross-validation", done, 3) for done in range(4)]
