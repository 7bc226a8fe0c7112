"""FLD: golden value, refits in full, the optimiser of reference, distances by matrix product."""

import numpy as np
import pytest
from scipy.special import logsumexp
from scipy.stats import norm

from budget import assert_within
from draws import Maker, brute_force, column
from genmem.copying import likelihood_divergence
from genmem.copying.generated_mixture import (
    Pairs,
    fit_log_scales,
    near_pairs,
    score_rows,
    standardised,
)


def log_likelihood(rows, centres, log_s):
    """log of the sum over components of products of univariate normal densities, (n,)."""
    parts = [
        norm.logpdf(rows, centre, np.exp(0.5 * s)).sum(axis=1)
        for centre, s in zip(centres, log_s, strict=True)
    ]
    return logsumexp(parts, axis=0)


def fit(rows, centres, steps=100, memory=1 << 28):
    pairs = near_pairs(rows, centres, memory, 1)
    nearest = brute_force(centres, rows).min(1) ** 2
    return fit_log_scales(pairs, (rows**2).sum(1), nearest, rows.shape[1], steps)


def reference_optimiser(rows, centres):
    """Adam as FLD's own code runs it: rate 0.5, 50 epochs, a component more at the origin."""
    d = rows.shape[1]
    whole = np.vstack([centres, np.zeros(d)])
    sq = brute_force(rows, whole) ** 2
    log_s = np.log((sq.min(0) + 1e-3) / d)
    first, second = np.zeros_like(log_s), np.zeros_like(log_s)
    for t in range(1, 51):
        joint = -0.5 * (d * log_s + sq * np.exp(-log_s))
        share = np.exp(joint - logsumexp(joint, axis=1)[:, None])
        slope = -(share * (0.5 * sq * np.exp(-log_s) - d / 2)).sum(0) / len(rows)
        first, second = 0.9 * first + 0.1 * slope, 0.999 * second + 0.001 * slope**2
        step = first / (1 - 0.9**t) / (np.sqrt(second / (1 - 0.999**t)) + 1e-8)
        log_s = np.clip(log_s - 0.5 * step, -40, 40)
    return log_s[:-1]


def test_golden_value() -> None:
    centres, log_s = np.array([[0.0, 0], [1, 1]]), np.array([-2.0, 0])
    found = score_rows(np.array([[0.1, 0.2]]), centres, log_s, 1 << 20, None)
    assert_within(found.log_p, [-0.639859787141], 1e-11)
    assert_within(found.best / 2, [-0.011301734441], 1e-11)


def test_tiles_do_not_change_a_score(draws: Maker) -> None:
    rows, centres, _ = draws(0, (70, 33, 1))
    log_s = np.linspace(-3, 1, 33)
    whole = score_rows(rows, centres, log_s, 1 << 24, 1)
    assert_within(whole.log_p, log_likelihood(rows, centres, log_s) - np.log(33), 1e-11)
    small = score_rows(rows, centres, log_s, 5000, 2)
    assert (small.log_p == whole.log_p).all()
    assert (small.best == whole.best).all()


@pytest.mark.parametrize(
    ("dim", "copies"), [(2, 0), (5, 0), (5, 5), (20, 10), (64, 0), (65, 0), (150, 4)]
)
def test_the_fit_is_no_less_likely_than_the_reference(draws: Maker, dim: int, copies: int) -> None:
    rows, _, centres = draws(dim, (100, 1, 60), dim, copies)
    ours, theirs = fit(rows, centres), reference_optimiser(rows, centres)
    gain = log_likelihood(rows, centres, ours).mean()
    gain -= log_likelihood(rows, centres, theirs).mean()
    assert gain >= -1e-6
    assert (np.abs(ours) <= 40).all()
    assert (ours[:copies] == -40).all()


