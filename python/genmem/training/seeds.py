"""What is random in training and scoring, and the key of each: never the time of a call.

Each use of noise has a stream of its own, so that no two uses share numbers. Samples are named by
their identity in the data set: the noise of a sample is the same in every subset and order.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from genmem.noise import normals, uniforms

ORDER = "order of samples"
TRAINING = "training codes"
EVALUATION = "evaluation codes"
SAMPLES = "codes of generated samples"
LABELS = "labels of generated samples"
BINARIZATION = "binarisation"
DEQUANTIZATION = "dequantisation"


def permutation(seed: int, epoch: int, identities: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """The order of an epoch: positions 0..n-1, sorted by a uniform number drawn for each sample.

    Keyed by (seed, epoch, identity): leaving samples out leaves the order of the others as it was.
    """
    keys = uniforms(seed, identities, [epoch], 1, stream=ORDER)[:, 0, 0]
    return np.argsort(keys, kind="stable")


def training_noise(
    seed: int, epoch: int, identities: npt.NDArray[np.int64], draws: int, latent: int
) -> npt.NDArray[np.float32]:
    """Standard normal (n, draws, latent) of an epoch, counted from 1."""
    numbers = (epoch - 1) * draws + np.arange(draws)
    return normals(seed, identities, numbers, latent, stream=TRAINING)


def evaluation_noise(
    common_seed: int, identities: npt.NDArray[np.int64], draws: int, latent: int
) -> npt.NDArray[np.float32]:
    """Standard normal (n, draws, latent), the same for every model and epoch."""
    return normals(common_seed, identities, np.arange(draws), latent, stream=EVALUATION)


def generation_noise(seed: int, count: int, latent: int) -> npt.NDArray[np.float32]:
    """Standard normal (count, latent) of generated samples 0..count-1."""
    return normals(seed, np.arange(count), [0], latent, stream=SAMPLES)[:, 0]


def generation_labels(
    seed: int, count: int, class_counts: npt.NDArray[np.int64]
) -> npt.NDArray[np.int64]:
    """Labels (count,) of generated samples, each class as often as its share of class_counts (K,).

    The label is the first class whose cumulative share exceeds a uniform number below 1, so a class
    that was not trained is never drawn.
    """
    drawn = uniforms(seed, np.arange(count), [0], 1, stream=LABELS)[:, 0, 0]
    shares = np.cumsum(class_counts) / np.sum(class_counts)
    return np.searchsorted(shares, drawn, side="right").astype(np.int64)
