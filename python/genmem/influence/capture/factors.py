"""Capture: per-sample gradients of every trainable parameter, as factors, for a batch.

The gradient of sample i with respect to the weight of a layer is sum_t g_t a_t^T, with a_t the
layer's input tokens and g_t the gradients at its output. One backward pass through the summed
losses, with the parameters frozen, gives the g_t of all samples; nothing of the size of the model
is formed per sample unless that is cheaper (forms.py).

Source: Goodfellow (2015), Efficient per-example gradient computations; Pruthi et al. (2020),
Estimating training data influence by tracing gradient descent.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import cache, partial

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from genmem.device import full_precision
from genmem.influence.capture.forms import FORMS, Form, dense_layer, site_layers, site_wants_tokens
from genmem.influence.capture.given import Given, refuse_unreached
from genmem.influence.capture.materialize import Materializer, single_gradients
from genmem.influence.capture.plan import Plan, make_plan, trainable
from genmem.influence.capture.preservation import preserved
from genmem.influence.capture.proof import Truth, Witness, check_loss, denied
from genmem.influence.capture.recorder import Recorder, refuse_random_layers
from genmem.influence.capture.sites import Call, Piece, Site
from genmem.influence.capture.sizes import Sizes
from genmem.influence.layers import Unseparable
from genmem.influence.protocols import Batch, Loss
from genmem.influence.stores.blocks import joined
from genmem.kernels import Factors, LayerFactors


class Capture:
    """Factors of `loss(model, batch, noise) -> (B,)` for one batch after another.

    model   any module; batch normalisation and dropout must be in eval mode. Its state is left as
            it was found: weights, gradients, buffers, mode, requires_grad, hooks, random numbers
    loss    one number per sample, which depends on that sample and its noise only
    form    "pairs" or "norms": per layer, the form that is cheaper for products of pairs or for
            self-products; "tokens" or "dense" force one. All are exact
    strict  False: parameters that cannot be captured are left out with a warning, not an error
    by_layers  False: no gradient is read from calls of layers, autograd forms all of them
    like    a capture of another loss, probed before this one, whose layers and forms are taken, so
            that products of both are between the same layers

    The first batch is a probe: what was captured is compared with plain autograd, one sample at a
    time and in both orders of the samples, and a parameter whose layer does not keep them apart (a
    matrix applied to something that is not the batch, draws folded before samples, samples that are
    sorted) is materialised instead. Every new batch size is checked again on two samples, by what
    the layers see of them alone. Once probed, kept_bytes and working_bytes are those of a sample's
    factors, and those held while it is captured; `losses` (B,) are the last batch's.

    Raises ValueError for a loss that is not finite, not (B,), or not the same for a sample alone
    and in a batch; for a model without trainable parameters; for parameters not covered.
    """

    def __init__(
        self,
        model: nn.Module,
        loss: Loss,
        *,
        form: Form = "pairs",
        strict: bool = True,
        by_layers: bool = True,
        like: Capture | None = None,
    ) -> None:
        if form not in FORMS:
            raise ValueError(f"capture: form is {form!r}; one of {', '.join(FORMS)} is wanted")
        self.model, self._loss, self._form, self._strict = model, loss, form, strict
        self._parameters, self._by_layers, self._like = trainable(model), by_layers, like
        self._materialise = Materializer(model, loss)
        self._plan: Plan | None = None
        self.kept_bytes, self.working_bytes = 0, 0
        self.losses: npt.NDArray[np.float64] = np.zeros(0)
        self._tokens: set[Site] = set()
        self._checked: set[int] = set()

    def __call__(
        self,
        batch: Batch,
        noise: Tensor | None = None,
        *,
        scale: float = 1.0,
        origin: str = "the batch",
        start: int = 0,
    ) -> Factors:
        """Factors of a batch, its gradients multiplied by `scale`. Their arrays may be views of the
        batch, or of what the model computed: what is to be kept is to be copied.

        noise          (B, m, latent), or None for a loss without draws
        origin, start  how errors name a row: row i of the batch is row start + i of `origin`
        """
        given = Given.checked(batch, noise, origin, start)
        with self._evaluating():
            if self._plan is None:
                self._plan = self._probe(given.spread())
            layers = tuple(self._layers(self._plan, given, scale))
        self._checked.add(len(given))
        return Factors(layers)

    def prepare(
        self,
        batch: Batch,
        noise: Tensor | None = None,
        *,
        origin: str = "the batch",
        numbers: int | Sequence[int] = 0,
    ) -> None:
        """Probe the model on at most three samples of a batch, without capturing it.

        origin, numbers  as in a call; or the number of every row
        """
        with self._evaluating():
            self._plan = self._probe(Given.checked(batch, noise, origin, numbers).spread())

    @property
    def ready(self) -> bool:
        """Whether the model has been probed."""
        return self._plan is not None

    @property
    def materialised(self) -> tuple[str, ...]:
        """Parameters whose per-sample gradients are formed by autograd; known after one batch."""
        return () if self._plan is None else self._plan.materialised

    @property
    def proven_sizes(self) -> frozenset[int]:
        """The batch sizes that were compared with autograd since `forget_checks`."""
        return frozenset(self._checked)

    def forget_checks(self) -> None:
        """Check again at the next batch: to be called when the weights have changed."""
        self._checked.clear()

    @contextmanager
    def _evaluating(self) -> Iterator[None]:
        refuse_random_layers(self.model)
        device = next(iter(self._parameters.values())).device
        with (
            torch.inference_mode(False),
            torch.enable_grad(),
            preserved(self.model),
            full_precision(device),
        ):
            yield

    def _layers(self, plan: Plan, given: Given, scale: float) -> Iterator[LayerFactors]:
        losses, calls, direct = self._observe(plan, given)
        self.losses = losses.double().cpu().numpy()
        # A single row belongs to the single sample, whatever the layers do with it.
        known = len(given) == 1 or len(given) in self._checked
        rows = [] if known else [0, len(given) - 1]
        witnesses = [self._witness(plan, given, row) for row in rows]
        for witness in witnesses:
            check_loss(witness, losses, given.label(witness.row))
        truths = cache(partial(self._truths, given, rows))
        # Where two samples disagree one more decides; it is evaluated only then.
        casting = cache(partial(self._truths, given, [len(given) // 2] if len(given) > 2 else []))
        wrong = direct & {name for site in plan.sites for name in site.names}
        for site in plan.sites:
            try:
                piece = site.read(_calls_of(site, calls), len(given))
            except Unseparable as error:
                raise ValueError(f"capture: {site.names[0]}: {error}") from error
            if not all(witness.confirms(site, piece) for witness in witnesses):
                wrong |= denied(truths(), partial(site.gradients, piece), casting)
            yield from site_layers(site, piece, site in self._tokens, scale)
        values = self._materialise(self._named(plan.materialised), given.batch, given.noise)
        for name, value in values.items():
            wrong |= denied(truths(), partial(_row_of, name, value), casting)
            yield dense_layer(name, value, scale)
        if wrong:
            raise ValueError(
                f"capture: the gradients of {_listed(wrong)} differ from autograd's in a batch of "
                f"{len(given)} rows of {given.origin}, though they agreed in the probe; the model "
                "must treat batches of any size and any content alike"
            )

    def _probe(self, given: Given) -> Plan:
        """The plan that autograd confirms on a few samples, and the form of each site."""
        complete = make_plan(self.model) if self._by_layers else Plan((), (*self._parameters,))
        if self._like is not None:
            complete = complete.without(self._like.materialised)
        losses, calls, direct = self._observe(complete, given)
        truths = self._truths(given, range(len(given)))
        for truth in truths:
            check_loss(truth, losses, given.label(truth.row))
            truth.check_gradients(given.label(truth.row))
        if not any(truth.reaches for truth in truths):
            refuse_unreached()
        moved = set(direct)
        sizes = Sizes(len(given), calls)
        for site in complete.sites:
            try:
                piece = site.read(_calls_of(site, calls), len(given))
            except Unseparable:
                moved |= set(site.names)
                continue
            moved |= denied(truths, partial(site.gradients, piece))
            if self._wants_tokens(site, piece):
                self._tokens.add(site)
            sizes.add(piece, site in self._tokens, self._named(site.names).values())
        moved |= self._denied_mirrored(complete.without(moved), given, truths)
        plan = self._covered(complete.without(moved), given, truths)
        if self._like is not None and {*plan.materialised} != {*self._like.materialised}:
            more = {*plan.materialised} ^ {*self._like.materialised}
            raise ValueError(
                f"capture: the gradients of {_listed(more)} cannot be read from layers under one "
                "loss and can under the other; products of both are between the same layers"
            )
        sizes.add_formed(self._named(plan.materialised).values())
        self.kept_bytes, self.working_bytes = sizes.kept, sizes.working
        return plan

    def _denied_mirrored(self, plan: Plan, given: Given, truths: list[Truth]) -> set[str]:
        """What autograd denies when the samples come in the other order: a model that sorts them
        may leave one order as it is, but not both."""
        _, calls, found = self._observe(plan, given.mirrored())
        turned = [replace(truth, row=len(given) - 1 - truth.row) for truth in truths]
        for site in plan.sites:
            try:
                piece = site.read(_calls_of(site, calls), len(given))
            except Unseparable:
                found |= set(site.names)
            else:
                found |= denied(turned, partial(site.gradients, piece))
        return found

    def _wants_tokens(self, site: Site, piece: Piece) -> bool:
        if self._like is not None:
            return site.names in {other.names for other in self._like._tokens}
        return site_wants_tokens(self._form, site, piece)

    def _covered(self, plan: Plan, given: Given, truths: list[Truth]) -> Plan:
        """The plan without the parameters whose materialised gradients autograd denies."""
        real = tuple(n for n in plan.materialised if not self._parameters[n].is_complex())
        values = self._materialise(self._named(real), given.batch, given.noise)
        confirmed = tuple(
            name for name in real if not denied(truths, partial(_row_of, name, values[name]))
        )
        covered = {name for site in plan.sites for name in site.names} | set(confirmed)
        missed = self._parameters.keys() - covered
        if missed:
            self._report(missed)
        return Plan(plan.sites, confirmed)

    def _report(self, missed: set[str]) -> None:
        total = sum(p.numel() for p in self._parameters.values())
        count = sum(self._parameters[name].numel() for name in missed)
        message = (
            f"capture: {count} of {total} trainable numbers ({count / total:.2%}) are not covered: "
            f"{_listed(missed)}"
        )
        if self._strict:
            raise ValueError(f"{message}; strict=False leaves them out")
        warnings.warn(message, UserWarning, stacklevel=2)

    def _observe(self, plan: Plan, given: Given) -> tuple[Tensor, list[Call], set[str]]:
        named = self._named(tuple(name for site in plan.sites for name in site.names))
        with Recorder(plan.modules) as recorder:
            losses = self._loss(self.model, given.batch, given.noise)
            given.check_losses(losses)
            calls, direct = recorder.read(losses, named)
        return losses.detach(), calls, direct

    def _witness(self, plan: Plan, given: Given, row: int) -> Witness:
        losses, calls, _ = self._observe(plan, given.only([row]))
        pieces = {site: site.read(_calls_of(site, calls), 1) for site in plan.sites}
        return Witness(row, losses[0], pieces)

    def _truths(self, given: Given, rows: range | list[int]) -> list[Truth]:
        real = {name: p for name, p in self._parameters.items() if not p.is_complex()}
        arguments = (self.model, self._loss, real, given.batch, given.noise)
        return [Truth(row, *single_gradients(*arguments, row)) for row in sorted(set(rows))]

    def _named(self, names: tuple[str, ...]) -> dict[str, nn.Parameter]:
        return {name: self._parameters[name] for name in names}


def capture_factors(
    model: nn.Module,
    loss: Loss,
    batch: Batch,
    noise: Tensor | None = None,
    *,
    form: Form = "pairs",
    strict: bool = True,
) -> Factors:
    """Factors of one batch, for `genmem.grad_dot`, without a training or a store around them.

    model, loss, form, strict  as in `Capture`, which takes one batch after another
    batch   a tensor (B, ...) or a tuple of them;  noise  (B, m, latent), or None
    """
    found = Capture(model, loss, form=form, strict=strict)(batch, noise)
    return joined([found], len(found))


def _row_of(name: str, values: Tensor, row: int) -> dict[str, Tensor]:
    return {name: values[row]}


def _calls_of(site: Site, calls: list[Call]) -> list[Call]:
    return [call for call in calls if any(call.module is module for module in site.modules)]


def _listed(names: set[str]) -> str:
    return ", ".join(sorted(names))
