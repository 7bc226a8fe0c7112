"""No code of one instruction set can end up in the path of another.

A weak symbol is emitted by every file that uses it, and the linker keeps whichever comes first. So
in an object compiled for AVX-512 every weak symbol must lie in the namespace of that set: a
standard container in a kernel would otherwise put AVX code into the portable build. At -O1, as the
sanitized builds are, fewer functions are inlined and more symbols remain.
"""

import re
import subprocess
from pathlib import Path

import pytest

from native_builds import VARIANTS, Builds

# Objects of each: the operations, and the screen; vnni and amx only multiply, for two of them.
OBJECTS = {"serial": 4, "neon": 5, "avx2": 5, "avx512": 4, "vnni": 2, "amx": 2}

pytestmark = [pytest.mark.slow, pytest.mark.timeout(3600)]


def kernel_objects(builds: Builds, variant: str) -> dict[str, list[Path]]:
    """The objects of each instruction set in a build."""
    folders = builds.folder(variant) / "CMakeFiles"
    found = {isa: sorted((folders / f"genmem_{isa}.dir").rglob("*.o")) for isa in OBJECTS}
    return {isa: paths for isa, paths in found.items() if paths}


def symbols(variant: str, path: Path, *options: str) -> str:
    command = [VARIANTS[variant].nm, *options, str(path)]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


@pytest.mark.parametrize("variant", VARIANTS)
def test_weak_symbols_stay_in_their_namespace(builds: Builds, variant: str) -> None:
    built = kernel_objects(builds, variant)
    assert "serial" in built
    assert variant != "aarch64" or set(built) == {"serial", "neon"}
    for isa, paths in built.items():
        assert {path.name for path in paths} == {f"{isa}.cpp.o"}
        assert len(paths) == OBJECTS[isa]
        for path in paths:
            listing = symbols(variant, path)
            weak = re.findall(r"^\S*\s+[VvWwu]\s+(\S+)$", listing, re.MULTILINE)
            strange = [name for name in weak if not re.match(rf"_ZNK?6genmem{len(isa)}{isa}", name)]
            assert not strange, f"{path.parent.name}: {strange}"
            defined = re.findall(r"^\S+\s+T\s+(\S+)$", listing, re.MULTILINE)
            assert defined, "the object defines no kernel"
            assert all(f"6genmem{len(isa)}{isa}" in name for name in defined)


@pytest.mark.parametrize("variant", [name for name in VARIANTS if not VARIANTS[name].sanitizers])
def test_kernels_call_nothing_but_mathematics(builds: Builds, variant: str) -> None:
    """No allocation, exception, lock or thread: the undefined symbols are a short list."""
    mathematics = {"exp", "log", "log1p", "sin", "sqrt", "sqrtf"}
    allowed = mathematics | {"memset", "memcpy", "__stack_chk_fail", "_GLOBAL_OFFSET_TABLE_"}
    for paths in kernel_objects(builds, variant).values():
        for path in paths:
            assert set(re.findall(r"U (\S+)", symbols(variant, path, "-u"))) <= allowed, path
