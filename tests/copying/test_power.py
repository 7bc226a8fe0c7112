"""With copies: every statistic moves the right way, and more copies move it further."""

import numpy as np
import pytest

from draws import TESTS
from genmem.copying import examine

ROWS, DIM, SEEDS = (300, 200, 200), 8, range(3)
SHARES = (0.0, 0.01, 0.03, 0.10)


@pytest.fixture(scope="module", params=[0.0, 0.05], ids=["copies", "near-copies"])
def course(request: pytest.FixtureRequest) -> dict[str, np.ndarray]:
    """Statistic and p-value of each test, (seeds, shares, 2), with that share of planted copies.

    The generated rows of one seed are the same but for the copies, which take the place of the
    first of them.
    """
    found = {name: np.empty((len(SEEDS), len(SHARES), 2)) for name in TESTS}
    for row, seed in enumerate(SEEDS):
        random = np.random.default_rng([11, seed])
        train, test, generated = (random.standard_normal((count, DIM)) for count in ROWS)
        noise = request.param * random.standard_normal((20, DIM))
        for column, share in enumerate(SHARES):
            planted = generated.copy()
            count = round(share * ROWS[2])
            planted[:count] = train[:count] + noise[:count]
            options = {"permutations": 199}
            results = examine(
                train, test, planted, seed=seed, resamples=20, nearest_ratio=options,
                likelihood_divergence=options, data_copying={"cells": 2},
            )  # fmt: skip
            for name, result in results.items():
                found[name][row, column] = result.statistic, result.pvalue
    return found


@pytest.mark.parametrize("name", TESTS)
def test_copies_move_the_statistic(name: str, course: dict[str, np.ndarray]) -> None:
    statistic = course[name][..., 0].mean(axis=0)
    sign = -1 if name in ("data_copying", "authenticity") else 1
    assert (np.diff(sign * statistic) > 0).all(), statistic


@pytest.mark.parametrize("name", TESTS)
def test_ten_per_cent_of_copies_lower_the_pvalue(name: str, course: dict[str, np.ndarray]) -> None:
    pvalue = course[name][..., 1]
    assert (pvalue[:, 3] < pvalue[:, 0]).all()


@pytest.mark.parametrize("name", ["calibrated_distance", "third_ratio", "likelihood_divergence"])
def test_ten_per_cent_of_copies_are_detected(name: str, course: dict[str, np.ndarray]) -> None:
    """Twenty copies among 200; against averages over all samples they are too few."""
    assert np.median(course[name][:, 3, 1]) < 0.01


@pytest.mark.parametrize("name", ["calibrated_distance", "third_ratio"])
def test_three_per_cent_of_copies_are_detected(name: str, course: dict[str, np.ndarray]) -> None:
    """Tests that look at the nearest few samples see six copies among 200; those that average
    over all samples need more of them."""
    assert np.median(course[name][:, 2, 1]) <= 0.05
