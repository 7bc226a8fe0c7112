"""The last lines of a verb: the answer in numbers, and where the rest of it is."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import typer

if TYPE_CHECKING:
    from genmem.memorization import MemorizationScores

MOST = 5


def say_audit(directory: Path, page: Path) -> None:
    """What an audit found: the most memorized, the quantiles, what was planted, the page."""
    from genmem.memorization import MemorizationScores

    summary = json.loads((directory / "summary.json").read_text(encoding="utf-8"))
    scores = MemorizationScores.load(directory / "scores" / "memorization.parquet")
    say_scores(scores)
    pairs = summary["duplicates"]
    exact = sum(distance == 0 for _, _, distance in pairs)
    typer.echo(f"duplicates: {exact} exact and {len(pairs) - exact} near pairs")
    for name, value in summary["planted_found"].items():
        typer.echo(_planted(name, value))
    for warning in summary["warnings"]:
        typer.echo(f"warning: {warning}")
    typer.echo(f"report: {page}")


def say_scores(scores: MemorizationScores) -> None:
    """The most memorized samples, and quantiles of the score with 95 % intervals."""
    from genmem.memorization import quantile_interval

    found = int((scores.qvalue <= 0.05).sum())
    typer.echo(
        f"{scores.data_name}: {found} of {len(scores)} samples are memorized at a false discovery "
        f"rate of 5 % ({scores.folds} folds x {scores.repeats} repeats)"
    )
    typer.echo("most memorized   M (nats)   95 % interval      q-value")
    for row in np.argsort(-scores.score, kind="stable")[:MOST]:
        interval = f"{_number(scores.lower[row])} to {_number(scores.upper[row])}"
        typer.echo(
            f"{'sample ' + str(scores.index[row]):<15}  {_number(scores.score[row]):>8}   "
            f"{interval:<16}   {scores.qvalue[row]:.2g}"
        )
    for name, q in (("q95", 0.95), ("q99.9", 0.999)):
        at = quantile_interval(scores.score, q)
        typer.echo(
            f"{name} of M: {_number(at.value)} nats "
            f"({_number(at.lower)} to {_number(at.upper, open_end='beyond the largest')})"
        )


def _number(value: Any, open_end: str = "?") -> str:
    number = float(value)
    if not np.isfinite(number):
        return open_end
    return f"{number:.2f}" if abs(number) < 100 else f"{number:.0f}"


def _planted(name: str, value: float) -> str:
    if name == "outliers_auc":
        return f"planted outliers: M ranks them above the other samples with AUC {value:.3f}"
    kind = name.removesuffix("_named").replace("_", " ")
    return f"planted {kind}: {100 * value:.0f} % of the pairs are named"
