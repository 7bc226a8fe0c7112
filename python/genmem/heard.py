"""Warnings heard where work is done, kept as plain values, and said again where someone reads.

What a worker process warns of, or a unit of work that an earlier call has finished, would otherwise
reach nobody: `listening` collects it, `say_again` warns of it anew.
"""

from __future__ import annotations

import builtins
import re
import threading
import warnings
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple, TextIO

# What Python shows by default. Deprecations and the like are for developers, and say nothing of a
# result: they take their usual way.
_KINDS = (UserWarning, RuntimeWarning, FutureWarning)
_NUMBER = re.compile(r"\d+(\.\d+)?([eE][-+]?\d+)?")


class Heard(NamedTuple):
    """A warning: the name of its nearest built-in category, and its text."""

    category: str
    text: str

    @property
    def sort(self) -> tuple[str, str]:
        """What it shares with warnings that differ from it in numbers only."""
        return self.category, numberless(self.text)


def numberless(text: str) -> str:
    """A text with a mark in place of each number."""
    return _NUMBER.sub("#", text)


class _Listener:
    """The warnings of one block: of each sort the first, in the order they came."""

    def __init__(self) -> None:
        self.thread = threading.get_ident()
        self.heard: list[Heard] = []
        self._sorts: set[tuple[str, str]] = set()

    def hear(self, message: Warning | str, category: type[Warning]) -> None:
        kind = next(one.__name__ for one in category.__mro__ if one.__module__ == "builtins")
        found = Heard(kind, str(message))
        if found.sort not in self._sorts:
            self._sorts.add(found.sort)
            self.heard.append(found)


class _Switch:
    """Listeners of this process. The state of `warnings` is global, so it is changed when the first
    block begins and put back when the last one ends, whichever threads they run in."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._listeners: list[_Listener] = []

    def attach(self, listener: _Listener) -> None:
        with self._lock:
            if not self._listeners:
                self._before = warnings.catch_warnings()
                self._before.__enter__()
                self._show = warnings.showwarning
                for kind in _KINDS:
                    warnings.simplefilter("always", kind)
                warnings.showwarning = self._dispatch
            self._listeners.append(listener)

    def detach(self, listener: _Listener) -> None:
        with self._lock:
            self._listeners.remove(listener)
            if not self._listeners:
                self._before.__exit__(None, None, None)

    def _dispatch(
        self,
        message: Warning | str,
        category: type[Warning],
        filename: str,
        lineno: int,
        file: TextIO | None = None,
        line: str | None = None,
    ) -> None:
        listener = self._listener()
        if listener is not None and issubclass(category, _KINDS):
            listener.hear(message, category)
        else:
            self._show(message, category, filename, lineno, file, line)

    def _listener(self) -> _Listener | None:
        """The innermost of this thread; for a thread without one, that of the only thread with."""
        with self._lock:
            here, threads = threading.get_ident(), {one.thread for one in self._listeners}
            wanted = here if here in threads else min(threads) if len(threads) == 1 else None
            return next((one for one in self._listeners[::-1] if one.thread == wanted), None)


_switch = _Switch()


@contextmanager
def listening() -> Iterator[list[Heard]]:
    """A list that fills with the warnings of the block, instead of their being shown.

    Each sort is kept once, with the numbers of the first. Filters that hide warnings or make them
    errors do not apply within; they do when `say_again` warns. An exception that leaves the block
    takes the warnings along as notes.
    """
    listener = _Listener()
    _switch.attach(listener)
    try:
        yield listener.heard
    except BaseException as error:
        for one in listener.heard:
            error.add_note(f"warned before: {one.text}")
        raise
    finally:
        _switch.detach(listener)


def say_again(heard: Iterable[Heard], *, stacklevel: int = 1) -> None:
    """Warn of each in its category, on behalf of the caller (stacklevel 1) or of its callers."""
    for category, text in heard:
        warnings.warn(text, _category(category), stacklevel=stacklevel + 1)


def counted(units: Sequence[Iterable[Heard]], name: str) -> tuple[Heard, ...]:
    """The warnings of many units, each sort once, with the number of units that it came from.

    name  what a unit is called, in the plural
    The order of the units decides which text stands for a sort: it has the numbers of the first.
    """
    first: dict[tuple[str, str], Heard] = {}
    count: dict[tuple[str, str], int] = {}
    for unit in units:
        for one in {heard.sort: heard for heard in reversed(list(unit))}.values():
            first.setdefault(one.sort, one)
            count[one.sort] = count.get(one.sort, 0) + 1
    return tuple(
        one._replace(text=f"{one.text} (in {count[sort]} of {len(units)} {name})")
        for sort, one in first.items()
    )


def recall(plain: Iterable[Sequence[Any]]) -> list[Heard]:
    """Back from JSON, in which a `Heard` is a list of two texts."""
    return [Heard(str(category), str(text)) for category, text in plain]


def _category(name: str) -> type[Warning]:
    found = getattr(builtins, name, None)
    return found if isinstance(found, type) and issubclass(found, Warning) else UserWarning
