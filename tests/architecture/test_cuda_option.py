"""GENMEM_CUDA: AUTO takes the kernels where nvcc is, ON insists, OFF leaves them out."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from genmem import _core

ROOT = Path(__file__).parents[2]
WITHOUT = "-DCMAKE_CUDA_COMPILER=NOTFOUND"


@pytest.fixture
def source(tmp_path: Path) -> Path:
    if not shutil.which("c++") or not shutil.which("cmake"):
        pytest.skip("no C++ compiler or cmake on this machine")
    folder = tmp_path / "source"
    shutil.copytree(ROOT / "csrc", folder / "csrc")
    shutil.copy(ROOT / "CMakeLists.txt", folder)
    return folder


def configured(source: Path, *options: str) -> subprocess.CompletedProcess[str]:
    import pybind11

    command = [
        "cmake", "-S", str(source), "-B", str(source / "build"), "-G", "Ninja",
        f"-DPython_EXECUTABLE={sys.executable}", f"-Dpybind11_DIR={pybind11.get_cmake_dir()}",
        *options,
    ]  # fmt: skip
    return subprocess.run(command, capture_output=True, text=True)


def compiles_with_nvcc(source: Path) -> bool:
    return "knn/cuda.cu" in (source / "build" / "build.ninja").read_text()


@pytest.mark.parametrize(
    ("options", "taken"),
    [
        (["-DGENMEM_CUDA=AUTO"], bool(shutil.which("nvcc"))),
        (["-DGENMEM_CUDA=AUTO", WITHOUT], False),
        (["-DGENMEM_CUDA=OFF"], False),
    ],
)
def test_the_kernels_are_taken_where_they_can_be(
    source: Path, options: list[str], taken: bool
) -> None:
    done = configured(source, *options)
    assert done.returncode == 0, done.stderr
    assert compiles_with_nvcc(source) == taken
    # On the emulated card they run in any build.
    assert "knn/emulated.cpp" in (source / "build" / "build.ninja").read_text()


@pytest.mark.parametrize(
    ("version", "known", "unknown"),
    [("13.0", ["80", "90", "100"], []), ("12.8", ["100"], []), ("12.0", ["80", "90"], ["100"])],
)
def test_code_is_for_what_the_compiler_knows(
    source: Path, tmp_path: Path, version: str, known: list[str], unknown: list[str]
) -> None:
    """One that says it is of another version, and is not."""
    real = shutil.which("nvcc")
    if not real:
        pytest.skip("no nvcc on this machine")
    posing = tmp_path / "nvcc"
    posing.write_text(
        f'#!/bin/sh\n[ "$*" = --version ] && echo "release {version}, V{version}.1" && exit\n'
        f'exec {real} "$@"\n'
    )
    posing.chmod(0o755)
    done = configured(source, "-DGENMEM_CUDA=ON", f"-DCMAKE_CUDA_COMPILER={posing}")
    assert done.returncode == 0, done.stderr
    rules = (source / "build" / "build.ninja").read_text()
    assert all(f"compute_{one}" in rules for one in known)
    assert not [one for one in unknown if f"compute_{one}" in rules or f"sm_{one}" in rules]


def test_on_without_a_compiler_is_refused(source: Path) -> None:
    done = configured(source, "-DGENMEM_CUDA=ON", WITHOUT)
    assert done.returncode != 0
    assert "there is no CUDA compiler" in " ".join(done.stderr.split())


def test_a_source_without_a_target_is_refused(source: Path) -> None:
    folder = source / "csrc" / "kernels" / "another"
    folder.mkdir()
    (folder / "cuda.cu").write_text("// a kernel\n")
    done = configured(source, "-DGENMEM_CUDA=OFF")
    assert done.returncode != 0
    said = " ".join(done.stderr.split())
    assert "no target of CMakeLists.txt compiles" in said
    assert "another/cuda.cu" in said


def built(tool: str) -> Path:
    """The module, where it holds CUDA kernels and `tool` can look at it."""
    if not _core.cuda_build:
        pytest.skip("this build has no CUDA kernels")
    if not shutil.which(tool):
        pytest.skip(f"no {tool} on this machine")
    return Path(_core.__file__)


def test_it_holds_code_for_each_architecture() -> None:
    module = built("cuobjdump")
    done = subprocess.run(
        ["cuobjdump", "--list-elf", "--list-ptx", str(module)], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    for kind in ("sm_80.cubin", "sm_90.cubin", "sm_100.cubin", "sm_100.ptx"):
        assert kind in done.stdout


def test_it_needs_no_library_of_cuda() -> None:
    """The runtime is in it, and asks for a driver when it is first called."""
    module = built("readelf")
    done = subprocess.run(["readelf", "-d", str(module)], capture_output=True, text=True)
    needed = [line for line in done.stdout.splitlines() if "NEEDED" in line]
    assert needed
    assert not [line for line in needed if "cuda" in line or "cublas" in line]
