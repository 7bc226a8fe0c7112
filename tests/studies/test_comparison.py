from pathlib import Path

import numpy as np
import pytest

from genmem.datasets import Dataset, load
from genmem.memorization import cross_validate, score_values
from genmem.studies.comparison import cross_validated, halves, learner
from genmem.studies.presets import preset

DATA = load("digits", limit=120)
SMOKE = preset("smoke", DATA)


@pytest.mark.parametrize("name", ["kde", "knn", "gmm"])
def test_densities_are_fitted_to_the_values_of_the_data(name: str) -> None:
    fitted = learner(name, DATA, SMOKE, 0).fit(DATA.rows)
    assert np.isfinite(fitted.score_samples(DATA.rows)).all()
    assert np.isfinite(fitted.self_influence()).all()


def test_a_recipe_is_that_of_the_preset() -> None:
    assert learner("beta", DATA, SMOKE, 0) == SMOKE.recipes["beta"]
    with pytest.raises(ValueError, match="'flow' is not one of elbo, beta, iwae, kde, knn, gmm"):
        learner("flow", DATA, SMOKE, 0)


def test_large_data_leave_the_closed_form_to_the_densities() -> None:
    many = DATA.take(np.arange(120))
    object.__setattr__(many, "x", np.broadcast_to(DATA.x[:1], (5001, 1, 8, 8)))
    assert cross_validated("knn", DATA, SMOKE)
    assert not cross_validated("knn", many, SMOKE)
    assert cross_validated("iwae", many, SMOKE)


def test_halves_are_scores_of_disjoint_repeats(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    log_p = {repeat: random.normal(size=(3, 120)) for repeat in range(4)}
    calls = iter(range(12))

    def stub(data: object, rows: np.ndarray, seed: int) -> np.ndarray:
        call = next(calls)
        return log_p[call // 3][call % 3]

    scores = cross_validate(stub, DATA, 3, 4, out=tmp_path)
    held_out = np.stack([_folds(tmp_path, repeat) for repeat in range(4)])
    pair = halves(tmp_path, scores, seed=0)
    assert pair is not None
    for part, got in zip((0, 1), pair, strict=True):
        chosen = [part, part + 2]
        want = score_values(np.stack([log_p[r] for r in chosen]), held_out[chosen])
        assert (np.abs(got - want.score) <= 1e-12).all()


def test_one_repeat_has_no_halves(tmp_path: Path) -> None:
    def stub(data: object, rows: np.ndarray, seed: int) -> np.ndarray:
        return np.arange(120.0)

    assert halves(tmp_path, cross_validate(stub, DATA, 3, 1, out=tmp_path), seed=0) is None


def _folds(directory: Path, repeat: int) -> np.ndarray:
    from genmem.memorization import read_units

    return read_units(directory).held_out[repeat]


def test_copies_do_not_stop_a_study(tmp_path: Path) -> None:
    """More equal rows than neighbours: the k-NN density takes them as one row."""
    x = np.random.default_rng(0).normal(size=(60, 3)).astype(np.float32)
    x[:9] = 0
    data = Dataset("copies", x)
    chosen = preset("smoke", data)
    scores = cross_validate(learner("knn", data, chosen, 0), data, 3, 2, out=tmp_path)
    assert np.isfinite(scores.score).all()
