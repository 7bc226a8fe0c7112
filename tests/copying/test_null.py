"""Without copying: p-values are uniform, intervals cover, over 200 draws of three equal laws.

The p-value of a count is discrete, and conservative by its steps; drawn at random within its step,
p' = P(more) + u P(as many), it is uniform if and only if the law of the count is right.
"""

from typing import Any

import numpy as np
import pytest
from scipy.stats import kstest

from draws import TESTS, Draws
from genmem.copying import CopyingDistances, likelihood_divergence
from genmem.copying.chance import generator
from genmem.copying.exchange import precedence_pvalue, share_pvalue
from genmem.copying.generated_mixture import score_rows
from genmem.copying.likelihood_divergence import _spread, _Work
from genmem.copying.nearest_ratio import _relabelled, _union
from genmem.copying.resampling import percentile

TIMES, ROWS, DIM = 200, (70, 60, 60), 2
FRESH = 3000
OPTIONS: dict[str, dict[str, Any]] = {
    "nearest_ratio": {"permutations": 99},
    "calibrated_distance": {"quantile": 0.1, "neighbours": 20},
    "likelihood_divergence": {"permutations": 99},
    "data_copying": {"threshold": 0.0},
}


def one_draw(number: int) -> tuple[Draws, np.ndarray]:
    random = np.random.default_rng([7, number])
    parts = [random.standard_normal((count, DIM)) for count in (*ROWS, FRESH)]
    return Draws(*parts[:3]), parts[3]


@pytest.fixture(scope="module")
def tested() -> dict[str, list[Any]]:
    """Each test on 200 draws; for shares also the true share of fresh rows, thresholds kept."""
    found: dict[str, list[Any]] = {name: [] for name in TESTS}
    found["fresh"] = []
    for number in range(TIMES):
        sets, fresh = one_draw(number)
        shared = CopyingDistances(*sets, seed=number, threads=1)
        shared.to_train("generated", 20), shared.to_train("test", 20)
        for name, run in TESTS.items():
            if name == "likelihood_divergence":
                continue
            options = OPTIONS.get(name, {})
            found[name].append(run(*sets, distances=shared, resamples=200, **options))
        found["fresh"].append(true_shares(sets, fresh, number))
    return found


def true_shares(sets: Draws, fresh: np.ndarray, number: int) -> dict[str, float]:
    more = sets._replace(generated=fresh)
    shared = CopyingDistances(*more, seed=number, threads=1)
    shared.to_train("generated", 20), shared.to_train("test", 20)
    names = ("authenticity", "calibrated_distance", "third_ratio", "near_duplicate_rate")
    return {
        name: TESTS[name](*more, distances=shared, resamples=2, **OPTIONS.get(name, {})).statistic
        for name in names
    }


def within_step(name: str, result: Any, u: float) -> float:
    """p' of a count: uniform within the step that its p-value ends."""
    m, n = ROWS[2], ROWS[1]
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


@pytest.mark.parametrize(
    "name", ["authenticity", "calibrated_distance", "third_ratio", "near_duplicate_rate"]
)
def test_counts_have_their_exact_law(name: str, tested: dict[str, list[Any]]) -> None:
    u = np.random.default_rng(0).random(TIMES)
    values = [within_step(name, one, part) for one, part in zip(tested[name], u, strict=True)]
    assert kstest(values, "uniform").pvalue > 0.01
    assert np.mean([one.pvalue <= 0.05 for one in tested[name]]) <= 0.09


def test_rank_sums_and_log_ratios_are_uniform(tested: dict[str, list[Any]]) -> None:
    assert kstest([one.pvalue for one in tested["data_copying"]], "uniform").pvalue > 0.01
    ratios = tested["nearest_ratio"]
    assert kstest([one.mean_log_pvalue for one in ratios], "uniform").pvalue > 0.01
    z = np.array([one.statistic for one in tested["data_copying"]])
    assert abs(z.mean()) < 0.25
    assert 0.85 < z.std() < 1.15


def test_the_share_of_rho_is_uniform_within_its_steps(tested: dict[str, list[Any]]) -> None:
    u, values = np.random.default_rng(1).random(TIMES), []
    for number, result in enumerate(tested["nearest_ratio"]):
        shared = CopyingDistances(*one_draw(number)[0], seed=number, threads=1)
        weights = np.ones(ROWS[0])
        labelled = _relabelled(_union(shared, 60), 60, weights, 99, number)
        null = np.array([share for share, _ in labelled])
        more = (null > result.statistic + 1e-9).sum()
        equal = (np.abs(null - result.statistic) <= 1e-9).sum()
        assert result.pvalue == (1 + more + equal) / 100
        values.append((more + u[number] * (equal + 1)) / 100)
    assert kstest(values, "uniform").pvalue > 0.01
    assert np.mean([one.pvalue <= 0.05 for one in tested["nearest_ratio"]]) <= 0.09


@pytest.mark.parametrize("name", ["nearest_ratio", "data_copying"])
def test_intervals_cover_the_null_value(name: str, tested: dict[str, list[Any]]) -> None:
    null = {"nearest_ratio": 0.5, "data_copying": 0.0}[name]
    cover = np.mean([one.ci[0] <= null <= one.ci[1] for one in tested[name]])
    assert 0.90 <= cover <= 0.995
    if name == "data_copying":
        ends = [one.probability_ci for one in tested[name]]
        assert 0.90 <= np.mean([low <= 0.5 <= high for low, high in ends]) <= 0.995


@pytest.mark.parametrize(
    "name", ["authenticity", "calibrated_distance", "third_ratio", "near_duplicate_rate"]
)
def test_intervals_cover_the_true_share(name: str, tested: dict[str, list[Any]]) -> None:
    truth = [one[name] for one in tested["fresh"]]
    pairs = zip(tested[name], truth, strict=True)
    cover = np.mean([one.ci[0] <= value <= one.ci[1] for one, value in pairs])
    assert 0.90 <= cover <= 1.0
    # The width is that of a share of 60 rows, not of a share of none.
    assert np.mean([one.ci[1] - one.ci[0] for one in tested[name]]) < (
        40 if name == "authenticity" else 0.4
    )


def test_the_balanced_gap_is_uniform_and_covered() -> None:
    pvalues, cover = [], []
    for number in range(TIMES):
        random = np.random.default_rng([8, number])
        sets = [random.standard_normal((count, DIM)) for count in (30, 25, 12)]
        found = likelihood_divergence(
            *sets, permutations=99, resamples=200, seed=number, steps=20, threads=1
        )
        pvalues.append(found.pvalue)
        cover.append(found.balanced_ci[0] <= 0 <= found.balanced_ci[1])
    assert kstest(pvalues, "uniform").pvalue > 0.01
    assert 0.88 <= np.mean(cover) <= 0.995


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
