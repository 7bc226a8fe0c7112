"""Models trained on parts of the data, and what each says of the test samples."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from concurrent.futures import Executor
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from genmem import ledger
from genmem.errors import CheckpointError
from genmem.influence.protocols import Progress

Float64 = npt.NDArray[np.float64]
Train: TypeAlias = Callable[[npt.NDArray[np.int64], int], Any]
Evaluate: TypeAlias = Callable[[Any], npt.ArrayLike]


def retrained_outputs(
    train: Train,
    evaluate: Evaluate,
    subsets: npt.ArrayLike,
    seeds: int = 1,
    *,
    executor: Executor | None = None,
    out: str | Path | None = None,
    label: str = "",
    progress: Progress | None = None,
) -> Float64:
    """(S, Q): what models trained on each subset say of Q test samples, averaged over seeds.

    train     train(rows (k,) int64, seed) -> model; seeds are 0 .. seeds - 1
    evaluate  evaluate(model) -> (Q,) finite numbers that proponents raise: log-likelihoods, minus
              losses, margins
    subsets   (S, N) bool: which training samples each model sees
    seeds     models per subset; the noise of training is averaged out
    executor  any concurrent.futures.Executor; functions must be picklable for processes. None: here
    out       a directory with a file per subset; run again, it makes only those that are missing
    label     what the functions are, stored with `out`: files under another label are refused

    Raises ValueError for an empty subset, or outputs that are not (Q,) finite numbers.
    """
    masks = np.asarray(subsets)
    if masks.ndim != 2 or masks.dtype != np.bool_ or not masks.any(1).all() or not len(masks):
        raise ValueError(
            f"retrained_outputs: subsets have shape {masks.shape} and type {masks.dtype}; (S, N) "
            "bool with a sample in each is wanted"
        )
    if seeds < 1:
        raise ValueError(f"retrained_outputs: seeds is {seeds}; at least 1 is wanted")
    folder = None if out is None else Path(out)
    if folder is not None:
        digest = ledger.fingerprint(masks)
        ledger.bind(
            folder, {"kind": "retraining", "subsets": digest, "seeds": seeds, "label": label}
        )
    work = partial(_outputs, train, evaluate, seeds, folder)
    rows = [(s, np.flatnonzero(mask)) for s, mask in enumerate(masks)]
    found: list[Float64] = []
    for values in map(work, rows) if executor is None else executor.map(work, rows):
        if found and values.shape != found[0].shape:
            raise ValueError(
                f"retrained_outputs: evaluate gave {len(values)} numbers for subset {len(found)} "
                f"and {len(found[0])} for the first"
            )
        found.append(values)
        if progress is not None:
            progress("retraining", len(found), len(masks))
    return np.stack(found)


def _outputs(
    train: Train,
    evaluate: Evaluate,
    seeds: int,
    folder: Path | None,
    subset: tuple[int, npt.NDArray[np.int64]],
) -> Float64:
    number, rows = subset
    path = None if folder is None else folder / f"subset_{number:06d}.safetensors"
    if path is not None:
        try:
            return ledger.read_unit(path)[0]["outputs"]
        except FileNotFoundError:
            pass
        except CheckpointError as error:
            warnings.warn(f"retrained_outputs: made again: {error}", RuntimeWarning, stacklevel=2)
    each = [np.asarray(evaluate(train(rows, seed)), np.float64) for seed in range(seeds)]
    odd = next((v for v in each if v.ndim != 1 or not len(v) or not np.isfinite(v).all()), None)
    if odd is not None:
        raise ValueError(
            f"retrained_outputs: evaluate gave shape {odd.shape} with "
            f"{int((~np.isfinite(odd)).sum())} entries that are not finite for subset {number}; "
            "(Q,) finite numbers are wanted"
        )
    values = np.mean(each, axis=0)
    if path is not None:
        ledger.write_unit(path, {"outputs": values})
    return np.asarray(values)
