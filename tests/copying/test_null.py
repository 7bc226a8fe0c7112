"""Without copying: p-values are uniform over draws of three equal laws, and intervals cover.

The laws: a plane; 64 features of 60 rows; features that few rows vary in, as the borders of images
do; components of PCA; digits. What is fitted to training rows alone fits them better than held-out
rows, and the more so, the fewer rows there are for a feature.

The p-value of a count is discrete, and conservative by its steps; drawn at random within its step,
p' = P(more) + u P(as many), it is uniform if and only if the law of the count is right.
"""

from collections.abc import Callable
from functools import cache
from typing import Any, NamedTuple

import numpy as np
import pytest
from scipy.stats import binom, kstest

from draws import TESTS, Draws
from genmem import datasets
from genmem.copying import CopyingDistances
from genmem.copying.chance import generator
from genmem.copying.exchange import precedence_pvalue, share_pvalue
from genmem.copying.generated_mixture import score_rows
from genmem.copying.likelihood_divergence import _spread, _Work
from genmem.copying.nearest_ratio import _relabelled, _union
from genmem.copying.resampling import percentile

TIMES, DIM = 150, 2
FRESH = 3000
COUNTS = ("authenticity", "calibrated_distance", "third_ratio", "near_duplicate_rate")
OPTIONS: dict[str, dict[str, Any]] = {
    "nearest_ratio": {"permutations": 99},
    "calibrated_distance": {"quantile": 0.1, "neighbours": 20},
    "likelihood_divergence": {"permutations": 99, "steps": 10},
    "data_copying": {"threshold": 0.0, "permutations": 199},
}


class Law(NamedTuple):
    """Where rows come from: draw(random, n) -> (n, d), n of all three sets together."""

    draw: Callable[[np.random.Generator, int], np.ndarray]
    rows: tuple[int, int, int]
    times: int
    features: str = "pixels"


def borders(random: np.random.Generator, count: int) -> np.ndarray:
    """8 features that vary and 60 that are 0 but for one row in 25, bright or faint.

    Where the only training row is faint, a bright held-out row is many deviations away.
    """
    lit = random.random((count, 60)) < 0.04
    value = lit * np.exp(2 * random.standard_normal((count, 60)))
    return np.hstack([random.standard_normal((count, 8)), value])


@cache
def images() -> np.ndarray:
    return np.asarray(datasets.load("digits").rows)


def digits(random: np.random.Generator, count: int) -> np.ndarray:
    return images()[random.permutation(len(images()))[:count]]


LAWS = {
    "plane": Law(lambda random, n: random.standard_normal((n, DIM)), (70, 60, 60), TIMES),
    "64 features": Law(lambda random, n: random.standard_normal((n, 64)), (60, 60, 40), 80),
    "borders": Law(borders, (80, 60, 50), 80),
    "components": Law(lambda random, n: random.standard_normal((n, 90)), (80, 60, 50), 80, "pca"),
    "digits": Law(digits, (80, 60, 50), 80, "pca"),
}


def one_draw(law: Law, number: int, more: int = 0) -> tuple[Draws, np.ndarray]:
    drawn = law.draw(np.random.default_rng([7, number]), sum(law.rows) + more)
    parts = np.split(drawn, np.cumsum(law.rows))
    return Draws(*parts[:3]), parts[3]


class Course(NamedTuple):
    """One law, the distances of each of its draws, and each test's answer to it."""

    law: Law
    shared: list[CopyingDistances]
    found: dict[str, list[Any]]


@pytest.fixture(scope="module", params=LAWS)
def tested(request: pytest.FixtureRequest) -> Course:
    law = LAWS[request.param]
    held = Course(law, [], {name: [] for name in TESTS})
    for number in range(law.times):
        sets, _ = one_draw(law, number)
        shared = CopyingDistances(*sets, features=law.features, seed=number, threads=1)
        shared.to_train("generated", 20), shared.to_train("test", 20)
        held.shared.append(shared)
        for name, run in TESTS.items():
            options = {"resamples": 200 if law.times == TIMES else 2} | OPTIONS.get(name, {})
            held.found[name].append(run(*sets, distances=shared, **options))
    return held


@pytest.fixture(scope="module")
def fresh() -> list[dict[str, float]]:
    """The true share of fresh rows of the plane, thresholds kept, of each draw."""
    return [true_shares(*one_draw(LAWS["plane"], n, FRESH), n) for n in range(TIMES)]


def true_shares(sets: Draws, fresh: np.ndarray, number: int) -> dict[str, float]:
    more = sets._replace(generated=fresh)
    shared = CopyingDistances(*more, seed=number, threads=1)
    shared.to_train("generated", 20), shared.to_train("test", 20)
    return {
        name: TESTS[name](*more, distances=shared, resamples=2, **OPTIONS.get(name, {})).statistic
        for name in COUNTS
    }


def within_step(name: str, result: Any, rows: tuple[int, int, int], u: float) -> float:
    """p' of a count: uniform within the step that its p-value ends."""
    _, n, m = rows
    if name == "calibrated_distance":
        rank, count = max(1, int(0.1 * n)), round(result.statistic * m)
        less = precedence_pvalue(count + 1, m, n, rank) if count < m else 0.0
        return less + u * (result.pvalue - less)
    scale = 100 if name == "authenticity" else 1
    hits, base = round(result.statistic * m / scale), round(result.reference * n / scale)
    high = result.copying_is == "high"
    step = 1 if high else -1
    if not (0 <= hits + step <= m and 0 <= base - step <= n):
        return u * result.pvalue
    made, held = np.arange(m) < hits + step, np.arange(n) < base - step
    less = share_pvalue(made.astype(float), held.astype(float), high=high)
    return less + u * (result.pvalue - less)