def test_no_step_lowers_the_likelihood(draws: Maker) -> None:
    from genmem.copying.generated_mixture import _maximised, _Rows

    rows, _, centres = draws(3, (80, 1, 30), 4)
    pairs = near_pairs(rows, centres, 1 << 28, 1)
    held = _Rows(pairs.sq, pairs.component, 4, 30)
    values = [held.expected(_maximised(held, np.zeros(30), steps)[0])[0] for steps in range(12)]
    assert (np.diff(values) >= -1e-12).all()
    assert values[-1] > values[0]


def test_few_pairs_fit_nearly_as_well(draws: Maker) -> None:
    rows, _, centres = draws(8, (150, 1, 80), 12)
    whole, part = fit(rows, centres), fit(rows, centres, memory=32 * 150 * 10)
    gain = [log_likelihood(rows, centres, log_s).mean() for log_s in (whole, part)]
    assert abs(gain[0] - gain[1]) < 0.05


def test_the_whole_against_its_definition(draws: Maker) -> None:
    from genmem.copying.chance import subset

    train, test, generated = draws(9, (50, 40, 30), 3)
    found = likelihood_divergence(train, test, generated, standardise="none", permutations=9)
    log_s = fit(train, generated)
    nll = [-(log_likelihood(x, generated, log_s) - np.log(30)).mean() for x in (train, test)]
    inner = subset(50, 25, 0, "halves of FLD")
    centres, rest = train[inner], np.delete(train, inner, axis=0)
    assert len(centres) <= 30
    base = fit(rest, centres)
    baseline = -(log_likelihood(test, centres, base) - np.log(25)).mean()
    assert_within(found.nll_train, nll[0], 1e-9)
    assert_within(found.nll_test, nll[1], 1e-9)
    assert_within(found.nll_baseline, baseline, 1e-9)
    assert_within(found.statistic, 100 * (nll[1] - baseline) / 3, 1e-8)
    assert_within(found.gap, 100 * (nll[0] - nll[1]) / 3, 1e-8)
    both = fit(np.concatenate([train, test]), generated)
    balanced = [log_likelihood(x, generated, both).mean() for x in (test, train)]
    assert_within(found.balanced_gap, 100 * (balanced[0] - balanced[1]) / 3, 1e-8)
    own = [
        norm.logpdf(train, g, np.exp(s / 2)).sum(1) for g, s in zip(generated, log_s, strict=True)
    ]
    assert_within(found.per_row, np.max(own, axis=0) / 3, 1e-10)
    assert_within(found.per_sample, np.max(own, axis=1) / 3, 1e-10)
    assert "30 generated samples but 25 training rows" in found.notes[0]


def test_matrix_product_distances_destroy_the_scale_of_a_copy() -> None:
    """A copy of an image in 0..255: D = 0 asks for the narrowest component, D = 4 does not."""
    random = np.random.default_rng(1)
    rows = 255 * random.random((30, 784))
    centres = np.concatenate([rows[:10], 255 * random.random((10, 784))])
    right = fit(rows, centres)
    r, c = rows.astype(np.float32), centres.astype(np.float32)
    sq = (r * r).sum(1)[:, None] + (c * c).sum(1) - 2 * (r @ c.T)
    pairs = Pairs(np.maximum(sq, 0).astype(np.float64), np.tile(np.arange(20), (30, 1)))
    wrong = fit_log_scales(pairs, (rows**2).sum(1), pairs.sq.min(0), 784, 100)
    assert (right[:10] == -40).all()
    assert (wrong[:10] > -40).any()
    gap = [log_likelihood(rows[:10], centres, log_s).mean() / 784 for log_s in (right, wrong)]
    assert gap[0] > gap[1] + 2


