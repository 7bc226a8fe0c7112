"""The emulated card and the kernels are right; what is undefined on a real one is noticed."""

import functools
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
BUILDS = {
    "fibers": [],
    "address": ["-fsanitize=address,undefined"],
    "threads": ["-DGENMEM_EMULATE_THREADS", "-pthread"],
    "thread": ["-DGENMEM_EMULATE_THREADS", "-pthread", "-fsanitize=thread"],
}
# The programs of tests/device, and the kernels that each runs.
PROGRAMS = {
    "emulator": [],
    "knn": ["pairs", "screen", "knn"],
    "log_kde": ["pairs", "screen", "log_kde"],
    "grad_dot": ["grad_dot"],
}
DEADLOCK = "deadlock in block (0, 0): threads "

Programs = Callable[[str, str], Path]

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def programs(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, str], Path]:
    """(program, build) -> where it lies, compiled once."""
    if not shutil.which("c++"):
        pytest.skip("no C++ compiler on this machine")
    folder = tmp_path_factory.mktemp("emulator")

    @functools.cache
    def made(program: str, build: str) -> Path:
        path = folder / f"{program}-{build}"
        kernels = [f"csrc/kernels/{name}/emulated.cpp" for name in PROGRAMS[program]]
        command = [
            "c++", "-std=c++17", "-O1", "-g", "-Wall", "-Wextra", "-Werror", "-Icsrc",
            "-DGENMEM_ISA=emulated", *BUILDS[build], f"tests/device/{program}.cpp", *kernels,
            "-o", str(path),
        ]  # fmt: skip
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return path

    return made


def run(program: Path, *words: str) -> subprocess.CompletedProcess[str]:
    command = [str(program), *words]
    # Some kernels put memory where the thread sanitizer of older compilers cannot follow.
    if shutil.which("setarch"):
        command = ["setarch", "--addr-no-randomize", *command]
    environment = os.environ | {"TSAN_OPTIONS": "halt_on_error=1"}
    return subprocess.run(command, capture_output=True, text=True, env=environment, timeout=900)


@pytest.mark.parametrize("build", BUILDS)
def test_every_part_of_the_layer_is_right(programs: Programs, build: str) -> None:
    done = run(programs("emulator", build), "none")
    assert (done.returncode, done.stdout) == (0, "right\n"), done.stderr


@pytest.mark.parametrize("build", ["address", "thread"])
@pytest.mark.parametrize("program", [name for name in PROGRAMS if name != "emulator"])
def test_kernels_are_right(programs: Programs, program: str, build: str) -> None:
    done = run(programs(program, build), *(["few"] if build == "thread" else []))
    assert (done.returncode, done.stdout) == (0, "right\n"), done.stdout + done.stderr


@pytest.mark.parametrize("build", ["fibers", "threads"])
@pytest.mark.parametrize(
    ("fault", "said"),
    [
        ("early", f"{DEADLOCK}0 to 4 wait at the barrier, threads 5 to 5 ended"),
        ("barrier", f"{DEADLOCK}0 to 31 ended, threads 32 to 63 wait at the barrier"),
        ("shuffle", f"{DEADLOCK}0 to 6 wait at a shuffle"),
        ("copies", "wrong"),
        ("late", "ended with copies that it did not wait for"),
    ],
)
def test_a_fault_is_noticed(programs: Programs, build: str, fault: str, said: str) -> None:
    done = run(programs("emulator", build), fault)
    assert done.returncode == 1
    assert said in done.stdout


@pytest.mark.parametrize(
    ("build", "fault", "said"),
    [("thread", "race", "data race"), ("address", "overrun", "heap-buffer-overflow")],
)
def test_sanitizers_see_through_it(programs: Programs, build: str, fault: str, said: str) -> None:
    done = run(programs("emulator", build), fault)
    assert done.returncode != 0
    assert said in done.stderr
