"""MemorizationScores: a row per sample, with its interval, its p-value and its course by epoch."""

from __future__ import annotations

import json
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from genmem.errors import DataError
from genmem.ledger import write_atomic
from genmem.memorization.accumulate import Float

if TYPE_CHECKING:
    import pandas as pd

Int = npt.NDArray[np.int64]

_BY_EPOCH = {
    "by_epoch": "score",
    "log_in_by_epoch": "log_in",
    "log_out_by_epoch": "log_out",
    "log_by_epoch": "log_score",
}
_SETTINGS = (
    "data_name",
    "folds",
    "repeats",
    "seed",
    "choices",
    "enumerated",
    "confidence",
    "interval",
    "warnings",
)
_FORMAT = 1


@dataclass(frozen=True, eq=False)
class MemorizationScores:
    """Memorization of N samples, in nats: log-density with the sample less log-density without.

    Per row (N,), at the last of the E epochs:
    index         identity of the sample
    score         matched U - V, the default estimate; positive = memorized; equal to
                  log_in - log_out
    lower, upper  interval of the score over repeats at the given confidence; NaN for one repeat
    se            jackknife standard error of the score over repeats; NaN for one repeat
    pvalue        exact one-sided rank-sum p-value;  qvalue  Benjamini-Hochberg over the rows
    log_in        matched U: in-sample log-density, with as many values as log_out
    log_out       V: logmeanexp of the L out-of-sample log-densities
    plain         U - V with all L(K-1) in-sample values: biased upward by noise between models
    jackknife     plain, corrected by the jackknife over repeats; NaN for one repeat
    log_score     mean in-sample less mean out-of-sample log p;  log_se  its standard error over
                  repeats
    spread        standard deviation of the in-sample log p between models
    ess_min       smallest effective sample size of log p over all models (draws); NaN if log p is
                  exact
    draws_se      largest Monte Carlo standard error of log p over all models; NaN if log p is exact
    multiplicity  how many rows of the data equal this one, itself included

    Per row and epoch (N, E): by_epoch (the score), log_in_by_epoch, log_out_by_epoch, log_by_epoch
    (log_score). epochs (E,): the epochs at which the models were scored.

    Settings: data_name, folds, repeats, seed, choices (matched choices averaged), enumerated (all
    of them rather than random ones), confidence, interval ("bootstrap", "jackknife-t" or "none"),
    warnings.
    """

    index: Int
    score: Float
    lower: Float
    upper: Float
    se: Float
    pvalue: Float
    qvalue: Float
    log_in: Float
    log_out: Float
    plain: Float
    jackknife: Float
    log_score: Float
    log_se: Float
    spread: Float
    ess_min: Float
    draws_se: Float
    multiplicity: Int
    epochs: Int
    by_epoch: Float
    log_in_by_epoch: Float
    log_out_by_epoch: Float
    log_by_epoch: Float
    folds: int
    repeats: int
    seed: int
    choices: int
    enumerated: bool
    confidence: float
    interval: str
    data_name: str = ""
    warnings: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.index)

    def __repr__(self) -> str:
        return (
            f"MemorizationScores({self.data_name or 'data'}: {len(self)} rows, {self.folds} folds x"
            f" {self.repeats} repeats, epochs {self.epochs.tolist()}, interval {self.interval})"
        )

    def highly_memorized(self, q: float = 0.95) -> Int:
        """Positions of the rows whose score exceeds the q-quantile of all, the largest first.

        The threshold is a quantile (linear interpolation), not a number of nats. Ties: lower
        position.
        """
        if not 0 < q < 1:
            raise ValueError(f"highly_memorized: q is {q}; a number between 0 and 1 is wanted")
        above = np.flatnonzero(self.score > np.quantile(self.score, q))
        return above[np.argsort(-self.score[above], kind="stable")]

    def to_frame(self, *, epochs: bool = False) -> pd.DataFrame:
        """One row per sample, index first; epochs=True adds a column per quantity and epoch."""
        import pandas as pd

        columns = {name: getattr(self, name) for name in _row_fields()}
        if epochs:
            for field, stem in _BY_EPOCH.items():
                table = getattr(self, field)
                columns |= {
                    _column(stem, epoch): table[:, e] for e, epoch in enumerate(self.epochs)
                }
        return pd.DataFrame(columns)

    def save(self, path: str | Path) -> Path:
        """Write table and settings to a parquet file, whole or not at all; returns its path."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        table = pa.Table.from_pandas(self.to_frame(epochs=True), preserve_index=False)
        settings: dict[str, Any] = {name: getattr(self, name) for name in _SETTINGS}
        text = json.dumps(
            {"format": _FORMAT, "epochs": self.epochs.tolist(), **settings}, sort_keys=True
        )
        table = table.replace_schema_metadata(
            {**(table.schema.metadata or {}), b"genmem.memorization": text.encode()}
        )
        write_atomic(path, lambda file: pq.write_table(table, file))
        return Path(path)

    @classmethod
    def load(cls, path: str | Path) -> MemorizationScores:
        """Read what `save` wrote: FileNotFoundError, or DataError if it is something else."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        if not Path(path).is_file():
            raise FileNotFoundError(f"{path}: no such file")
        try:
            table = pq.read_table(path)
        except (pa.ArrowInvalid, OSError) as error:
            raise DataError(f"{path} is not a whole parquet file: {error}") from error
        text = (table.schema.metadata or {}).get(b"genmem.memorization")
        if text is None:
            raise DataError(
                f"{path} is a table of something else: it has no genmem.memorization entry"
            )
        settings = json.loads(text)
        if settings.pop("format") != _FORMAT:
            raise DataError(
                f"{path} was written by another version of genmem; format {_FORMAT} is wanted"
            )
        epochs = settings.pop("epochs")
        arrays = {name: table[name].to_numpy() for name in _row_fields()}
        for field, stem in _BY_EPOCH.items():
            arrays[field] = np.stack(
                [table[_column(stem, epoch)].to_numpy() for epoch in epochs], axis=1
            )
        settings["warnings"] = tuple(settings["warnings"])
        return cls(epochs=np.asarray(epochs, np.int64), **arrays, **settings)


def _row_fields() -> list[str]:
    names = [field.name for field in fields(MemorizationScores)]
    return [name for name in names if name not in {*_BY_EPOCH, *_SETTINGS, "epochs"}]


def _column(stem: str, epoch: int) -> str:
    return f"{stem}_epoch_{epoch}"
