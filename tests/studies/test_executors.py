import os
import signal
import subprocess
import sys
import time

import pytest

from genmem.studies.executors import processes


def number_of_threads() -> str | None:
    return os.environ.get("OMP_NUM_THREADS")


def test_workers_have_one_blas_thread_and_the_parent_is_left_alone() -> None:
    before = dict(os.environ)
    with processes(1) as pool:
        assert pool.submit(number_of_threads).result() == "1"
        assert pool.submit(os.getpid).result() != os.getpid()
    assert dict(os.environ) == before


HOLD = """
import os, time
from genmem.studies.executors import processes
if __name__ == "__main__":
    with processes(2) as pool:
        pids = {pool.submit(os.getpid).result()}
        print(*pids, flush=True)
        [future.result() for future in [pool.submit(time.sleep, 60) for _ in range(6)]]
"""


@pytest.mark.parametrize("sent", [signal.SIGKILL, signal.SIGINT])
def test_no_worker_outlives_its_parent(sent: signal.Signals, tmp_path: object) -> None:
    script = os.path.join(str(tmp_path), "hold.py")
    with open(script, "w", encoding="utf-8") as file:
        file.write(HOLD)
    parent = subprocess.Popen(
        [sys.executable, script],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        start_new_session=True,
    )
    assert parent.stdout is not None
    worker = int(parent.stdout.readline())
    if sent == signal.SIGKILL:
        parent.kill()
    else:
        os.killpg(parent.pid, sent)
    parent.wait(timeout=30)
    parent.stdout.close()
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline and _alive(worker):
        time.sleep(0.05)
    assert not _alive(worker)


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    # Not yet reaped is dead all the same.
    stat = f"/proc/{pid}/stat"
    if not os.path.exists("/proc/self/stat"):
        return True
    try:
        with open(stat, encoding="utf-8") as file:
            return file.read().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
