"""The scripts about the card: nvcc compiles every kernel for every architecture, and none spills
what would cost time; the benchmark runs, on the emulated card where there is no other.
"""

import importlib.util
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"

pytestmark = pytest.mark.slow


def test_registers_suffice() -> None:
    for tool in ("nvcc", "c++filt"):
        if not shutil.which(tool):
            pytest.skip(f"no {tool} on this machine")
    spec = importlib.util.spec_from_file_location("ptxas", BENCHMARKS / "ptxas.py")
    assert spec is not None
    assert spec.loader is not None
    ptxas = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(ptxas)
    kernels = ptxas.every_kernel()
    named = {(one.name, one.architecture) for one in kernels}
    assert named == {(name, one) for name in ptxas.SHARED for one in ptxas.LIMITS}
    told = (BENCHMARKS / "README.md").read_text()
    assert all(f": {name} |" in told for name in ptxas.SHARED)
    for one in kernels:
        assert one.spills <= 32, one  # seven numbers, outside of loops
        assert one.occupancy >= 0.25, one


def test_the_benchmark_runs(tmp_path: Path) -> None:
    pytest.importorskip("torch")
    results = tmp_path / "results.md"
    script = str(BENCHMARKS / "card.py")
    done = subprocess.run(
        [sys.executable, script, "--backend", "cuda-emulated", "--results", str(results)],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert "no card: the script was tried on the processor" in results.read_text()
    ours = re.findall(
        r"\| (\w+) .*\| genmem cuda-emulated(, \S+)? \| [\d.]+ \| (\S+) \| \d+%",
        results.read_text(),
    )
    named = {"knn", "log_kde", "radius_counts", "kde_gradient", "grad_dot"}
    assert {name for name, *_ in ours} == named
    assert {way for _, way, _ in ours} == {"", ", tol=1e-3", ", screen"}
    assert all(float(error) <= (1e-3 if "tol" in way else 1e-6) for _, way, error in ours)
