"""A run that was cut short ends with the scores of one that was not; a changed run is refused."""

import dataclasses
import subprocess
import sys

import numpy as np
import pytest
from sklearn.mixture import GaussianMixture

from genmem.datasets import Dataset
from genmem.errors import CheckpointError, DataError, RunMismatchError
from genmem.ledger import read_unit, write_unit
from genmem.memorization import MemorizationScores, cross_validate, read_units
from genmem.memorization.tables import UnitTable

DATA = Dataset(name="made", x=np.random.default_rng(0).normal(size=(40, 3)))
CALLS = []


def learner(data, rows, seed):
    """log p that depends on the rows and the seed, at two epochs."""
    CALLS.append(seed)
    center = data.rows[rows].mean(axis=0)
    wobble = np.random.default_rng(seed).normal(size=(2, len(data)))
    return wobble - np.square(data.rows - center).sum(axis=1)


def assert_same(first, second):
    for field in dataclasses.fields(first):
        ours, theirs = getattr(first, field.name), getattr(second, field.name)
        if isinstance(ours, np.ndarray):
            assert ours.shape == theirs.shape, field.name
            assert ours.tobytes() == theirs.tobytes(), field.name
        else:
            assert ours == theirs, field.name


@pytest.fixture(autouse=True)
def _count_anew():
    CALLS.clear()


@pytest.fixture(scope="module")
def whole():
    return cross_validate(learner, DATA, folds=4, repeats=3)


@pytest.mark.parametrize("at", [0, 5, 11])
def test_a_run_that_raised_goes_on_where_it_was(tmp_path, monkeypatch, whole, at):
    train = learner

    def fails(data, rows, seed):
        if len(CALLS) == at:
            raise OSError("disk full")
        return train(data, rows, seed)

    fails.__module__, fails.__qualname__ = learner.__module__, learner.__qualname__
    with pytest.raises(OSError, match="disk full"):
        cross_validate(fails, DATA, folds=4, repeats=3, out=tmp_path)
    assert len(list(tmp_path.glob("units/*.safetensors"))) == at
    CALLS.clear()
    scores = cross_validate(learner, DATA, folds=4, repeats=3, out=tmp_path)
    assert len(CALLS) == 12 - at
    assert_same(scores, whole)


KILLED = """
import os, sys
sys.path.insert(0, sys.argv[1])
import numpy as np
import killable
from genmem.memorization import cross_validate
killable.LEFT = int(sys.argv[3])
x = np.random.default_rng(0).normal(size=(40, 3))
cross_validate(killable.learner, x, folds=4, repeats=3, out=sys.argv[2])
"""
KILLABLE = """
import os
import numpy as np
LEFT = 10**6
def learner(data, rows, seed):
    global LEFT
    LEFT -= 1
    if LEFT < 0:
        os._exit(9)
    wobble = np.random.default_rng(seed).normal(size=len(data))
    return wobble - np.square(data.rows - data.rows[rows].mean(axis=0)).sum(axis=1)
"""


def test_a_run_that_was_killed_goes_on_where_it_was(tmp_path, monkeypatch):
    (tmp_path / "killable.py").write_text(KILLABLE)
    at = int(np.random.default_rng(5).integers(1, 12))
    command = [sys.executable, "-c", KILLED, str(tmp_path), str(tmp_path / "run"), str(at)]
    assert subprocess.run(command, timeout=120).returncode == 9
    done = sorted((tmp_path / "run" / "units").glob("*.safetensors"))
    assert len(done) == at
    before = [path.stat().st_mtime_ns for path in done]
    monkeypatch.syspath_prepend(str(tmp_path))
    import killable

    x = np.random.default_rng(0).normal(size=(40, 3))
    scores = cross_validate(killable.learner, x, folds=4, repeats=3, out=tmp_path / "run")
    assert [path.stat().st_mtime_ns for path in done] == before
    assert_same(scores, cross_validate(killable.learner, x, folds=4, repeats=3))


def test_a_finished_run_is_read_back(tmp_path, whole):
    cross_validate(learner, DATA, folds=4, repeats=3, out=tmp_path)
    CALLS.clear()
    assert_same(cross_validate(learner, DATA, folds=4, repeats=3, out=tmp_path), whole)
    assert CALLS == []
    saved = MemorizationScores.load(tmp_path / "scores" / "memorization.parquet")
    assert_same(saved, whole)
    # Nothing but the run is left in the folder.
    assert sorted(path.name for path in tmp_path.iterdir()) == ["recipe.toml", "scores", "units"]


def test_more_repeats_keep_the_units_that_are_there(tmp_path, whole):
    cross_validate(learner, DATA, folds=4, repeats=2, out=tmp_path)
    CALLS.clear()
    assert_same(cross_validate(learner, DATA, folds=4, repeats=3, out=tmp_path), whole)
    assert len(CALLS) == 4
    assert len(read_units(tmp_path).held_out) == 3


