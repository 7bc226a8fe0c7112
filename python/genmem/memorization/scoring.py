"""From the log-densities of all models to MemorizationScores, in blocks of rows.

Memory: one block of about 64 MiB, and the answer, O(N E). The last epoch gets everything (interval,
p-value, jackknife); the epochs before it get U, V, the matched score and the log form.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from genmem.memorization import estimate, intervals, significance
from genmem.memorization.accumulate import Float, logmeanexp
from genmem.memorization.estimate import InOut
from genmem.memorization.matched import Int, choose_folds, enumerates, matched_log_in, take_choices
from genmem.memorization.scores import MemorizationScores
from genmem.memorization.tables import ArrayTable, LogTable

BLOCK_BYTES = 1 << 26


@dataclass(frozen=True)
class Settings:
    """How scores are estimated: matched choices, resamples, the seed of both, the confidence."""

    choices: int = 20
    resamples: int = 1000
    seed: int = 0
    confidence: float = 0.95

    def __post_init__(self) -> None:
        if self.choices < 1 or self.resamples < 1:
            raise ValueError(
                f"choices is {self.choices}, resamples {self.resamples};"
                " at least 1 of each is wanted"
            )
        if not 0 < self.confidence < 1:
            raise ValueError(f"confidence is {self.confidence}; a number between 0 and 1 is wanted")


@dataclass(frozen=True)
class Rows:
    """What is known of the N rows beside their log p; ess_min, draws_se: NaN if log p is exact."""

    index: Int
    multiplicity: Int
    ess_min: Float
    draws_se: Float
    data_name: str = ""
    warnings: tuple[str, ...] = ()


def score_values(
    log_p: npt.ArrayLike,
    held_out: npt.ArrayLike,
    *,
    epochs: npt.ArrayLike | None = None,
    index: npt.ArrayLike | None = None,
    settings: Settings | None = None,
) -> MemorizationScores:
    """MemorizationScores of log-densities that are already at hand, in nats.

    log_p     (L, K, N), or (L, K, E, N): row i under the model of repeat l trained without fold k
    held_out  (L, N) the fold that each row belongs to in each repeat
    epochs    (E,) epoch numbers (default 1..E);  index (N,) identities (default 0..N-1)
    Multiplicities are not known here and are given as 1.
    Raises ValueError if the shapes disagree or a value is not finite.
    """
    values = np.asarray(log_p, np.float64)
    values = values[:, :, None] if values.ndim == 3 else values
    fold = np.asarray(held_out)
    if values.ndim != 4 or fold.shape != (values.shape[0], values.shape[3]) or not values.size:
        raise ValueError(
            f"score_values: log_p has shape {np.shape(log_p)} and held_out {fold.shape};"
            " (L, K, N) or (L, K, E, N), not empty, and (L, N) are wanted"
        )
    count = values.shape[3]
    number = np.arange(1, values.shape[2] + 1) if epochs is None else np.asarray(epochs, np.int64)
    identity = np.arange(count) if index is None else np.asarray(index, np.int64)
    if number.shape != (values.shape[2],) or identity.shape != (count,):
        raise ValueError(
            f"score_values: epochs has shape {number.shape} and index {identity.shape};"
            f" ({values.shape[2]},) and ({count},) are wanted"
        )
    table = ArrayTable(np.ascontiguousarray(values.transpose(2, 0, 1, 3)), fold, number)
    exact = np.full(count, np.nan)
    rows = Rows(identity, np.ones(count, np.int64), exact, exact.copy())
    return score_table(table, rows, settings or Settings())


def score_table(table: LogTable, rows: Rows, settings: Settings) -> MemorizationScores:
    """MemorizationScores of a table of N rows; that class says what each column means."""
    repeats = len(table.held_out)
    weights = intervals.bootstrap_weights(repeats, settings.resamples, seed=settings.seed)
    blocks = []
    for start, stop in blocks_of_rows(table, settings):
        picks = pick(table, rows.index[start:stop], settings)
        held_out = table.held_out[:, start:stop]
        blocks.append(_score_block(table.block(start, stop), held_out, picks, weights, settings))
    columns = {name: np.concatenate([block[name] for block in blocks]) for name in blocks[0]}
    chosen = pick(table, rows.index[:1], settings)
    return MemorizationScores(
        index=rows.index,
        multiplicity=rows.multiplicity,
        ess_min=rows.ess_min,
        draws_se=rows.draws_se,
        score=columns["by_epoch"][:, -1].copy(),
        log_in=columns["log_in_by_epoch"][:, -1].copy(),
        log_out=columns["log_out_by_epoch"][:, -1].copy(),
        log_score=columns["log_by_epoch"][:, -1].copy(),
        qvalue=significance.benjamini_hochberg(columns["pvalue"]),
        epochs=table.epochs,
        folds=table.folds,
        repeats=repeats,
        seed=settings.seed,
        choices=len(chosen),
        enumerated=enumerates(table.folds, repeats),
        confidence=settings.confidence,
        interval=_interval_kind(repeats),
        data_name=rows.data_name,
        warnings=rows.warnings + _cautions(table.folds, repeats),
        **columns,
    )


def pick(table: LogTable, index: Int, settings: Settings) -> Int:
    """The matched choices of some rows of a table: (C, L, n or 1)."""
    repeats = len(table.held_out)
    return choose_folds(index, table.folds, repeats, choices=settings.choices, seed=settings.seed)


def blocks_of_rows(table: LogTable, settings: Settings) -> list[tuple[int, int]]:
    """Ranges of rows whose values, choices and resamples take about 64 MiB together.

    They follow from the settings alone: not from the machine, the workers or what was resumed.
    """
    repeats, count = table.held_out.shape
    choices = len(pick(table, np.zeros(1, np.int64), settings))
    resamples = settings.resamples if repeats >= 3 else 0
    per_row = 8 * (
        2 * len(table.epochs) * repeats * table.folds + 3 * choices * repeats + 4 * resamples
    )
    step = max(1, BLOCK_BYTES // per_row)
    return [(start, min(start + step, count)) for start in range(0, count, step)]


def _score_block(
    values: Float, held_out: Int, picks: Int, weights: Float, settings: Settings
) -> dict[str, Float]:
    epochs = [estimate.split(one, held_out) for one in values]
    ins = np.stack([matched_log_in(take_choices(sides.ins, picks)) for sides in epochs], axis=1)
    outs = np.stack([estimate.log_out(sides) for sides in epochs], axis=1)
    logs = np.stack([estimate.log_differences(sides).mean(axis=0) for sides in epochs], axis=1)
    return {
        "log_in_by_epoch": ins,
        "log_out_by_epoch": outs,
        "by_epoch": ins - outs,
        "log_by_epoch": logs,
        **_last_epoch(epochs[-1], picks, weights, settings),
    }


def _last_epoch(sides: InOut, picks: Int, weights: Float, settings: Settings) -> dict[str, Float]:
    repeats, folds = len(sides.outs), sides.ins.shape[1] + 1
    chosen = take_choices(sides.ins, picks)
    score = matched_log_in(chosen) - estimate.log_out(sides)
    errors = _errors_over_repeats(sides, chosen, score)
    if repeats >= 3:
        replicates = intervals.bootstrap_matched(chosen, sides.outs, weights)
        lower, upper = intervals.percentile_interval(replicates, settings.confidence)
    else:
        lower, upper = intervals.t_interval(score, errors["se"], repeats, settings.confidence)
    rank_sums = significance.ranks(sides).sum(axis=0)
    return {
        "lower": lower,
        "upper": upper,
        "plain": estimate.plain_score(sides),
        "spread": estimate.spread(sides),
        "pvalue": significance.rank_sum_pvalues(rank_sums, folds, repeats),
        **errors,
    }


def _errors_over_repeats(sides: InOut, chosen: Float, score: Float) -> dict[str, Float]:
    repeats = len(sides.outs)
    if repeats < 2:
        return {name: np.full(score.shape, np.nan) for name in ("se", "jackknife", "log_se")}
    outs = intervals.without_each(sides.outs)
    matched = intervals.without_each(chosen.swapaxes(0, 1)).mean(axis=1)  # (L, C, n) -> (L, n)
    plain = intervals.without_each(logmeanexp(sides.ins, axis=1))
    return {
        "se": intervals.jackknife(score, matched - outs).se,
        "jackknife": intervals.jackknife(estimate.plain_score(sides), plain - outs).corrected,
        "log_se": estimate.log_differences(sides).std(axis=0, ddof=1) / np.sqrt(repeats),
    }


def _interval_kind(repeats: int) -> str:
    return {1: "none", 2: "jackknife-t"}.get(repeats, "bootstrap")


def _cautions(folds: int, repeats: int) -> tuple[str, ...]:
    found = []
    if repeats == 1:
        found.append("one repeat: scores have no standard error and no interval")
    if repeats == 2:
        found.append(
            "two repeats: intervals are jackknife t intervals with one degree of freedom, and wide"
        )
    smallest = float(folds) ** -repeats
    if smallest > 0.05:
        found.append(f"{folds} folds x {repeats} repeats: no p-value can be below {smallest:.3g}")
    return tuple(found)
