"""A CUDA source that no target compiles is not left out in silence."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
COMPILER = "-DCMAKE_CUDA_COMPILER=" + sys.executable


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """The build with one CUDA kernel more."""
    if not shutil.which("c++") or not shutil.which("cmake"):
        pytest.skip("no C++ compiler or cmake on this machine")
    folder = tmp_path / "source"
    shutil.copytree(ROOT / "csrc", folder / "csrc")
    shutil.copy(ROOT / "CMakeLists.txt", folder)
    (folder / "csrc" / "kernels" / "knn" / "cuda.cu").write_text("// a kernel\n")
    return folder


def configured(source: Path, *options: str) -> subprocess.CompletedProcess[str]:
    import pybind11

    command = [
        "cmake", "-S", str(source), "-B", str(source / "build"), "-G", "Ninja",
        f"-DPython_EXECUTABLE={sys.executable}", f"-Dpybind11_DIR={pybind11.get_cmake_dir()}",
        *options,
    ]  # fmt: skip
    return subprocess.run(command, capture_output=True, text=True)


@pytest.mark.parametrize(
    ("options", "refused"),
    [
        (["-DGENMEM_CUDA=ON", "-DCMAKE_CUDA_COMPILER=NOTFOUND"], True),
        (["-DGENMEM_CUDA=AUTO", COMPILER], True),
        (["-DGENMEM_CUDA=AUTO", "-DCMAKE_CUDA_COMPILER=NOTFOUND"], False),
        (["-DGENMEM_CUDA=OFF", COMPILER], False),
    ],
)
def test_a_source_without_a_target(source: Path, options: list[str], refused: bool) -> None:
    done = configured(source, *options)
    assert (done.returncode != 0) == refused, done.stderr
    said = " ".join(done.stderr.split())
    assert ("no target of CMakeLists.txt compiles" in said) == refused
    assert ("knn/cuda.cu" in said) == refused


def test_on_without_any_source_is_refused(source: Path) -> None:
    (source / "csrc" / "kernels" / "knn" / "cuda.cu").unlink()
    done = configured(source, "-DGENMEM_CUDA=ON")
    assert done.returncode != 0
    assert "this version has no CUDA kernels" in done.stderr
