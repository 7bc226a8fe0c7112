"""MemorizationScores as a table, and as a file that comes back whole or not at all."""

import dataclasses

import numpy as np
import pandas as pd
import pytest

from genmem.errors import DataError
from genmem.memorization import MemorizationScores, score_values


@pytest.fixture
def scores():
    generator = np.random.default_rng(0)
    held_out = generator.integers(0, 4, (3, 40))
    log_p = generator.normal(-20, 2, (3, 4, 2, 40))
    return score_values(log_p, held_out, epochs=[5, 50], index=np.arange(40) + 1000)


def test_table_has_a_row_per_sample_and_the_index_first(scores):
    table = scores.to_frame()
    assert table.columns[0] == "index"
    assert table["index"].tolist() == list(range(1000, 1040))
    for name in ("score", "lower", "upper", "se", "pvalue", "qvalue", "log_in", "log_out", "plain"):
        assert (table[name].to_numpy() == getattr(scores, name)).all()
    assert "score_epoch_5" not in table
    wide = scores.to_frame(epochs=True)
    assert (wide["score_epoch_5"].to_numpy() == scores.by_epoch[:, 0]).all()
    assert (wide["log_out_epoch_50"].to_numpy() == scores.log_out).all()


def test_a_saved_file_comes_back_bit_for_bit(scores, tmp_path):
    path = scores.save(tmp_path / "scores" / "memorization.parquet")
    back = MemorizationScores.load(path)
    for field in dataclasses.fields(scores):
        ours, theirs = getattr(scores, field.name), getattr(back, field.name)
        if isinstance(ours, np.ndarray):
            assert ours.dtype == theirs.dtype, field.name
            assert ours.shape == theirs.shape, field.name
            assert ours.tobytes() == theirs.tobytes(), field.name
        else:
            assert ours == theirs, field.name
    assert pd.read_parquet(path).columns[0] == "index"


def test_files_that_are_something_else_are_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match="no such file"):
        MemorizationScores.load(tmp_path / "none.parquet")
    pd.DataFrame({"index": [1]}).to_parquet(tmp_path / "other.parquet")
    with pytest.raises(DataError, match="table of something else"):
        MemorizationScores.load(tmp_path / "other.parquet")
    (tmp_path / "broken.parquet").write_bytes(b"PAR1 and then nothing")
    with pytest.raises(DataError, match="not a whole parquet file"):
        MemorizationScores.load(tmp_path / "broken.parquet")


def test_a_file_of_another_format_is_refused(scores, tmp_path, monkeypatch):
    monkeypatch.setattr("genmem.memorization.scores._FORMAT", 0)
    path = scores.save(tmp_path / "old.parquet")
    monkeypatch.undo()
    with pytest.raises(DataError, match="another version of genmem"):
        MemorizationScores.load(path)


def test_highly_memorized_is_a_quantile_not_a_number_of_nats(scores):
    small = dataclasses.replace(scores, score=np.arange(40.0)[::-1] / 1000)
    assert small.highly_memorized(0.95).tolist() == [0, 1]
    assert dataclasses.replace(scores, score=np.zeros(40)).highly_memorized().tolist() == []
    tied = dataclasses.replace(scores, score=np.r_[np.zeros(36), np.ones(4)])
    assert tied.highly_memorized(0.8).tolist() == [36, 37, 38, 39]
    with pytest.raises(ValueError, match="q is 95"):
        small.highly_memorized(95)


def test_length_and_repr_say_what_it_is(scores):
    assert len(scores) == 40
    assert "40 rows, 4 folds x 3 repeats, epochs [5, 50], interval bootstrap" in repr(scores)
