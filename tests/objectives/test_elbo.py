"""The losses of one sample: golden values, a model that is solved, gradients, batches."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from genmem.models import VAE, Bernoulli, ConstantGaussian
from genmem.models.decoders import Decoder, mlp_decoder
from genmem.models.encoders import Encoder, mlp_encoder
from genmem.objectives import ELBO, IWAE, BetaELBO, Objective, kl, log_marginal

OBJECTIVES = [ELBO(), BetaELBO(4.0), BetaELBO(0.0), IWAE()]


def scalar_model() -> VAE:
    """z ~ N(0, 1), x = 2z + 1 + N(0, 1/2), and the encoder that is its exact posterior."""
    encoder, decoder = torch.nn.Linear(1, 2), torch.nn.Linear(1, 1)
    slope, variance = 2 / 4.5, 0.5 / 4.5
    with torch.no_grad():
        encoder.weight.copy_(torch.tensor([[slope], [0.0]]))
        encoder.bias.copy_(torch.tensor([-slope, math.log(variance)]))
        decoder.weight.fill_(2)
        decoder.bias.fill_(1)
    noise = ConstantGaussian(initial_logvar=math.log(0.5))
    return (
        VAE(Encoder((1,), 1, encoder), Decoder((1,), 1, decoder), noise)
        .double()
        .requires_grad_(False)
    )


def exact(model: VAE) -> VAE:
    """`scalar_model` with its constants set in float64."""
    model.encoder[0].weight.data[0] = 2 / 4.5
    model.encoder[0].bias.data[:] = torch.tensor(
        [-2 / 4.5, math.log(0.5 / 4.5)], dtype=torch.float64
    )
    model.likelihood.logvar.weight.data.fill_(math.log(0.5))
    return model


def nonlinear_model(d: int = 6, latent: int = 2) -> VAE:
    torch.manual_seed(1)
    parts = mlp_encoder((d,), (8,), latent), mlp_decoder((d,), (8,), latent, 1)
    model = VAE(*parts, Bernoulli()).double().requires_grad_(False)
    for p in model.parameters():
        p.mul_(3)
    return model


def samples(count: int = 5, d: int = 6) -> torch.Tensor:
    generator = torch.Generator().manual_seed(2)
    return (torch.rand(count, d, generator=generator) < 0.5).double()


def noise(count: int, draws: int, latent: int = 2) -> torch.Tensor:
    generator = torch.Generator().manual_seed(3)
    return torch.randn(count, draws, latent, generator=generator, dtype=torch.float64)


def test_kl_golden_value() -> None:
    mu, logvar = torch.tensor([[0.3, -0.2]]), torch.tensor([[-1.0, 0.5]])
    got = kl(mu.double(), logvar.double())
    assert got.shape == (1,)
    assert abs(float(got) - 0.323300355936) <= 1e-8  # mu and lv are rounded to float32 first
    mu, logvar = (torch.tensor([v], dtype=torch.float64) for v in ([0.3, -0.2], [-1.0, 0.5]))
    assert abs(float(kl(mu, logvar)) - 0.323300355936) <= 1e-11


def test_kl_keeps_its_digits_near_the_prior() -> None:
    """KL = lv^2/4 + lv^3/12 + ... in float32, where e^lv - 1 - lv would be 0 or noise."""
    lv = torch.tensor([[1e-3], [-1e-3]])
    want = lv[:, 0].double() ** 2 / 4 + lv[:, 0].double() ** 3 / 12
    assert ((kl(torch.zeros(2, 1), lv).double() / want - 1).abs() <= 2e-4).all()
    assert float(kl(torch.zeros(1, 1), torch.zeros(1, 1))) == 0


def test_posterior_of_the_scalar_model() -> None:
    mu, logvar = exact(scalar_model()).encode(torch.tensor([[1.7]], dtype=torch.float64))
    assert abs(float(mu) - 0.311111111111) <= 1e-11
    assert abs(float(logvar.exp()) - 0.111111111111) <= 1e-11


def test_with_the_exact_posterior_every_weight_is_the_density() -> None:
    model, x = exact(scalar_model()), torch.tensor([[1.7]], dtype=torch.float64)
    eps = noise(1, 50, 1)
    for draws in range(50):
        got = -IWAE().loss(model, x, eps[:, draws : draws + 1])
        assert abs(float(got) - -1.725421676037) <= 1e-11
    found = log_marginal(model, x, eps)
    assert abs(found.log_p[0] - -1.725421676037) <= 1e-11
    assert abs(found.ess[0] - 50) <= 1e-9
    assert found.se[0] <= 1e-7
    elbo = -ELBO().loss(model, x, noise(1, 200_000, 1))
    assert abs(float(elbo) - -1.725421676037) <= 0.01  # analytic KL: equal in expectation only


def test_multivariate_linear_gaussian() -> None:
    """x = W z + b + N(0, s^2) with orthogonal columns: the posterior is diagonal, log p known."""
    rng = np.random.default_rng(0)
    w = np.linalg.qr(rng.normal(size=(5, 2)))[0] * np.array([1.5, 0.7])
    b, s2 = rng.normal(size=5), 0.3
    encoder, decoder = torch.nn.Linear(5, 4).double(), torch.nn.Linear(2, 5).double()
    gain = w.T / ((w**2).sum(0) + s2)[:, None]
    logvar = np.log(s2 / ((w**2).sum(0) + s2))
    with torch.no_grad():
        encoder.weight.copy_(torch.tensor(np.vstack([gain, np.zeros((2, 5))])))
        encoder.bias.copy_(torch.tensor(np.concatenate([-gain @ b, logvar])))
        decoder.weight.copy_(torch.tensor(w))
        decoder.bias.copy_(torch.tensor(b))
    likelihood = ConstantGaussian().double()
    likelihood.logvar.weight.data.fill_(math.log(s2))
    model = VAE(Encoder((5,), 2, encoder), Decoder((5,), 2, decoder), likelihood)
    x = rng.normal(size=(7, 5))
    covariance = w @ w.T + s2 * np.eye(5)
    _, log_det = np.linalg.slogdet(2 * np.pi * covariance)
    off = x - b
    want = -0.5 * (log_det + np.einsum("ni,ij,nj->n", off, np.linalg.inv(covariance), off))
    found = log_marginal(model, torch.tensor(x), noise(7, 3))
    assert found.log_p.shape == (7,)
    assert (np.abs(found.log_p - want) <= 1e-11).all()
    assert (np.abs(found.ess - 3) <= 1e-9).all()


@pytest.mark.parametrize("objective", OBJECTIVES, ids=str)
def test_loss_is_the_formula_draw_by_draw(objective: Objective) -> None:
    model, x, eps = nonlinear_model(), samples(), noise(5, 4)
    got = objective.loss(model, x, eps)
    assert got.shape == (5,)
    for i in range(5):
        mu, lv = (part[0] for part in model.encode(x[i : i + 1]))
        weights, log_px = [], []
        for e in eps[i]:
            z = mu + torch.exp(lv / 2) * e
            p = torch.sigmoid(model.decoder(z[None]))[0]
            log_px.append((x[i] * p.log() + (1 - x[i]) * (1 - p).log()).sum())
            prior = torch.distributions.Normal(0.0, 1.0).log_prob(z).sum()
            posterior = torch.distributions.Normal(mu, torch.exp(lv / 2)).log_prob(z).sum()
            weights.append(log_px[-1] + prior - posterior)
        if isinstance(objective, IWAE):
            want = -torch.logsumexp(torch.stack(weights), 0) + math.log(4)
        else:
            divergence = 0.5 * (mu**2 + lv.exp() - 1 - lv).sum()
            beta = objective.beta if isinstance(objective, BetaELBO) else 1.0
            want = beta * divergence - torch.stack(log_px).mean()
        assert abs(float(got[i] - want)) <= 1e-11


def test_beta_of_one_is_the_elbo() -> None:
    model, x, eps = nonlinear_model(), samples(), noise(5, 4)
    assert torch.equal(BetaELBO(1.0).loss(model, x, eps), ELBO().loss(model, x, eps))


def test_names() -> None:
    assert [objective.name for objective in OBJECTIVES] == ["elbo", "beta", "beta", "iwae"]


@pytest.mark.parametrize("objective", OBJECTIVES, ids=str)
def test_gradients_by_finite_differences(objective: Objective) -> None:
    model, x, eps = nonlinear_model().requires_grad_(), samples(3), noise(3, 2)
    weights = list(model.parameters())
    gradients = torch.autograd.grad(objective.loss(model, x, eps).sum(), weights)
    generator = torch.Generator().manual_seed(7)
    for _ in range(3):
        way = [torch.randn(w.shape, generator=generator, dtype=w.dtype) for w in weights]
        slope = sum(float((g * v).sum()) for g, v in zip(gradients, way, strict=True))
        values = []
        for step in (1e-6, -2e-6, 1e-6):
            with torch.no_grad():
                for w, v in zip(weights, way, strict=True):
                    w.add_(step * v)
            values.append(float(objective.loss(model, x, eps).sum().detach()))
        assert abs((values[0] - values[1]) / 2e-6 - slope) <= 1e-6 * (1 + abs(slope))


@given(order=st.permutations(range(20)))
def test_the_loss_of_a_sample_does_not_depend_on_its_batch(order: list[int]) -> None:
    model, x, eps = nonlinear_model(), samples(20), noise(20, 2)
    for objective in OBJECTIVES:
        whole = objective.loss(model, x, eps)
        shuffled = objective.loss(model, x[order], eps[order])
        assert ((shuffled - whole[order]).abs() <= 1e-12).all()


def test_the_importance_weighted_bound_rises_with_its_draws() -> None:
    """ELBO = E IWAE_1 <= E IWAE_2 <= E IWAE_8 <= log p, means over 4,000 sets of noise."""
    model, x = nonlinear_model(), samples(1)
    sets = 4000
    many = x.expand(sets, -1)
    bounds, errors = [], []
    for draws in (1, 2, 8, 64):
        values = -IWAE().loss(model, many, noise(sets, draws)).detach()
        bounds.append(float(values.mean()))
        errors.append(float(values.std()) / math.sqrt(sets))
    elbo = -ELBO().loss(model, many, noise(sets, 1)).detach()
    error = math.hypot(errors[0], float(elbo.std()) / math.sqrt(sets))
    assert abs(float(elbo.mean()) - bounds[0]) <= 4 * error
    assert bounds[0] < bounds[1] < bounds[2] < bounds[3]
    top = log_marginal(model, x, noise(1, 100_000))
    assert bounds[3] <= top.log_p[0] + 4 * (errors[3] + top.se[0])
    assert bounds[1] - bounds[0] > 4 * (errors[0] + errors[1])


def test_float32_models_work_in_float32() -> None:
    model, x, eps = nonlinear_model().float(), samples().float(), noise(5, 4).float()
    for objective in OBJECTIVES:
        got = objective.loss(model, x, eps)
        assert got.dtype == torch.float32
        want = objective.loss(nonlinear_model(), x.double(), eps.double())
        assert ((got - want).abs() <= 1e-4).all()
