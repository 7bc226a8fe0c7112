"""A run directory made up from real digits: the shape and the texture of an audit, in a second."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest
import tomli_w

from genmem.ledger import write_unit

Floats = npt.NDArray[np.float64]
EPOCHS = (5, 10, 20, 30, 40, 50)
MODELS = ("elbo", "beta", "iwae", "kde", "knn", "gmm")
LABELS = {
    "log_density": "log-density of the neighbourhood (leave-one-out KDE, nats)",
    "knn_radius": "distance to the k-th nearest other sample",
    "nearest_distance": "distance to the nearest other sample",
    "class_size": "samples of its class",
    "label_disagreement": "share of neighbours of another class",
    "contrast": "contrast (standard deviation of the pixels)",
    "brightness": "brightness (mean of the pixels)",
    "reconstruction_error": "reconstruction error (mean squared, per pixel)",
    "kl": "KL of its latent code from the prior (nats)",
    "log_p": "log p(x) of the model trained on all samples (nats)",
}


class MadeUpRun:
    """Tables of a run over digits, before they are written; tests change what they need to."""

    def __init__(
        self, n: int = 1797, *, channels: int = 1, side: int = 8, labels: bool = True, seed: int = 0
    ) -> None:
        from sklearn.datasets import load_digits

        random = np.random.default_rng(seed)
        digits = load_digits()
        x = digits.images.reshape(-1, 64)[:n] / 16
        self.y = digits.target[:n].astype(np.int64)
        n = len(x)
        self.index = np.arange(n, dtype=np.int64) * 3 + 7
        outliers = np.sort(random.permutation(n)[: n // 100])
        x[outliers] = random.random((len(outliers), 64))
        copies = np.setdiff1d(random.permutation(n)[: n // 60], outliers)
        originals = (copies + n // 2) % n
        x[copies] = np.clip(
            x[originals]
            + random.normal(0, 0.02, (len(copies), 64)) * (np.arange(len(copies)) % 3 > 0)[:, None],
            0,
            1,
        )
        self.x, self.n, self.labels = x, n, labels
        near, order = self._neighbours(min(10, n - 1))
        score = self._score(near, outliers, random)
        self.tables: dict[str, pd.DataFrame] = {
            "scores/memorization.parquet": score,
            "scores/by_epoch.parquet": self._by_epoch(score["score"].to_numpy(), random),
            "scores/attributes.parquet": self._attributes(near, order, score, random),
            "scores/self_influence.parquet": self._self_influence(
                score["score"].to_numpy(), random
            ),
            "scores/neighbours.parquet": self._nearest(near, order),
            "influence/proponents.parquet": self._proponents(score["score"].to_numpy()),
            "tables/history.parquet": self._history(),
            "tables/agreement.parquet": self._agreement(score["score"].to_numpy(), near, random),
        }
        self.tables["tables/attribute_correlations.parquet"] = self._correlations()
        self.pixels = self._pixels(channels, side)
        self.summary = self._summary(copies, originals, outliers, near, order, channels, side)
        self.recipe: dict[str, Any] = {
            "data": "digits",
            "folds": 10,
            "repeats": 10,
            "recipe": {
                "model": "mlp-vae",
                "latent": 16,
                "hidden": [512, 256],
                "objective": "elbo",
                "epochs": 50,
                "lr": 1e-3,
            },
        }

    def write(self, directory: Path, *, without: tuple[str, ...] = ()) -> Path:
        """Write every file but those named in `without`."""
        directory.mkdir(parents=True, exist_ok=True)
        for name, table in self.tables.items():
            if name not in without:
                (directory / name).parent.mkdir(parents=True, exist_ok=True)
                table.to_parquet(directory / name, index=False)
        if "summary.json" not in without:
            (directory / "summary.json").write_text(json.dumps(self.summary), encoding="utf-8")
        if "recipe.toml" not in without:
            (directory / "recipe.toml").write_text(tomli_w.dumps(self.recipe), encoding="utf-8")
        if "images.safetensors" not in without:
            write_unit(
                directory / "images.safetensors", {"index": self.index, "pixels": self.pixels}
            )
        return directory

    def _neighbours(self, k: int) -> tuple[Floats, npt.NDArray[np.int64]]:
        from sklearn.neighbors import NearestNeighbors

        distances, order = NearestNeighbors(n_neighbors=k + 1).fit(self.x).kneighbors(self.x)
        mine = order == np.arange(self.n)[:, None]
        mine[~mine.any(axis=1), -1] = True
        return distances[~mine].reshape(self.n, k), order[~mine].reshape(self.n, k)

    def _score(
        self, near: Floats, outliers: npt.NDArray[np.int64], random: np.random.Generator
    ) -> pd.DataFrame:
        true = 2.4 * np.clip(near[:, 0] - 0.9, -0.4, 1.5) + random.gamma(0.9, 0.7, self.n)
        true[outliers] += 10 + 9 * random.random(len(outliers))
        se = 0.35 + 0.14 * np.abs(true)
        score = true + se * random.normal(size=self.n)
        z = np.maximum(score / se - 1.9, -3)
        pvalue = np.clip(np.exp(-0.72 * np.maximum(z, 0) ** 1.9) * random.random(self.n), 1e-10, 1)
        order = np.argsort(pvalue)
        raw = pvalue[order] * self.n / np.arange(1, self.n + 1)
        qvalue = np.empty(self.n)
        qvalue[order] = np.minimum(np.minimum.accumulate(raw[::-1])[::-1], 1)
        log_out = -17 - 5 * near.mean(axis=1) - 0.75 * score + random.normal(0, 1.5, self.n)
        return pd.DataFrame(
            {
                "index": self.index,
                "score": score,
                "lower": score - 1.96 * se,
                "upper": score + 2.2 * se,
                "se": se,
                "pvalue": pvalue,
                "qvalue": qvalue,
                "log_in": log_out + score,
                "log_out": log_out,
                "plain": score + 0.3,
                "log_score": score - 0.1,
                "spread": se * 2,
            }
        )

    def _by_epoch(self, score: Floats, random: np.random.Generator) -> pd.DataFrame:
        growth = {
            f"epoch_{e}": score * (1 - np.exp(-e / 18)) + random.normal(0, 0.2, self.n)
            for e in EPOCHS[:-1]
        }
        return pd.DataFrame({"index": self.index, **growth, f"epoch_{EPOCHS[-1]}": score})

    def _attributes(
        self,
        near: Floats,
        order: npt.NDArray[np.int64],
        score: pd.DataFrame,
        random: np.random.Generator,
    ) -> pd.DataFrame:
        sizes = np.bincount(self.y)
        columns: dict[str, Any] = {
            "index": self.index,
            "log_density": -12 * near.mean(axis=1) + 40,
            "knn_radius": near[:, -1],
            "nearest_distance": near[:, 0],
            "class_size": sizes[self.y] if self.labels else None,
            "label_disagreement": (self.y[order] != self.y[:, None]).mean(axis=1)
            if self.labels
            else None,
            "contrast": self.x.std(axis=1),
            "brightness": self.x.mean(axis=1),
            "reconstruction_error": 0.01
            + 0.02 * near.mean(axis=1) ** 2 * random.lognormal(0, 0.3, self.n),
            "kl": 9 + 2 * near[:, 0] + random.normal(0, 1.2, self.n),
            "log_p": score["log_in"] + random.normal(0, 1, self.n),
        }
        if self.labels:
            columns["label"] = self.y
        return pd.DataFrame(
            {name: values for name, values in columns.items() if values is not None}
        )

    def _self_influence(self, score: Floats, random: np.random.Generator) -> pd.DataFrame:
        plain = np.exp(0.35 * np.clip(score, -2, 12) + random.normal(0, 0.55, self.n)) * 40
        return pd.DataFrame(
            {
                "index": self.index,
                "self_influence": plain,
                "unbiased": plain - random.random(self.n),
            }
        )

    def _nearest(self, near: Floats, order: npt.NDArray[np.int64]) -> pd.DataFrame:
        k = min(3, near.shape[1])
        return pd.DataFrame(
            {
                "index": np.repeat(self.index, k),
                "rank": np.tile(np.arange(1, k + 1), self.n),
                "neighbour": self.index[order[:, :k]].ravel(),
                "distance": near[:, :k].ravel(),
            }
        )

    def _proponents(self, score: Floats) -> pd.DataFrame:
        centred = self.x - self.x.mean(axis=0)
        rows = np.argsort(-score)
        rows = np.unique(np.concatenate([rows[:12], rows[-12:]]))
        parts = []
        for side, sign in (("proponent", -1), ("opponent", 1)):
            for row in rows:
                dot = 100 * centred[row] @ centred.T
                dot[row] *= 2.5
                best = np.argsort(sign * dot, kind="stable")[:5]
                parts.append(
                    pd.DataFrame(
                        {
                            "index": self.index[row],
                            "side": side,
                            "rank": np.arange(1, len(best) + 1),
                            "train_index": self.index[best],
                            "score": dot[best],
                        }
                    )
                )
        return pd.concat(parts, ignore_index=True)

    def _history(self) -> pd.DataFrame:
        epoch = np.arange(1, EPOCHS[-1] + 1)
        train = 17.5 + 22 * np.exp(-epoch / 4) - 0.03 * epoch
        return pd.DataFrame(
            {"epoch": epoch, "train_loss": train, "heldout_loss": train + 0.9 + 0.0009 * epoch**2}
        )

    def _agreement(self, score: Floats, near: Floats, random: np.random.Generator) -> pd.DataFrame:
        from genmem.studies.correlation import partial_spearman, spearman
        from genmem.studies.overlap import overlap

        noise = dict(zip(MODELS, (0.2, 0.4, 0.5, 0.8, 1.0, 1.5), strict=True))
        scale = 1.2
        held = {
            name: score * (0.9 if noise[name] < 1 else 0.5)
            + near[:, 0] * noise[name] * scale
            + random.normal(0, noise[name] * scale, self.n)
            for name in MODELS
        }
        rows = []
        for i, a in enumerate(MODELS):
            for b in MODELS[i + 1 :]:
                plain = spearman(held[a], held[b])
                left = partial_spearman(held[a], held[b], near[:, 0])
                common = overlap(held[a], held[b], max(1, self.n // 20))
                rows.append(
                    {
                        "a": a,
                        "b": b,
                        "spearman": plain.value,
                        "lower": plain.lower,
                        "upper": plain.upper,
                        "overlap": common.count,
                        "overlap_expected": common.k * common.expected,
                        "overlap_pvalue": common.pvalue,
                        "k": common.k,
                        "reliability_a": 0.9 - 0.1 * i,
                        "reliability_b": np.nan,
                        "partial": left.value,
                        "partial_lower": left.lower,
                        "partial_upper": left.upper,
                    }
                )
        return pd.DataFrame(rows)

    def _correlations(self) -> pd.DataFrame:
        from genmem.studies.correlation import spearman

        rows = []
        score = self.tables["scores/memorization.parquet"]["score"].to_numpy()
        for name, label in LABELS.items():
            if name in self.tables["scores/attributes.parquet"]:
                found = spearman(self.tables["scores/attributes.parquet"][name].to_numpy(), score)
                rows.append(
                    {
                        "attribute": name,
                        "label": label,
                        "spearman": found.value,
                        "lower": found.lower,
                        "upper": found.upper,
                        "pvalue": found.pvalue,
                        "qvalue": min(1.0, found.pvalue * 2),
                        "n": found.n,
                    }
                )
        return pd.DataFrame(rows)

    def _pixels(self, channels: int, side: int) -> npt.NDArray[np.uint8]:
        grey = np.rint(255 * self.x).astype(np.uint8).reshape(-1, 1, 8, 8)
        grey = grey.repeat(side // 8, axis=2).repeat(side // 8, axis=3)
        tint = np.linspace(1, 0.4, channels)[None, :, None, None]
        return np.rint(grey * tint).astype(np.uint8)

    def _summary(
        self,
        copies: npt.NDArray[np.int64],
        originals: npt.NDArray[np.int64],
        outliers: npt.NDArray[np.int64],
        near: Floats,
        order: npt.NDArray[np.int64],
        channels: int,
        side: int,
    ) -> dict[str, Any]:
        score = self.tables["scores/memorization.parquet"]["score"].to_numpy()
        q95, q99_9 = np.quantile(score, [0.95, 0.999])
        pairs = sorted(
            {
                (min(i, int(order[i, 0])), max(i, int(order[i, 0])), float(near[i, 0]))
                for i in range(self.n)
                if near[i, 0] < 0.25
            }
        )
        return {
            "title": "Which digits does a VAE memorize?",
            "data": {
                "name": "digits",
                "n": self.n,
                "shape": [channels, side, side],
                "classes": [str(c) for c in range(10)] if self.labels else None,
                "fingerprint": "9f" * 32,
                "planted": {
                    "near_duplicates": [
                        [int(self.index[a]), int(self.index[b])]
                        for a, b in zip(copies, originals, strict=True)
                    ],
                    "outliers": [int(row) for row in self.index[outliers]],
                },
            },
            "preset": "default",
            "seed": 0,
            "objective": "elbo",
            "planted_found": {"outliers_auc": 0.987, "near_duplicates_named": 0.9},
            "folds": 10,
            "repeats": 10,
            "epochs": 50,
            "draws": 64,
            "quantiles": {
                "q95": [q95, q95 * 0.93, q95 * 1.09],
                "q99_9": [q99_9, q99_9 * 0.9, None],
            },
            "duplicates": [[int(self.index[i]), int(self.index[j]), d] for i, j, d in pairs],
            "duplicate_rule": "pixel distance below 0.25, a fifth of the median distance to the "
            "nearest neighbour",
            "machine": {"cpu": "Example CPU at 2.6 GHz", "isa": "avx512", "cores": 2, "threads": 2},
            "versions": {"genmem": "0.1.0", "numpy": "2.4.6", "torch": "2.13.0"},
            "stages": [
                {"name": "cross-validation", "seconds": 148.2},
                {"name": "training", "seconds": 4.1},
                {"name": "TracIn", "seconds": 21.7},
                {"name": "agreement", "seconds": 49.0},
                {"name": "attributes", "seconds": 1.3},
            ],
            "warnings": [
                "log p: the effective sample size is below 10 of 64 draws for 12 samples; "
                "their M is less certain"
            ],
            "finished": "2025-01-31 12:00 UTC",
        }


@pytest.fixture(scope="session")
def made_up_run() -> Callable[..., MadeUpRun]:
    """The maker of made-up runs."""
    return MadeUpRun


@pytest.fixture(scope="session")
def digits_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One whole run over the 1,797 digits, for tests that only read."""
    return MadeUpRun().write(tmp_path_factory.mktemp("digits"))
