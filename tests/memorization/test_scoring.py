"""MemorizationScores from log-densities at hand: every column against its definition."""

import numpy as np
import pytest

from genmem.memorization import Settings, estimate, intervals, score_values, scoring
from genmem.memorization.accumulate import logmeanexp
from genmem.memorization.matched import choose_folds, matched_log_in, take_choices
from genmem.memorization.significance import benjamini_hochberg, rank_sum_pvalues, ranks


def _table(repeats, folds, epochs=1, rows=30, seed=0, scale=2.0):
    generator = np.random.default_rng(seed)
    held_out = generator.integers(0, folds, (repeats, rows))
    return generator.normal(-100, scale, (repeats, folds, epochs, rows)), held_out


def test_golden_row():
    """G23, through the door."""
    scores = score_values([[[-5.0], [-1.0], [-1.2]], [[-0.8], [-4.0], [-1.1]]], [[0], [1]])
    golden = {
        "plain": 3.366032717187,
        "score": 3.361725172964,
        "log_out": -4.379885493042,
        "log_score": 3.475,
        "log_se": 0.425,
        "jackknife": 3.248965558009,
        "pvalue": 1 / 9,
        "qvalue": 1 / 9,
    }
    for name, want in golden.items():
        assert abs(getattr(scores, name)[0] - want) <= 1e-11, name
    assert (scores.choices, scores.enumerated, scores.interval) == (4, True, "jackknife-t")
    # Without either repeat the matched score is that of the other: 3.9 less 3.05.
    assert abs(scores.se[0] - 0.425) <= 1e-11


@pytest.mark.parametrize(("repeats", "folds"), [(1, 4), (2, 3), (3, 10), (4, 10)])
def test_columns_follow_their_definitions(repeats, folds):
    log_p, held_out = _table(repeats, folds, epochs=2)
    index = np.arange(30) * 7
    scores = score_values(log_p, held_out, epochs=[3, 9], index=index)
    sides = estimate.split(log_p[:, :, 1], held_out)
    chosen = take_choices(sides.ins, choose_folds(index, folds, repeats))
    out = logmeanexp(sides.outs, axis=0)
    assert (scores.index == index).all()
    assert scores.epochs.tolist() == [3, 9]
    assert scores.by_epoch.shape == (30, 2)
    assert (scores.score == scores.by_epoch[:, -1]).all()
    assert (scores.score == scores.log_in - scores.log_out).all()
    assert (np.abs(scores.log_in - matched_log_in(chosen)) <= 1e-11).all()
    assert (np.abs(scores.log_out - out) <= 1e-11).all()
    assert (np.abs(scores.plain - estimate.plain_score(sides)) <= 1e-11).all()
    assert (scores.spread == estimate.spread(sides)).all()
    pvalues = rank_sum_pvalues(ranks(sides).sum(axis=0), folds, repeats)
    assert (scores.pvalue == pvalues).all()
    assert (scores.qvalue == benjamini_hochberg(pvalues)).all()
    early = estimate.split(log_p[:, :, 0], held_out)
    early_in = matched_log_in(take_choices(early.ins, choose_folds(index, folds, repeats)))
    want = early_in - estimate.log_out(early)
    assert (np.abs(scores.by_epoch[:, 0] - want) <= 1e-11).all()


def test_standard_error_deletes_a_repeat_from_both_sides():
    log_p, held_out = _table(5, 4, rows=8)
    scores = score_values(log_p, held_out)
    index, kept = np.arange(8), [np.delete(np.arange(5), left) for left in range(5)]
    sides = estimate.split(log_p[:, :, 0], held_out)
    picks = choose_folds(index, 4, 5)
    assert picks.shape == (243, 5, 1)
    without = []
    for others in kept:
        chosen = take_choices(sides.ins, picks)[:, others]
        without.append(matched_log_in(chosen) - logmeanexp(sides.outs[others], axis=0))
    want = np.sqrt(4 / 5 * ((without - np.mean(without, axis=0)) ** 2).sum(axis=0))
    assert (np.abs(scores.se - want) <= 1e-11).all()


