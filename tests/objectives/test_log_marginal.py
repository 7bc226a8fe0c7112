"""log p(x) against numeric integration, and its independence of batch, block and threads."""

import numpy as np
import pytest
import torch

from genmem.models import VAE, Bernoulli, ConstantGaussian, Gaussian, LogitSpace
from genmem.models.decoders import dc_decoder, mlp_decoder
from genmem.models.encoders import dc_encoder, mlp_encoder
from genmem.models.likelihoods import Likelihood
from genmem.objectives import log_marginal


def mlp(likelihood: Likelihood, *, latent: int = 1, d: int = 6, hidden: int = 8) -> VAE:
    torch.manual_seed(1)
    encoder = mlp_encoder((d,), (hidden,), latent)
    decoder = mlp_decoder((d,), (hidden,), latent, likelihood.per_value)
    model = VAE(encoder, decoder, likelihood).double()
    with torch.no_grad():
        for p in model.decoder.parameters():
            p.mul_(2)
    return model


def bits(count: int, d: int) -> torch.Tensor:
    return (torch.rand(count, d, generator=torch.Generator().manual_seed(2)) < 0.4).double()


def noise(count: int, draws: int, latent: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(3)
    return torch.randn(count, draws, latent, generator=generator)


LIKELIHOODS = {
    "bernoulli": Bernoulli,
    "gaussian": Gaussian,
    "constant": ConstantGaussian,
    "constant logit": lambda: ConstantGaussian(LogitSpace()),
}


@pytest.mark.parametrize("name", LIKELIHOODS)
def test_against_numeric_integration_of_a_scalar_code(name: str) -> None:
    """log of the integral of p(x | z) p(z) dz, trapezoids over z in -12..12."""
    model, x = mlp(LIKELIHOODS[name]()), bits(4, 6)
    if "logit" in name:
        x = 0.4 + 0.2 * x  # near the decoder's means, so that the encoder is a fair proposal
    z = torch.linspace(-12, 12, 20_001, dtype=torch.float64)
    with torch.no_grad():
        log_joint = model.log_likelihood(x, z[None, :, None].expand(4, -1, -1))
        log_joint += -0.5 * z**2 - 0.5 * np.log(2 * np.pi)
        want = (torch.logsumexp(log_joint, -1) + np.log(24 / 20_000)).numpy()
    found = log_marginal(model, x, noise(4, 40_000, 1))
    assert found.log_p.dtype == found.ess.dtype == found.se.dtype == np.float64
    assert (found.se <= 0.05).all()
    assert (np.abs(found.corrected - want) <= 4 * found.se).all()


@pytest.mark.parametrize("draws", [1, 5, 64, 300])
@pytest.mark.parametrize("block", [1, 7, 64, 1000])
def test_blocks_change_rounding_only(draws: int, block: int) -> None:
    model, x, eps = mlp(Bernoulli(), latent=2), bits(9, 6), noise(9, draws, 2)
    want, got = log_marginal(model, x, eps), log_marginal(model, x, eps, block=block)
    assert got.log_p.shape == (9,)
    assert (np.abs(got.log_p - want.log_p) <= 1e-11).all()
    assert (np.abs(got.ess - want.ess) <= 1e-8).all()


@pytest.mark.parametrize("draws", [1, 3, 16, 700])
def test_a_sample_does_not_know_its_batch(draws: int) -> None:
    """Bit for bit, in float32: alone, in another order, and under other thread counts."""
    model = mlp(Bernoulli(), latent=3, d=100, hidden=70).float()
    x, eps = bits(70, 100).float(), noise(70, draws, 3)
    whole = log_marginal(model, x, eps)
    threads = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        for rows in ([3], [69], [5, 0, 66], list(range(69, -1, -1))):
            part = log_marginal(model, x[rows], eps[rows])
            assert (part.log_p == whole.log_p[rows]).all()
            assert (part.ess == whole.ess[rows]).all()
    finally:
        torch.set_num_threads(threads)


def test_batch_norm_needs_eval_mode() -> None:
    encoder = dc_encoder((1, 8, 8), (4, 8), (2, 2), 2)
    model = VAE(encoder, dc_decoder((1, 8, 8), (4, 8), (2, 2), 2, 1), Bernoulli())
    x, eps = bits(3, 64).view(3, 1, 8, 8).float(), noise(3, 40, 2)
    with pytest.raises(ValueError, match=r"log_marginal: module 'encoder.3' \(BatchNorm2d\)"):
        log_marginal(model.train(), x, eps)
    whole = log_marginal(model.eval(), x, eps)
    assert (log_marginal(model, x[1:2], eps[1:2]).log_p == whole.log_p[1:2]).all()


def test_more_draws_agree_within_the_error() -> None:
    model, x = mlp(Bernoulli(), latent=2), bits(20, 6)
    few, many = (log_marginal(model, x, noise(20, draws, 2)) for draws in (200, 20_000))
    assert (np.abs(few.corrected - many.corrected) <= 5 * np.hypot(few.se, many.se)).all()
    assert (many.ess > few.ess).all()


def test_single_precision_is_near_double() -> None:
    x, eps = bits(20, 6), noise(20, 50, 2)
    double = log_marginal(mlp(Bernoulli(), latent=2), x, eps)
    single = log_marginal(mlp(Bernoulli(), latent=2).float(), x, eps)
    assert (np.abs(double.log_p - single.log_p) <= 2e-5).all()


def test_one_draw() -> None:
    found = log_marginal(mlp(Bernoulli()), bits(4, 6), noise(4, 1, 1))
    assert np.isfinite(found.log_p).all()
    assert (found.ess == 1).all()
    assert np.isnan(found.se).all()


def test_no_sample() -> None:
    found = log_marginal(mlp(Bernoulli()), bits(0, 6), noise(0, 5, 1))
    assert found.log_p.shape == found.ess.shape == found.se.shape == (0,)


def test_no_gradient_and_no_trace() -> None:
    model = mlp(Bernoulli())
    before = {name: value.clone() for name, value in model.state_dict().items()}
    log_marginal(model, bits(4, 6), noise(4, 5, 1))
    assert all(p.grad is None for p in model.parameters())
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())


def test_a_sample_that_is_not_finite_is_named() -> None:
    x = bits(600, 6)
    x[417, 2] = torch.nan
    with pytest.raises(FloatingPointError, match="sample 417 has a log-weight of NaN"):
        log_marginal(mlp(Bernoulli()), x, noise(600, 5, 1))


@pytest.mark.parametrize(
    ("shape", "wanted"),
    [((3, 5, 1), r"\(4, draws >= 1, 1\)"), ((4, 5), "draws"), ((4, 0, 1), "draws >= 1")],
)
def test_noise_of_a_wrong_shape(shape: tuple[int, ...], wanted: str) -> None:
    with pytest.raises(ValueError, match=wanted):
        log_marginal(mlp(Bernoulli()), bits(4, 6), torch.zeros(shape))


def test_other_refusals() -> None:
    with pytest.raises(ValueError, match="block is 0"):
        log_marginal(mlp(Bernoulli()), bits(4, 6), noise(4, 5, 1), block=0)
    with pytest.raises(ValueError, match=r"x has shape \(64, 5\)"):
        log_marginal(mlp(Bernoulli()), bits(4, 5), noise(4, 5, 1))
    with pytest.raises(ValueError, match="is wanted"):
        log_marginal(mlp(Bernoulli()), bits(4, 6), noise(4, 5, 2))
