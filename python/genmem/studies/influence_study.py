"""The experiments of Kong & Chaudhuri (2021) on any data set, as a run directory.

recipe.toml                      what was asked: data, recipe, sizes, seed, versions
models/trained, models/mixed     trainings on the training samples, alone and with foreign ones
scores/own_top.parquet           training samples as queries: rank among their own proponents
influence/proponents.parquet     strongest proponents and opponents of held-out samples
scores/self_influence.parquet    training samples: plain and unbiased self-influence, loss
scores/cleaning.parquet          the mixture: self-influence at the last checkpoint, foreign or not
summary.json                     each check with its interval, beside what the paper says
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from genmem.ledger import bind, write_text
from genmem.studies.correlation import Float64
from genmem.studies.heldout_influence import related
from genmem.studies.influence_checks import (
    Share,
    class_agreement,
    cleaning,
    own_top,
    self_influence_and_loss,
    top_rate,
)
from genmem.studies.samples import strongest_table
from genmem.studies.stages import Progress, Stages, write_table
from genmem.studies.summary import machine, versions

if TYPE_CHECKING:
    from genmem.datasets import Dataset
    from genmem.influence import TracIn
    from genmem.training import Recipe, Run

# What the paper and its authors' account of it say, of MNIST; None: no figure was read.
PAPER: dict[str, str | None] = {
    "own_top": "> 99 %",
    "proponents": "about 80 %",
    "opponents": "about 40 %",
    "r2": "0.53 (one figure)",
    "auc": None,
    "area": None,
}


@dataclass(frozen=True)
class Sizes:
    """queries: of the training and of the held-out samples each, the first so many; k: proponents
    and opponents kept of a held-out sample; draws: latent draws per gradient."""

    queries: int = 128
    k: int = 10
    draws: int = 4


def influence_study(
    train: Dataset,
    test: Dataset,
    foreign: Dataset | None,
    recipe: Recipe,
    out: str | Path,
    *,
    sizes: Sizes | None = None,
    seed: int = 0,
    threads: int | None = None,
    progress: Progress | None = None,
    device: str = "auto",
) -> dict[str, Any]:
    """Train, trace, and check influence on labelled samples; returns the summary.

    train, test  with labels and of one shape
    foreign      samples of another source and of that shape, which the cleaning should find; None:
                 no cleaning
    recipe       of both trainings; TracIn weighs its checkpoints by "lr_steps". Products of
                 gradients follow their norms, so that a few samples may be the proponents of all:
                 cosines stand beside them

    device       where models are trained and traced: "auto", the card if torch sees one and `out`
                 was not begun on the CPU; "cpu"; "cuda" or "cuda:1"

    Run again, it does what is missing; RunMismatchError if `out` holds another study, or one of the
    other kind of device. Raises ValueError for missing labels or other shapes, BackendError for a
    device that torch cannot use.
    """
    from genmem.device import UNWRITTEN, passed_on, recorded

    chosen = sizes or Sizes()
    _check(train, test, foreign, chosen)
    directory = Path(out)
    held = {"train": train, "test": test, "foreign": foreign}
    where = passed_on(device, "influence_study", directory)
    bind(
        directory,
        {
            "influence_study": asdict(chosen) | {"seed": seed},
            "recipe": recipe.to_dict(),
            "data": {name: one.fingerprint for name, one in held.items() if one is not None},
            "versions": versions(),
            "device": recorded(where),
        },
        UNWRITTEN,
    )
    study = _Study(train, test, foreign, recipe, directory, chosen, seed, threads, progress, where)
    study.run_all()
    found: dict[str, Any] = json.loads((directory / "summary.json").read_text(encoding="utf-8"))
    return found


def joined(first: Dataset, second: Dataset) -> Dataset:
    """Two sets of one shape as one, without labels; those of the second get identities after the
    greatest of the first. Sets of different types or value ranges become floats in 0..1."""
    from genmem.datasets import Dataset

    same = first.x.dtype == second.x.dtype and first.value_range == second.value_range
    return Dataset(
        name=f"{first.name}+{second.name}",
        x=np.concatenate([one.x if same else one.unit() for one in (first, second)]),
        index=np.concatenate([first.index, first.index.max() + 1 + np.arange(len(second))]),
        value_range=first.value_range if same else (0.0, 1.0),
    )


@dataclass(frozen=True)
class _Study:
    train: Dataset
    test: Dataset
    foreign: Dataset | None
    recipe: Recipe
    directory: Path
    sizes: Sizes
    seed: int
    threads: int | None
    progress: Progress | None
    device: str

    def run_all(self) -> None:
        stages = Stages(self.directory, self.progress)
        do, within = stages.do, stages.within
        do("train", ["models/trained"], partial(self._train, "trained", within("train")))
        do("own top", ["scores/own_top.parquet"], partial(self._own_top, within("own top")))
        do("proponents", ["influence/proponents.parquet", "scores/classes.parquet"],
           partial(self._proponents, within("proponents")))  # fmt: skip
        do("self-influence", ["scores/self_influence.parquet"],
           partial(self._self_influence, within("self-influence")))  # fmt: skip
        if self.foreign is not None:
            mix = partial(self._train, "mixed", within("train mixed"))
            do("train mixed", ["models/mixed"], mix)
            do("cleaning", ["scores/cleaning.parquet"], partial(self._cleaning, within("cleaning")))
        do("summary", ["summary.json"], partial(self._summary, stages), last=True)

    def _mixture(self) -> Dataset:
        assert self.foreign is not None
        return joined(self.train, self.foreign)

    def _train(self, name: str, tell: Progress) -> None:
        from genmem.training import train

        data = self.train if name == "trained" else self._mixture()
        out = self.directory / "models" / name
        train(self.recipe, data, out, progress=tell, device=self.device)

    def _run(self, name: str) -> Run:
        from genmem.training import Run

        return Run.load(self.directory / "models" / name)

    def _tracin(self, run: Run, tell: Progress, **options: Any) -> TracIn:
        from genmem.influence import TracIn

        return TracIn(
            run,
            draws=self.sizes.draws,
            seed=self.seed,
            threads=self.threads,
            progress=tell,
            device=self.device,
            **options,
        )

    def _influence(self, queries: Dataset, tell: Progress, *, cosine: bool = False) -> Float64:
        from genmem.models import single_thread

        with single_thread():
            tracin = self._tracin(self._run("trained"), tell, cosine=cosine)
            return tracin.influence(queries, self.train)

    def _own_top(self, tell: Progress) -> None:
        own = np.arange(min(self.sizes.queries, len(self.train)))
        queries = self.train.take(own)
        scores = self._influence(queries, tell)
        strongest = scores.argmax(axis=1)
        table = {
            "index": queries.index,
            "rank": own_top(scores, own).ranks,
            "rank_cosine": own_top(self._influence(queries, tell, cosine=True), own).ranks,
            "score": scores[own, own],
            "strongest": self.train.index[strongest],
            "strongest_score": scores[own, strongest],
        }
        self._write("scores/own_top", table)

    def _proponents(self, tell: Progress) -> None:
        queries = self.test.take(np.arange(min(self.sizes.queries, len(self.test))))
        assert queries.y is not None
        assert self.train.y is not None
        scores = self._influence(queries, tell)
        cosines = self._influence(queries, tell, cosine=True)
        shares: dict[str, Share] = {}
        for name, values, k in (
            ("", scores, 1), ("_k", scores, self.sizes.k), ("_cosine", cosines, 1)
        ):  # fmt: skip
            found = class_agreement(values, queries.y, self.train.y, k)
            shares |= {f"{side}{name}": share for side, share in found._asdict().items()}
        self._write(
            "scores/classes",
            {"check": list(shares), **pd.DataFrame([one._asdict() for one in shares.values()])},
        )
        table = strongest_table(queries.index, scores, self.train.index, self.sizes.k)
        self._write("influence/proponents", related(table, queries, self.train))

    def _self_influence(self, tell: Progress) -> None:
        from genmem.models import single_thread

        run = self._run("trained")
        with single_thread():
            tracin = self._tracin(run, tell)
            table = {
                "index": self.train.index,
                "self_influence": tracin.self_influence(self.train),
                "unbiased": tracin.self_influence(self.train, unbiased=True),
                "loss": _losses(run, self.train, self.sizes.draws, self.seed, self.device),
            }
        self._write("scores/self_influence", table)

    def _cleaning(self, tell: Progress) -> None:
        from genmem.models import single_thread

        run, mixture = self._run("mixed"), self._mixture()
        last = [0.0] * (len(run.checkpoints) - 1) + [1.0]
        with single_thread():
            own = self._tracin(run, tell, weights=last).self_influence(mixture)
        foreign = np.arange(len(mixture)) >= len(self.train)
        table = {"index": mixture.index, "self_influence": own, "foreign": foreign}
        self._write("scores/cleaning", table)

    def _summary(self, stages: Stages) -> None:
        from genmem.kernels import config

        own = self._read("scores/own_top")
        classes = self._read("scores/classes").set_index("check")
        table = self._read("scores/self_influence")
        losses = self_influence_and_loss(table["self_influence"], table["loss"])
        ranks, by_cosine = (own[name].to_numpy() for name in ("rank", "rank_cosine"))
        checks: dict[str, Any] = {
            "own_top": _share(top_rate(ranks, len(self.train))),
            "own_top_cosine": _share(top_rate(by_cosine, len(self.train))),
            "own_reciprocal_rank": float((1 / ranks).mean()),
            **{name: _share(Share(*row)) for name, *row in classes.itertuples()},
            "r2": {"value": losses.r2, "lower": losses.lower, "upper": losses.upper},
            "rank_correlation": losses.ranks._asdict(),
        }
        if self.foreign is not None:
            mixed = self._read("scores/cleaning")
            cleaned = cleaning(mixed["self_influence"], mixed["foreign"].to_numpy())
            for name, ends in (("auc", cleaned.auc_interval), ("area", cleaned.area_interval)):
                value = float(getattr(cleaned.found, name))
                checks[name] = {"value": value, "lower": ends[0], "upper": ends[1]}
            checks["area"] |= {
                "best": cleaned.found.area_best, "chance": cleaned.found.area_chance
            }  # fmt: skip
        facts = {
            "title": f"Influence in {self.train.name}",
            "data": {"train": len(self.train), "test": len(self.test),
                     "foreign": 0 if self.foreign is None else len(self.foreign)},
            "sizes": asdict(self.sizes),
            "checkpoints": list(self.recipe.checkpoints),
            "checks": checks,
            "paper": PAPER,
            "stages": [one for one in stages.records() if one["name"] != "summary"],
            "machine": machine(self.threads or config()["threads"]),
        }  # fmt: skip
        write_text(
            self.directory / "summary.json", json.dumps(facts, indent=1, allow_nan=False) + "\n"
        )

    def _read(self, path: str) -> pd.DataFrame:
        return pd.read_parquet(self.directory / f"{path}.parquet")

    def _write(self, path: str, columns: Any) -> None:
        write_table(self.directory / f"{path}.parquet", pd.DataFrame(columns))


def _losses(run: Run, data: Dataset, draws: int, seed: int, device: str) -> npt.NDArray[np.float64]:
    """The traced loss of each sample at the last checkpoint, in nats, (N,)."""
    import torch

    from genmem import noise
    from genmem.device import device_of, full_precision
    from genmem.models.observed import placed
    from genmem.objectives import make
    from genmem.training import Inputs

    model, inputs = run.model(device=device), Inputs(run.recipe, data)
    objective, where = make(run.recipe), device_of(model)
    out = np.empty(len(data))
    for start in range(0, len(data), 512):
        at = np.arange(start, min(start + 512, len(data)))
        keys = np.arange(draws)
        drawn = noise.normals(seed, data.index[at], keys, run.recipe.latent, stream="study losses")
        with torch.no_grad(), full_precision(where):
            x, eps = placed(inputs.batch(at), where), torch.from_numpy(drawn).to(where)
            losses = objective.loss(model, x, eps)
        out[at] = losses.double().cpu().numpy()
    return out


def _share(one: Share) -> dict[str, float]:
    return {name: float(value) for name, value in one._asdict().items()}


def _check(train: Dataset, test: Dataset, foreign: Dataset | None, sizes: Sizes) -> None:
    for name in ("queries", "k", "draws"):
        value = getattr(sizes, name)
        if value < (2 if name == "draws" else 1) or (name == "draws" and value % 2):
            raise ValueError(f"influence_study: {name} is {value}; see Sizes, draws are even")
    for name, one in (("train", train), ("test", test)):
        if one.y is None:
            raise ValueError(f"influence_study: {name} ({one.name}) has no labels")
    for one in [test] if foreign is None else [test, foreign]:
        if one.shape != train.shape:
            raise ValueError(
                f"influence_study: {one.name} has samples of shape {one.shape}, {train.name} of "
                f"{train.shape}"
            )
