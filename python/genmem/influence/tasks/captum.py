"""TracInCP as captum 0.9 shapes it: the same constructor, calls and answers, by exact factors.

    TracInCP(x_i, z) = sum_c lr_c < grad l(x_i; theta_c), grad l(z; theta_c) >,  lr_c as loaded

What differs: all layers are on the fast path or formed by autograd, none is dropped; each
checkpoint is loaded once per call; train gradients are streamed; the model is left as it was;
loaders that shuffle are refused; files are read without unpickling.

Source: Pruthi et al. (2020); captum.influence.TracInCP 0.9.0.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias, overload

import numpy as np
import torch
from torch import Tensor, nn

from genmem.influence import batches
from genmem.influence.checkpoints.foreign import LoadFunction, load_state, loaded_by
from genmem.influence.products import check_k, strongest
from genmem.influence.samples import Data
from genmem.influence.tasks.chosen import only
from genmem.influence.traced import Traced
from genmem.influence.tracin import TracIn
from genmem.kernels import TopInfluences
from genmem.kernels.native import MEMORY

LossFunction: TypeAlias = nn.Module | Callable[[Tensor, Tensor], Tensor] | None


class KMostInfluentialResults(NamedTuple):
    """indices (Q, k) int64 and influence_scores (Q, k), strongest first."""

    indices: Tensor
    influence_scores: Tensor


class TracInCP:
    """Influence through checkpoints, called as captum's.

    model          module; batch normalisation and dropout in eval mode
    train_dataset  a torch data set of tuples, the last entry the labels, or an unshuffled loader
    checkpoints    a directory of files, in the order of their names; a list of paths; an iterable
                   of whatever checkpoints_load_func takes
    checkpoints_load_func  fills the model, returns the learning rate, which weighs the checkpoint;
                   default: a state dictionary, alone or beside "lr" or "learning_rate", else rate 1
    layers         names of layers; None: all
    loss_fn        per sample ("none"), or a reduction: "mean" and "sum" are read as the loss of one
                   sample alone. None: the output of the model is the loss, (B,) or (B, 1)
    batch_size     taken, and without effect: batches are as large as memory allows
    test_loss_fn   of test samples; None: loss_fn
    sample_wise_grads_per_batch  taken, and without effect

    Scores have the type of the model's parameters, summed in float64.
    """

    def __init__(
        self,
        model: nn.Module,
        train_dataset: Any,
        checkpoints: str | Path | Iterable[Any],
        checkpoints_load_func: LoadFunction = load_state,
        layers: list[str] | None = None,
        loss_fn: LossFunction = None,
        batch_size: int | None = 1,
        test_loss_fn: LossFunction = None,
        sample_wise_grads_per_batch: bool = False,
        *,
        memory: int = MEMORY,
        threads: int | None = None,
    ) -> None:
        self.model, self.train_dataset, self.layers = model, train_dataset, layers
        self.loss_fn, self.test_loss_fn = loss_fn, test_loss_fn
        self.checkpoints = _places(checkpoints)
        self._options: dict[str, Any] = {
            "model": model,
            "weights": "lr",
            "test_objective": None if test_loss_fn is None else _traced(test_loss_fn),
            "memory": memory,
            "threads": threads,
        }
        self._loaded = loaded_by(self.checkpoints, checkpoints_load_func)

    @overload
    def influence(
        self,
        inputs: Any,
        k: None = None,
        proponents: bool = True,
        show_progress: bool = False,
        aggregate: bool = False,
    ) -> Tensor: ...
    @overload
    def influence(
        self,
        inputs: Any,
        k: int,
        proponents: bool = True,
        show_progress: bool = False,
        aggregate: bool = False,
    ) -> KMostInfluentialResults: ...
    def influence(
        self,
        inputs: Any,
        k: int | None = None,
        proponents: bool = True,
        show_progress: bool = False,
        aggregate: bool = False,
    ) -> Tensor | KMostInfluentialResults:
        """(Q, N) influence of training on test samples, or of each test sample the k strongest.

        inputs      a tuple of tensors, the last the labels, or an unshuffled loader of them
        proponents  False: the k most negative, in ascending order
        aggregate   sums over the test samples: (1, N), or the k strongest of the sums
        """
        tracin, dtype = self._tracin(show_progress), batches.placement(self.model)[0]
        data = tuple(inputs) if isinstance(inputs, list) else inputs
        with only(self.model, self.layers):
            if k is not None and not aggregate:
                top = tracin.influence(data, self.train_dataset, k, proponents)
                return _results(top, dtype)
            scores = tracin.influence(data, self.train_dataset)
        if aggregate:
            scores = scores.sum(0, keepdims=True)
        if k is None:
            return torch.from_numpy(scores).to(dtype)
        check_k(k, scores.shape[1])
        return _results(strongest(scores, k, proponents), dtype)

    def self_influence(
        self,
        inputs: Any = None,
        show_progress: bool = False,
        outer_loop_by_checkpoints: bool = False,
    ) -> Tensor:
        """(N,) influence of each sample on itself; inputs None: the training samples.

        outer_loop_by_checkpoints  taken, and always so
        """
        data: Data = self.train_dataset if inputs is None else inputs
        data = tuple(data) if isinstance(data, list) else data
        with only(self.model, self.layers):
            own = self._tracin(show_progress).self_influence(data)
        return torch.from_numpy(own).to(batches.placement(self.model)[0])

    def _tracin(self, show_progress: bool) -> TracIn:
        tell = _told if show_progress else None
        return TracIn(self._loaded, _traced(self.loss_fn), progress=tell, **self._options)


def _places(checkpoints: str | Path | Iterable[Any]) -> list[Any]:
    """The checkpoints one by one; a directory's files by name, hidden ones left out."""
    if not isinstance(checkpoints, str | Path):
        return list(checkpoints)
    folder = Path(checkpoints)
    if not folder.is_dir():
        raise FileNotFoundError(f"TracInCP: checkpoints is {folder}, which is no directory")
    return [
        str(path) for path in sorted(folder.glob("*")) if path.is_file() and path.name[0] != "."
    ]


