import json
import warnings
from pathlib import Path

import pandas as pd
import pytest

from genmem.studies.stages import Stages, write_table


class Work:
    """Writes its files, and counts how often it was asked to."""

    def __init__(self, *files: Path) -> None:
        self.files, self.calls = files, 0

    def __call__(self) -> None:
        self.calls += 1
        for file in self.files:
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(f"content of {file.name}")


@pytest.fixture
def work(tmp_path: Path) -> Work:
    return Work(tmp_path / "a.txt", tmp_path / "folder/b.txt", tmp_path / "folder/deep/c.txt")


OUTPUTS = ["a.txt", "folder"]


def test_a_stage_is_done_once(tmp_path: Path, work: Work) -> None:
    for _ in range(3):
        Stages(tmp_path).do("first stage", OUTPUTS, work)
    assert work.calls == 1


@pytest.mark.parametrize("victim", ["a.txt", "folder/b.txt", "folder/deep/c.txt"])
@pytest.mark.parametrize("harm", ["lost", "truncated", "altered"])
def test_what_is_not_whole_is_made_again(
    tmp_path: Path, work: Work, victim: str, harm: str
) -> None:
    Stages(tmp_path).do("s", OUTPUTS, work)
    path = tmp_path / victim
    text = path.read_text()
    if harm == "lost":
        path.unlink()
    else:
        path.write_text(text[:-1] if harm == "truncated" else text.upper())
    assert not Stages(tmp_path).stands("s", OUTPUTS)
    Stages(tmp_path).do("s", OUTPUTS, work)
    assert work.calls == 2
    assert path.read_text() == text


def test_a_broken_record_or_other_outputs_do_not_stand(tmp_path: Path, work: Work) -> None:
    stages = Stages(tmp_path)
    stages.do("s", OUTPUTS, work)
    assert stages.stands("s", OUTPUTS)
    assert not stages.stands("s", ["a.txt"])
    assert not stages.stands("other", OUTPUTS)
    for text in ("", "{", "[]", "{}"):
        (tmp_path / "stages/s.json").write_text(text)
        assert not stages.stands("s", OUTPUTS)


def test_a_stage_that_fails_is_not_recorded(tmp_path: Path) -> None:
    def fail() -> None:
        raise ValueError("no")

    stages = Stages(tmp_path)
    with pytest.raises(ValueError, match="no") as caught:
        stages.do("s", ["a.txt"], fail)
    assert "in the stage 's'" in caught.value.__notes__[0]
    with pytest.raises(FileNotFoundError, match=r"a\.txt"):
        stages.do("s", ["a.txt"], lambda: None)
    assert stages.records() == []


def test_warnings_and_times_are_kept(tmp_path: Path, work: Work) -> None:
    def warn() -> None:
        work()
        for text in ("be careful", "be careful", "mind the gap"):
            warnings.warn(text, RuntimeWarning, stacklevel=1)

    stages = Stages(tmp_path)
    stages.do("b", OUTPUTS, warn)
    stages.do("a", OUTPUTS, work)
    records = Stages(tmp_path).records()
    assert [record["name"] for record in records] == ["b", "a"]
    assert records[0]["warnings"] == ["be careful", "mind the gap"]
    assert records[1]["warnings"] == []
    assert all(0 <= record["seconds"] < 60 for record in records)
    assert json.loads((tmp_path / "stages/b.json").read_text())["outputs"].keys() == set(OUTPUTS)


def test_what_is_hidden_is_work_in_progress(tmp_path: Path, work: Work) -> None:
    Stages(tmp_path).do("s", OUTPUTS, work)
    for hidden in ("folder/.b.txt.x1.part", "folder/.shared-x/x.npy", "folder/deep/.shared-y/x"):
        (tmp_path / hidden).parent.mkdir(exist_ok=True)
        (tmp_path / hidden).write_text("left by a killed process")
    assert Stages(tmp_path).stands("s", OUTPUTS)
    (tmp_path / "folder/seen.txt").write_text("not left by one")
    assert not Stages(tmp_path).stands("s", OUTPUTS)


def test_the_last_stage_stands_while_it_is_the_newest(tmp_path: Path, work: Work) -> None:
    told = Work(tmp_path / "told.txt")

    def run() -> None:
        Stages(tmp_path).do("s", OUTPUTS, work)
        Stages(tmp_path).do("told", ["told.txt"], told, last=True)

    run()
    run()
    assert (work.calls, told.calls) == (1, 1)
    (tmp_path / "a.txt").unlink()
    run()
    run()
    assert (work.calls, told.calls) == (2, 2)


def test_progress_ends_at_the_total_of_the_stage(tmp_path: Path, work: Work) -> None:
    told: list[tuple[str, int, int]] = []
    stages = Stages(tmp_path, lambda *step: told.append(step))

    def counted() -> None:
        work()
        for done in (1, 2, 3):
            stages.within("s")("inner name", done, 3)

    stages.do("s", OUTPUTS, counted)
    assert told == [("s", 0, 1), ("s", 1, 3), ("s", 2, 3), ("s", 3, 3), ("s", 3, 3)]
    told.clear()
    stages.do("t", OUTPUTS, work)
    stages.do("t", OUTPUTS, work)
    assert told == [("t", 0, 1), ("t", 1, 1), ("t", 1, 1)]


def test_tables_come_back(tmp_path: Path) -> None:
    table = pd.DataFrame({"index": [3, 1], "score": [0.5, float("inf")]}, index=[7, 8])
    write_table(tmp_path / "deep/t.parquet", table)
    pd.testing.assert_frame_equal(
        pd.read_parquet(tmp_path / "deep/t.parquet"), table.reset_index(drop=True)
    )
