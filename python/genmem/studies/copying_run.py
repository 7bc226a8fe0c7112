"""The copying tests of three sets as a run directory: tables per sample, and a summary.

recipe.toml                        what was tested: sets, features, sizes, seed, versions
models/split_K/                    models trained to have held-out rows, where a run has none
scores/copying.parquet             one row per generated sample
scores/copying_heldout.parquet     one row per held-out sample
scores/nearest_ratio.parquet       one row per training sample
scores/rho_and_memorization.parquet  log rho over many sets, of a run with memorization scores
images.safetensors                 the generated samples nearest to a training sample, and it
summary.json                       every test with reference, interval, p-value and null
stages/*.json                      time and digests of each stage
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from genmem.copying import CopyingDistances, CopyingResult, examine
from genmem.ledger import bind, fingerprint, read_identity, write_text, write_unit
from genmem.memorization import MemorizationScores
from genmem.studies.comparison import halves
from genmem.studies.copying_and_memorization import copying_and_memorization, nearest_ratios
from genmem.studies.copying_sets import (
    Trained,
    matched,
    model_directory,
    same_data,
    trained_models,
)
from genmem.studies.copying_table import table
from genmem.studies.correlation import spearman, spearman_brown
from genmem.studies.stages import Progress, Stages, write_table
from genmem.studies.summary import machine, versions

if TYPE_CHECKING:
    from genmem.datasets import Dataset

SCORES = "scores/memorization.parquet"
_SHOWN = 12
_MEANS = (
    "generated samples are means of the decoder, smoother than data: their distances differ from "
    "those of held-out samples without any copying, and a small p-value may say no more than that"
)


@dataclass(frozen=True)
class Sizes:
    """How much a preset tests.

    most          held-out and generated samples of a run, at the most
    splits        models trained to have held-out rows, where a run has none
    generations   sets of generated samples of each model, for rho of each training sample
    permutations, resamples  of the tests
    """

    most: int
    splits: int
    generations: int
    permutations: int
    resamples: int


SIZES = {
    "smoke": Sizes(100, 2, 2, 99, 100),
    "quick": Sizes(5_000, 5, 4, 999, 1_000),
    "paper": Sizes(10_000, 10, 10, 9_999, 2_000),
}


@dataclass(frozen=True, eq=False)
class Samples:
    """One set of a test: values x (n, *shape), the identity of each sample, and words on it."""

    x: npt.NDArray[Any]
    index: npt.NDArray[np.int64]
    words: str


def copying_of_sets(
    train: Samples,
    test: Samples,
    generated: Samples,
    out: Path,
    *,
    preset: str = "quick",
    features: str = "pixels",
    seed: int = 0,
    threads: int | None = None,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Test generated samples into the run directory `out`; returns its summary.

    Sets are taken whole. Run again, it does what is missing; RunMismatchError if `out` holds other
    sets or settings.
    """
    work = _Work(Stages(out, progress), SIZES[preset], features, seed, threads)
    held = {"train": train, "test": test, "generated": generated}
    prints = {name: _print(one) for name, one in held.items()}
    bind(out, {"copying": _settings(work, preset), "sets": prints, "versions": versions()})
    return work.summary(train, test, generated, preset, None)


def copying_of_run(
    directory: Path,
    data: Dataset,
    heldout: Dataset | None,
    out: Path,
    *,
    preset: str = "quick",
    features: str = "pixels",
    seed: int = 0,
    threads: int | None = None,
    progress: Progress | None = None,
    device: str = "auto",
) -> dict[str, Any]:
    """Test what the model of a run generates into the run directory `out`; returns its summary.

    directory  a run of `train` or `audit`;  data  the samples it was made of
    heldout    samples that it did not see; None: see `genmem.studies.copying_sets`
    device     where models are trained that have held-out rows: "auto", the card if torch sees one
               and `out` was not begun on the CPU; "cpu"; "cuda" or "cuda:1". Pictures are decoded
               on the CPU

    Where the run has memorization scores, rho of every training sample is related to them.
    """
    from genmem.device import UNWRITTEN, passed_on, recorded

    sizes = SIZES[preset]
    work = _Work(Stages(out, progress), sizes, features, seed, threads)
    place = model_directory(directory)
    same_data(place, data)
    stored = read_identity(place)
    found = {name: stored[name] for name in ("recipe", "data", "rows", "versions")}
    found["device"] = stored.get("device")
    where = "cpu" if heldout is not None else passed_on(device, "copying", out)
    apart = {} if heldout is None else {"test": {"fingerprint": heldout.fingerprint}}
    settings = {"copying": _settings(work, preset), "run": found, **apart, "versions": versions()}
    bind(out, settings | {"device": recorded(where)}, UNWRITTEN | {"run.device": "cpu"})
    wanted = sizes.splits if (directory / SCORES).is_file() else 1
    models = trained_models(
        directory,
        data,
        heldout,
        out=out,
        splits=sizes.splits,
        wanted=wanted,
        seed=seed,
        progress=progress,
        device=where,
    )
    model = models[0]
    kept = matched(model, sizes.most, seed)
    return work.summary(
        Samples(model.train, data.index[model.positions], f"{data.name}, training samples"),
        Samples(model.test[kept], kept, model.heldout),
        Samples(model.generated(len(kept), seed), np.arange(len(kept)), "means of the decoder"),
        preset,
        _related(work, directory, data, models),
        notes=(_MEANS,),
    )


