"""Quantiles with order-statistic intervals, by epoch; bootstrap over repeats; the gap."""

import importlib

import numpy as np
import pytest

from genmem.memorization import estimate, score_values
from genmem.memorization.accumulate import logmeanexp
from genmem.memorization.intervals import bootstrap_weights
from genmem.memorization.matched import choose_folds, matched_log_in, take_choices
from genmem.memorization.scoring import Settings
from genmem.memorization.tables import ArrayTable
from genmem.memorization.trajectory import (
    generalization_gap,
    order_ranks,
    quantile_interval,
    resampled_quantiles,
    trajectory,
)


@pytest.mark.parametrize(
    ("count", "q", "want"),
    [
        (1000, 0.95, (936, 964)),
        (60000, 0.95, (56895, 57105)),
        (60000, 0.999, (59924, 59956)),
        (1000, 0.999, (997, None)),
    ],
)
def test_golden_order_ranks(count, q, want):
    """G40."""
    assert order_ranks(count, q) == want


def test_a_low_quantile_of_few_rows_is_open_below():
    assert order_ranks(5, 0.05)[0] is None
    found = quantile_interval([3.0, 1.0, 2.0], 0.05)
    assert found.lower == -np.inf
    assert found.lower_rank is None


def test_quantile_interval_names_its_order_statistics():
    values = np.random.default_rng(0).permutation(np.arange(1.0, 1001.0))
    found = quantile_interval(values, 0.95)
    assert (found.lower_rank, found.upper_rank) == (936, 964)
    assert (found.lower, found.upper) == (936.0, 964.0)
    assert abs(found.value - np.quantile(values, 0.95)) <= 1e-12
    assert quantile_interval(values, 0.999).upper == np.inf


def test_quantile_interval_covers_the_true_quantile():
    generator, inside = np.random.default_rng(1), 0
    for _ in range(400):
        found = quantile_interval(generator.uniform(size=300), 0.9)
        inside += found.lower <= 0.9 <= found.upper
    # Exact and conservative: 95 % or a little more, less four standard errors.
    assert inside / 400 >= 0.95 - 4 * np.sqrt(0.95 * 0.05 / 400)


@pytest.mark.parametrize("bad", [(0, 0.5, 0.95), (5, 0.0, 0.95), (5, 1.0, 0.95), (5, 0.5, 1.0)])
def test_order_ranks_refuse_what_is_no_quantile(bad):
    with pytest.raises(ValueError, match=f"count is {bad[0]}, q {bad[1]}, confidence {bad[2]}"):
        order_ranks(*bad)


def test_quantiles_of_nan_are_refused():
    with pytest.raises(ValueError, match="1 NaN"):
        quantile_interval([0.0, np.nan], 0.5)


def _planted(epochs=3, rows=60, repeats=4, folds=5):
    """log p of repeats x folds models by epoch; the in-sample side gains one nat an epoch."""
    generator = np.random.default_rng(2)
    held_out = generator.integers(0, folds, (repeats, rows))
    log_p = generator.normal(-50, 0.3, (repeats, folds, epochs, rows))
    seen = np.arange(folds)[None, :, None] != held_out[:, None, :]
    log_p += seen[:, :, None, :] * np.arange(epochs)[None, None, :, None]
    return log_p, held_out


def test_trajectory_follows_the_epochs():
    log_p, held_out = _planted()
    scores = score_values(log_p, held_out, epochs=[5, 10, 20])
    table = trajectory(scores, [0.5, 0.95])
    assert list(table.columns) == ["epoch", "q", "score", "lower", "upper"]
    assert table.epoch.tolist() == [5, 5, 10, 10, 20, 20]
    medians = table[table.q == 0.5].score.to_numpy()
    assert (np.abs(medians - [0, 1, 2]) <= 0.2).all()
    assert ((table.lower <= table.score) & (table.score <= table.upper)).all()
    wide, narrow = (trajectory(scores, [0.5], confidence=level) for level in (0.99, 0.5))
    assert ((wide.upper - wide.lower) >= (narrow.upper - narrow.lower)).all()


def test_generalization_gap_is_the_mean_of_the_log_form():
    log_p, held_out = _planted()
    gap = generalization_gap(score_values(log_p, held_out))
    by_hand = []
    for e in range(3):
        out = np.stack([log_p[r, held_out[r], e, np.arange(60)] for r in range(4)])
        inside = (log_p[:, :, e].sum(axis=1) - out) / 4
        by_hand.append((inside.mean(axis=0) - out.mean(axis=0)).mean())
    assert gap.shape == (3,)
    assert (np.abs(gap - by_hand) <= 1e-12).all()


def test_resampled_quantiles_equal_quantiles_of_resampled_scores():
    log_p, held_out = _planted(epochs=2, rows=12, repeats=3, folds=3)
    table = ArrayTable(log_p.transpose(2, 0, 1, 3).copy(), held_out, np.array([1, 2]))
    options = Settings(resamples=40, seed=9)
    got = resampled_quantiles(table, np.arange(12), [0.5, 0.9], settings=options)
    assert got.shape == (2, 2, 2)
    picks = choose_folds(np.arange(12), 3, 3)
    for e in range(2):
        sides = estimate.split(log_p[:, :, e], held_out)
        chosen, want = take_choices(sides.ins, picks), []
        for counts in bootstrap_weights(3, 40, seed=9).astype(int):
            taken = np.repeat(np.arange(3), counts)
            out = logmeanexp(sides.outs[taken], axis=0)
            want.append(np.quantile(matched_log_in(chosen[:, taken]) - out, [0.5, 0.9]))
        bounds = np.quantile(want, [0.025, 0.975], axis=0)
        assert (np.abs(got[e] - bounds.T) <= 1e-11).all()


def test_resampled_quantiles_are_made_in_parts(monkeypatch):
    """Parts of one resample, and of all: the same bits; and less memory than all would take."""
    module = importlib.import_module("genmem.memorization.trajectory")
    log_p, held_out = _planted(epochs=1, rows=400, repeats=6, folds=3)
    table = ArrayTable(log_p.transpose(2, 0, 1, 3).copy(), held_out, np.array([1]))
    options = Settings(resamples=300, seed=9)
    whole = resampled_quantiles(table, np.arange(400), settings=options)
    sizes = []

    def seen(*given):
        made = replicates(*given)
        sizes.append(made.nbytes)
        return made

    replicates = module._replicates
    monkeypatch.setattr(module, "_replicates", seen)
    for part in (1, 7, 10**6):
        sizes.clear()
        monkeypatch.setattr(module, "BLOCK_BYTES", 8 * 400 * part)
        got = resampled_quantiles(table, np.arange(400), settings=options)
        assert got.tobytes() == whole.tobytes()
        assert max(sizes) <= 8 * 400 * part
        assert len(sizes) > 1 or part == 10**6


def test_resampled_quantiles_need_three_repeats():
    log_p, held_out = _planted(repeats=2)
    table = ArrayTable(log_p.transpose(2, 0, 1, 3).copy(), held_out, np.arange(1, 4))
    with pytest.raises(ValueError, match="2 repeats; at least 3"):
        resampled_quantiles(table, np.arange(60))
