"""Calls as such: the GIL, Ctrl-C, forks, concurrent callers."""

import os
import signal
import subprocess
import sys
import threading
import time

import numpy as np
import pytest

from genmem import kernels


@pytest.fixture
def points(rng: np.random.Generator) -> np.ndarray:
    return rng.standard_normal((3000, 64)).astype(np.float32)


def test_the_gil_is_released(points: np.ndarray) -> None:
    """Another Python thread counts on while a kernel runs."""
    counted = 0
    done = threading.Event()

    def count() -> None:
        nonlocal counted
        while not done.is_set():
            counted += 1
            time.sleep(0.0005)

    thread = threading.Thread(target=count)
    thread.start()
    before = counted
    for _ in range(3):
        kernels.knn(points, points, 5, threads=1)
    during = counted - before
    done.set()
    thread.join()
    assert during > 3


def test_concurrent_callers_get_their_own_answers(points: np.ndarray) -> None:
    want = [kernels.log_kde(points[i::4], points, 3.0, threads=1) for i in range(4)]
    got: list[np.ndarray | None] = [None] * 4

    def call(i: int) -> None:
        got[i] = kernels.log_kde(points[i::4], points, 3.0, threads=3)

    threads = [threading.Thread(target=call, args=(i,)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for a, b in zip(got, want, strict=True):
        assert (a == b).all()


INTERRUPTED = """
import numpy as np, signal
from genmem import kernels
# A shell that starts the tests in the background has it ignored.
signal.signal(signal.SIGINT, signal.default_int_handler)
points = np.random.default_rng(0).standard_normal((60_000, 784)).astype(np.float32)
tokens = kernels.LayerFactors("one", points, points, np.array([0, 60_000]), True)
sample = kernels.Factors((tokens,))
print("ready", flush=True)
try:
    kernels.{call}
except KeyboardInterrupt:
    print("interrupted", flush=True)
kernels.knn(points[:3], points[:50], 2)
"""


@pytest.mark.parametrize(
    "call",
    [
        "knn(points, points, 5, backend='serial')",
        "log_kde(points, points, 3.0, backend='serial', threads=1)",
        "grad_dot(sample, sample, backend='serial', threads=1)",
    ],
)
def test_ctrl_c_is_answered_within_a_second(call: str) -> None:
    """A call of minutes stops, raises KeyboardInterrupt, and the next call works."""
    script = INTERRUPTED.format(call=call)
    command = [sys.executable, "-c", script]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "ready\n"
        time.sleep(0.7)
        sent = time.perf_counter()
        child.send_signal(signal.SIGINT)
        line = child.stdout.readline()
        waited = time.perf_counter() - sent
        assert line == "interrupted\n"
        assert child.wait(30) == 0
    assert waited < 1.0


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this platform")
def test_a_forked_child_starts_its_own_threads(points: np.ndarray) -> None:
    code = """
import os, warnings, numpy as np
warnings.simplefilter("ignore")
from genmem import kernels
points = np.random.default_rng(0).standard_normal((4000, 16))
want = kernels.log_kde(points, points, 1.0, threads=2)
child = os.fork()
if child == 0:
    ok = (kernels.log_kde(points, points, 1.0, threads=2) == want).all()
    os._exit(0 if ok else 1)
assert os.waitpid(child, 0)[1] == 0
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


@pytest.mark.parametrize("door", ["knn", "log_kde", "grad_dot"])
def test_an_unknown_backend_is_refused_by_every_door(door: str) -> None:
    rows = np.zeros((3, 2))
    layer = kernels.LayerFactors("one", rows, rows, np.arange(4), True)
    factors = kernels.Factors((layer,))
    calls = {
        "knn": lambda: kernels.knn(rows, rows, 1, backend="fastest"),
        "log_kde": lambda: kernels.log_kde(rows, rows, 1.0, backend="fastest"),
        "grad_dot": lambda: kernels.grad_dot(factors, factors, backend="fastest"),
    }
    with pytest.raises(ValueError, match=f"{door}: backend is 'fastest'; 'auto', 'serial'"):
        calls[door]()


def test_config_names_what_is_usable() -> None:
    config = kernels.config()
    assert config["auto"] in config["backends"]
    assert config["backends"][config["auto"]] == "usable"
    assert config["backends"]["serial"] == "usable"
    assert config["threads"] >= 1


def test_show_config_prints_every_entry(capsys: pytest.CaptureFixture[str]) -> None:
    kernels.show_config()
    printed = capsys.readouterr().out
    for word in ("genmem", "compiler", "serial", "auto", "cuda", "threads", "numpy", "torch"):
        assert word in printed


@pytest.mark.parametrize(("value", "threads"), [("3", 3), ("1", 1)])
def test_omp_num_threads_is_obeyed(value: str, threads: int) -> None:
    code = "from genmem import kernels; print(kernels.config()['threads'])"
    environment = {**os.environ, "OMP_NUM_THREADS": value}
    out = subprocess.run(
        [sys.executable, "-c", code], env=environment, check=True, capture_output=True, text=True
    )
    assert int(out.stdout) == threads


ROWS = np.arange(6.0)[:, None]
DOORS = {
    "knn": lambda **how: kernels.knn(ROWS, ROWS, 1, **how),
    "log_kde": lambda **how: kernels.log_kde(ROWS, ROWS, 1.0, **how),
    "sq_distances": lambda **how: kernels.sq_distances(ROWS, ROWS, **how),
}


@pytest.mark.parametrize(
    ("value", "threads"), [("2,4", 2), (" 3 ", 3), ("5\t, 1 ,1", 5), ("2147483647", 2147483647)]
)
def test_of_a_list_of_threads_the_first_counts(monkeypatch, value: str, threads: int) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", value)
    assert kernels.config()["threads"] == threads
    DOORS["knn"]()


@pytest.mark.parametrize("value", ["", "  "])
def test_an_empty_omp_num_threads_is_none(monkeypatch, value: str) -> None:
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    free = kernels.config()["threads"]
    monkeypatch.setenv("OMP_NUM_THREADS", value)
    assert kernels.config()["threads"] == free


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize(
    "value",
    ["abc", "0", "-2", "4x", "2,", ",2", "2,abc", "2,0", "2 4", "1.5", "2147483648", "9" * 30],
)
def test_an_omp_num_threads_that_is_no_number_is_told(
    monkeypatch, capsys, door: str, value: str
) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", value)
    with pytest.raises(ValueError, match=f"{door}: OMP_NUM_THREADS is '{value}'; a number of"):
        DOORS[door]()
    # What is asked for by name counts alone, and the printed configuration says what is wrong.
    DOORS[door](threads=1)
    kernels.show_config()
    assert f"OMP_NUM_THREADS is '{value}'" in capsys.readouterr().out


def test_more_threads_than_tasks_cost_nothing(points: np.ndarray) -> None:
    got = kernels.knn(points[:4], points[:9], 2, threads=10_000_000)
    assert (got.indices == kernels.knn(points[:4], points[:9], 2, threads=1).indices).all()