@dataclass(frozen=True)
class _Work:
    """Where the tables of a test go, and how large it is."""

    stages: Stages
    sizes: Sizes
    features: str
    seed: int
    threads: int | None

    @property
    def out(self) -> Path:
        return self.stages.directory

    def summary(
        self,
        train: Samples,
        test: Samples,
        generated: Samples,
        preset: str,
        related: dict[str, Any] | None,
        notes: tuple[str, ...] = (),
    ) -> dict[str, Any]:
        tables = ("copying", "copying_heldout", "nearest_ratio")
        outputs = ["tests.json", *(f"scores/{name}.parquet" for name in tables)]
        pictured = _pictured(train.x, generated.x)
        outputs += ["images.safetensors"] if pictured else []
        self.stages.do("tests", outputs, lambda: self._test(train, test, generated, pictured))
        tests = json.loads((self.out / "tests.json").read_text(encoding="utf-8"))
        records = self.stages.records()
        facts = {
            "preset": preset,
            "features": self.features,
            "seed": self.seed,
            "counts": {"train": len(train.x), "test": len(test.x), "generated": len(generated.x)},
            "sets": {"train": train.words, "test": test.words, "generated": generated.words},
            **tests,
            "memorization": related,
            "notes": list(notes),
            "warnings": sorted({text for record in records for text in record["warnings"]}),
            "stages": [{"name": one["name"], "seconds": one["seconds"]} for one in records],
            "machine": machine(self.threads or 0),
            "versions": versions(),
            "finished": datetime.now(UTC).isoformat(timespec="seconds"),
        }
        write_text(self.out / "summary.json", json.dumps(facts, indent=1, allow_nan=False) + "\n")
        return facts

    def _test(self, train: Samples, test: Samples, generated: Samples, pictured: bool) -> None:
        distances = CopyingDistances(
            train.x,
            test.x,
            generated.x,
            features=self.features,
            seed=self.seed,
            threads=self.threads,
        )
        many = {"permutations": self.sizes.permutations}
        found = examine(
            train.x,
            test.x,
            generated.x,
            distances=distances,
            resamples=self.sizes.resamples,
            progress=self.stages.within("tests"),
            nearest_ratio=many,
            likelihood_divergence=many,
        )
        for name, rows in _tables(found, distances, train, test, generated).items():
            write_table(self.out / f"scores/{name}.parquet", rows)
        if pictured:
            self._write_images(found, train, generated)
        facts = {"table": table(found), "tests": [one.summary() for one in found.values()]}
        text = json.dumps(facts, indent=1, allow_nan=False)
        write_text(self.out / "tests.json", text + "\n")

    def _write_images(
        self, found: dict[str, CopyingResult], train: Samples, generated: Samples
    ) -> None:
        """The generated samples of smallest calibrated distance, each with its nearest one."""
        order = np.argsort(found["calibrated_distance"].per_sample, kind="stable")[:_SHOWN]
        near = found["authenticity"].nearest[order]  # type: ignore[attr-defined]
        write_unit(
            self.out / "images.safetensors",
            {
                "index": generated.index[order],
                "pixels": _bytes(generated.x[order]),
                "nearest": train.index[near],
                "nearest_pixels": _bytes(train.x[near]),
            },
        )


