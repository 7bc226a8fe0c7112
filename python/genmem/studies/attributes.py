"""What the data and a model say about each sample: the candidates for why it is memorized."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from genmem.datasets import duplicate_groups
from genmem.memorization import benjamini_hochberg
from genmem.studies.correlation import Float64, spearman
from genmem.studies.neighbourhood import Neighbours, local_density, neighbours

if TYPE_CHECKING:
    from torch import Tensor

    from genmem.datasets import Dataset
    from genmem.memorization import MemorizationScores
    from genmem.models import VAE, Observed
    from genmem.training import Run

# What each column means to a reader of a table or a figure.
LABELS = {
    "log_density": "log-density of the neighbourhood (leave-one-out KDE, nats)",
    "knn_radius": "distance to the k-th nearest other sample",
    "nearest_distance": "distance to the nearest other sample",
    "copies": "other samples equal to it",
    "class_size": "samples of its class",
    "label_disagreement": "share of neighbours of another class",
    "contrast": "contrast (standard deviation of its values)",
    "brightness": "brightness (mean of its values)",
    "reconstruction_error": "reconstruction error (mean squared, per value)",
    "kl": "KL of its latent code from the prior (nats)",
    "log_p": "log p(x) of the model trained on all samples (nats)",
    "log_in": "log p(x) of the models that saw it (nats)",
    "log_out": "log p(x) of the models that did not (nats)",
}
DATA_ATTRIBUTES = (
    "log_density",
    "knn_radius",
    "nearest_distance",
    "copies",
    "class_size",
    "label_disagreement",
    "contrast",
    "brightness",
)
_BLOCK_BYTES = 1 << 24
_ROWS_AT_ONCE = 64


def attributes(
    data: Dataset,
    run: Run | None = None,
    scores: MemorizationScores | None = None,
    k: int = 10,
    *,
    seed: int = 0,
    threads: int | None = None,
    device: str = "auto",
) -> pd.DataFrame:
    """One row per sample, `index` first, one column per attribute; see LABELS.

    Distances are Euclidean over features scaled to [0, 1] by the value range of the data, exact, to
    other samples only (excluded by index: a copy is at distance 0). `log_density` is the
    leave-one-out Gaussian KDE whose bandwidth has the largest leave-one-out likelihood, searched
    with `seed` as GaussianKDE does, equal rows as one. `nearest_index` names the nearest sample by
    its identity, ties to the lower position. Columns that need labels are there if there are any.

    data    N > k samples
    run     adds reconstruction_error, kl and log_p of its last checkpoint
    scores  adds log_in and log_out
    k       neighbours of `knn_radius` and of `label_disagreement`
    device  where the model of the run computes: "auto", the card if torch sees one; "cpu"; "cuda"
            or "cuda:1"
    """
    near = neighbours(data, k, threads=threads)
    density = local_density(data, seed=seed, threads=threads)
    return assemble(data, near, density, run, scores, device)


def assemble(
    data: Dataset,
    near: Neighbours,
    log_density: Float64,
    run: Run | None,
    scores: MemorizationScores | None,
    device: str = "auto",
) -> pd.DataFrame:
    """The table of `attributes` from neighbours and densities that were computed before."""
    columns = {"index": data.index, **data_attributes(data, near, log_density)}
    if run is not None:
        columns |= model_attributes(data, run, device)
    if scores is not None:
        columns |= {"log_in": scores.log_in, "log_out": scores.log_out}
    return pd.DataFrame(columns)


def data_attributes(
    data: Dataset, near: Neighbours, log_density: Float64
) -> dict[str, npt.NDArray[Any]]:
    """The columns that follow from the data alone: density, radii, copies, classes, appearance."""
    distances, positions = near
    group = duplicate_groups(data.rows)
    columns: dict[str, npt.NDArray[Any]] = {
        "log_density": log_density,
        "knn_radius": distances[:, -1],
        "nearest_distance": distances[:, 0],
        "nearest_index": data.index[positions[:, 0]],
        "copies": np.bincount(group, minlength=len(data))[group] - 1,
    }
    if data.y is not None:
        classes, label = np.unique(data.y, return_inverse=True)
        columns["label"] = data.y
        columns["class_size"] = np.bincount(label, minlength=len(classes))[label]
        columns["label_disagreement"] = (data.y[positions] != data.y[:, None]).mean(axis=1)
    return columns | _appearance(data)


def model_attributes(data: Dataset, run: Run, device: str = "auto") -> dict[str, Float64]:
    """Reconstruction error, KL and log p(x) of every sample under the last checkpoint of `run`.

    reconstruction_error  mean over features of (x - mean of p(x|z))^2 at z = mean of q(z|x)
    kl                    (1/2) sum (mu^2 + e^lv - 1 - lv), nats
    log_p                 by importance sampling with the draws of the recipe, nats; of a
                          conditional one log p(x | y)
    """
    from genmem.device import device_of
    from genmem.models import scoring
    from genmem.models.observed import placed
    from genmem.models.scoring import in_fixed_batches
    from genmem.training import Inputs

    model, inputs = run.model(device=device), Inputs(run.recipe, data)
    found = np.empty((len(data), 2))
    with scoring(model, "attributes"):
        for rows in _blocks(len(data), 4 * data.rows.shape[1]):
            x = placed(inputs.batch(np.arange(rows.start, rows.stop)), device_of(model))
            own = in_fixed_batches(partial(_error_and_kl, model), x, _ROWS_AT_ONCE)
            found[rows] = own.cpu().numpy()
    log_p = np.asarray(run.log_prob(data, device=device).log_p, np.float64)
    return {"reconstruction_error": found[:, 0], "kl": found[:, 1], "log_p": log_p}


def correlate(
    attributes: pd.DataFrame, score: npt.ArrayLike, *, level: float = 0.95
) -> pd.DataFrame:
    """Spearman correlation of each attribute with a score, the most telling (largest |rho|) first.

    attributes  frame of N rows; the columns named in LABELS are correlated, others are identities
    score       (N,) in the same row order

    returns  attribute, label, spearman, lower, upper, pvalue, qvalue (Benjamini-Hochberg over the
             table), n = rows where the attribute is defined. An attribute that is the same for
             every sample has no rank correlation: its row holds NaN and stands last.
    """
    values = np.asarray(score, np.float64)
    if values.shape != (len(attributes),):
        raise ValueError(
            f"correlate: score has shape {values.shape}; ({len(attributes)},) is wanted"
        )
    rows = []
    for name in (name for name in LABELS if name in attributes.columns):
        column = np.asarray(attributes[name], np.float64)
        known = ~np.isnan(column)
        if known.sum() < 2:
            raise ValueError(f"correlate: {name} is defined for {known.sum()} rows; 2 are wanted")
        rho = spearman(column[known], values[known], level=level)
        rows.append([name, LABELS[name], rho.value, rho.lower, rho.upper, rho.pvalue, rho.n])
    names = ["attribute", "label", "spearman", "lower", "upper", "pvalue", "n"]
    table = pd.DataFrame(rows, columns=names)
    table.insert(6, "qvalue", _false_discovery(np.asarray(table["pvalue"], np.float64)))
    order = np.argsort(-table["spearman"].abs().to_numpy(), kind="stable")
    return table.iloc[order].reset_index(drop=True)


def _false_discovery(pvalues: Float64) -> Float64:
    q = np.full(len(pvalues), np.nan)
    known = ~np.isnan(pvalues)
    q[known] = benjamini_hochberg(pvalues[known])
    return q


def _error_and_kl(model: VAE, x: Observed) -> Tensor:
    """(B, 2) float64: mean squared reconstruction error, KL in nats."""
    import torch

    from genmem.models.observed import samples

    mu, logvar = model.encode(x)
    means = model.mean(model.codes(x, mu))
    error = (means - samples(x)).flatten(1).double().square().mean(dim=1)
    mu, logvar = mu.double(), logvar.double()
    # expm1: e^lv - 1 - lv cancels where the code of a sample is the prior.
    kl = 0.5 * (mu.square() + torch.expm1(logvar) - logvar).sum(dim=1)
    return torch.stack([error, kl], dim=1)


def _appearance(data: Dataset) -> dict[str, Float64]:
    contrast, brightness = np.empty(len(data)), np.empty(len(data))
    for rows in _blocks(len(data), 4 * data.rows.shape[1]):
        pixels = data.unit(np.arange(rows.start, rows.stop)).reshape(rows.stop - rows.start, -1)
        contrast[rows] = pixels.std(axis=1, dtype=np.float64)
        brightness[rows] = pixels.mean(axis=1, dtype=np.float64)
    return {"contrast": contrast, "brightness": brightness}


def _blocks(n: int, bytes_per_row: int) -> Iterator[slice]:
    step = max(1, _BLOCK_BYTES // max(1, bytes_per_row))
    for start in range(0, n, step):
        yield slice(start, min(start + step, n))
