"""From the names in a recipe to a model."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Protocol

import torch

from genmem.models.conditional import ConditionalVAE, labelled_shape
from genmem.models.decoders import Decoder, beta_decoder, dc_decoder, mlp_decoder
from genmem.models.encoders import Encoder, beta_encoder, dc_encoder, mlp_encoder
from genmem.models.halving import stages
from genmem.models.likelihoods import (
    Bernoulli,
    ConstantGaussian,
    Gaussian,
    Likelihood,
    SquaredError,
)
from genmem.models.spaces import LogitSpace
from genmem.models.vae import VAE
from genmem.noise import uniforms


class Architecture(Protocol):
    """What `build` reads of a recipe."""

    @property
    def model(self) -> str: ...
    @property
    def latent(self) -> int: ...
    @property
    def hidden(self) -> tuple[int, ...] | None: ...
    @property
    def likelihood(self) -> str: ...
    @property
    def seed(self) -> int: ...


LIKELIHOODS: dict[str, Callable[[], Likelihood]] = {
    "bernoulli": Bernoulli,
    "gaussian": lambda: Gaussian(min_logvar=-7.0),
    "gaussian-logit": lambda: Gaussian(LogitSpace(), min_logvar=-7.0),
    "constant-gaussian": ConstantGaussian,
    "constant-gaussian-logit": lambda: ConstantGaussian(LogitSpace()),
    "squared-error": SquaredError,
}

# The widths each family was published with: of linear layers, or channels of convolutions.
MODELS: dict[str, tuple[int, ...]] = {
    "mlp-vae": (512, 256),
    "mlp-vae-a": (1024, 512, 256),
    "dcvae": (32, 64, 128, 256),
    "beta-vae": (32, 32, 64, 64, 256),
}

_GLOBAL_GENERATOR = threading.Lock()


def build(recipe: Architecture, shape: Sequence[int], classes: int | None = None) -> VAE:
    """The model a recipe names, for samples of `shape`, with the first weights of its seed.

    model       mlp-vae, dcvae: van den Burg & Williams (2021); mlp-vae-a, beta-vae: Kong &
                Chaudhuri (2021)
    hidden      widths of the MLP; channels of the halving stages of dcvae; those and the width of
                the dense layer of beta-vae. None: as published, with as many stages as shape allows
    likelihood  a name of LIKELIHOODS; the diagonal Gaussians bound the log-variance at -7
    classes     K >= 1: a ConditionalVAE of labels 0..K-1, which every model can be; the MLP reads a
                label as K values behind those of the sample, the convolutions as K planes

    The weights are drawn on the CPU, whatever torch's default device, and the model lies there. The
    state of torch's generators is left as it was. Raises ValueError if a name is unknown, or
    the model cannot take samples of this shape.
    """
    if recipe.likelihood not in LIKELIHOODS:
        raise ValueError(
            f"build: likelihood is {recipe.likelihood!r}; one of {', '.join(LIKELIHOODS)} is wanted"
        )
    if classes is not None and classes < 1:
        raise ValueError(f"build: classes is {classes}; 1 or more is wanted, or None")
    if min(shape, default=0) < 1:
        raise ValueError(f"build: samples of shape {tuple(shape)} hold no value")
    with _first_weights(recipe.seed):
        likelihood = LIKELIHOODS[recipe.likelihood]()
        encoder, decoder = _networks(recipe, tuple(shape), likelihood.per_value, classes or 0)
    made = VAE if classes is None else ConditionalVAE
    return made(encoder, decoder, likelihood)


def _networks(
    recipe: Architecture, shape: tuple[int, ...], per_value: int, classes: int
) -> tuple[Encoder, Decoder]:
    model, latent, chosen = recipe.model, recipe.latent, recipe.hidden is not None
    codes = latent + classes
    if model not in MODELS:
        raise ValueError(f"build: model is {model!r}; one of {', '.join(MODELS)} is wanted")
    hidden = MODELS[model] if recipe.hidden is None else recipe.hidden
    if model in ("mlp-vae", "mlp-vae-a"):
        seen = labelled_shape(shape, classes, flat=True) if classes else shape
        return mlp_encoder(seen, hidden, latent), mlp_decoder(shape, hidden, codes, per_value)
    if model == "dcvae":
        channels, left = stages(model, shape, hidden, chosen=chosen)
        seen = labelled_shape(shape, classes, flat=False)
        return (
            dc_encoder(seen, channels, left, latent),
            dc_decoder(shape, channels, left, codes, per_value),
        )
    channels, left = stages(model, shape, hidden[:-1], chosen=chosen)
    seen = labelled_shape(shape, classes, flat=False)
    return (
        beta_encoder(seen, channels, left, hidden[-1], latent),
        beta_decoder(shape, channels, left, hidden[-1], codes, per_value),
    )


@contextmanager
def _first_weights(seed: int) -> Iterator[None]:
    # torch's layers draw from the one global generator; the lock keeps models that are built in
    # several threads from drawing each other's numbers.
    word = int(uniforms(seed, [0], [0], 1, stream="first weights")[0, 0, 0] * 2**32)
    with _GLOBAL_GENERATOR, torch.device("cpu"), torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(word)
        yield
