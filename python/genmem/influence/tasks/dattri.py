"""TracIn as dattri 0.3 shapes it: the same task object and calls, answers (N, Q), exact.

    score[i, j] = sum_c w_c < grad loss(x_i; theta_c), grad target(z_j; theta_c) >

What differs: nothing is projected; sums are float64; test gradients are computed once per
checkpoint, not once per batch; loaders that shuffle are refused; files are read without unpickling.

Source: dattri.task.AttributionTask, dattri.algorithm.tracin.TracInAttributor 0.3.0.
"""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.func import vmap

from genmem.influence import batches
from genmem.influence.checkpoints.foreign import LoadFunction, load_state, loaded_by
from genmem.influence.samples import Data
from genmem.influence.stores.store import FactorStore
from genmem.influence.tasks.chosen import only
from genmem.influence.traced import Traced
from genmem.influence.tracin import TracIn
from genmem.kernels.native import MEMORY

LossFunction = Callable[[Any, Any], Tensor]


def load_for_scoring(model: nn.Module, checkpoint: Any) -> nn.Module:
    """The default `checkpoints_load_func`: a state dictionary or a file of one, and eval mode."""
    load_state(model, checkpoint)
    return model.eval()


class AttributionTask:
    """A loss, a model and its checkpoints, called as dattri's.

    loss_func    f(params, data) -> loss of ONE sample without a batch axis, with `params` a
                 dictionary of parameters for torch.func.functional_call: gradients are formed by
                 autograd, vectorised over samples. Or f(model, batch) -> (B,), whose first argument
                 is called model: gradients are then read from the calls of layers, much faster
    model        the module the checkpoints belong to, used in place and left as it was
    checkpoints  a state dictionary or file, or a list of them
    target_func  what is differentiated at test samples, of the same form; None: loss_func
    checkpoints_load_func  f(model, checkpoint) -> module; default: weights, and eval mode
    """

    def __init__(
        self,
        loss_func: LossFunction,
        model: nn.Module,
        checkpoints: Any,
        target_func: LossFunction | None = None,
        checkpoints_load_func: LoadFunction | None = None,
    ) -> None:
        self.model = model
        self.original_loss_func = loss_func
        self.original_target_func = loss_func if target_func is None else target_func
        alone = isinstance(checkpoints, str | Path | Mapping)
        self.checkpoints: list[Any] = [checkpoints] if alone else list(checkpoints)
        self.checkpoints_load_func = checkpoints_load_func or load_for_scoring

    def get_checkpoints(self) -> list[Any]:
        """The checkpoints, in order."""
        return self.checkpoints


class TracInAttributor:
    """TracIn of a task, called as dattri's; `attribute` answers (N, Q), the transpose of
    `TracIn.influence`.

    weight_list       (C,) weights, learning rates for TracIn
    normalized_grad   cosines of gradients instead of products (CosIn)
    projector_kwargs  taken, and without effect but a warning: products are exact
    layer_name        names of parameters or layers to differentiate; None: all
    device            where to; the model is moved there
    """

    def __init__(
        self,
        task: Any,
        weight_list: Tensor | Sequence[float],
        normalized_grad: bool,
        projector_kwargs: dict[str, Any] | None = None,
        layer_name: str | list[str] | None = None,
        device: str = "cpu",
        *,
        memory: int = MEMORY,
        threads: int | None = None,
    ) -> None:
        if projector_kwargs is not None:
            warnings.warn(
                "TracInAttributor: projector_kwargs has no effect, the products are exact",
                UserWarning,
                stacklevel=2,
            )
        weights = [float(weight) for weight in weight_list]
        if len(weights) != len(task.checkpoints):
            raise ValueError(
                f"TracInAttributor: weight_list has {len(weights)} entries; "
                f"{len(task.checkpoints)} are wanted, one per checkpoint"
            )
        self.task = task
        self._chosen = [layer_name] if isinstance(layer_name, str) else layer_name
        target: Any = task.original_target_func
        same = target is task.original_loss_func
        self._tracin = TracIn(
            loaded_by(task.checkpoints, task.checkpoints_load_func),
            _traced(task.original_loss_func),
            model=task.model.to(device),
            weights=weights,
            test_objective=None if same else _traced(target),
            cosine=normalized_grad,
            memory=memory,
            threads=threads,
        )
        self._store: FactorStore | None = None

    def cache(self, full_train_dataloader: Any = None) -> None:
        """Keep the factors of the training samples, so that `attribute` need not capture them.

        Without an argument there is nothing to keep, as in dattri.
        """
        if full_train_dataloader is not None:
            with only(self.task.model, self._chosen):
                self._store = self._tracin.capture(full_train_dataloader)

    def attribute(self, train_dataloader: Any, test_dataloader: Any) -> Tensor:
        """(N, Q): influence of each training sample on each test sample.

        train_dataloader  an unshuffled loader, a data set or arrays; None: what was cached
        """
        if train_dataloader is None and self._store is None:
            raise ValueError("attribute: train_dataloader is None and nothing was cached")
        train: Data | FactorStore = train_dataloader
        if train_dataloader is None and self._store is not None:
            train = self._store
        with only(self.task.model, self._chosen):
            scores = self._tracin.influence(test_dataloader, train)
        return self._tensor(np.ascontiguousarray(scores.T))

    def self_attribute(self, train_dataloader: Any) -> Tensor:
        """(N,): influence of each training sample on itself, under the loss on both sides."""
        with only(self.task.model, self._chosen):
            return self._tensor(self._tracin.self_influence(train_dataloader))

    def _tensor(self, scores: np.ndarray[Any, Any]) -> Tensor:
        return torch.from_numpy(scores).to(batches.placement(self.task.model)[0])


def _traced(function: LossFunction) -> Traced:
    name = getattr(function, "__qualname__", type(function).__qualname__)
    first = next(iter(inspect.signature(function).parameters), "")
    if first in ("model", "module", "net"):

        def of_model(model: nn.Module, batch: Any, noise: Any) -> Tensor:
            return function(model, batch)

        return Traced(str(name), of_model)

    def of_parameters(model: nn.Module, batch: Any, noise: Any) -> Tensor:
        parameters = dict(model.named_parameters())
        return vmap(function, in_dims=(None, 0), randomness="error")(parameters, batch)

    return Traced(str(name), of_parameters, by_layers=False)
