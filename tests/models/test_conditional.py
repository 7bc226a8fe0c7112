"""The autoencoder that is given labels: what it reads, log p(x | y) in closed form, refusals."""

from dataclasses import dataclass

import numpy as np
import pytest
import torch
from scipy.stats import multivariate_normal
from torch import Tensor

from genmem.models import MODELS, VAE, Bernoulli, ConditionalVAE, ConstantGaussian, build
from genmem.models.decoders import mlp_decoder
from genmem.models.encoders import mlp_encoder
from genmem.objectives import ELBO, IWAE, BetaELBO, log_marginal


@dataclass(frozen=True)
class Architecture:
    model: str = "mlp-vae"
    latent: int = 3
    hidden: tuple[int, ...] | None = (4, 8, 16)
    likelihood: str = "bernoulli"
    seed: int = 0


def small(classes: int = 3) -> ConditionalVAE:
    torch.manual_seed(0)
    encoder, decoder = mlp_encoder((12 + classes,), (5,), 2), mlp_decoder((1, 3, 4), (5,), 5, 1)
    return ConditionalVAE(encoder, decoder, Bernoulli()).double().requires_grad_(False)


def pairs(count: int, seed: int = 1) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    x = (torch.rand(count, 1, 3, 4, generator=generator) < 0.5).double()
    return x, torch.randint(0, 3, (count,), generator=generator)


@pytest.mark.parametrize("name", MODELS)
def test_every_model_can_be_conditional(name: str) -> None:
    model = build(Architecture(name), (2, 16, 16), 5).eval()
    assert isinstance(model, ConditionalVAE)
    assert (model.classes, model.latent, model.shape, model.values) == (5, 3, (2, 16, 16), 512)
    x, labels = torch.rand(4, 2, 16, 16), torch.tensor([0, 4, 2, 2])
    mu, logvar = model.encode((x, labels))
    z = model.reparameterise(mu, logvar, torch.randn(4, 6, 3))
    assert mu.shape == logvar.shape == (4, 3)
    log_p = model.log_likelihood((x, labels), z)
    assert log_p.shape == (4, 6)
    assert torch.isfinite(log_p).all()
    # The label of a sample reaches both networks, and no other sample.
    others = labels.clone()
    others[1] = 3
    moved = (model.encode((x, others))[0] != mu).any(1)
    assert moved.tolist() == [False, True, False, False]
    moved = (model.log_likelihood((x, others), z) != log_p).any(1)
    assert moved.tolist() == [False, True, False, False]


def test_the_label_is_a_vector_with_a_single_one() -> None:
    model, (x, labels) = small(), pairs(6)
    marks = torch.eye(3, dtype=torch.float64)[labels]
    want = model.encoder(torch.cat([x.flatten(1), marks], 1))
    assert torch.equal(torch.cat(model.encode((x, labels)), 1), want)
    z = torch.randn(6, 4, 2, dtype=torch.float64)
    got = model.log_likelihood((x, labels), z)
    for i in range(6):
        for k in range(4):
            p = torch.sigmoid(model.decoder(torch.cat([z[i, k], marks[i]])[None]))[0]
            pixel = x[i].flatten()
            want = (pixel * torch.log(p) + (1 - pixel) * torch.log1p(-p)).sum()
            assert abs(float(got[i, k] - want)) <= 1e-12
    assert model.mean(model.labelled(z[:, 0], labels)).shape == (6, 1, 3, 4)


def test_convolutions_read_a_plane_per_class() -> None:
    model = build(Architecture("beta-vae", hidden=(4, 8)), (1, 8, 8), 3)
    x, labels = torch.rand(2, 1, 8, 8), torch.tensor([2, 0])
    planes = torch.zeros(2, 3, 8, 8)
    planes[0, 2] = planes[1, 0] = 1
    want = model.encoder(torch.cat([x, planes], 1))
    assert torch.equal(torch.cat(model.encode((x, labels)), 1), want)


def linear_gaussian(classes: int = 3, d: int = 4) -> tuple[ConditionalVAE, list[object]]:
    """x = a z + c_y + e with one z: p(x | y) = N(c_y, a a' + s I), and an encoder that is exact.

    z | x, y = N(a'(x - c_y) / (s + a'a), s / (s + a'a)).
    """
    rng = np.random.default_rng(0)
    a, centres, s = rng.normal(size=d), rng.normal(size=(classes, d)), 0.3
    encoder, decoder = mlp_encoder((d + classes,), (), 1), mlp_decoder((d,), (), 1 + classes, 1)
    model = ConditionalVAE(encoder, decoder, ConstantGaussian()).double().requires_grad_(False)
    gain, spread = a / (s + a @ a), np.log(s / (s + a @ a))
    model.encoder[1].weight.copy_(
        torch.tensor(np.stack([np.concatenate([gain, -centres @ gain]), np.zeros(d + classes)]))
    )
    model.encoder[1].bias.copy_(torch.tensor([0.0, spread]))
    model.decoder[0].weight.copy_(torch.tensor(np.column_stack([a, centres.T])))
    model.decoder[0].bias.zero_()
    model.likelihood.logvar.weight.fill_(np.log(s))
    truth = [multivariate_normal(c, np.outer(a, a) + s * np.eye(d)) for c in centres]
    return model, truth


