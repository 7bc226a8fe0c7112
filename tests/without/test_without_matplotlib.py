"""Without matplotlib everything works but the page, which names what it lacks."""

from pathlib import Path

import pytest

from without.blocked import run


def test_kernels_densities_and_memorization() -> None:
    code = """
import numpy as np, genmem
x = np.random.default_rng(0).standard_normal((50, 3))
print(genmem.knn(x, x, 2, exclude="self").indices.shape)
print(genmem.log_kde(x, x, 1.0).shape)
for density in (genmem.GaussianKDE(bandwidth=1.0), genmem.NearestNeighborDensity(k=3),
                genmem.GaussianMixtureDensity(n_components=2)):
    print(density.fit(x).self_influence().shape)
print(genmem.cross_validate(genmem.GaussianKDE(bandwidth=1.0), x, folds=2, repeats=2).score.shape)
"""
    assert run(code, {"matplotlib"}).splitlines() == ["(50, 2)"] + ["(50,)"] * 5


def test_training_tracing_and_studies() -> None:
    code = """
import genmem
data = genmem.datasets.load("digits", limit=12)
run = genmem.train(genmem.Recipe(hidden=(4,), latent=2, epochs=1, binarize="threshold"), data)
print(genmem.TracIn(run, draws=2).self_influence(data).shape)
print(genmem.studies.attributes(data, k=3).shape[0])
"""
    assert run(code, {"matplotlib"}).splitlines() == ["(12,)", "12"]


@pytest.mark.parametrize("missing", ["matplotlib", "jinja2"])
def test_the_page_names_what_it_lacks(missing: str, tmp_path: Path) -> None:
    code = f"""
import genmem
try:
    genmem.report({str(tmp_path)!r})
except ModuleNotFoundError as error:
    print(error, error.name, sep="; ")
"""
    assert run(code, {missing}).strip() == (
        f"report: the page is made with {missing}, which cannot be imported "
        f"(No module named {missing!r}); {missing}"
    )
    assert list(tmp_path.iterdir()) == []


def test_the_command_line_says_so_in_one_line(tmp_path: Path) -> None:
    code = f"""
from typer.testing import CliRunner
from genmem.cli import app
got = CliRunner().invoke(app, ["report", {str(tmp_path)!r}])
print(got.exit_code, got.stderr)
"""
    said = run(code, {"matplotlib"}).strip()
    assert said.startswith("1 genmem report: ")
    assert "made with matplotlib" in said
    assert len(said.splitlines()) == 1
