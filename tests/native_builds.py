"""The C++ sources built several ways, and the kernels' own test program run in each.

A build takes a core for half a minute or more, so each is made once a session and two at a time:
what the chosen tests need is started together, and a test waits for its own.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest

from genmem import _core

ROOT = Path(__file__).parents[1]


@dataclass(frozen=True)
class Variant:
    """`options` of CMake, `arguments` of the test program, `tools` beside compiler and CMake."""

    options: tuple[str, ...]
    arguments: tuple[str, ...]
    tools: tuple[str, ...] = ()
    emulator: tuple[str, ...] = ()
    nm: str = "nm"
    sanitizers: str = ""
    module: bool = False  # with Python's module
    strict: bool = True  # warnings are errors; a sanitized build has warnings of its own


def sanitized(sanitizers: str, *arguments: str) -> Variant:
    option = f"-DGENMEM_SANITIZE={sanitizers}"
    return Variant((option,), ("--small", *arguments), sanitizers=sanitizers, strict=False)


WIDEST = _core.chosen_backend("auto")

# Those that take longest come first. A run takes some half a minute of a core, the emulated one and
# that with threads watched a minute and a half: of ARM's the whole table of small shapes and types,
# else some of it; and threads, which are the walks' alone, on one backend.
VARIANTS = {
    "aarch64": Variant(
        (f"-DCMAKE_TOOLCHAIN_FILE={ROOT / 'cmake' / 'aarch64.cmake'}",),
        ("--small",),
        tools=("aarch64-linux-gnu-g++", "aarch64-linux-gnu-nm", "qemu-aarch64"),
        emulator=("qemu-aarch64", "-L", "/usr/aarch64-linux-gnu"),
        nm="aarch64-linux-gnu-nm",
    ),
    "plain": Variant((), ("--every", "3"), module=True),
    "thread": sanitized("thread", "--every", "8", "--backend", WIDEST),
    "address": sanitized("address,undefined", "--every", "2"),
}


def environment() -> dict[str, str]:
    """With the folder of this Python, where pip puts cmake and ninja, on the path."""
    folder = str(Path(sys.executable).parent)
    return os.environ | {"PATH": folder + os.pathsep + os.environ.get("PATH", "")}


def absent(variant: Variant) -> str | None:
    """What this machine lacks for a variant."""
    tools = ("c++", "cmake", "ninja", "nm", *variant.tools)
    lacking = [tool for tool in tools if not shutil.which(tool, path=environment()["PATH"])]
    if lacking:
        return f"no {', no '.join(lacking)} on this machine"
    if variant.sanitizers:
        command = ["c++", f"-fsanitize={variant.sanitizers}", "-x", "c++", "-", "-o", "/dev/null"]
        if subprocess.run(
            command, input="int main() {}", text=True, capture_output=True
        ).returncode:
            return f"the compiler has no {variant.sanitizers} sanitizer"
    return None


class Builds:
    """Builds and runs of the variants named, two at a time."""

    def __init__(self, folder: Path, names: Iterable[str]) -> None:
        self._pool = ThreadPoolExecutor(2)
        self._folder = folder
        self._absent = {name: absent(VARIANTS[name]) for name in VARIANTS if name in names}
        self._made: dict[str, Future[None]] = {
            name: Future() for name, lacking in self._absent.items() if not lacking
        }
        self._ran = {name: self._pool.submit(self._make_and_run, name) for name in self._made}

    def close(self) -> None:
        self._pool.shutdown(cancel_futures=True)

    def folder(self, name: str) -> Path:
        """The build folder, once the build is made; skips where it cannot be."""
        if self._absent[name]:
            pytest.skip(str(self._absent[name]))
        self._made[name].result()
        return self._folder / name

    def ran(self, name: str) -> subprocess.CompletedProcess[str]:
        """The program's run over its table of cases."""
        self.folder(name)
        return self._ran[name].result()

    def run(self, name: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        """The program of a build that is made, with other arguments."""
        program = self.folder(name) / "tests" / "native" / "genmem_native_tests"
        command = [*VARIANTS[name].emulator, str(program), *arguments]
        done = subprocess.run(command, capture_output=True, text=True)
        # Some kernels put memory where the thread sanitizer of older compilers cannot follow.
        if "unexpected memory mapping" in done.stderr:
            command = ["setarch", "--addr-no-randomize", *command]
            done = subprocess.run(command, capture_output=True, text=True)
        return done

    def _make_and_run(self, name: str) -> subprocess.CompletedProcess[str]:
        try:
            self._make(name)
        except BaseException as error:
            self._made[name].set_exception(error)
            raise
        self._made[name].set_result(None)
        return self.run(name, *VARIANTS[name].arguments)

    def _make(self, name: str) -> None:
        variant = VARIANTS[name]
        configure = [
            "cmake", "-S", str(ROOT), "-B", str(self._folder / name), "-G", "Ninja",
            "-DGENMEM_NATIVE_TESTS=ON", f"-DGENMEM_WERROR={'ON' if variant.strict else 'OFF'}",
            "-DGENMEM_CUDA=OFF",
            f"-DGENMEM_PYTHON={'ON' if variant.module else 'OFF'}", *variant.options,
        ]  # fmt: skip
        if variant.module:
            import pybind11

            configure += [
                f"-DPython_EXECUTABLE={sys.executable}",
                f"-Dpybind11_DIR={pybind11.get_cmake_dir()}",
            ]
        build = ["cmake", "--build", str(self._folder / name), "--parallel", "1"]
        for command in (configure, build):
            done = subprocess.run(command, capture_output=True, text=True, env=environment())
            assert done.returncode == 0, done.stdout + done.stderr
            assert not variant.strict or "warning:" not in done.stdout, done.stdout
