"""The emulated card is right, and notices what would be undefined on a real one."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
BUILDS = {
    "fibers": [],
    "address": ["-fsanitize=address,undefined"],
    "threads": ["-DGENMEM_EMULATE_THREADS", "-pthread"],
    "thread": ["-DGENMEM_EMULATE_THREADS", "-pthread", "-fsanitize=thread"],
}
DEADLOCK = "deadlock in block (0, 0): threads "

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def programs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    if not shutil.which("c++"):
        pytest.skip("no C++ compiler on this machine")
    folder, made = tmp_path_factory.mktemp("emulator"), {}
    for name, options in BUILDS.items():
        made[name] = folder / name
        command = [
            "c++", "-std=c++17", "-O1", "-g", "-Wall", "-Wextra", "-Werror", "-Icsrc", *options,
            "tests/device/emulator.cpp", "-o", str(made[name]),
        ]  # fmt: skip
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
    return made


def run(program: Path, fault: str) -> subprocess.CompletedProcess[str]:
    command = [str(program), fault]
    # Some kernels put memory where the thread sanitizer of older compilers cannot follow.
    if shutil.which("setarch"):
        command = ["setarch", "--addr-no-randomize", *command]
    environment = os.environ | {"TSAN_OPTIONS": "halt_on_error=1"}
    return subprocess.run(command, capture_output=True, text=True, env=environment, timeout=120)


@pytest.mark.parametrize("build", BUILDS)
def test_every_part_of_the_layer_is_right(programs: dict[str, Path], build: str) -> None:
    done = run(programs[build], "none")
    assert (done.returncode, done.stdout) == (0, "right\n"), done.stderr


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
def test_a_fault_is_noticed(programs: dict[str, Path], build: str, fault: str, said: str) -> None:
    done = run(programs[build], fault)
    assert done.returncode == 1
    assert said in done.stdout


@pytest.mark.parametrize(
    ("build", "fault", "said"),
    [("thread", "race", "data race"), ("address", "overrun", "heap-buffer-overflow")],
)
def test_sanitizers_see_through_it(
    programs: dict[str, Path], build: str, fault: str, said: str
) -> None:
    done = run(programs[build], fault)
    assert done.returncode != 0
    assert said in done.stderr
