"""log p(x), or log p(x | y), of the rows of a data set under a trained model, in nats."""

from __future__ import annotations

import warnings
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import torch

from genmem.datasets import validation
from genmem.device import device_of
from genmem.models import VAE, Bernoulli
from genmem.models.observed import placed, samples
from genmem.objectives import LogMarginal, log_marginal
from genmem.training.inputs import Inputs
from genmem.training.seeds import evaluation_noise

Progress = Callable[[str, int, int], None]

# Rows whose noise is drawn in one call: 16 MB of it at most.
_NOISE_VALUES, _MOST_ROWS = 1 << 22, 1024


def log_prob(
    model: VAE,
    inputs: Inputs,
    positions: npt.ArrayLike | None = None,
    draws: int | None = None,
    *,
    progress: Progress | None = None,
) -> LogMarginal:
    """Importance-sampled log p(x) of samples, in nats, with its error; see `log_marginal`.

    positions  (B,) rows of inputs (default: all, in order)
    draws      importance draws per sample (default: the recipe's eval_draws)
    progress   called with ("score", samples done, samples in all)

    The noise is keyed by (common_seed, identity of the sample, draw): two models are compared on
    the same draws, and a sample's value does not depend on which others are asked for. It is
    computed where the model lies.

    Under a conditional recipe the answers are of log p(x | y), y the label of the sample.
    Warns if grey values meet a Bernoulli likelihood: the result is then no density.
    """
    rows = np.arange(len(inputs)) if positions is None else positions
    recipe, wanted = inputs.recipe, validation.positions("log_prob", rows, len(inputs))
    draws = recipe.eval_draws if draws is None else draws
    if draws < 1:
        raise ValueError(f"log_prob: draws is {draws}; 1 or more is wanted")
    size = max(1, min(_MOST_ROWS, _NOISE_VALUES // (draws * model.latent)))
    parts, grey, device = [], False, device_of(model)
    for start in range(0, len(wanted), size):
        part = wanted[start : start + size]
        x = inputs.batch(part)
        noise = evaluation_noise(recipe.common_seed, inputs.identities[part], draws, model.latent)
        try:
            given = placed(x, device), torch.from_numpy(noise).to(device)
            parts.append(log_marginal(model, *given))
        except FloatingPointError as error:
            span = f"samples {inputs.identities[part[0]]}..{inputs.identities[part[-1]]}"
            raise FloatingPointError(f"log_prob: among {span}, {error}") from error
        values = samples(x)
        grey = grey or bool(((values != 0) & (values != 1)).any())
        if progress is not None:
            progress("score", start + len(part), len(wanted))
    if grey and isinstance(model.likelihood, Bernoulli):
        warnings.warn(
            "log_prob: the samples hold grey values and the likelihood is Bernoulli, so log p is a "
            "loss, not a log-density; binarize='threshold' or 'sample' makes it one",
            stacklevel=2,
        )
    return LogMarginal.join(parts)
