"""A memory map is read where it lies: what fits and scores hold beside it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from genmem.density import GaussianKDE, GaussianMixtureDensity, NearestNeighborDensity
from genmem.density.centered import CenteredRows
from genmem.density.moments import mean_and_squares

MAP_MIB = 600 * 13_000 * 8 / 2**20
BUDGET_MIB = 8
# Blocks of 2^20 values whose size no budget moves, their temporaries, and the threads' stacks.
FIXED_MIB = 34


@pytest.fixture(scope="module")
def peaks() -> list[dict[str, float | str]]:
    if not Path("/proc/self/status").exists():
        pytest.skip("no /proc on this system")
    sizes = ["--rows", "600", "--features", "13000", "--dtype", "float64", "--queries", "8"]
    small = ["--memory", str(BUDGET_MIB), "--bandwidth-rows", "50", "--searched", str(1 << 19)]
    rest = ["--covariance-type", "diag", "--leave-one-out", "--copy"]
    script = Path(__file__).with_name("mapped_peak.py")
    done = subprocess.run(
        [sys.executable, script, *sizes, *small, *rest], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_a_copy_of_the_map_shows(peaks):
    """The accounting can fail: a step that does copy the map is seen by both measures."""
    (copy,) = (peak for peak in peaks if peak["of"] == "copy")
    assert copy["arrays"] >= 0.99 * MAP_MIB
    assert copy["anonymous"] >= 0.9 * MAP_MIB


def test_no_step_copies_the_map(peaks):
    steps = [peak for peak in peaks if peak["of"] != "copy"]
    assert {peak["of"] for peak in steps} >= {"scott", "loo", "epanechnikov", "nearest", "mixture"}
    assert {peak["step"] for peak in steps} >= {"fit", "influence", "gradient", "score_samples_loo"}
    assert BUDGET_MIB + FIXED_MIB < 0.75 * MAP_MIB
    wide = {
        (peak["of"], peak["step"]): peak
        for peak in steps
        if not max(peak["arrays"], peak["anonymous"]) <= BUDGET_MIB + FIXED_MIB
    }
    assert not wide


@pytest.mark.parametrize("mode", ["r", "r+", "c"])
def test_fit_keeps_the_map(tmp_path, rows, mode):
    path = tmp_path / "rows"
    written = np.memmap(path, np.float32, "w+", shape=rows.shape)
    written[:] = rows
    written.flush()
    mapped = np.memmap(path, np.float32, mode, shape=rows.shape)
    for estimator in (GaussianKDE("scott"), GaussianKDE(adaptive=2), NearestNeighborDensity(3),
                      GaussianMixtureDensity(2, random_state=0)):  # fmt: skip
        fitted = estimator.fit(mapped)
        assert np.shares_memory(fitted.points_, mapped)
        assert fitted.points_.dtype == np.float32
        in_memory = type(estimator)(**estimator.get_params()).fit(np.array(mapped))
        assert (fitted.score_samples(rows) == in_memory.score_samples(rows)).all()
        assert (fitted.self_influence() == in_memory.self_influence()).all()


def test_a_mixture_searched_among_some_rows_ends_at_the_optimum_of_all(rng, monkeypatch):
    centers = np.array([[0.0, 0.0], [9.0, 0.0], [0.0, 9.0]])
    X = np.vstack([center + rng.standard_normal((200, 2)) for center in centers])
    whole = GaussianMixtureDensity(3, random_state=0).fit(X)
    monkeypatch.setattr("genmem.density.mixture._SEARCHED", 2 * 60)
    part = GaussianMixtureDensity(3, random_state=0).fit(X)
    assert (part.counts_.round() == 200).all()
    assert np.abs(part.score_samples(X) - whole.score_samples(X)).max() <= 1e-4
    again = GaussianMixtureDensity(3, random_state=0).fit(X)
    assert (again.score_samples(X) == part.score_samples(X)).all()


def test_blocks_leave_every_statistic_as_it_is(rng, monkeypatch):
    """One row at a time, as from a map of very long rows."""
    X, w = rng.standard_normal((40, 3)) + 5, rng.uniform(0.5, 2, 40)
    mean, squares = mean_and_squares(X, w)
    mixtures = {
        kind: GaussianMixtureDensity(2, covariance_type=kind, random_state=0).fit(X)
        for kind in ("full", "tied", "diag", "spherical")
    }
    monkeypatch.setattr("genmem.density.moments._BLOCK", 1)
    monkeypatch.setattr("genmem.density.centered._BLOCK", 1)
    assert len(list(CenteredRows(X, mean).blocks())) == 40
    for got, want in zip(mean_and_squares(X, w), (mean, squares), strict=True):
        assert (np.abs(got - want) <= 1e-12).all()
    for kind, want in mixtures.items():
        got = GaussianMixtureDensity(2, covariance_type=kind, random_state=0).fit(X)
        assert (np.abs(got.covariances_ - want.covariances_) <= 1e-9).all()
        assert (np.abs(got.score_samples_loo() - want.score_samples_loo()) <= 1e-7).all()
