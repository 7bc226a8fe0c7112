"""nvcc compiles every kernel for every architecture, and none spills what would cost time."""

import importlib.util
import shutil
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "ptxas.py"

pytestmark = pytest.mark.slow


def test_registers_suffice() -> None:
    for tool in ("nvcc", "c++filt"):
        if not shutil.which(tool):
            pytest.skip(f"no {tool} on this machine")
    spec = importlib.util.spec_from_file_location("ptxas", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    ptxas = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(ptxas)
    kernels = ptxas.every_kernel()
    named = {(one.name, one.architecture) for one in kernels}
    assert named == {(name, one) for name in ptxas.SHARED for one in ptxas.LIMITS}
    for one in kernels:
        assert one.spills <= 16, one
        assert one.occupancy >= 0.25, one
