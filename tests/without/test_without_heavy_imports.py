"""`import genmem` is light, and the kernels and densities need no torch."""

import pytest

from without.blocked import run


def test_import_is_light() -> None:
    heavy = {"torch", "matplotlib", "sklearn", "scipy.stats", "pandas", "pyarrow", "typer"}
    loaded = run("import genmem, sys; print(*sys.modules)").split()
    assert not heavy & set(loaded)


def test_import_is_quick() -> None:
    """Under 0.3 s; the best of five, since another process may be using the machine."""
    code = (
        "import time; start = time.perf_counter(); import genmem; "
        "print(time.perf_counter() - start)"
    )
    assert min(float(run(code)) for _ in range(5)) < 0.3


@pytest.mark.parametrize("blocked", [{"torch"}, {"torch", "matplotlib", "dask"}])
def test_kernels_and_densities_without_torch(blocked: set[str]) -> None:
    code = """
import numpy as np, genmem
x = np.random.default_rng(0).standard_normal((50, 3))
print(genmem.knn(x, x, 2, exclude="self").indices.shape)
print(genmem.log_kde(x, x, 1.0).shape)
for density in (genmem.GaussianKDE(bandwidth=1.0), genmem.KernelDensity(kernel="tophat"),
                genmem.NearestNeighborDensity(k=3), genmem.GaussianMixtureDensity(n_components=2)):
    print(density.fit(x).self_influence().shape)
"""
    assert run(code, blocked).split("\n")[:6] == ["(50, 2)"] + ["(50,)"] * 5


def test_copying_without_torch() -> None:
    code = """
import numpy as np, genmem
random = np.random.default_rng(0)
sets = [random.standard_normal((60, 70)) for _ in range(3)]
for name, found in genmem.copying.examine(*sets, features="pca", resamples=9).items():
    print(name, found.per_sample.shape)
"""
    lines = run(code, {"torch", "matplotlib", "pandas"}).splitlines()
    assert len(lines) == 7
    assert all(line.endswith("(60,)") for line in lines)


def test_training_without_torch_says_what_is_missing() -> None:
    code = """
import genmem
try:
    genmem.train
except ModuleNotFoundError as error:
    print(error)
"""
    assert "torch" in run(code, {"torch"})
