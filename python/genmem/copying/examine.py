"""All copying tests of one set of generated samples, on neighbours that are computed once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from genmem.arrays import Readable
from genmem.copying.authenticity import authenticity
from genmem.copying.calibrated_distance import calibrated_distance
from genmem.copying.data_copying import CELLS, data_copying
from genmem.copying.distances import CopyingDistances, gathered
from genmem.copying.likelihood_divergence import likelihood_divergence
from genmem.copying.near_duplicates import near_duplicate_rate
from genmem.copying.nearest_ratio import nearest_ratio
from genmem.copying.results import CopyingResult
from genmem.copying.sets import Features
from genmem.copying.third_ratio import third_ratio

TESTS: dict[str, Callable[..., CopyingResult]] = {
    "nearest_ratio": nearest_ratio,
    "data_copying": data_copying,
    "authenticity": authenticity,
    "calibrated_distance": calibrated_distance,
    "third_ratio": third_ratio,
    "near_duplicate_rate": near_duplicate_rate,
    "likelihood_divergence": likelihood_divergence,
}
NEIGHBOURS = 50


def examine(
    train: Readable,
    test: Readable,
    generated: Readable,
    *,
    features: Features = None,
    seed: int = 0,
    distances: CopyingDistances | None = None,
    neighbours: int = NEIGHBOURS,
    resamples: int = 1000,
    level: float = 0.95,
    threads: int | None = None,
    progress: Callable[[str, int, int], object] | None = None,
    **options: dict[str, Any],
) -> dict[str, CopyingResult]:
    """Every copying test by name, each as it would answer alone.

    train, test, generated  (N, ...), (n, ...), (m, ...)
    features    "pixels" (default), "pca", a function of one set, or three arrays
    distances   the neighbours of these three sets, computed before
    neighbours  of the calibrated distance; fewer if train has fewer distinct rows, as has the rank
                test fewer than 3 cells, and a note says so
    progress    called with (test, done, total)
    options     further options of single tests, as in data_copying={"cells": 5}

    Raises what the tests raise, and TypeError for options of a test that does not exist.
    """
    unknown = sorted(set(options) - set(TESTS))
    if unknown:
        raise TypeError(f"examine: {unknown[0]!r} is no test; one of {', '.join(TESTS)} is wanted")
    held = gathered("examine", (train, test, generated), features, seed, threads, distances)
    rows = len(held.distinct)
    k = min(neighbours, rows)
    fitting: dict[str, tuple[str, int, int]] = {
        "calibrated_distance": ("neighbours", k, neighbours),
        "data_copying": ("cells", min(CELLS, rows), CELLS),
    }
    found: dict[str, CopyingResult] = {}
    for done, (name, run) in enumerate(TESTS.items()):
        if progress is not None:
            progress("tests", done, len(TESTS))
        if not done:
            # The longest lists first: shorter ones are their beginnings.
            held.to_train("generated", k), held.to_train("test", k)
        own: dict[str, Any] = {"resamples": resamples, "level": level}
        given, note = options.get(name, {}), ""
        if name in fitting and fitting[name][0] not in given:
            option, fits, wanted = fitting[name]
            own[option] = fits
            if fits < wanted:
                note = f"{fits} {option} in place of {wanted}: train has {rows} distinct rows"
        result = run(held.train, held.test, held.generated, distances=held, **own | given)
        found[name] = replace(result, notes=(*result.notes, note)) if note else result
    if progress is not None:
        progress("tests", len(TESTS), len(TESTS))
    return found