def test_intervals_by_number_of_repeats():
    kinds = {}
    for repeats in (1, 2, 3, 6):
        log_p, held_out = _table(repeats, 4)
        kinds[repeats] = score_values(log_p, held_out, settings=Settings(resamples=200))
    assert [kinds[r].interval for r in (1, 2, 3, 6)] == [
        "none",
        "jackknife-t",
        "bootstrap",
        "bootstrap",
    ]
    assert np.isnan(kinds[1].lower).all()
    assert np.isnan(kinds[1].se).all()
    assert np.isnan(kinds[1].log_se).all()
    assert any("one repeat" in caution for caution in kinds[1].warnings)
    lower, upper = intervals.t_interval(kinds[2].score, kinds[2].se, 2, 0.95)
    assert (kinds[2].lower == lower).all()
    assert (kinds[2].upper == upper).all()
    assert any("two repeats" in caution for caution in kinds[2].warnings)
    for repeats in (3, 6):
        assert (kinds[repeats].lower <= kinds[repeats].upper).all()
        assert np.isfinite(kinds[repeats].lower).all()
        assert not any("repeats:" in caution for caution in kinds[repeats].warnings)


def test_bootstrap_interval_by_hand():
    log_p, held_out = _table(4, 10, rows=5)
    options = Settings(choices=6, resamples=50, seed=3, confidence=0.9)
    scores = score_values(log_p, held_out, settings=options)
    sides = estimate.split(log_p[:, :, 0], held_out)
    chosen = take_choices(sides.ins, choose_folds(np.arange(5), 10, 4, choices=6, seed=3))
    replicates = []
    for counts in intervals.bootstrap_weights(4, 50, seed=3).astype(int):
        taken = np.repeat(np.arange(4), counts)
        replicates.append(matched_log_in(chosen[:, taken]) - logmeanexp(sides.outs[taken], axis=0))
    lower, upper = np.quantile(replicates, [0.05, 0.95], axis=0)
    assert (np.abs(scores.lower - lower) <= 1e-11).all()
    assert (np.abs(scores.upper - upper) <= 1e-11).all()
    assert (scores.choices, scores.enumerated) == (6, False)


def test_blocks_of_rows_do_not_change_the_answer(monkeypatch):
    log_p, held_out = _table(10, 10, epochs=2, rows=64)
    whole = score_values(log_p, held_out)
    monkeypatch.setattr(scoring, "BLOCK_BYTES", 1 << 19)
    parted = score_values(log_p, held_out)
    for name in ("score", "lower", "upper", "se", "pvalue", "plain", "jackknife", "by_epoch"):
        # Nats: blocks change the kernel of a matrix product, and with it the last digit.
        assert (np.abs(getattr(whole, name) - getattr(parted, name)) <= 1e-11).all(), name


def test_scores_of_thousands_of_nats_stay_finite():
    """A resample without the best repeat would underflow; the score must not."""
    log_p, held_out = _table(5, 5, rows=20, scale=3000.0)
    scores = score_values(log_p, held_out)
    for name in ("score", "lower", "upper", "se", "jackknife"):
        assert np.isfinite(getattr(scores, name)).all(), name


def test_a_coarse_test_is_said_to_be_coarse():
    log_p, held_out = _table(2, 3)
    assert any(
        "no p-value can be below 0.111" in one for one in score_values(log_p, held_out).warnings
    )


@pytest.mark.parametrize(
    ("log_p", "held_out", "match"),
    [
        (np.zeros((2, 3)), np.zeros((2, 3), int), r"log_p has shape \(2, 3\)"),
        (np.zeros((2, 3, 5)), np.zeros((2, 4), int), r"held_out \(2, 4\)"),
        (np.zeros((2, 3, 0)), np.zeros((2, 0), int), "not empty"),
        (np.full((1, 2, 3), np.nan), np.zeros((1, 3), int), "log p of row 0 is nan"),
        (np.full((1, 2, 3), -np.inf), np.zeros((1, 3), int), "repeat 0, fold 0 at epoch 1"),
    ],
)
def test_hostile_tables_are_refused(log_p, held_out, match):
    with pytest.raises(ValueError, match=match):
        score_values(log_p, held_out)


def test_hostile_settings_are_refused():
    with pytest.raises(ValueError, match="choices is 0, resamples 1000"):
        Settings(choices=0)
    with pytest.raises(ValueError, match=r"confidence is 1\.0"):
        Settings(confidence=1.0)
    with pytest.raises(ValueError, match=r"epochs has shape \(2,\)"):
        score_values(np.zeros((1, 2, 3)), np.zeros((1, 3), int), epochs=[1, 2])