def test_log_p_of_a_linear_gaussian_model_is_in_closed_form() -> None:
    """With the exact encoder every importance weight is p(x | y), whatever the draws."""
    model, truth = linear_gaussian()
    generator = torch.Generator().manual_seed(3)
    x = 2 * torch.randn(40, 4, generator=generator, dtype=torch.float64)
    labels = torch.randint(0, 3, (40,), generator=generator)
    noise = torch.randn(40, 7, 1, generator=generator, dtype=torch.float64)
    want = [truth[y].logpdf(row) for row, y in zip(x.numpy(), labels.tolist(), strict=True)]
    found = log_marginal(model, (x, labels), noise)
    assert (np.abs(found.log_p - want) <= 1e-10).all()
    assert (np.abs(found.ess - 7) <= 1e-8).all()
    assert (np.abs(-IWAE().loss(model, (x, labels), noise).numpy() - want) <= 1e-10).all()
    # The ELBO is tight here: its mean over draws is log p, and a weight on the divergence moves it.
    many = torch.randn(40, 20_000, 1, generator=generator, dtype=torch.float64)
    elbo = -ELBO().loss(model, (x, labels), many).numpy()
    assert np.abs(elbo - want).max() <= 0.05
    beta = -BetaELBO(2.0).loss(model, (x, labels), many).numpy()
    assert (beta < elbo - 0.1).all()


def test_log_p_against_numeric_integration_of_a_scalar_code() -> None:
    torch.manual_seed(1)
    encoder, decoder = mlp_encoder((6 + 2,), (8,), 1), mlp_decoder((6,), (8,), 1 + 2, 1)
    model = ConditionalVAE(encoder, decoder, Bernoulli()).double().requires_grad_(False)
    x, labels = (torch.rand(4, 6) < 0.4).double(), torch.tensor([0, 1, 1, 0])
    z = torch.linspace(-12, 12, 20_001, dtype=torch.float64)
    log_joint = model.log_likelihood((x, labels), z[None, :, None].expand(4, -1, -1))
    log_joint += -0.5 * z**2 - 0.5 * np.log(2 * np.pi)
    want = (torch.logsumexp(log_joint, -1) + np.log(24 / 20_000)).numpy()
    found = log_marginal(model, (x, labels), torch.randn(4, 20_000, 1))
    assert (found.se <= 0.05).all()
    assert (np.abs(found.corrected - want) <= 4 * found.se).all()


@pytest.mark.parametrize("draws", [1, 3, 700])
def test_a_sample_does_not_know_its_batch(draws: int) -> None:
    model, (x, labels) = small().float(), pairs(70)
    noise = torch.randn(70, draws, 2)
    whole = log_marginal(model, (x, labels), noise)
    for rows in ([3], [69], [5, 0, 66]):
        part = log_marginal(model, (x[rows], labels[rows]), noise[rows])
        assert (part.log_p == whole.log_p[rows]).all()


def test_refusals() -> None:
    model, (x, labels) = small(), pairs(5)
    with pytest.raises(ValueError, match=r"x comes without labels; a pair \(x, labels\)"):
        model.encode(x)
    with pytest.raises(ValueError, match="x comes with labels, which this model is not given"):
        build(Architecture(hidden=(4,)), (1, 3, 4)).encode((x, labels))
    for odd in (3, -1):
        with pytest.raises(ValueError, match=rf"a label is {odd}; the model knows .* 0\.\.2"):
            model.encode((x, torch.full((5,), odd)))
    with pytest.raises(ValueError, match=r"labels have shape \(4,\) .*; \(5,\) integers"):
        model.encode((x, labels[:4]))
    with pytest.raises(ValueError, match=r"type torch.float64; \(5,\) integers"):
        model.encode((x, labels.double()))
    with pytest.raises(ValueError, match=r"x has shape \(5, 4, 3\); \(B, 1, 3, 4\) is wanted"):
        model.encode((x.view(5, 4, 3), labels))
    with pytest.raises(ValueError, match="classes is 0; 1 or more"):
        build(Architecture(), (7,), 0)
    for encoder in (mlp_encoder((12,), (5,), 2), mlp_encoder((15,), (5,), 5)):
        with pytest.raises(ValueError, match=r"latent \+ K and one of the shapes"):
            ConditionalVAE(encoder, model.decoder, Bernoulli())


def test_without_classes_the_model_is_the_one_of_x_alone() -> None:
    assert type(build(Architecture(), (7,))) is VAE
