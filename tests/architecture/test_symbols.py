"""No code of one instruction set can end up in the path of another.

A weak symbol is emitted by every file that uses it, and the linker keeps whichever comes first. So
in an object compiled for AVX-512 every weak symbol must lie in the namespace of that set: a
standard container in a kernel would otherwise put AVX code into the portable build.
"""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
# Objects of each: the operations, and the screen; vnni and amx only multiply.
OBJECTS = {"serial": 4, "neon": 5, "avx2": 5, "avx512": 5, "vnni": 1, "amx": 1}


@pytest.fixture(scope="module")
def objects(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The kernel objects, built with warnings as errors."""
    if not shutil.which("c++") or not shutil.which("nm"):
        pytest.skip("no C++ compiler or nm on this machine")
    import pybind11

    build = tmp_path_factory.mktemp("objects")
    configure = [
        "cmake", "-S", str(ROOT), "-B", str(build), "-G", "Ninja", "-DGENMEM_WERROR=ON",
        f"-DPython_EXECUTABLE={sys.executable}", f"-Dpybind11_DIR={pybind11.get_cmake_dir()}",
    ]  # fmt: skip
    subprocess.run(configure, check=True, capture_output=True, text=True)
    made = subprocess.run(["cmake", "--build", str(build)], capture_output=True, text=True)
    assert made.returncode == 0, made.stdout
    assert "warning:" not in made.stdout
    return build


@pytest.mark.slow
@pytest.mark.parametrize("isa", OBJECTS)
def test_weak_symbols_stay_in_their_namespace(objects: Path, isa: str) -> None:
    built = sorted((objects / "CMakeFiles" / f"genmem_{isa}.dir").rglob("*.o"))
    if not built and isa != "serial":
        pytest.skip(f"{isa} is not built for this processor family")
    assert {path.name for path in built} == {f"{isa}.cpp.o"}
    assert len(built) == OBJECTS[isa]
    for path in built:
        listing = subprocess.run(["nm", str(path)], check=True, capture_output=True, text=True)
        weak = re.findall(r"^\S*\s+[VvWwu]\s+(\S+)$", listing.stdout, re.MULTILINE)
        strange = [name for name in weak if not re.match(rf"_ZNK?6genmem{len(isa)}{isa}", name)]
        assert not strange, f"{path.parent.name}: {strange}"
        defined = re.findall(r"^\S+\s+T\s+(\S+)$", listing.stdout, re.MULTILINE)
        assert defined, "the object defines no kernel"
        assert all(f"6genmem{len(isa)}{isa}" in name for name in defined)


@pytest.mark.slow
def test_kernels_call_nothing_but_mathematics(objects: Path) -> None:
    """No allocation, exception, lock or thread: the undefined symbols are a short list."""
    mathematics = {"exp", "log", "log1p", "sin", "sqrt", "sqrtf"}
    allowed = mathematics | {"memset", "memcpy", "__stack_chk_fail", "_GLOBAL_OFFSET_TABLE_"}
    folders = (objects / "CMakeFiles" / f"genmem_{isa}.dir" for isa in OBJECTS)
    built = sorted(path for folder in folders for path in folder.rglob("*.o"))
    assert built
    for path in built:
        listing = subprocess.run(
            ["nm", "-u", str(path)], check=True, capture_output=True, text=True
        )
        assert set(re.findall(r"U (\S+)", listing.stdout)) <= allowed, path
