"""Data that reaches workers through files: the same values, and little to send."""

import pickle
import subprocess
import sys
from types import MappingProxyType

import numpy as np
import pytest

from genmem.datasets import Dataset
from genmem.memorization.shared import Shared, shared_folder


def _data(rows):
    x = np.random.default_rng(0).random((rows, 64))
    planted = MappingProxyType({"outliers": np.array([0, 3])})
    return Dataset(
        name="made", x=x, y=np.arange(rows) % 3, index=np.arange(rows) + 5, planted=planted
    )


@pytest.mark.parametrize("rows", [10, 20000])
def test_pickled_data_come_back_equal(tmp_path, rows):
    data = _data(rows)
    back = pickle.loads(pickle.dumps(Shared(data, tmp_path))).data
    assert back.fingerprint == data.fingerprint
    assert (back.x == data.x).all()
    assert (back.index == data.index).all()
    assert back.planted["outliers"].tolist() == [0, 3]
    assert (back.name, back.value_range) == (data.name, data.value_range)


def test_large_arrays_are_written_once_and_not_sent(tmp_path):
    shared = Shared(_data(20000), tmp_path)
    first = pickle.dumps(shared)
    written = {path.name: path.stat().st_mtime_ns for path in tmp_path.iterdir()}
    assert sorted(written) == ["index.npy", "x.npy", "y.npy"]
    # 10 MB of values, and labels and identities of 160 kB each, stay behind.
    assert len(first) <= 2_000
    assert pickle.dumps(shared) == first
    assert {path.name: path.stat().st_mtime_ns for path in tmp_path.iterdir()} == written


def test_small_data_need_no_file(tmp_path):
    pickle.dumps(Shared(_data(10), tmp_path))
    assert list(tmp_path.iterdir()) == []


def test_a_worker_opens_the_data_once(tmp_path):
    text = pickle.dumps(Shared(_data(20000), tmp_path))
    first, second = pickle.loads(text), pickle.loads(text)
    assert first is second


def test_what_is_no_dataclass_is_refused(tmp_path):
    with pytest.raises(TypeError, match="data is a list"):
        Shared([1, 2], tmp_path)


HELD = """
import sys, time
from pathlib import Path
from genmem.memorization.shared import shared_folder
with shared_folder(Path(sys.argv[1])) as folder:
    (folder / "x.npy").write_text("x")
    print(folder.name, flush=True)
    time.sleep(600)
"""


@pytest.fixture
def other(tmp_path):
    """Another process that works in the same run directory, and its folder."""
    command = [sys.executable, "-c", HELD, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as job:
        yield job, tmp_path / job.stdout.readline().strip()
        job.kill()


def test_what_a_killed_run_left_is_swept_by_the_next(tmp_path, other):
    job, left = other
    (tmp_path / ".shared-strange").write_text("a file, not a folder")
    with shared_folder(tmp_path) as mine:
        assert (left / "x.npy").exists()  # the other process is at work
        assert mine.is_dir()
    job.kill()
    job.wait()
    assert left.exists()
    with shared_folder(tmp_path) as mine:
        assert sorted(path.name for path in tmp_path.iterdir()) == sorted(
            [mine.name, ".shared-strange"]
        )
    assert not mine.exists()