def test_standardisation_is_that_of_the_training_rows(draws: Maker) -> None:
    train, test, generated = draws(10, (60, 50, 20), 3)
    scale, shift = np.array([2.0, 0.25, 64]), np.array([1.0, -3, 7])
    plain = likelihood_divergence(train, test, generated, permutations=9)
    moved = likelihood_divergence(*(x * scale + shift for x in (train, test, generated)),
                                  permutations=9)  # fmt: skip
    assert_within(moved.statistic, plain.statistic, 1e-6)
    assert_within(moved.gap, plain.gap, 1e-6)
    constant = [np.column_stack([x, np.full(len(x), 5.0)]) for x in (train, test, generated)]
    found = likelihood_divergence(*constant, permutations=9)
    assert found.dropped == 1
    assert_within(found.statistic, plain.statistic, 1e-9)
    other = likelihood_divergence(train, test, generated, standardise="test", permutations=9)
    assert other.statistic != plain.statistic
    scaled, dropped = standardised((train,), train)
    assert dropped == 0
    assert_within(scaled[0].std(0), np.ones(3), 1e-12)


@pytest.mark.parametrize("standardise", ["train", "test", "none"])
@pytest.mark.parametrize("features", ["pixels", "pca"])
def test_the_balanced_gap_changes_sign_with_the_labels(
    draws: Maker, features: str, standardise: str
) -> None:
    """Training rows as held-out rows and the reverse: nothing but the sign may know of it."""
    train, test, generated = draws(13, (50, 40, 30), 80, copies=3)
    options = {"features": features, "standardise": standardise, "permutations": 9}
    gaps = [
        likelihood_divergence(*pair, generated, **options).balanced_gap
        for pair in ((train, test), (test, train))
    ]
    assert gaps[0] < -1
    assert_within(gaps[0], -gaps[1], 1e-6 * abs(gaps[0]))


def test_a_feature_that_does_not_vary_is_left_out_not_nan(draws: Maker) -> None:
    """FLD's own code divides by the deviation over the held-out rows, 0 here."""
    plain = draws(14, (40, 30, 20))
    sets = [np.column_stack([rows, np.full(len(rows), 5.0)]) for rows in plain]
    with np.errstate(invalid="ignore"):
        theirs = [(rows - sets[1].mean(0)) / sets[1].std(0, ddof=1) for rows in sets]
    assert np.isnan(log_likelihood(theirs[1], theirs[2], np.zeros(20))).all()
    found = likelihood_divergence(*sets, standardise="test", permutations=9)
    want = likelihood_divergence(*plain, standardise="test", permutations=9)
    assert found.dropped == 1
    assert np.isfinite(found.statistic)
    assert_within(found.statistic, want.statistic, 1e-9)
    assert_within(found.balanced_gap, want.balanced_gap, 1e-9)


def test_copies_are_seen_by_row_and_by_sample(draws: Maker) -> None:
    train, test, generated = draws(11, (80, 60, 50), 6, copies=5)
    found = likelihood_divergence(train, test, generated, permutations=99)
    assert found.copies == 5
    assert found.per_row[:5].min() > found.per_row[5:].max() + 10
    assert found.per_sample[:5].min() > found.per_sample[5:].max() + 10
    assert found.gap < -100
    assert found.balanced_gap < -50
    assert found.pvalue <= 0.05


def test_equal_rows(draws: Maker) -> None:
    train, test, generated = draws(12, (30, 20, 15))
    doubled = np.concatenate([train, train[:10]])
    found = likelihood_divergence(doubled, test, generated, duplicates="distinct", permutations=9)
    plain = likelihood_divergence(train, test, generated, permutations=9)
    assert found.statistic == plain.statistic
    assert (found.per_row == np.concatenate([plain.per_row, plain.per_row[:10]])).all()
    kept = likelihood_divergence(doubled, test, generated, permutations=9)
    assert kept.statistic != plain.statistic


def test_refusals(draws: Maker) -> None:
    sets = draws(rows=(9, 5, 5))
    with pytest.raises(ValueError, match=r'standardise is \'self\'; "train" or "test" or "none"'):
        likelihood_divergence(*sets, standardise="self")
    with pytest.raises(ValueError, match="every feature is the same for all rows"):
        likelihood_divergence(column(1, 1), column(2), column(3))
    with pytest.raises(ValueError, match="likelihood_divergence: train has 1 row; at least 2"):
        likelihood_divergence(column(1), column(2), column(3))