def _traced(loss_fn: LossFunction) -> Traced:
    """loss_fn(model(*batch[:-1]), batch[-1]) as one number per sample."""
    name = getattr(loss_fn, "__qualname__", type(loss_fn).__qualname__)
    single = _unreduced(loss_fn)

    def loss(model: nn.Module, batch: Any, noise: Any) -> Tensor:
        inputs = batch if isinstance(batch, tuple) else (batch,)
        if loss_fn is None:
            found: Tensor = model(*inputs[: max(1, len(inputs) - 1)])
            return found.flatten(1).sum(1) if found.dim() > 1 else found
        return single(model(*inputs[:-1]), inputs[-1])

    return Traced(str(name), loss)


def _unreduced(loss_fn: LossFunction) -> Callable[[Tensor, Tensor], Tensor]:
    reduction = getattr(loss_fn, "reduction", None)
    if isinstance(loss_fn, nn.Module) and reduction in ("mean", "sum") and _plain(loss_fn):
        loss_fn = copy.copy(loss_fn)
        vars(loss_fn)["reduction"] = "none"

    def single(output: Tensor, labels: Tensor) -> Tensor:
        assert loss_fn is not None
        found = loss_fn(output, labels)
        if found.dim() == 0:
            # A reduction of unknown kind: the loss of each sample alone is what all kinds agree on.
            rows = range(len(output))
            return torch.stack([loss_fn(output[i : i + 1], labels[i : i + 1]).sum() for i in rows])
        if found.dim() == 1:
            return found
        return found.flatten(1).mean(1) if reduction == "mean" else found.flatten(1).sum(1)

    return single


def _plain(loss_fn: nn.Module) -> bool:
    """Whether a mean over a sample is the mean of what "none" gives: not with class weights or
    ignored labels, which "mean" divides out."""
    weighted = getattr(loss_fn, "weight", None) is not None
    return not weighted and getattr(loss_fn, "ignore_index", -100) == -100


def _results(top: TopInfluences, dtype: torch.dtype) -> KMostInfluentialResults:
    scores = torch.from_numpy(np.asarray(top.scores)).to(dtype)
    return KMostInfluentialResults(torch.from_numpy(top.indices), scores)


def _told(stage: str, done: int, total: int) -> None:
    print(f"\r{stage}: {done / total:.0%}", end="\n" if done == total else "", flush=True)
