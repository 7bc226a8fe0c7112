"""The autoencoder as a composition of its parts, and what it refuses."""

import pytest
import torch

from genmem.models import VAE, Bernoulli, ConstantGaussian, LogitSpace
from genmem.models.decoders import mlp_decoder
from genmem.models.encoders import mlp_encoder


def small(latent: int = 2, shape: tuple[int, ...] = (1, 3, 4)) -> VAE:
    torch.manual_seed(0)
    parts = mlp_encoder(shape, (5,), latent), mlp_decoder(shape, (5,), latent, 1)
    return VAE(*parts, Bernoulli()).double().requires_grad_(False)


def test_reparameterise_is_mean_plus_deviation_times_noise() -> None:
    model = small()
    mu, logvar, noise = torch.randn(3, 2), torch.randn(3, 2), torch.randn(3, 4, 2)
    z = model.reparameterise(mu, logvar, noise)
    assert z.shape == (3, 4, 2)
    for i in range(3):
        for k in range(4):
            want = mu[i] + torch.exp(logvar[i] / 2) * noise[i, k]
            assert ((z[i, k] - want).abs() <= 1e-6).all()


def test_log_likelihood_of_a_draw_is_that_of_its_own_sample() -> None:
    model = small()
    x = (torch.rand(3, 1, 3, 4, dtype=torch.float64) < 0.5).double()
    z = torch.randn(3, 2, 2, dtype=torch.float64)
    got = model.log_likelihood(x, z)
    for i in range(3):
        for k in range(2):
            p = torch.sigmoid(model.decoder(z[i, k][None]))[0]
            pixel = x[i].flatten()
            want = (pixel * torch.log(p) + (1 - pixel) * torch.log1p(-p)).sum()
            assert abs(float(got[i, k] - want)) <= 1e-12


def test_decode_keeps_leading_axes() -> None:
    model = small()
    z = torch.randn(2, 3, 5, 2, dtype=torch.float64)
    assert model.decode(z).shape == (2, 3, 5, 12)
    assert torch.equal(model.decode(z)[1, 2, 4], model.decode(z)[1, 2].clone()[4])


def test_the_encoder_reads_the_space_of_the_likelihood() -> None:
    model = small()
    logit = VAE(model.encoder, model.decoder, ConstantGaussian(LogitSpace()))
    x = torch.rand(3, 1, 3, 4, dtype=torch.float64)
    want = model.encode(LogitSpace().observe(x))
    assert torch.equal(logit.encode(x)[0], want[0])


def test_refusals() -> None:
    model = small()
    with pytest.raises(ValueError, match=r"x has shape \(5, 1, 4, 4\); \(B, 1, 3, 4\) is wanted"):
        model.encode(torch.rand(5, 1, 4, 4))
    with pytest.raises(ValueError, match=r"noise has shape \(3, 2\); \(3, draws, 2\) is wanted"):
        model.reparameterise(torch.zeros(3, 2), torch.zeros(3, 2), torch.zeros(3, 2))
    with pytest.raises(ValueError, match=r"\(3, draws, 2\) is wanted"):
        model.reparameterise(torch.zeros(3, 2), torch.zeros(3, 2), torch.zeros(1, 1, 2))
    with pytest.raises(ValueError, match="they must agree"):
        VAE(small(2).encoder, small(3).decoder, Bernoulli())
    with pytest.raises(ValueError, match="they must agree"):
        VAE(small().encoder, small(shape=(12,)).decoder, Bernoulli())
