"""A data set that reaches worker processes through files instead of through every task's pickle.

Threads and this process get the object itself. When it is pickled, arrays of 64 KiB or more are
written once to .npy files, which each worker maps into memory. A task on MNIST then sends 48 kB,
the rows of its fold, instead of 47 MB, and the workers share the pages.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
import threading
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import fields, is_dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from genmem.ledger import write_atomic

_INLINE_BYTES = 1 << 16
_PREFIX = ".shared-"
# The data set that this worker opened last: a run has one, and checking it again costs a pass.
_opened: dict[str, Shared] = {}


@contextmanager
def shared_folder(run: Path) -> Iterator[Path]:
    """A new folder in that of a run for the files of `Shared`, removed at the end.

    Those that killed runs have left are removed first. A folder is in use while some process holds
    a lock on it; the system lets go of the locks of a process that is killed. Its name is new each
    time: a worker that outlives a run must not take old files for new.
    """
    with ExitStack() as held:
        with _lock(run) as alone:  # no other run looks between the folder's making and its lock
            for left in run.glob(f"{_PREFIX}*/") if alone else ():
                with _lock(left, wait=False) as unused:
                    if unused:
                        shutil.rmtree(left, ignore_errors=True)
            made = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=run))
            held.callback(shutil.rmtree, made, ignore_errors=True)
            held.enter_context(_lock(made))
        yield made


class Shared:
    """Holds `data`, a dataclass with array fields, and the folder for its files.

    The folder must be visible to every worker. The files stay until the caller removes the folder.
    """

    def __init__(self, data: Any, folder: Path) -> None:
        if not is_dataclass(data):
            raise TypeError(
                f"Shared: data is a {type(data).__name__}; a dataclass of arrays is wanted"
            )
        self.data: Any = data
        self.folder = folder
        self._lock = threading.Lock()
        self._pickled: tuple[Any, ...] | None = None

    def __reduce__(self) -> tuple[Any, ...]:
        with self._lock:
            if self._pickled is None:
                self._pickled = (_open, (str(self.folder), type(self.data), self._write()))
        return self._pickled

    def _write(self) -> dict[str, Any]:
        """The fields of data, large arrays replaced by the path of their file."""
        return {field.name: self._light(field.name) for field in fields(self.data)}

    def _light(self, name: str) -> Any:
        value = getattr(self.data, name)
        if isinstance(value, Mapping):
            return dict(value)  # a read-only mapping cannot be pickled
        if not isinstance(value, np.ndarray) or value.nbytes < _INLINE_BYTES:
            return value
        path = self.folder / f"{name}.npy"
        write_atomic(path, partial(np.save, arr=value, allow_pickle=False))
        return path


@contextmanager
def _lock(folder: Path, *, wait: bool = True) -> Iterator[bool]:
    """Whether the lock on a folder was had: not if another process holds it and there is no waiting
    for it, if the folder is gone, or on a file system without locks."""
    handle = None
    try:
        handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        fcntl.flock(handle, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
        had = True
    except OSError:
        had = False
    try:
        yield had
    finally:
        if handle is not None:
            os.close(handle)


def _open(folder: str, kind: type[Any], held: Mapping[str, Any]) -> Shared:
    found = _opened.get(folder)
    if found is None:
        found = Shared(kind(**{name: _read(value) for name, value in held.items()}), Path(folder))
        _opened.clear()
        _opened[folder] = found
    return found


def _read(value: Any) -> Any:
    return np.load(value, mmap_mode="r", allow_pickle=False) if isinstance(value, Path) else value
