"""TracIn: influence of training samples on others, traced through the checkpoints of a training.

    TracIn(x_i, z) = sum_c w_c < grad l(x_i; theta_c), grad l(z; theta_c) >

Positive: x_i is a proponent of z, training on it lowered the loss at z. Negative: an opponent.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, overload

import numpy as np
import numpy.typing as npt
from torch import nn

from genmem.device import torch_device
from genmem.influence.checkpoints.foreign import LoadedBy, Source
from genmem.influence.checkpoints.trajectory import Trajectory
from genmem.influence.checkpoints.weights import Weights
from genmem.influence.generated import GeneratedInfluence, generated_samples, over_samples
from genmem.influence.products import (
    Settings,
    check_k,
    influence_scores,
    strongest,
    summed_products,
)
from genmem.influence.protocols import Checkpoint, Loss, Progress, Trained
from genmem.influence.samples import Data
from genmem.influence.self_influence import add_self_products, divided_draws
from genmem.influence.stores.block_files import ROUNDOFF, Kept
from genmem.influence.stores.store import FactorStore
from genmem.influence.traced import Traced
from genmem.influence.tracing import Tracing
from genmem.kernels import TopInfluences
from genmem.kernels.grad_dot import checked_tol
from genmem.kernels.native import MEMORY

Float64 = npt.NDArray[np.float64]


class TracIn:
    """Influence and self-influence by products of loss gradients, in nats under the named weights.

    run_or_checkpoints  a Run, or checkpoints: objects with .state(), files or state dictionaries,
                        which hold the weights alone or beside their "lr" and "step"; see also
                        `state_checkpoints` (rates and steps beside them) and `loaded_by` (a
                        `checkpoints_load_func`). Each is loaded once per call. One that has
                        .train_loss is warned of if the traced loss of as many samples as it was
                        trained on is far from it
    objective           loss(model, batch, noise) -> (B,), one number per sample, or an object with
                        such a method .loss; None: the objective of the run's recipe
    model               the module that checkpoints belong to (a Run brings its own). It is used in
                        place, and left as it was found. It must be in eval mode
    draws               m latent draws per sample, after one encoder pass
    seed                of the draws, which are keyed by (seed, side, id of the sample, draw)
    weights             "lr_steps", "lr", "nats", a sequence (C,), or a callable of a checkpoint;
                        see `checkpoint_weights`
    latent              values per draw; None: model.latent, or no noise if the model has none
    test_objective      what is differentiated at test samples, if it is not the loss: any number
                        per sample of which less is better (minus the logit of a class, say)
    cosine              each product is divided by both norms, checkpoint by checkpoint: influence
                        that does not follow the norms of gradients. No reading in nats
    tol                 of influence: an error that is good enough, from 1e-4 on, relative to the
                        norms of the two gradients at each checkpoint; proven. Faster where
                        `grad_dot` is
    memory              bytes to work in, beyond data and answers: samples are streamed in blocks
    block               rows of a block instead of as many as `memory` allows
    strict              False: parameters that cannot be captured are left out with a warning
    threads             of the gradient products (None: as `genmem.grad_dot` chooses); captures take
                        torch's
    progress            called with (stage, done, total)
    device              where gradients are captured: "cpu", "cuda" or "cuda:1". "auto": a Run's on
                        the card if torch sees one; model= where it lies. A device that is named
                        moves model= there, for good. Where genmem was built for the card, products
                        are of the card too, to their stated errors; answers are NumPy

    Data are a Dataset, an array, a tensor, a tuple of them (the batch is then a tuple), or a torch
    data set or loader, whose items are collated as its batches are when they are needed. The noise
    of a sample of an array is keyed by its position unless ids are given. Samples are never merged,
    and neither order nor block size changes a score beyond rounding. Nor does the device: without
    TF32, a card's products of float32 gradients are within 1e-4 |g_i| |g_j| of the CPU's.

    Raises BackendError for a device that torch cannot use.

    Source: Pruthi et al. (2020); for variational autoencoders Kong & Chaudhuri (2021).
    """

    def __init__(
        self,
        run_or_checkpoints: Trained | Sequence[Checkpoint | Source | LoadedBy],
        objective: Loss | Any = None,
        *,
        model: nn.Module | None = None,
        draws: int = 16,
        seed: int = 0,
        weights: Weights = "lr_steps",
        latent: int | None = None,
        test_objective: Loss | Any = None,
        cosine: bool = False,
        tol: float | None = None,
        memory: int = MEMORY,
        block: int | None = None,
        strict: bool = True,
        threads: int | None = None,
        progress: Progress | None = None,
        device: str = "auto",
    ) -> None:
        given: Any = run_or_checkpoints
        run = given if hasattr(given, "recipe") else None
        checkpoints = given if run is None else run.checkpoints
        recipe = None if run is None else run.recipe
        trained = Traced.of(objective, recipe)
        self._run = run
        self._settings = Settings(cosine, memory, threads, progress, checked_tol(tol))
        self._tracing = Tracing(
            Trajectory(_model(run, model, device), checkpoints, weights),
            trained,
            trained if test_objective is None else Traced.of(test_objective, None),
            recipe,
            draws=draws,
            seed=seed,
            latent=latent,
            memory=memory,
            block=block,
            strict=strict,
        )

    @property
    def weights(self) -> Float64:
        """(C,) weight of each checkpoint."""
        return self._tracing.trajectory.weights.copy()

    @overload
    def influence(
        self,
        test: Data | FactorStore,
        train: Data | FactorStore,
        k: None = None,
        proponents: bool = True,
        *,
        test_ids: npt.ArrayLike | None = None,
        train_ids: npt.ArrayLike | None = None,
    ) -> Float64: ...
    @overload
    def influence(
        self,
        test: Data | FactorStore,
        train: Data | FactorStore,
        k: int,
        proponents: bool = True,
        *,
        test_ids: npt.ArrayLike | None = None,
        train_ids: npt.ArrayLike | None = None,
    ) -> TopInfluences: ...
    def influence(
        self,
        test: Data | FactorStore,
        train: Data | FactorStore,
        k: int | None = None,
        proponents: bool = True,
        *,
        test_ids: npt.ArrayLike | None = None,
        train_ids: npt.ArrayLike | None = None,
    ) -> Float64 | TopInfluences:
        """Influence of each of N training samples on each of Q test samples.

        test, train  data, or what `capture` kept of them
        k            only the k strongest of each row: the most positive in descending order, or
                     with proponents=False the most negative in ascending order; ties to the lower
                     position
        returns      (Q, N) float64, or TopInfluences of positions (Q, k) int64 and scores (Q, k)

        Memory: two blocks of factors and the (Q, N) scores, which with k move to a temporary file
        when they exceed a fifth of the budget. Each checkpoint is loaded once; training samples are
        captured once per checkpoint and block of test samples.
        """
        queries, points, visits = self._tracing.problem(test, train, test_ids, train_ids)
        with self._tracing.trajectory.restored():
            return influence_scores(
                queries, points, visits, self._tracing.count, k, proponents, self._settings
            )

    def influence_on_generated(
        self,
        generated: int | Data,
        train: Data | FactorStore,
        k: int | None = None,
        proponents: bool = True,
        *,
        sample_seed: int = 0,
        train_ids: npt.ArrayLike | None = None,
    ) -> GeneratedInfluence:
        """Influence of training samples on what the model draws; positive: they raise its
        likelihood.

        generated    how many samples a Run's last model draws, or samples that were drawn elsewhere
        train, k, proponents, train_ids
                     as in `influence`, whose test samples are the generated ones
        sample_seed  of the draws: sample i is the same for every number of them
        returns      GeneratedInfluence: the samples, (Q, N) scores or the k strongest, and their
                     mean over the samples with its standard error
        """
        drawn = generated
        if isinstance(drawn, int | np.integer):
            drawn = generated_samples(self._run, int(drawn), sample_seed)
        queries, points, visits = self._tracing.problem(drawn, train, None, train_ids)
        check_k(k, len(points))
        with self._tracing.trajectory.restored():
            scores = summed_products(
                queries, points, visits, self._tracing.count, self._settings, bounded=True
            )
        overall, error = over_samples(scores)
        found = np.asarray(scores) if k is None else strongest(scores, k, proponents)
        return GeneratedInfluence(drawn, found, overall, error)

    def self_influence(
        self,
        train: Data | FactorStore,
        unbiased: bool = False,
        *,
        sets: int = 2,
        ids: npt.ArrayLike | None = None,
    ) -> Float64:
        """Influence of each training sample on itself, (N,) float64.

        unbiased  False: sum_c w_c |g|^2, whose expectation exceeds that of exact gradients by
                  tr Var(g) / m. True: products of independent sets of draws, which may be negative
        sets      how many sets the draws are divided into: 2 halves, up to `draws` sets of one.
                  The encoder runs once per set

        For a loss without draws both forms are the same.
        """
        tracing = self._tracing
        divided = unbiased and tracing.latent is not None
        parts = divided_draws(tracing.draws, sets) if divided else [range(tracing.draws)]
        if divided and self._settings.cosine:
            raise ValueError("self_influence: a cosine has no unbiased form; unbiased=False")
        if divided and isinstance(train, FactorStore):
            raise ValueError("self_influence: a FactorStore holds one set of draws; pass the data")
        capture = tracing.capture("train", "norms")
        room = tracing.room(None if len(parts) == 1 else 0.5 / len(parts))
        sides = [tracing.side("train", train, ids, capture, room, part) for part in parts]
        scores = np.zeros(len(sides[0]))
        with tracing.trajectory.restored():
            visits = tracing.visits(sides)
            add_self_products(scores, visits, tracing.count, sides, self._settings)
        return scores

    def capture(
        self,
        data: Data,
        out: str | Path | None = None,
        *,
        side: Literal["train", "test"] = "train",
        ids: npt.ArrayLike | None = None,
        dtype: Kept | None = None,
        part: tuple[int, int] = (0, 1),
    ) -> FactorStore:
        """The factors of `data` at every checkpoint, for `influence`, `score` or `genmem.grad_dot`.

        out    a directory; a capture that was interrupted goes on where it stopped. None: memory
        side   whose draws to take
        dtype  "float32" or "bfloat16" to round the factors to, with `rounding_bound` as the error
               of products; None: as they were captured
        part   (i, n): make only blocks i, i + n, ... of `out`, while other processes make the
               others with the same arguments. A capture without it, or `FactorStore.open`, tells
               whether all are there

        Raises RunMismatchError, with both values, if `out` holds a capture of something else, or on
        the other kind of device; ValueError for another dtype or part, or parts in memory.
        """
        if dtype not in ROUNDOFF:
            raise ValueError(f"capture: dtype is {dtype!r}; float32, bfloat16 or None is wanted")
        if not 0 <= part[0] < part[1] or (part[1] > 1 and out is None):
            raise ValueError(
                f"capture: part is {part} and out is {out}; (i, n) with 0 <= i < n is wanted, and "
                "a directory for n > 1"
            )
        tracing = self._tracing
        capture = tracing.capture(side, "pairs")
        samples = tracing.samples(side, data, ids)
        live = tracing.live(side, samples, capture, tracing.room(0.5))
        with tracing.trajectory.restored():
            for done, (c, weight) in enumerate(tracing.visits([live])):
                if done == 0:
                    store = FactorStore(tracing.identity(side, samples, live, out, dtype), out)
                store.fill(c, weight, live, tracing.trajectory.digest(), part)
                if self._settings.progress is not None:
                    self._settings.progress("capture", done + 1, tracing.count)
        return store


def _model(run: Any, model: nn.Module | None, device: str) -> nn.Module:
    """The module to trace, where it is to be traced."""
    if (run is None) == (model is None):
        raise ValueError(
            "TracIn: a Run brings its own model, and checkpoints need model=; exactly one is wanted"
        )
    if model is not None:
        return model if device == "auto" else model.to(torch_device(device, "TracIn"))
    found: nn.Module = run.model()
    return found.to(torch_device(device, "TracIn"))
