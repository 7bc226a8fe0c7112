"""The stages of an audit, in order, each written once and read back by those behind it."""

from __future__ import annotations

import json
import warnings
from concurrent.futures import Executor, as_completed
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from genmem.heard import Heard, listening, numberless, recall, say_again
from genmem.ledger import write_text
from genmem.memorization import MemorizationScores, cross_validate, read_units
from genmem.studies.agreement import agreement
from genmem.studies.attributes import assemble, correlate
from genmem.studies.comparison import cross_validated, halves, learner
from genmem.studies.correlation import Float64
from genmem.studies.course import course
from genmem.studies.duplicates import Duplicates, duplicates
from genmem.studies.neighbourhood import Neighbours, local_density, neighbours
from genmem.studies.presets import Preset
from genmem.studies.samples import (
    either_end,
    generated_tables,
    influence_table,
    neighbour_table,
    read_neighbours,
    write_images,
    write_self_influence,
)
from genmem.studies.stages import Stages, write_table
from genmem.studies.summary import blunt_test, summarise

if TYPE_CHECKING:
    from genmem.datasets import Dataset
    from genmem.training import Recipe, Run

# Rows of either end of the ranking, pairs of duplicates, and samples at either end of the influence
# on generated ones, whose pictures are kept for a page.
_PICTURED_ROWS, _PICTURED_PAIRS, _PICTURED_DRIVERS = 24, 200, 6
_GENERATED = [
    "scores/generated_influence.parquet",
    "influence/generated.parquet",
    "generated.safetensors",
]


