"""One thread and flushed denormals: arithmetic that does not depend on the settings of the caller.

A sum that torch splits over two threads rounds differently from the same sum in one, so a model
trained under four threads would not be the model trained under one. Matrix products of the size of
an MLP VAE at batch 128 gain little from a second thread, and the folds of a cross-validation fill
the cores of a machine better than the threads of one model do.

Denormals are flushed because Adam's averages of a gradient that has become exactly zero (a pixel
that is lit in one image only) decay through them, at some hundred cycles per number.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import torch

# The settings are the process's: the first of several threads saves them, the last restores them.
_lock = threading.Lock()
_inside = 0
_saved = 1


@contextmanager
def single_thread() -> Iterator[None]:
    """Run torch in one thread with denormals flushed, and put the caller's settings back."""
    global _inside, _saved
    with _lock:
        if _inside == 0:
            _saved = torch.get_num_threads()
        _inside += 1
    # Denormals are a setting of each thread; torch's number of threads is one of the process.
    own = _flushes_denormals()
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    try:
        yield
    finally:
        torch.set_flush_denormal(own)
        with _lock:
            _inside -= 1
            if _inside == 0:
                torch.set_num_threads(_saved)


def _flushes_denormals() -> bool:
    # torch has a setter and no getter; the product of a denormal with one tells.
    return not float(torch.tensor([1e-310], dtype=torch.float64, device="cpu") * 1.0)
