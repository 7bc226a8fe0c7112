"""log p(x) of a variational autoencoder by importance sampling from its encoder, in nats."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from genmem.models import VAE, Observed, scoring
from genmem.models.observed import beside, each, samples
from genmem.models.scoring import in_fixed_batches
from genmem.objectives.iwae import log_prior_ratio
from genmem.objectives.log_weights import LogMarginal, LogWeights

ENCODER_ROWS = 64
# Outputs of the decoder held at a time: a core's second-level cache; on a card enough codes to fill
# it, as a call costs the same for few.
_BYTES, _CARD_BYTES = 1 << 21, 1 << 26


def log_marginal(
    model: VAE, x: Observed, noise: Tensor, *, block: int | None = None
) -> LogMarginal:
    """log (1/S) sum_s p(x | z_s) p(z_s) / q(z_s | x), z_s ~ q(z | x), with its ESS and error.

    x        (B, *shape) in [0, 1]; for a ConditionalVAE the pair (x, labels), and the answers are
             of log p(x | y)
    noise    (B, S, latent) standard normal
    block    codes decoded at a time (default: as many as keep the decoder's output within 2 MB,
             on a card 64 MB); it sets the memory, and through the rounding of matrix products the
             last digits
    returns  LogMarginal of (B,) float64 arrays

    The encoder runs once per sample. The decoder always runs on `block` codes, of one sample or of
    several whole ones, so the answer for a sample does not depend on the batch it comes in.
    log p(x | z) is summed over the values of x in the model's type, all else in float64.

    Raises ValueError if a shape is wrong or batch norm is in train mode, FloatingPointError if a
    log-weight is NaN or +inf.
    Source: Burda, Grosse & Salakhutdinov (2016).
    """
    count = len(samples(x))
    if noise.dim() != 3 or len(noise) != count or 0 in noise.shape[1:]:
        raise ValueError(
            f"log_marginal: noise has shape {tuple(noise.shape)}; "
            f"({count}, draws >= 1, {model.latent}) is wanted"
        )
    like = next(model.parameters())
    rows = _block(model, like.device) if block is None else block
    if rows < 1:
        raise ValueError(f"log_marginal: block is {rows}; at least 1 code at a time is wanted")
    x, noise = beside(x, like), noise.to(like)
    with scoring(model, "log_marginal"):
        posterior = in_fixed_batches(
            lambda part: torch.cat(model.encode(part), -1), x, ENCODER_ROWS
        )
        parts = [
            _weigh(model, x, posterior, noise, group, rows).result()
            for group in _groups(count, max(1, rows // noise.shape[1]), like.device)
        ]
    joined = LogMarginal.join(parts)
    return LogMarginal(joined.log_p[:count], joined.ess[:count], joined.se[:count])


def _block(model: VAE, device: torch.device) -> int:
    """The power of two of codes whose outputs, in float32, fill the bytes of the device."""
    held, most = (_BYTES, 10) if device.type == "cpu" else (_CARD_BYTES, 15)
    outputs = 4 * model.likelihood.per_value * model.values
    return 1 << max(4, min(most, (held // outputs).bit_length() - 1))


def _groups(count: int, size: int, device: torch.device) -> Iterator[Tensor]:
    """Positions 0..count-1, `size` at a time; the last group repeats the last position."""
    for start in range(0, count, size):
        yield torch.arange(start, start + size, device=device).clamp_(max=count - 1)


def _weigh(
    model: VAE, x: Observed, posterior: Tensor, noise: Tensor, group: Tensor, rows: int
) -> LogWeights:
    """The log-weights of the samples at `group` (g,), over all draws of noise (B, S, latent)."""
    x = each(x, lambda t: t[group])
    mu, logvar = posterior[group].chunk(2, -1)
    weights = LogWeights(len(group), int(group[0]))
    for draws in torch.split(noise[group], rows, dim=1):
        z = model.reparameterise(mu, logvar, draws)
        log_ratio = log_prior_ratio(logvar.double(), draws.double(), z.double())
        weights.add((model.log_likelihood(x, z).double() + log_ratio).cpu().numpy())
    return weights
