"""The kernels' own test program, without Python: plain, under the sanitizers, and on ARM.

It runs every operation x type x shape x stride on every backend of the machine against naive sums,
asks for the same bits on 1, 2, 3 and 8 threads and in batches, and exits with 1 on any fault.
"""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PROGRAM = Path("tests") / "native" / "genmem_native_tests"

# What each build is configured with, and what the program is told: a sanitized or emulated run is
# some ten times as slow, and takes small sizes and every third problem.
BUILDS: dict[str, tuple[list[str], list[str]]] = {
    "plain": ([], ["--small"]),
    "address,undefined": (["-DGENMEM_SANITIZE=address,undefined"], ["--small", "--every", "3"]),
    "thread": (["-DGENMEM_SANITIZE=thread"], ["--small", "--every", "3"]),
    "aarch64": (
        [f"-DCMAKE_TOOLCHAIN_FILE={ROOT / 'cmake' / 'aarch64.cmake'}"],
        ["--small", "--every", "3"],
    ),
}
EMULATOR = ["qemu-aarch64", "-L", "/usr/aarch64-linux-gnu"]


def build(folder: Path, options: list[str]) -> Path:
    configure = [
        "cmake", "-S", str(ROOT), "-B", str(folder), "-G", "Ninja", "-DGENMEM_PYTHON=OFF",
        "-DGENMEM_NATIVE_TESTS=ON", "-DGENMEM_WERROR=ON", *options,
    ]  # fmt: skip
    subprocess.run(configure, check=True, capture_output=True, text=True)
    made = subprocess.run(["cmake", "--build", str(folder)], capture_output=True, text=True)
    assert made.returncode == 0, made.stdout
    return folder / PROGRAM


@pytest.mark.slow
@pytest.mark.parametrize("name", BUILDS)
def test_kernels_without_python(name: str, tmp_path: Path) -> None:
    options, arguments = BUILDS[name]
    command: list[str] = []
    if name == "aarch64":
        absent = [tool for tool in ("aarch64-linux-gnu-g++", EMULATOR[0]) if not shutil.which(tool)]
        if absent:
            pytest.skip(f"no {' and no '.join(absent)} on this machine")
        command = EMULATOR
    if not shutil.which("c++") or not shutil.which("cmake") or not shutil.which("ninja"):
        pytest.skip("no C++ compiler, cmake or ninja on this machine")
    program = build(tmp_path, options)
    done = subprocess.run(
        [*command, str(program), *arguments],
        capture_output=True,
        text=True,
        env=os.environ | {"TSAN_OPTIONS": "halt_on_error=1"},
    )
    report = done.stdout + done.stderr
    assert done.returncode == 0, report
    assert "neon" in report if name == "aarch64" else "serial" in report
    assert "FAULT" not in report
