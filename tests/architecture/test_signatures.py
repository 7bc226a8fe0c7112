"""Arguments and defaults that users rely on: additions are welcome, changes are not."""

import inspect
from collections.abc import Callable
from functools import reduce
from typing import Any

import pytest

import genmem

DENSITIES = ["GaussianKDE", "KernelDensity", "NearestNeighborDensity", "GaussianMixtureDensity"]

# As inspect.signature tells them, without annotations.
SIGNATURES = {
    "show_config": "",
    "config": "",
    "knn": "queries, points, k, *, exclude=None, backend='auto', threads=None",
    "log_kde": "queries, points, bandwidth, *, weights=None, exclude=None, backend='auto', "
    "threads=None",
    "grad_dot": "queries, points, *, symmetric=False, k=None, backend='auto', threads=None",
    "GaussianKDE": "bandwidth='loo', *, duplicates='group', bandwidth_rows=2000, seed=0, "
    "memory=201326592, threads=None, backend='auto'",
    "KernelDensity": "bandwidth='loo', *, kernel='gaussian', duplicates='group', "
    "bandwidth_rows=2000, seed=0, memory=201326592, threads=None, backend='auto'",
    "NearestNeighborDensity": "k=10, *, duplicates='inf', memory=201326592, threads=None, "
    "backend='auto'",
    "GaussianMixtureDensity": "n_components=1, *, covariance_type='full', method='one_step', "
    "tol=None, reg_covar=1e-06, n_init=1, random_state=None, memory=201326592",
    "GaussianKDE.fit": "self, X, y=None, sample_weight=None",
    "KernelDensity.fit": "self, X, y=None, sample_weight=None",
    "NearestNeighborDensity.fit": "self, X, y=None",
    "GaussianMixtureDensity.fit": "self, X, y=None",
    "GaussianKDE.score_samples": "self, Z, exclude=None",
    "KernelDensity.score_samples": "self, Z, exclude=None",
    "NearestNeighborDensity.score_samples": "self, Z, exclude=None",
    "GaussianMixtureDensity.score_samples": "self, Z",
    **{
        f"{density}.{method}": "self"
        for density in DENSITIES
        for method in ("score_samples_loo", "self_influence")
    },
    **{f"{density}.influence": "self, Z, k=None, *, proponents=True" for density in DENSITIES},
    "GaussianKDE.gradient": "self, Z, exclude=None",
    "KernelDensity.gradient": "self, Z, exclude=None",
    "NearestNeighborDensity.gradient": "self, Z, exclude=None",
    "GaussianMixtureDensity.gradient": "self, Z",
    "GaussianKDE.sample": "self, n_samples=1, random_state=None",
    "KernelDensity.sample": "self, n_samples=1, random_state=None",
    "GaussianMixtureDensity.sample": "self, n_samples=1, random_state=None",
    "Recipe": "model='mlp-vae', latent=16, hidden=None, objective='elbo', beta=1.0, draws=1, "
    "likelihood='bernoulli', binarize=None, epochs=100, batch=128, lr=0.001, optimizer='adam', "
    "momentum=0.0, weight_decay=0.0, checkpoints=(), eval_draws=256, seed=0, common_seed=0",
    "train": "recipe, data, out=None, *, rows=None, on_checkpoint=None, progress=None",
    "Run.model": "self, checkpoint=-1",
    "Run.sample": "self, n, seed=0, *, checkpoint=-1",
    "Run.log_prob": "self, data, positions=None, draws=None, *, checkpoint=-1, progress=None",
    "cross_validate": "learner, data, folds=10, repeats=10, *, executor=None, out=None, seed=0, "
    "duplicates='split', progress=None, confidence=0.95, choices=20, resamples=1000",
    "MemorizationScores.to_frame": "self, *, epochs=False",
    "TracIn": "run_or_checkpoints, objective=None, *, model=None, draws=16, seed=0, "
    "weights='lr_steps', latent=None, memory=201326592, block=None, strict=True, threads=None, "
    "progress=None",
    "TracIn.influence": "self, test, train, k=None, proponents=True, *, test_ids=None, "
    "train_ids=None",
    "TracIn.self_influence": "self, train, unbiased=False, *, sets=2, ids=None",
    "TracIn.capture": "self, data, out=None, *, side='train', ids=None",
    "studies.attributes": "data, run=None, scores=None, k=10, *, seed=0, threads=None",
    "studies.agreement": "scores_by_model, attributes=None, k=None, *, halves=None",
    **{
        f"copying.{test}": "train, test, generated, *, features=None, seed=0, "
        f"duplicates='{policy}', distances=None, level=0.95, threads=None"
        for test, policy in {
            "nearest_ratio": "distinct",
            "data_copying": "keep",
            "authenticity": "distinct",
            "calibrated_distance": "distinct",
            "third_ratio": "distinct",
            "near_duplicate_rate": "distinct",
            "likelihood_divergence": "keep",
        }.items()
    },
    "studies.copying_and_memorization": "ratios, score, attributes=None",
    "report": "run_directory",
}

Parts = tuple[list[str], list[str], list[str]]


def told(function: Callable[..., Any]) -> Parts:
    """Arguments by place, by name only, and those that a caller must give."""
    parameters = inspect.signature(function).parameters.values()
    plain = {p.name: str(p.replace(annotation=p.empty)) for p in parameters}
    named = [plain[p.name] for p in parameters if p.kind is p.KEYWORD_ONLY]
    placed = [plain[p.name] for p in parameters if p.kind is p.POSITIONAL_OR_KEYWORD]
    return placed, named, [text for text in placed + named if "=" not in text]


def agreed(text: str) -> Parts:
    placed, _, named = (part.strip(" ,") for part in text.partition("*"))
    parts = [[one for one in part.split(", ") if one] for part in (placed, named)]
    return parts[0], parts[1], [one for one in parts[0] + parts[1] if "=" not in one]


def breaks(function: Callable[..., Any], signature: str) -> str:
    """What an old call would stumble over; '' if nothing."""
    (placed, named, needed), (want_placed, want_named, want_needed) = (
        told(function),
        agreed(signature),
    )
    if placed[: len(want_placed)] != want_placed:
        return f"by place: {placed}, not {want_placed}"
    lost = [one for one in want_named if one not in named + placed]
    if lost:
        return f"by name: {lost} not among {named}"
    return f"needed: {needed}, not {want_needed}" if needed != want_needed else ""


@pytest.mark.parametrize("name", SIGNATURES)
def test_old_calls_work(name: str) -> None:
    assert breaks(reduce(getattr, name.split("."), genmem), SIGNATURES[name]) == ""


def old(a: int, b: int = 1, *, c: str = "x") -> None: ...
def added(a: int, b: int = 1, d: int = 2, *, e: int = 0, c: str = "x") -> None: ...
def by_place(a: int, b: int = 1, c: str = "x") -> None: ...
def other_default(a: int, b: int = 2, *, c: str = "x") -> None: ...
def other_order(b: int, a: int = 1, *, c: str = "x") -> None: ...
def renamed(a: int, b: int = 1, *, d: str = "x") -> None: ...
def one_more_needed(a: int, b: int = 1, *, c: str = "x", d: int) -> None: ...


@pytest.mark.parametrize(
    ("function", "stumbles"),
    [
        (old, False),
        (added, False),
        (by_place, False),
        (other_default, True),
        (other_order, True),
        (renamed, True),
        (one_more_needed, True),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_the_comparison(function: Callable[..., Any], stumbles: bool) -> None:
    assert bool(breaks(function, "a, b=1, *, c='x'")) == stumbles