def assert_uniform(values: Any) -> None:
    assert kstest(values, "uniform").pvalue > 0.005


def assert_seldom(results: list[Any]) -> None:
    """p <= 0.05 no more often than in one of a thousand series of so many draws."""
    assert sum(one.pvalue <= 0.05 for one in results) <= binom(len(results), 0.05).ppf(0.999)


@pytest.mark.parametrize("name", COUNTS)
def test_counts_have_their_exact_law(name: str, tested: Course) -> None:
    results = tested.found[name]
    u = np.random.default_rng(0).random(len(results))
    pairs = zip(results, u, strict=True)
    assert_uniform([within_step(name, one, tested.law.rows, part) for one, part in pairs])
    assert_seldom(results)


def test_rank_sums_and_log_ratios_are_uniform(tested: Course) -> None:
    assert_uniform([one.pvalue for one in tested.found["data_copying"]])
    assert_uniform([one.mean_log_pvalue for one in tested.found["nearest_ratio"]])
    z = np.array([one.statistic for one in tested.found["data_copying"]])
    assert abs(z.mean()) < 3.5 / np.sqrt(len(z))
    assert abs(z.std() - 1) < 2.5 / np.sqrt(len(z))


def test_the_share_of_rho_is_uniform_within_its_steps(tested: Course) -> None:
    values, results = [], tested.found["nearest_ratio"]
    u = np.random.default_rng(1).random(len(results))
    for number, (result, shared) in enumerate(zip(results, tested.shared, strict=True)):
        size, weights = result.compared, np.ones(len(shared.distinct))
        labelled = _relabelled(_union(shared, size), size, weights, 99, number)
        null = np.array([share for share, _ in labelled])
        more = (null > result.statistic + 1e-9).sum()
        equal = (np.abs(null - result.statistic) <= 1e-9).sum()
        assert result.pvalue == (1 + more + equal) / 100
        values.append((more + u[number] * (equal + 1)) / 100)
    assert_uniform(values)
    assert_seldom(results)


def test_the_balanced_gap_is_uniform(tested: Course) -> None:
    results = tested.found["likelihood_divergence"]
    assert_uniform([one.pvalue for one in results])
    assert_seldom(results)


@pytest.mark.parametrize("tested", ["plane"], indirect=True)
@pytest.mark.parametrize("name", ["nearest_ratio", "data_copying", "likelihood_divergence"])
def test_intervals_cover_the_null_value(name: str, tested: Course) -> None:
    null = 0.5 if name == "nearest_ratio" else 0.0
    which = "balanced_ci" if name == "likelihood_divergence" else "ci"
    both = [getattr(one, which) for one in tested.found[name]]
    cover = np.mean([low <= null <= high for low, high in both])
    assert 0.90 <= cover <= 0.995
    if name == "data_copying":
        ends = [one.probability_ci for one in tested.found[name]]
        assert 0.90 <= np.mean([low <= 0.5 <= high for low, high in ends]) <= 0.995


@pytest.mark.parametrize("tested", ["plane"], indirect=True)
@pytest.mark.parametrize("name", COUNTS)
def test_intervals_cover_the_true_share(
    name: str, tested: Course, fresh: list[dict[str, float]]
) -> None:
    truth = [one[name] for one in fresh]
    pairs = zip(tested.found[name], truth, strict=True)
    cover = np.mean([one.ci[0] <= value <= one.ci[1] for one, value in pairs])
    assert 0.90 <= cover <= 1.0
    # The width is that of a share of 60 rows, not of a share of none.
    assert np.mean([one.ci[1] - one.ci[0] for one in tested.found[name]]) < (
        40 if name == "authenticity" else 0.4
    )


def test_the_interval_of_fld_covers_its_value_on_fresh_rows() -> None:
    """The mixtures fixed, held-out rows drawn 200 times: what the interval is an interval of."""
    random = np.random.default_rng(9)
    train, generated = random.standard_normal((120, 3)), random.standard_normal((60, 3))
    work = _Work(100, 1 << 26, 1)
    scales = work.fitted(generated, train, train, train)[0].log_s
    base = work.fitted(train[:60], train[60:], train, train)[0].log_s

    def loss(rows: np.ndarray) -> np.ndarray:
        pair = ((train[:60], base), (generated, scales))
        parts = [score_rows(rows, *one, 1 << 26, 1).log_p for one in pair]
        return np.asarray(100 / 3 * (parts[0] - parts[1]))

    truth = loss(random.standard_normal((20000, 3))).mean()
    cover = []
    for number in range(TIMES):
        seen = loss(random.standard_normal((100, 3)))
        spread = _spread(seen, seen, seen, 200, number)
        low, high = percentile(spread[:, 0], 0.95)
        cover.append(low <= truth <= high)
    assert 0.89 <= np.mean(cover) <= 0.995


def test_seeds_of_two_uses_share_nothing() -> None:
    first, second = (generator(3, purpose).random(1000) for purpose in ("a", "b"))
    assert abs(np.corrcoef(first, second)[0, 1]) < 0.1