def _truncate(path):
    path.write_bytes(path.read_bytes()[:-9])


def _flip(path):
    content = bytearray(path.read_bytes())
    content[-3] ^= 1
    path.write_bytes(bytes(content))


def _empty(path):
    path.write_bytes(b"")


@pytest.mark.parametrize("harm", [_truncate, _flip, _empty])
def test_a_broken_unit_is_made_again(tmp_path, whole, harm):
    cross_validate(learner, DATA, folds=4, repeats=3, out=tmp_path)
    CALLS.clear()
    harm(tmp_path / "units" / "repeat_01_fold_02.safetensors")
    with pytest.warns(RuntimeWarning, match="repeat 1, fold 2 is made again"):
        scores = cross_validate(learner, DATA, folds=4, repeats=3, out=tmp_path)
    assert len(CALLS) == 1
    assert_same(scores, whole)


def test_a_unit_of_another_place_is_made_again(tmp_path, whole):
    cross_validate(learner, DATA, folds=4, repeats=3, out=tmp_path)
    units = tmp_path / "units"
    wrong = (units / "repeat_00_fold_00.safetensors").read_bytes()
    (units / "repeat_02_fold_03.safetensors").write_bytes(wrong)
    with pytest.warns(RuntimeWarning, match="holds repeat 0, fold 0 of run"):
        scores = cross_validate(learner, DATA, folds=4, repeats=3, out=tmp_path)
    assert_same(scores, whole)


OTHER = Dataset(name="other", x=DATA.x + 1)


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"folds": 5}, "folds: 4 there, 5 now"),
        ({"seed": 1}, "seed: 0 there, 1 now"),
        ({"duplicates": "group"}, "duplicates: 'split' there, 'group' now"),
        ({"data": OTHER}, "data.name: 'made' there, 'other' now"),
        ({"data": Dataset(name="made", x=OTHER.x)}, f"data.sha256: '{DATA.fingerprint}' there"),
        ({"learner": lambda data, rows, seed: rows}, "learner.function: .*learner' there"),
    ],
)
def test_a_changed_run_is_refused_with_both_values(tmp_path, change, match):
    arguments = {"learner": learner, "data": DATA, "folds": 4, "repeats": 1, "out": tmp_path}
    cross_validate(**arguments)
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    with pytest.raises(RunMismatchError, match=match):
        cross_validate(**{**arguments, **change})
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before


def test_a_changed_estimator_is_refused_with_both_values(tmp_path):
    cross_validate(GaussianMixture(2), DATA, folds=2, repeats=1, out=tmp_path)
    with pytest.raises(RunMismatchError, match=r"learner\.params\.n_components: 2 there, 3 now"):
        cross_validate(GaussianMixture(3), DATA, folds=2, repeats=1, out=tmp_path)


def test_units_that_do_not_fit_together_are_refused(tmp_path):
    cross_validate(learner, DATA, folds=2, repeats=2, out=tmp_path)
    path = tmp_path / "units" / "repeat_01_fold_01.safetensors"
    arrays, meta = read_unit(path)
    write_unit(path, {**arrays, "epochs": arrays["epochs"] + 1}, meta)
    with pytest.raises(DataError, match=r"at epochs \[2, 3\]; .* at \[1, 2\]"):
        read_units(tmp_path)
    write_unit(path, {**arrays, "held_out": arrays["held_out"][1:]}, meta)
    with pytest.raises(DataError, match=r"row \d+ is in no fold of repeat 1"):
        read_units(tmp_path)
    write_unit(path, {**arrays, "held_out": np.arange(40)}, meta)
    with pytest.raises(DataError, match="in another fold of repeat 1"):
        read_units(tmp_path)
    _truncate(path)
    with pytest.raises(CheckpointError, match="not a whole safetensors file"):
        read_units(tmp_path)
    path.unlink()
    with pytest.raises(FileNotFoundError, match="repeat_01_fold_01"):
        read_units(tmp_path)


def test_a_folder_without_units_has_none_to_read(tmp_path):
    with pytest.raises(FileNotFoundError, match="not a run directory"):
        read_units(tmp_path)
    (tmp_path / "recipe.toml").write_text("folds = 3\n")
    with pytest.raises(FileNotFoundError, match="holds no units"):
        read_units(tmp_path)


def test_tables_read_slices_of_the_files(tmp_path):
    cross_validate(learner, DATA, folds=4, repeats=2, out=tmp_path)
    table = read_units(tmp_path)
    assert isinstance(table, UnitTable)
    assert table.block(0, 40).shape == (2, 2, 4, 40)
    assert (table.block(7, 19) == table.block(0, 40)[..., 7:19]).all()
