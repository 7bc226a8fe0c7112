"""One tracing: a model along its checkpoints, what is differentiated, and under which noise."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy.typing as npt

from genmem.device import recorded
from genmem.influence import batches
from genmem.influence.capture.factors import Capture
from genmem.influence.capture.forms import Form
from genmem.influence.checkpoints.trajectory import Trajectory
from genmem.influence.samples import Data, Samples, read_samples
from genmem.influence.side import LiveSide, Noise, Room, Side
from genmem.influence.stores.block_files import Kept
from genmem.influence.stores.store import KIND, STORED_BYTES, FactorStore, stored_block
from genmem.influence.traced import Traced

# Queries take draws of their own: a query that is also a training sample would otherwise share them
# with itself, and its own product would carry the bias of the plain self-influence.
_STREAMS = {"train": "tracin train", "test": "tracin test"}

# Shares of the memory. The training samples are captured anew for every block of queries, so theirs
# is the larger; the rest is left to scores and to capturing, one batch at a time.
_QUERIES, _POINTS = 0.4, 0.2


class Tracing:
    """Makes the sides of gradient products, live or stored, that belong together.

    trained, tested  what is differentiated at training and at test samples
    recipe           of a run, which decides what the model sees of a data set; or None
    latent           values per draw; None: model.latent, or no noise if the model has none
    The others are as in `TracIn`. Raises ValueError for counts below 1.
    """

    def __init__(
        self,
        trajectory: Trajectory,
        trained: Traced,
        tested: Traced,
        recipe: Any,
        *,
        draws: int,
        seed: int,
        latent: int | None,
        memory: int,
        block: int | None,
        strict: bool,
    ) -> None:
        for name, value in (
            ("draws", draws),
            ("memory", memory),
            ("block", 1 if block is None else block),
        ):
            if value < 1:
                raise ValueError(f"TracIn: {name} is {value}; at least 1 is wanted")
        self.trajectory, self._recipe = trajectory, recipe
        self._traced = {"train": trained, "test": tested}
        self.draws, self._seed, self.latent = draws, seed, latent
        self._memory, self._block, self._strict = memory, block, strict
        if latent is None:
            found = getattr(trajectory.model, "latent", None)
            self.latent = found if isinstance(found, int) else None

    @property
    def count(self) -> int:
        """Checkpoints that take part, as far as that is known."""
        return len(self.trajectory.active)

    @property
    def _test_objective(self) -> str | None:
        """Its name, if it is not the training's."""
        same = self._traced["test"] is self._traced["train"]
        return None if same else self._traced["test"].name

    def capture(self, side: str, form: Form, like: Capture | None = None) -> Capture:
        """A capture of the loss of a side; see `Capture` for form and like."""
        traced = self._traced[side]
        return Capture(
            self.trajectory.model,
            traced.loss,
            form=form,
            strict=self._strict,
            by_layers=all(one.by_layers for one in self._traced.values()),
            like=like,
        )

    def visits(self, sides: Sequence[Side]) -> Iterator[tuple[int, float]]:
        """(c, w_c) of each checkpoint, the model holding its weights, while sides are of it.

        Afterwards the loss of the training samples is compared with the recorded one.
        """
        live = [side for side in sides if isinstance(side, LiveSide)]
        for c, weight in self.trajectory.visit():
            for side in sides:
                if isinstance(side, FactorStore):
                    side.require_model(c, self.trajectory.digest())
            for side in live:
                side.renew()
            yield c, weight
            trained = next((side for side in live if side.name == "train"), None)
            if trained is not None:
                trained.losses.compare(self.trajectory.checkpoints[c], c)

    def problem(
        self,
        test: Data | FactorStore,
        train: Data | FactorStore,
        test_ids: npt.ArrayLike | None,
        train_ids: npt.ArrayLike | None,
    ) -> tuple[Side, Side, Iterator[tuple[int, float]]]:
        """Both sides of the products, and the visits of the checkpoints, which load the model."""
        capture = self.capture("test", "pairs")
        queries = self.side("test", test, test_ids, capture, self.room(_QUERIES))
        if self._test_objective is not None:
            same_layers = None if isinstance(test, FactorStore) else capture
            capture = self.capture("train", "pairs", same_layers)
        points = self.side("train", train, train_ids, capture, self.room(_POINTS))
        return queries, points, self.visits([queries, points])

    def samples(self, name: str, data: Data, ids: npt.ArrayLike | None) -> Samples:
        """Data as the model takes them, under the name of their side."""
        dtype, device = batches.placement(self.trajectory.model)
        return read_samples(name, data, ids, self._recipe, dtype, device)

    def side(
        self,
        name: str,
        data: Data | FactorStore,
        ids: npt.ArrayLike | None,
        capture: Capture,
        room: Room,
        draws: range | None = None,
    ) -> Side:
        """Data to be captured with some of the draws, or a store of the same tracing."""
        if not isinstance(data, FactorStore):
            return self.live(name, self.samples(name, data, ids), capture, room, draws)
        if ids is not None:
            raise ValueError(
                f"TracIn: {name} is a FactorStore, captured with its ids; pass no others"
            )
        data.require(
            objective=self._traced["train"].name,
            test_objective=self._test_objective,
            side=name,
            draws=self.draws,
            latent=self.latent,
            seed=self._seed,
        )
        return data

    def live(
        self,
        name: str,
        samples: Samples,
        capture: Capture,
        room: Room,
        draws: range | None = None,
    ) -> LiveSide:
        """Samples that are captured when they are asked for, with all draws or some."""
        drawn = range(self.draws) if draws is None else draws
        noise = Noise(self._seed, _STREAMS[name], drawn, self.latent)
        return LiveSide(capture, samples, noise, room, self._block)

    def room(self, share: float | None) -> Room:
        """A share of the memory for the factors of a block (None: of a batch), and what a batch
        takes."""
        return Room(None if share is None else int(share * self._memory), self._memory // 5)

    def identity(
        self,
        side: str,
        samples: Samples,
        live: LiveSide,
        out: str | Path | None,
        dtype: Kept | None,
    ) -> dict[str, Any]:
        """What a store of these samples is bound to; the model must hold the first weights."""
        rows = live.block_rows()
        if out is not None:
            rows = stored_block(out, live.block_rows(STORED_BYTES))
        return {
            "kind": KIND,
            "genmem": metadata.version("genmem"),
            "data": samples.digest(),
            "samples": len(samples),
            "side": side,
            "objective": self._traced["train"].name,
            "test_objective": self._test_objective,
            "draws": self.draws,
            "latent": self.latent,
            "seed": self._seed,
            "checkpoints": list(self.trajectory.active),
            "weights": [float(self.trajectory.weights[c]) for c in self.trajectory.active],
            "block": rows,
            "dtype": dtype,
            # The recipe decides what a model sees of a data set (binarisation, dequantisation).
            "recipe": None if self._recipe is None else self._recipe.to_dict(),
            "device": recorded(batches.placement(self.trajectory.model)[1]),
        }
