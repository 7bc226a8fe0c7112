"""What units warn of reaches the scores and the caller: counted, whoever ran them and whenever."""

import multiprocessing
import warnings
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor

import numpy as np
import pytest
from sklearn.mixture import GaussianMixture

from genmem.datasets import Dataset
from genmem.ledger import read_unit, write_unit
from genmem.memorization import Evaluation, MemorizationScores, cross_validate, read_units

DATA = Dataset(name="made", x=np.random.default_rng(0).normal(size=(60, 4)))
# One EM step of many never converges; scikit-learn says so, each time with the same words.
HASTY = GaussianMixture(3, init_params="random", max_iter=1)


def wary(data, rows, seed):
    """Warns in some units, with another number each time."""
    for step in range(seed % 3):
        warnings.warn(f"moved by {seed + step} after {step} steps", RuntimeWarning, stacklevel=2)
    return np.zeros(len(data)) + np.random.default_rng(seed).normal(size=len(data))


def scored(learner, **options):
    with pytest.warns() as said:
        scores = cross_validate(learner, DATA, folds=3, repeats=3, **options)
    texts = [str(one.message) for one in said]
    assert {one.filename for one in said} == {__file__}
    assert list(scores.warnings[: len(texts)]) == texts
    return scores.warnings, said


def test_each_sort_is_said_once_with_the_number_of_models():
    _, said = scored(wary)
    assert len(said) == 1
    assert said[0].category is RuntimeWarning
    seeds = [int(one) for one in str(said[0].message).split() if one.isdigit()]
    first = next(unit for unit in _seeds() if unit % 3)
    assert seeds[:2] == [first, 0]
    assert str(said[0].message).endswith(
        f"(in {sum(seed % 3 > 0 for seed in _seeds())} of 9 models)"
    )


def _seeds():
    from genmem.memorization.learners import unit_seed

    return [unit_seed(0, repeat, fold) for repeat in range(3) for fold in range(3)]


@pytest.mark.parametrize("kind", ["here", "threads", "processes"])
def test_workers_warn_like_this_process(kind):
    pools = {
        "here": lambda: None,
        "threads": lambda: ThreadPoolExecutor(3),
        "processes": lambda: ProcessPoolExecutor(
            2, mp_context=multiprocessing.get_context("spawn")
        ),
    }
    pool = pools[kind]()
    try:
        found, said = scored(HASTY, executor=pool)
    finally:
        if pool is not None:
            pool.shutdown()
    assert len(said) == 1
    assert "did not converge" in found[0]
    assert found[0].endswith("(in 9 of 9 models)")


def test_a_run_that_goes_on_repeats_what_was_warned_before(tmp_path):
    whole, _ = scored(wary, out=tmp_path)
    units = sorted(tmp_path.glob("units/*.safetensors"))
    for path in units[4:]:
        path.unlink()
    assert scored(wary, out=tmp_path)[0] == whole
    assert scored(wary, out=tmp_path)[0] == whole  # all of it is read back
    saved = MemorizationScores.load(tmp_path / "scores" / "memorization.parquet")
    assert saved.warnings == whole
    assert read_units(tmp_path).cautions() == (whole[0],)


def test_units_without_a_record_of_warnings_are_read(tmp_path):
    scored(wary, out=tmp_path)
    for path in tmp_path.glob("units/*.safetensors"):
        arrays, meta = read_unit(path)
        del meta["warnings"]
        write_unit(path, arrays, meta)
    assert cross_validate(wary, DATA, folds=3, repeats=3, out=tmp_path).warnings == ()


def few_draws(data, rows, seed):
    """Four effective draws for row 5 under every model, three for row 9 under one."""
    ess = np.full((2, len(data)), 50.0)
    ess[0] = 1.0  # an epoch before the last
    ess[1, 5] = 4.0
    if seed == _seeds()[4]:
        ess[1, 9] = 3.04
    return Evaluation(np.zeros((2, len(data))), ess=ess, se=np.zeros((2, len(data))))


def test_too_few_draws_are_one_line_with_the_worst():
    scores = cross_validate(few_draws, DATA, folds=3, repeats=3)
    lines = [one for one in scores.warnings if "effective draws" in one]
    assert len(lines) == 1
    assert lines[0].startswith(
        "2 of 60 samples have fewer than 10 effective draws under some model "
        "(the worst 3.0; 9 of 9 models have such samples)"
    )


def test_only_the_repeats_of_the_plan_are_read(tmp_path):
    cross_validate(few_draws, DATA, folds=3, repeats=3, out=tmp_path)
    assert len(read_units(tmp_path).held_out) == 3
    cross_validate(few_draws, DATA, folds=3, repeats=2, out=tmp_path)
    assert len(read_units(tmp_path).held_out) == 2
    assert len(read_units(tmp_path, 3).held_out) == 3
    # A fourth repeat that was begun, and cut short, is nobody's plan yet.
    begun = tmp_path / "units" / "repeat_03_fold_01.safetensors"
    begun.write_bytes((tmp_path / "units" / "repeat_00_fold_01.safetensors").read_bytes())
    assert len(read_units(tmp_path).held_out) == 2
    with pytest.raises(FileNotFoundError, match="repeat_03_fold_00"):
        read_units(tmp_path, 4)
    with pytest.raises(FileNotFoundError, match="holds no units"):
        read_units(tmp_path, 0)