@dataclass
class Pipeline:
    """One audit of `data` by `preset` in `directory`, with trainings in `pool`, on `device`."""

    data: Dataset
    preset: Preset
    seed: int
    threads: int
    directory: Path
    stages: Stages
    pool: Executor
    device: str
    command: str | None = None

    def run_all(self) -> None:
        """Every stage that does not stand yet."""
        do, reported = self.stages.do, self.reported
        do("neighbours", ["scores/neighbours.parquet", "scores/density.parquet"], self._neighbours)
        do("train", [f"models/{name}" for name in self.preset.recipes], self._train)
        for name in self.preset.learners():
            work = self._cross_validate if self._by_folds(name) else self._closed_form
            do(f"memorization {name}", [f"memorization/{name}"], partial(work, name))
        outputs = ("scores/memorization", "scores/by_epoch", "tables/history")
        do("scores", [f"{path}.parquet" for path in outputs], partial(self._scores, reported))
        do("self-influence", ["scores/self_influence.parquet"], self._self_influence)
        do("proponents", ["influence/proponents.parquet"], self._proponents)
        do("generated", _GENERATED, self._generated)
        do("attributes", ["scores/attributes.parquet"], self._attributes)
        tables = ["tables/attribute_correlations.parquet", "tables/agreement.parquet"]
        do("agreement", tables, self._compare)
        do("images", ["images.safetensors"], self._images)
        do("summary", ["summary.json"], self._summary, last=True)

    @property
    def reported(self) -> str:
        """The model whose scores are the answer; the others are compared with it."""
        return next(iter(self.preset.recipes))

    @cached_property
    def near(self) -> Neighbours:
        return read_neighbours(self.data, self._read("scores/neighbours"))

    @cached_property
    def scores(self) -> MemorizationScores:
        return MemorizationScores.load(self.directory / "scores/memorization.parquet")

    @cached_property
    def run(self) -> Run:
        from genmem.training import Run

        return Run.load(self.directory / "models" / self.reported)

    @cached_property
    def twins(self) -> Duplicates:
        return duplicates(self.near.distances, self.near.positions)

    def _neighbours(self) -> None:
        near = neighbours(self.data, self.preset.neighbours, threads=self.threads)
        density = local_density(self.data, seed=self.seed, threads=self.threads)
        self._write("scores/neighbours", neighbour_table(self.data, near))
        self._write("scores/density", self._per_sample(log_density=density))

    def _train(self) -> None:
        tell = self.stages.within("train")
        futures = [
            self.pool.submit(
                _train, recipe, self.data, self.directory / "models" / name, self.device
            )
            for name, recipe in self.preset.recipes.items()
        ]
        for done, future in enumerate(as_completed(futures), start=1):
            say_again(future.result())
            tell("train", done, len(futures))

    def _by_folds(self, name: str) -> bool:
        return cross_validated(name, self.data, self.preset)

    def _cross_validate(self, name: str) -> None:
        preset = self.preset
        cross_validate(
            learner(name, self.data, preset, self.seed),
            self.data,
            preset.folds,
            preset.repeats if name == self.reported else preset.other_repeats,
            executor=self.pool,
            out=self._of(name),
            seed=self.seed,
            progress=self.stages.within(f"memorization {name}"),
            device=self.device if name in preset.recipes else "cpu",
        )

    def _closed_form(self, name: str) -> None:
        density = learner(name, self.data, self.preset, self.seed)
        if "threads" in density.get_params():
            density.set_params(threads=self.threads)
        own = density.fit(self.data.rows).self_influence()
        if not density.influence_is_exact:
            warnings.warn(
                f"the self-influence of {name} is approximate: one step of its fit without the "
                "sample, at fixed responsibilities",
                stacklevel=2,
            )
        self._write(f"memorization/{name}/self_influence", self._per_sample(self_influence=own))

    def _scores(self, name: str) -> None:
        scores = MemorizationScores.load(self._of(name) / "scores/memorization.parquet")
        scores.save(self.directory / "scores/memorization.parquet")
        by_epoch = {
            f"epoch_{epoch}": scores.by_epoch[:, e] for e, epoch in enumerate(scores.epochs)
        }
        self._write("scores/by_epoch", self._per_sample(**by_epoch))
        self._write("tables/history", course(read_units(self._of(name))))

    def _self_influence(self) -> None:
        path = self.directory / "scores/self_influence.parquet"
        write_self_influence(path, self._tracin("self-influence"), self.data)

    def _proponents(self) -> None:
        shown = either_end(self.scores.score, self.preset.shown)
        tracin = self._tracin("proponents")
        table = influence_table(tracin, self.data, shown, self.preset.kin)
        self._write("influence/proponents", table)

    def _generated(self) -> None:
        tracin, sizes = self._tracin("generated"), self.preset
        overall, strongest, drawn = generated_tables(
            tracin, self.data, sizes.generated, sizes.kin, self.seed
        )
        self._write("scores/generated_influence", overall)
        self._write("influence/generated", strongest)
        write_images(self.directory / "generated.safetensors", drawn, range(len(drawn)))

    def _attributes(self) -> None:
        density = self._read("scores/density")["log_density"].to_numpy()
        table = assemble(self.data, self.near, density, self.run, self.scores, self.device)
        self._write("scores/attributes", table)

    def _compare(self) -> None:
        table = self._read("scores/attributes")
        self._write("tables/attribute_correlations", correlate(table, self.scores.score))
        memorized = {name: self._memorized(name) for name in self.preset.learners()}
        left_out = [name for name in memorized if not self._by_folds(name)]
        if left_out:
            warnings.warn(
                f"agreement: the scores of {', '.join(left_out)} leave out one sample, those of "
                "the other models a fold",
                stacklevel=2,
            )
        split = {name: self._halves(name) for name in memorized if self._by_folds(name)}
        known = {name: pair for name, pair in split.items() if pair is not None}
        self._write("tables/agreement", agreement(memorized, table, halves=known))

    def _images(self) -> None:
        shown = either_end(self.scores.score, max(_PICTURED_ROWS, self.preset.shown))
        tables = (self._read(f"influence/{name}") for name in ("proponents", "generated"))
        drives = self._read("scores/generated_influence").sort_values("influence", kind="stable")
        ends = pd.concat([drives.head(_PICTURED_DRIVERS), drives.tail(_PICTURED_DRIVERS)])["index"]
        kin = np.concatenate([*(table["train_index"] for table in tables), ends])
        place = {int(name): position for position, name in enumerate(self.data.index)}
        positions = {
            *shown.tolist(),
            *self.near.positions[shown, : self.preset.kin].ravel().tolist(),
            *(place[int(name)] for name in kin),
            *self.twins.pairs[:_PICTURED_PAIRS].ravel().tolist(),
        }
        write_images(self.directory / "images.safetensors", self.data, positions)

    def _summary(self) -> None:
        records = [record for record in self.stages.records() if record["name"] != "summary"]
        facts = summarise(
            self.data,
            self.preset,
            self.scores,
            self.twins,
            seed=self.seed,
            threads=self.threads,
            command=self.command,
            stages=records,
            warnings=self._warnings(records),
        )
        text = json.dumps(facts, indent=1, allow_nan=False)
        write_text(self.directory / "summary.json", text + "\n")

    def _warnings(self, records: list[dict[str, Any]]) -> list[str]:
        """Of the reported scores, of the models compared with them, and of the stages.

        What several models have in common but for its numbers is one line: that of the first.
        """
        models: dict[str, list[str]] = {}
        texts: dict[str, list[str]] = {}
        for name in filter(self._by_folds, self.preset.learners()):
            for text in read_units(self._of(name)).cautions():
                models.setdefault(numberless(text), []).append(name)
                texts.setdefault(numberless(text), []).append(text)
        lines = []
        for key, (first, *others) in models.items():
            named = "" if first == self.reported else f"{first}: "
            alike = f" (alike: {', '.join(others)})" if others else ""
            lines.append(f"{named}{texts[key][0]}{alike}")
        known = {text for alike in texts.values() for text in alike}
        lines += [text for text in self.scores.warnings if text not in known]
        lines += blunt_test(self.scores)
        lines += [text for record in records for text in record["warnings"] if text not in known]
        return list(dict.fromkeys(lines))

    def _tracin(self, stage: str) -> Any:
        from genmem.influence import TracIn

        draws, tell = self.preset.influence_draws, self.stages.within(stage)
        return TracIn(
            self.run,
            draws=draws,
            seed=self.seed,
            threads=self.threads,
            progress=tell,
            device=self.device,
        )

    def _memorized(self, name: str) -> Float64:
        if self._by_folds(name):
            path = self._of(name) / "scores/memorization.parquet"
            return MemorizationScores.load(path).score
        column = self._read(f"memorization/{name}/self_influence")["self_influence"]
        return np.asarray(column, np.float64)

    def _halves(self, name: str) -> tuple[Float64, Float64] | None:
        scores = MemorizationScores.load(self._of(name) / "scores/memorization.parquet")
        return halves(self._of(name), scores, self.seed)

    def _of(self, name: str) -> Path:
        return self.directory / "memorization" / name

    def _per_sample(self, **columns: Any) -> pd.DataFrame:
        return pd.DataFrame({"index": self.data.index, **columns})

    def _read(self, path: str) -> pd.DataFrame:
        return pd.read_parquet(self.directory / f"{path}.parquet")

    def _write(self, path: str, table: pd.DataFrame) -> None:
        write_table(self.directory / f"{path}.parquet", table)


def _train(recipe: Recipe, data: Dataset, out: Path, device: str) -> list[Heard]:
    """Train, and return what was warned of, by earlier attempts at this training too."""
    from genmem.training import train

    with listening() as heard:
        train(recipe, data, out, device=device)
    path = out / "warnings.json"
    before = recall(json.loads(path.read_text(encoding="utf-8"))) if path.is_file() else []
    known = {one.sort for one in before}
    both = [*before, *(one for one in heard if one.sort not in known)]
    if both:
        write_text(path, json.dumps(both, indent=1) + "\n")
    return both
