"""The public names that users, tests and benchmarks rely on."""

from importlib import import_module

import pytest

import genmem

NAMES = {
    "show_config", "config", "knn", "log_kde", "grad_dot",
    "Factors", "LayerFactors", "Neighbors", "TopInfluences",
    "GaussianKDE", "KernelDensity", "NearestNeighborDensity", "GaussianMixtureDensity",
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
    ("name", "methods"),
    [
        (
            "GaussianKDE",
            ["fit", "score_samples", "score_samples_loo", "influence", "self_influence", "gradient",
             "sample"],
        ),
        (
            "KernelDensity",
            ["fit", "score_samples", "score_samples_loo", "influence", "self_influence", "gradient",
             "sample"],
        ),
        (
            "NearestNeighborDensity",
            ["fit", "score_samples", "score_samples_loo", "influence", "self_influence",
             "gradient"],
        ),
        (
            "GaussianMixtureDensity",
            ["fit", "score_samples", "score_samples_loo", "influence", "self_influence", "gradient",
             "sample"],
        ),
        ("TracIn", ["influence", "influence_on_generated", "self_influence", "capture"]),
        ("Run", ["model", "sample", "log_prob"]),
        ("MemorizationScores", ["to_frame"]),
    ],
)  # fmt: skip
def test_methods(name: str, methods: list[str]) -> None:
    assert [m for m in methods if not callable(getattr(getattr(genmem, name), m, None))] == []


def test_studies() -> None:
    for name in ("attributes", "agreement"):
        assert callable(getattr(genmem.studies, name))


@pytest.mark.parametrize(
    ("room", "names"),
    [
        (
            "studies",
            {
                "agreement", "attributes", "audit", "correlate", "copying_and_memorization",
                "spearman", "partial_spearman", "kendall", "concordance", "overlap",
                "rank_biased_overlap", "Correlation", "Concordance", "Overlap", "RankBiasedOverlap",
            },
        ),
        (
            "copying",
            {
                "nearest_ratio", "data_copying", "authenticity", "calibrated_distance",
                "third_ratio", "near_duplicate_rate", "likelihood_divergence", "examine",
                "CopyingDistances", "CopyingResult",
            },
        ),
        (
            "influence",
            {
                "Capture", "Detection", "FactorStore", "GeneratedInfluence", "LoadedBy",
                "StateCheckpoint", "TopInfluences", "TracIn", "capture_factors",
                "checkpoint_weights", "detection", "load_state", "loaded_by",
                "retrieve", "rounding_bound", "score", "self_score", "sketches",
                "state_checkpoints",
            },
        ),
        (
            "influence.evaluation",
            {
                "Correlations", "correlations", "datamodel_subsets", "leave_one_out",
                "leave_one_out_correlation", "linear_datamodeling_score", "retrained_outputs",
            },
        ),
        (
            "influence.tasks",
            {"AttributionTask", "KMostInfluentialResults", "TracInAttributor", "TracInCP"},
        ),
        (
            "memorization",
            {"MemorizationScores", "cross_validate", "read_units", "score_values", "trajectory"},
        ),
    ],
)  # fmt: skip
def test_names_of_rooms(room: str, names: set[str]) -> None:
    """Each is there, and says what it is."""
    module = import_module(f"genmem.{room}")
    assert not [name for name in names if not (getattr(module, name).__doc__ or "").strip()]


def test_members_without_which_a_result_cannot_be_used() -> None:
    influence = import_module("genmem.influence")
    for member in (influence.FactorStore.factors, influence.Capture.materialised):
        assert member.__doc__
    assert "ties" in (genmem.studies.Overlap.__doc__ or "")