def _related(
    work: _Work, directory: Path, data: Dataset, models: list[Trained]
) -> dict[str, Any] | None:
    """Write log rho of every sample, and its relation to M; None if the run has no scores."""
    path = directory / SCORES
    if not path.is_file():
        return None
    outputs = ["scores/rho_and_memorization.parquet", "rho_and_memorization.json"]
    scores = MemorizationScores.load(path)
    told = fingerprint(scores.score)
    place = work.out / outputs[1]
    if place.is_file() and json.loads(place.read_text(encoding="utf-8")).get("scores") != told:
        # The scores were made anew since: the stage that rests on them does not stand.
        place.unlink()

    def relate() -> None:
        ratios = nearest_ratios(
            models,
            generations=work.sizes.generations,
            most=work.sizes.most,
            seed=work.seed,
            threads=work.threads,
            progress=work.stages.within("rho and M"),
        )
        columns = ("log_ratio", "se", "times", "test_distance", "generated_distance")
        held = {name: getattr(ratios, name) for name in columns}
        write_table(work.out / outputs[0], pd.DataFrame({"index": data.index, **held}))
        beside = directory / "scores/attributes.parquet"
        attributes = pd.read_parquet(beside) if beside.is_file() else None
        found = copying_and_memorization(
            ratios,
            scores.score,
            attributes,
            score_reliability=_score_reliability(directory, scores, work.seed),
        ).summary()
        found |= {"models": len(models), "sets": int(ratios.times.max()), "scores": told}
        write_text(place, json.dumps(found, indent=1, allow_nan=False) + "\n")

    work.stages.do("rho and M", outputs, relate)
    return dict(json.loads(place.read_text(encoding="utf-8")))


def _score_reliability(directory: Path, scores: MemorizationScores, seed: int) -> float:
    """Of M, from halves of its repeats; NaN if the run keeps no units of them, or one repeat."""
    place = directory / "memorization" / model_directory(directory).name
    parts = halves(place, scores, seed) if (place / "units").is_dir() else None
    return np.nan if parts is None else spearman_brown(spearman(*parts).value)


def _tables(
    found: dict[str, CopyingResult],
    distances: CopyingDistances,
    train: Samples,
    test: Samples,
    generated: Samples,
) -> dict[str, pd.DataFrame]:
    per_sample = {name: one.per_sample for name, one in found.items()}
    near = found["authenticity"].nearest  # type: ignore[attr-defined]  # it is an Authenticity
    fld = found["likelihood_divergence"].per_row  # type: ignore[attr-defined]
    held = distances.to_train("test", 1)
    return {
        "copying": pd.DataFrame(
            {
                "index": generated.index,
                "nearest": train.index[near],
                "distance": per_sample["near_duplicate_rate"],
                "calibrated_distance": per_sample["calibrated_distance"],
                "third_ratio": per_sample["third_ratio"],
                "authentic": per_sample["authenticity"],
                "placement": per_sample["data_copying"],
                "fld_score": per_sample["likelihood_divergence"],
            }
        ),
        "copying_heldout": pd.DataFrame(
            {
                "index": test.index,
                "nearest": train.index[held.positions[:, 0]],
                "distance": held.distances[:, 0],
            }
        ),
        "nearest_ratio": pd.DataFrame(
            {"index": train.index, "rho": per_sample["nearest_ratio"], "fld_score": fld}
        ),
    }


def _settings(work: _Work, preset: str) -> dict[str, Any]:
    settings = {"preset": preset, "features": work.features, "seed": work.seed}
    return {**settings, **asdict(work.sizes)}


def _print(samples: Samples) -> dict[str, Any]:
    return {
        "samples": len(samples.x),
        "shape": list(samples.x.shape[1:]),
        "fingerprint": fingerprint(np.ascontiguousarray(samples.x), samples.index),
    }


def _pictured(*sets: npt.NDArray[Any]) -> bool:
    """Whether all are pictures of 1 or 3 channels, bytes or numbers in 0..1."""
    return all(
        x.ndim == 4
        and x.shape[1] in (1, 3)
        and (x.dtype == np.uint8 or (x.min() >= 0 and x.max() <= 1))
        for x in sets
    )


def _bytes(x: npt.NDArray[Any]) -> npt.NDArray[np.uint8]:
    if x.dtype == np.uint8:
        return x
    return np.rint(255 * x.astype(np.float64)).astype(np.uint8)
