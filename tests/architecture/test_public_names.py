"""The public names and signatures that users, tests and benchmarks rely on."""

import inspect

import pytest

import genmem

NAMES = {
    "show_config", "config", "knn", "log_kde", "grad_dot",
    "Factors", "LayerFactors", "Neighbors", "TopInfluences",
    "GaussianKDE", "NearestNeighborDensity", "GaussianMixtureDensity",
    "Recipe", "Run", "train", "cross_validate", "MemorizationScores", "TracIn",
    "copying", "datasets", "studies", "report",
}  # fmt: skip


def test_names() -> None:
    assert set(genmem.__all__) == NAMES
    for name in NAMES:
        assert getattr(genmem, name) is not None


def test_unknown_names_are_refused() -> None:
    with pytest.raises(AttributeError, match="no attribute 'nope'"):
        _ = genmem.nope


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("knn", ["queries", "points", "k", "exclude", "backend", "threads"]),
        ("log_kde", ["queries", "points", "bandwidth", "weights", "exclude", "backend", "threads"]),
        ("grad_dot", ["queries", "points", "symmetric", "k", "backend", "threads"]),
        ("train", ["recipe", "data", "out"]),
        ("cross_validate", ["learner", "data", "folds", "repeats", "executor", "out"]),
        ("TracIn", ["run_or_checkpoints", "objective", "draws", "seed", "weights"]),
        ("report", ["run_directory"]),
    ],
)
def test_signatures(name: str, arguments: list[str]) -> None:
    """The agreed arguments are there, in the agreed order; additions come after or by keyword."""
    present = [p for p in inspect.signature(getattr(genmem, name)).parameters if p in arguments]
    assert present == arguments


@pytest.mark.parametrize(
    ("name", "methods"),
    [
        (
            "GaussianKDE",
            ["fit", "score_samples", "score_samples_loo", "influence", "self_influence", "gradient",
             "sample"],
        ),
        (
            "NearestNeighborDensity",
            ["fit", "score_samples", "score_samples_loo", "influence", "self_influence"],
        ),
        (
            "GaussianMixtureDensity",
            ["fit", "score_samples", "score_samples_loo", "influence", "self_influence", "gradient",
             "sample"],
        ),
        ("TracIn", ["influence", "self_influence", "capture"]),
        ("Run", ["model", "sample", "log_prob"]),
        ("MemorizationScores", ["to_frame"]),
    ],
)  # fmt: skip
def test_methods(name: str, methods: list[str]) -> None:
    assert [m for m in methods if not callable(getattr(getattr(genmem, name), m, None))] == []


def test_studies() -> None:
    for name in ("attributes", "agreement"):
        assert callable(getattr(genmem.studies, name))
