"""Warnings are heard in the thread that warns, kept once per sort, and said again."""

from __future__ import annotations

import json
import threading
import warnings
from concurrent.futures import ThreadPoolExecutor

import pytest
from sklearn.exceptions import ConvergenceWarning

from genmem.heard import Heard, counted, listening, recall, say_again


def warn(text: str, category: type[Warning] = UserWarning) -> None:
    warnings.warn(text, category, stacklevel=2)


def test_a_block_hears_each_sort_once_in_order() -> None:
    with listening() as heard:
        for step in (1, 20, 300):
            warn(f"moved by {step / 7:.1e} after {step} steps")
            warn("be careful", RuntimeWarning)
        warn("slow", ConvergenceWarning)
    assert heard == [
        Heard("UserWarning", "moved by 1.4e-01 after 1 steps"),
        Heard("RuntimeWarning", "be careful"),
        Heard("UserWarning", "slow"),
    ]


def test_filters_are_left_as_they_were() -> None:
    before = warnings.filters[:], warnings.showwarning
    notes = []
    try:
        with listening():
            warn("on the way")
            raise KeyError("end")
    except KeyError as error:
        notes = error.__notes__
    assert notes == ["warned before: on the way"]
    assert (warnings.filters[:], warnings.showwarning) == before
    with pytest.raises(UserWarning, match="heard by nobody"):
        warn("heard by nobody")


def test_filters_do_not_hide_what_happened() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with listening() as heard:
            warn("hidden")
        say_again(heard)
    assert [one.text for one in heard] == ["hidden"]


def test_deprecations_take_their_usual_way() -> None:
    with pytest.raises(DeprecationWarning), listening() as heard:
        warn("old", DeprecationWarning)
    assert heard == []


def test_the_innermost_block_hears() -> None:
    with listening() as outer:
        with listening() as inner:
            warn("inner")
        warn("outer")
    assert [one.text for one in inner] == ["inner"]
    assert [one.text for one in outer] == ["outer"]


def test_threads_hear_their_own_and_end_in_any_order() -> None:
    before = warnings.filters[:], warnings.showwarning
    both, first_done = threading.Barrier(2), threading.Event()

    def work(name: str) -> list[str]:
        with listening() as heard:
            both.wait(10)
            warn(f"of {name}")
            if name == "last":
                assert first_done.wait(10)
                warn("after the other")
        first_done.set()
        return [one.text for one in heard]

    with ThreadPoolExecutor(2) as pool:
        got = list(pool.map(work, ["first", "last"]))
    assert got == [["of first"], ["of last", "after the other"]]
    assert (warnings.filters[:], warnings.showwarning) == before


def test_a_thread_without_a_block_is_heard_by_the_only_one() -> None:
    with listening() as heard, ThreadPoolExecutor(1) as pool:
        pool.submit(warn, "from a thread").result()
    assert [one.text for one in heard] == ["from a thread"]


def test_said_again_in_their_category() -> None:
    plain = json.loads(json.dumps([Heard("RuntimeWarning", "a"), Heard("Strange", "b")]))
    with pytest.warns() as said:
        say_again(recall(plain))
    assert [(one.category, str(one.message)) for one in said] == [
        (RuntimeWarning, "a"),
        (UserWarning, "b"),
    ]
    assert {one.filename for one in said} == {__file__}


def test_units_are_counted_by_sort() -> None:
    slow = [Heard("UserWarning", f"moved after {n} steps") for n in (5, 17)]
    units = [[], [slow[0], slow[1]], [Heard("UserWarning", "grey"), slow[1]]]
    assert counted(units, "models") == (
        Heard("UserWarning", "moved after 5 steps (in 2 of 3 models)"),
        Heard("UserWarning", "grey (in 1 of 3 models)"),
    )
