"""Worker processes for the units of a study: one BLAS thread each, none ever orphaned.

A study takes any other concurrent.futures.Executor as well, if its workers see the run directory;
with the extra `distributed` that of a dask cluster:

    with dask.distributed.Client(address) as client:
        audit(data, out, executor=client.get_executor())

Such workers should run one task and one BLAS thread at a time: the units are the parallelism.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Iterator
from concurrent.futures import Executor, ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing.connection import wait

# Read when the BLAS and OpenMP of a worker start: the units are the parallelism, not their threads.
_ONE_THREAD = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}


@contextmanager
def processes(workers: int) -> Iterator[Executor]:
    """An executor of `workers` fresh processes.

    Spawned, not forked: a fork inherits torch's thread pool without its threads, and stalls in it.
    One BLAS thread each makes a unit the same to the bit whatever the number of workers.
    """
    before = {name: os.environ.get(name) for name in _ONE_THREAD}
    os.environ.update(_ONE_THREAD)
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(workers, mp_context=context, initializer=die_with_parent)
    try:
        yield pool
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def die_with_parent() -> None:
    """Let this worker end at once on Ctrl-C, and when the process that started it is gone.

    A pool's worker would otherwise finish the units that were handed to it, and then wait for ever
    on a queue that a killed parent never closes. Units are written whole or not at all.
    """
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_watch, args=(parent.sentinel,), daemon=True).start()


def _watch(sentinel: int) -> None:
    wait([sentinel])
    os._exit(1)
